-- What only PostgreSQL has of the first step: the search index.

-- What was indexed together: the grams of one conversation, each with its agent before it.
create table search_docs (
    agent_id bigint not null,
    id bigint not null,
    conversation bigint not null,
    grams tsvector not null,
    primary key (agent_id, id)
);
create index search_docs_grams on search_docs using gin (grams);
