-- What models cost. The book is the whole installation's and no agent's: whoever runs it knows what is paid.
create table prices (
    -- In lower case; with an asterisk at its end, everything that begins with it.
    model text not null,
    valid_from integer not null,
    -- A token of each class, in units of 0.0000000000001 US dollars.
    prompt integer,
    completion integer,
    embedding integer,
    cache_read integer,
    cache_write integer,
    -- default, operator; or removed: a default that nobody wants, and that no upgrade brings back.
    source text not null,
    updated_at integer not null,
    primary key (model, valid_from)
) without rowid;

-- One row. Whoever prices a row of usage keeps it from changing until the commit.
create table price_book (
    id integer primary key,
    -- Another with every change of the prices.
    mark integer not null,
    -- Which of the shipped defaults it has.
    defaults integer not null
);
insert into price_book (id, mark, defaults) values (1, 0, 0);

-- One row: how far stored usage shows the book as it is. Rows are gone through in the order of their key.
create table repricing (
    id integer primary key,
    is_done integer not null,
    after_agent integer not null,
    after_conversation integer not null,
    after_id integer not null,
    -- How many rows were gone through.
    rows_seen integer not null
);
insert into repricing (id, is_done, after_agent, after_conversation, after_id, rows_seen) values (1, 1, 0, 0, 0, 0);
