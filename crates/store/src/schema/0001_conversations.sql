create table id_blocks (
    name text primary key,
    next integer not null
) without rowid;

-- Things of this installation: the secret that signs links to files, and the like.
create table settings (
    name text primary key,
    value blob not null
) without rowid;

create table agents (
    id integer primary key,
    name text not null unique,
    -- SDK 0.0.x posts totals of its process; book what came on top (1), or what was posted (0).
    cumulative_token_counters integer not null,
    created_at integer not null
);

create table environments (
    agent_id integer not null,
    id integer not null,
    slug text not null,
    name text not null,
    is_production integer not null,
    created_at integer not null,
    updated_at integer not null,
    primary key (agent_id, id),
    unique (agent_id, slug)
) without rowid;

create table api_keys (
    agent_id integer not null,
    id integer not null,
    name text,
    role text not null,
    hash blob not null unique,
    hint text not null,
    created_at integer not null,
    expires_at integer,
    revoked_at integer,
    primary key (agent_id, id)
) without rowid;

-- Exact totals, so that a list need not count.
create table counters (
    agent_id integer not null,
    name text not null,
    value integer not null,
    primary key (agent_id, name)
) without rowid;

create table conversations (
    agent_id integer not null,
    id integer not null,
    conversation_id text not null,
    environment_id integer not null,
    -- Its slug, which never changes: a fetch need not look it up.
    environment text not null,
    name text,
    customer_id text,
    customer_ip_address text,
    device text,
    source text,
    language text,
    metadata text,
    started_at integer not null,
    ended_at integer not null,
    is_marked integer not null,
    is_used integer not null,
    is_deleted integer not null,
    deleted_at integer,
    city text,
    country text,
    timezone_name text,
    -- How much hangs on it: a fetch asks only for what is there.
    message_count integer not null,
    action_log_count integer not null,
    button_count integer not null,
    attachment_count integer not null,
    conversation_feedback_count integer not null,
    message_feedback_count integer not null,
    ticket_count integer not null,
    usage_count integer not null,
    -- While it waits to be indexed for search: messages received since then are not in the index.
    unindexed_since integer,
    primary key (agent_id, id),
    unique (agent_id, conversation_id)
) without rowid;

-- The order of lists, with the columns of the common filters, so that counting reads no rows.
create index conversations_listed on conversations
    (agent_id, started_at, id, is_deleted, environment_id, is_marked, device, language);
create index conversations_by_customer on conversations (agent_id, customer_id, started_at)
    where customer_id is not null;

-- Scalars of the metadata by dot path, in the forms of `metadata::entries`.
create table conversation_metadata (
    agent_id integer not null,
    path text not null,
    form text not null,
    conversation integer not null,
    primary key (agent_id, path, form, conversation)
) without rowid;

create table messages (
    agent_id integer not null,
    conversation integer not null,
    timestamp integer not null,
    id integer not null,
    sender integer not null,
    content text not null,
    action_name text,
    metadata text,
    -- Identity of the request that wrote it, and when it came: a resend within minutes is known by them.
    receipt integer,
    received_at integer not null,
    primary key (agent_id, conversation, timestamp, id)
) without rowid;
create unique index messages_by_id on messages (agent_id, id);

create table actions (
    agent_id integer not null,
    id integer not null,
    name text not null,
    display_name text not null,
    description text not null,
    primary key (agent_id, id),
    unique (agent_id, name)
) without rowid;

create table action_logs (
    agent_id integer not null,
    conversation integer not null,
    id integer not null,
    message integer not null,
    action integer not null,
    started_at integer,
    ended_at integer,
    duration_ms text,
    tools_used text,
    response text,
    error_message text,
    metadata text,
    primary key (agent_id, conversation, id)
) without rowid;
create index action_logs_by_action on action_logs (agent_id, action, conversation);

create table buttons (
    agent_id integer not null,
    conversation integer not null,
    id integer not null,
    message integer,
    button_event text not null,
    label text not null,
    value text not null,
    metadata text,
    timestamp integer not null,
    primary key (agent_id, conversation, id)
) without rowid;
create index buttons_by_event on buttons (agent_id, button_event, timestamp);

create table attachments (
    agent_id integer not null,
    conversation integer not null,
    id integer not null,
    message integer not null,
    filename text not null,
    mime_type text not null,
    size_bytes integer not null,
    hash blob not null,
    receipt integer,
    received_at integer not null,
    primary key (agent_id, conversation, id)
) without rowid;
create index attachments_by_hash on attachments (hash);

create table feedbacks (
    agent_id integer not null,
    id integer not null,
    kind text not null,
    conversation integer,
    message integer,
    user_id integer,
    environment_id integer,
    sentiment text not null,
    category text,
    comment text,
    topic text,
    reason text,
    source text not null,
    metadata text,
    created_at integer not null,
    primary key (agent_id, id)
) without rowid;
create index feedbacks_by_conversation on feedbacks (agent_id, conversation, kind);
create index feedbacks_by_sentiment on feedbacks (agent_id, sentiment, source, conversation);
create unique index feedbacks_votes on feedbacks (agent_id, message) where message is not null;

create table tickets (
    agent_id integer not null,
    id integer not null,
    title text not null,
    status text not null,
    priority text,
    tags text,
    environment_id integer not null,
    conversation integer,
    feedback integer,
    author text,
    created_at integer not null,
    updated_at integer not null,
    primary key (agent_id, id)
) without rowid;
create index tickets_by_conversation on tickets (agent_id, conversation) where conversation is not null;

create table ticket_comments (
    agent_id integer not null,
    ticket integer not null,
    id integer not null,
    author text not null,
    role text not null,
    body text not null,
    created_at integer not null,
    primary key (agent_id, ticket, id)
) without rowid;

create table token_usage (
    agent_id integer not null,
    conversation integer not null,
    id integer not null,
    turn_id text,
    model text,
    prompt_tokens integer not null,
    completion_tokens integer not null,
    embedding_tokens integer not null,
    cache_read_tokens integer not null,
    cache_write_tokens integer not null,
    reasoning_tokens integer not null,
    audio_input_tokens integer not null,
    audio_output_tokens integer not null,
    total_tokens integer not null,
    -- In units of 0.00000001 US dollars.
    cost_usd integer not null,
    cost_usd_reported integer not null,
    cost_source text not null,
    calls integer not null,
    unreported_calls integer not null,
    incomplete integer not null,
    incomplete_reason text,
    started_at integer not null,
    ended_at integer not null,
    primary key (agent_id, conversation, id)
) without rowid;

-- Counter vectors of the SDK's processes, as last posted.
create table token_counters (
    agent_id integer not null,
    id integer not null,
    prompt integer not null,
    completion integer not null,
    embedding integer not null,
    total integer not null,
    seen_at integer not null,
    primary key (agent_id, id)
) without rowid;

-- Conversations with texts that the search index does not hold, written with the first of these texts and
-- taken away by the indexer.
create table search_pending (
    agent_id integer not null,
    conversation integer not null,
    primary key (agent_id, conversation)
) without rowid;
