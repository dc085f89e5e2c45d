-- What an indexer that works apart from the writer has taken and not yet put away: since when messages of the conversation
-- are not in the index, and which slice of its work it is.
alter table search_pending add column since integer;
alter table search_pending add column taken integer;
