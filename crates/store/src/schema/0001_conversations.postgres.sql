-- What only PostgreSQL has of the first step: the search index.

-- Written with the rows that must be found, taken away by the indexer. A null timestamp stands for
-- the conversation's own texts.
create table search_pending (
    agent_id bigint not null,
    id bigint not null,
    conversation bigint not null,
    timestamp bigint,
    message bigint,
    primary key (agent_id, id)
);
create index search_pending_by_age on search_pending (id);

-- What was indexed together: the grams of one conversation, each with its agent before it.
create table search_docs (
    agent_id bigint not null,
    id bigint not null,
    conversation bigint not null,
    grams tsvector not null,
    primary key (agent_id, id)
);
create index search_docs_grams on search_docs using gin (grams);
