-- Lists of feedback, tickets and clicks, newest first.
create index feedbacks_listed on feedbacks (agent_id, created_at, id);
create index tickets_listed on tickets (agent_id, created_at, id);
create index buttons_listed on buttons (agent_id, timestamp, id);
-- A piece of feedback becomes one ticket at most.
create unique index tickets_by_feedback on tickets (agent_id, feedback) where feedback is not null;

-- From now on there are totals of these, too.
insert into counters (agent_id, name, value) select agent_id, 'feedbacks', count(*) from feedbacks group by agent_id;
insert into counters (agent_id, name, value) select agent_id, 'tickets', count(*) from tickets group by agent_id;
