-- What SDK 0.1.x and OpenTelemetry record, each as it came; beside it the columns by which it is found.
create table spans (
    agent_id integer not null,
    id integer not null,
    conversation integer not null,
    span_id text not null,
    trace_id text not null,
    parent_span_id text,
    kind text not null,
    name text not null,
    status text not null,
    started_at integer not null,
    ended_at integer not null,
    -- Milliseconds, as sent.
    duration_ms text,
    -- The turn that it belongs to, by the span's id.
    turn_id text,
    -- A turn: whether it was complete. A tool: 0 while its turn has not come, which then shows it.
    settled integer,
    incomplete_reason text,
    payload text not null,
    primary key (agent_id, id)
);
-- Its identity: a span that comes again is known by it.
create unique index spans_by_span_id on spans (agent_id, conversation, span_id);
create index spans_listed on spans (agent_id, started_at, id);
create index spans_by_trace on spans (agent_id, trace_id);
create index spans_waiting on spans (agent_id, conversation, turn_id) where settled = 0;

-- One row per turn and model. Without a turn there is one per call, or per counter that was posted.
create unique index token_usage_by_turn on token_usage (agent_id, conversation, turn_id, model) where turn_id is not null;
create index token_usage_listed on token_usage (agent_id, started_at, id);
