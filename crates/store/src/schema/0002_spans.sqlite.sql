-- How these rows are spread in a grown store; see the first step.
insert into sqlite_stat1 (tbl, idx, stat) values
    ('spans', 'sqlite_autoindex_spans_1', '8000000 1600000 1'),
    ('spans', 'spans_by_span_id', '8000000 1600000 8 1'),
    ('spans', 'spans_listed', '8000000 1600000 2 1'),
    ('spans', 'spans_by_trace', '8000000 1600000 8'),
    ('spans', 'spans_waiting', '1000 200 4 2'),
    ('token_usage', 'token_usage_by_turn', '1000000 200000 2 1 1'),
    ('token_usage', 'token_usage_listed', '1000000 200000 2 1');
analyze sqlite_schema;
