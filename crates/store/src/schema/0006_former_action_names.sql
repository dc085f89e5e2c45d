-- Names that actions had. Messages keep the name under which they were written, and are found by it too.
create table former_action_names (
    agent_id integer not null,
    action integer not null,
    name text not null,
    primary key (agent_id, action, name)
) without rowid;
insert into former_action_names (agent_id, action, name)
    select distinct l.agent_id, l.action, m.action_name from action_logs l
    join actions a on a.agent_id = l.agent_id and a.id = l.action
    join messages m on m.agent_id = l.agent_id and m.id = l.message
    where m.action_name <> a.name;
