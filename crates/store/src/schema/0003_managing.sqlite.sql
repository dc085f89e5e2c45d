-- How these rows are spread in a grown store; see the first step.
insert into sqlite_stat1 (tbl, idx, stat) values
    ('feedbacks', 'feedbacks_listed', '250000 50000 1 1'),
    ('tickets', 'tickets_listed', '10000 2000 1 1'),
    ('tickets', 'tickets_by_feedback', '10000 2000 1'),
    ('buttons', 'buttons_listed', '500000 100000 1 1');
analyze sqlite_schema;
