-- What only SQLite has of the first step: the search index, and how a grown store is spread.

-- What was indexed together: a document of the gram index belongs to one conversation.
create table search_docs (
    id integer primary key,
    conversation integer not null
);
create virtual table search_grams using fts5(
    grams, content = '', columnsize = 0, detail = none,
    tokenize = "ascii tokenchars ' !""#$%&''()*+,-./:;<=>?@[\]^_`{|}~'"
);

-- How the rows of a grown store are spread, for SQLite's planner, which would otherwise take one agent
-- for a handful of rows and read all of its feedback to find one conversation's. Each entry: rows in
-- all, then rows per value of the first column, of the first two, and so on. Never measured anew, so
-- that plans do not change by themselves.
analyze;
-- What it just saw are empty tables, the search index's own among them.
delete from sqlite_stat1;
insert into sqlite_stat1 (tbl, idx, stat) values
    ('conversations', 'conversations', '1000000 200000 1'),
    ('conversations', 'sqlite_autoindex_conversations_2', '1000000 200000 1'),
    ('conversations', 'conversations_listed', '1000000 200000 2 1 1 1 1 1 1'),
    ('conversations', 'conversations_by_customer', '800000 160000 10 1'),
    ('conversation_metadata', 'conversation_metadata', '3000000 600000 200000 5000 1'),
    ('messages', 'messages', '10000000 2000000 10 1 1'),
    ('messages', 'messages_by_id', '10000000 2000000 1'),
    ('action_logs', 'action_logs', '2000000 400000 2 1'),
    ('action_logs', 'action_logs_by_action', '2000000 400000 40000 1'),
    ('buttons', 'buttons', '500000 100000 2 1'),
    ('buttons', 'buttons_by_event', '500000 100000 20000 1'),
    ('attachments', 'attachments', '500000 100000 2 1'),
    ('attachments', 'attachments_by_hash', '500000 1'),
    ('feedbacks', 'feedbacks', '250000 50000 1'),
    ('feedbacks', 'feedbacks_by_conversation', '250000 50000 2 1'),
    ('feedbacks', 'feedbacks_by_sentiment', '250000 50000 16000 12000 1'),
    ('feedbacks', 'feedbacks_votes', '100000 20000 1'),
    ('tickets', 'tickets', '10000 2000 1'),
    ('tickets', 'tickets_by_conversation', '10000 2000 1'),
    ('ticket_comments', 'ticket_comments', '50000 10000 5 1'),
    ('token_usage', 'token_usage', '1000000 200000 1 1'),
    ('environments', 'environments', '15 3 1');
-- The connection that ran this reads them now, every other when it opens.
analyze sqlite_schema;
