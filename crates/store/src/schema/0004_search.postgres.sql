-- While documents are added all the time, every search reads the list of those that are not sorted in: at most 1 MB of it.
alter index search_docs_grams set (gin_pending_list_limit = 1024);
