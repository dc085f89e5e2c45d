-- SQLite's search index is a database of its own now, and is built anew.
drop table search_grams;
drop table search_docs;
