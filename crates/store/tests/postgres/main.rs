//! What only PostgreSQL knows: how it is opened, what happens when it goes away, and how its tables are laid out.
//!
//! Nothing here runs without `AGENTSIGHT_TEST_POSTGRES`; `cargo xtask test` starts a server and sets it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

#[expect(dead_code, reason = "other suites read more of a schema")]
mod schema;
#[expect(dead_code, reason = "other suites hold a wire up in more ways")]
mod wire;

use std::sync::Arc;
use std::time::Duration;

use agentsight_model::body::Body;
use agentsight_model::ids::AgentId;
use agentsight_model::json::JsonText;
use agentsight_model::key::Role;
use agentsight_model::message::Sender;
use agentsight_model::price::{ALWAYS, NewPrice, PerToken, Rate};
use agentsight_model::span::SpanBatch;
use agentsight_model::time::Timestamp;
use agentsight_model::track::{Event, NewEvent, Target};
use agentsight_model::usage::UsageFilter;
use agentsight_store::{DatabaseConfig, Error, Extent, Restated, Store, StoreConfig};

use schema::TempSchema;
use wire::Wire;

/// The end of a transaction, on the wire; its beginning says `read committed`.
const COMMIT: &str = "commit\0";

fn config(database: DatabaseConfig) -> StoreConfig {
    StoreConfig { database: Some(database), ..StoreConfig::default() }
}

fn open(database: DatabaseConfig) -> Result<Store, Error> {
    Store::open(&std::env::temp_dir(), &config(database))
}

/// The sentence with which an address is refused; host and port are left out.
fn refused(url: &str) -> String {
    let sentence = match url.parse() {
        Err(sentence) => sentence,
        Ok(url) => match open(DatabaseConfig { connect_time: Duration::from_secs(2), ..DatabaseConfig::new(url) }) {
            Err(Error::Open(sentence)) => sentence,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it was opened"),
        },
    };
    let place = url.split(['@', '/']).nth(3).unwrap_or_default();
    sentence.replace(place, "HOST")
}

/// The server's address with another user and password.
fn as_user(server: &str, user: &str) -> String {
    let (_, rest) = server.split_once('@').unwrap();
    format!("postgres://{user}@{rest}")
}

fn said(conversation: &str, content: &str) -> NewEvent {
    NewEvent {
        target: Target { id: None, name: Some(conversation.to_owned()) },
        timestamp: Timestamp(1_772_442_900_000_000),
        metadata: JsonText::EMPTY,
        receipt: None,
        what: Event::Message { sender: Sender::EndUser, content: content.to_owned() },
    }
}

async fn bot(store: &Store) -> AgentId {
    store.mint_key("helpdesk", Role::Write, None).await.unwrap().agent
}

async fn contents(store: &Store, agent: AgentId, conversation: &str) -> Vec<String> {
    let whole = store.fetch_conversation(agent, conversation.into()).await.unwrap();
    whole.messages.into_iter().map(|message| message.content).collect()
}

#[test]
fn a_server_that_cannot_be_used_says_why() {
    let Some(schema) = TempSchema::new() else { return };
    let server = schema.server.clone();
    schema.run(&format!("create role \"{0}\" login password 'right'", schema.name));
    let (base, _) = server.rsplit_once('/').unwrap();
    let stranger = as_user(&server, &format!("{}:right", schema.name));

    assert!(refused("postgres://me@127.0.0.1:9/chats").starts_with("the database at HOST cannot be reached: "));
    assert_eq!(
        refused(&format!("{base}/chats_none")),
        "there is no database chats_none at HOST; make it with: createdb chats_none"
    );
    let nobody = refused(&as_user(&server, "nobody:wrong"));
    // A server that trusts everybody tells that there is no such user; one that asks for a password does not.
    assert!(
        nobody == "the database at HOST does not take this password of user nobody"
            || nobody.contains("let user nobody in"),
        "{nobody}"
    );
    let refusal = refused(&format!("{stranger}?schema={}", schema.name));
    assert!(refusal.starts_with(&format!("user {} may not make tables in the database ", schema.name)), "{refusal}");
    schema.run(&format!("drop role \"{}\"", schema.name));
}

#[test]
fn a_schema_of_another_program_is_left_alone() {
    let Some(schema) = TempSchema::new() else { return };
    schema.run(&format!("create schema \"{0}\"; create table \"{0}\".recipes (name text)", schema.name));

    let refusal = refused(&format!("{}?schema={}", schema.server, schema.name));

    assert!(refusal.contains("belongs to another program; name an empty one with ?schema="), "{refusal}");
    assert_eq!(schema.run("select count(*) from pg_tables where schemaname = current_schema()"), ["1"]);
}

#[tokio::test]
async fn a_schema_of_a_newer_version_is_left_alone() {
    let Some(schema) = TempSchema::new() else { return };
    open(schema.database()).unwrap().close().await;
    schema.run("insert into migrations values (99, 'from the future', 0)");

    let refusal = refused(&format!("{}?schema={}", schema.server, schema.name));

    assert!(refusal.contains("was written by a newer AgentSight (schema 99, this program knows "), "{refusal}");
}

#[tokio::test]
async fn nodes_that_start_together_make_one_schema() {
    let Some(schema) = TempSchema::new() else { return };

    let nodes: Vec<_> = (0..10)
        .map(|_| {
            let database = schema.database();
            std::thread::spawn(move || open(database).unwrap())
        })
        .collect();
    let nodes: Vec<Store> = nodes.into_iter().map(|node| node.join().unwrap()).collect();

    for node in &nodes {
        node.check().await.unwrap();
        node.close().await;
    }
    let versions = schema.run("select count(*) = max(version) from migrations");
    assert_eq!(versions, ["t"]);
}

#[tokio::test]
async fn connections_that_are_ended_lose_nothing_and_double_nothing() {
    let Some(schema) = TempSchema::new() else { return };
    let name = schema.name.clone();
    let mut database = schema.database();
    database.url = format!("{}?schema={name}&application_name={name}", schema.server).parse().unwrap();
    let store = open(database).unwrap();
    let agent = bot(&store).await;

    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut kept = Vec::new();
                for n in 0..60 {
                    let content = format!("{writer}-{n}");
                    if store.append(agent, said("c", &content)).await.is_ok() {
                        kept.push(content);
                    }
                }
                kept
            })
        })
        .collect();
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        let end =
            format!("select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = '{name}'");
        schema.run(&end);
    }
    let mut kept = Vec::new();
    for writer in writers {
        kept.extend(writer.await.unwrap());
    }

    let mut stored = contents(&store, agent, "c").await;
    stored.sort();
    kept.sort();
    assert_eq!(kept.len(), 480, "a write did not wait for the next connection");
    assert_eq!(stored, kept);
    store.close().await;
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_kept_once() {
    let Some(schema) = TempSchema::new() else { return };
    let wire = Wire::to(&schema.server);
    let store = open(wire.database(&schema)).unwrap();
    let agent = bot(&store).await;
    store.append(agent, said("c", "before")).await.unwrap();

    // The server hears the commit; what it answers does not arrive.
    wire.lose_the_answer_to(COMMIT);
    store.append(agent, said("c", "while the answer was lost")).await.unwrap();
    // The commit itself does not arrive.
    wire.lose(COMMIT);
    store.append(agent, said("c", "while the commit was lost")).await.unwrap();

    assert_eq!(wire.cuts(), 2);
    assert_eq!(
        contents(&store, agent, "c").await,
        ["before", "while the answer was lost", "while the commit was lost"]
    );
    store.close().await;
}

/// A network that holds a commit up for longer than its sender waits for the answer, and then delivers it.
#[tokio::test]
async fn a_commit_that_arrives_late_is_not_done_twice() {
    let Some(schema) = TempSchema::new() else { return };
    let wire = Wire::to(&schema.server);
    let database = DatabaseConfig { connect_time: Duration::from_millis(500), ..wire.database(&schema) };
    // Without an index, whose commit would be the next one.
    let soon = StoreConfig { query_time: Duration::from_secs(1), search_index: false, ..config(database) };
    let store = Store::open(&std::env::temp_dir(), &soon).unwrap();
    let agent = bot(&store).await;
    store.append(agent, said("c", "before")).await.unwrap();

    wire.hold(COMMIT);
    let late = tokio::spawn({
        let store = store.clone();
        async move { store.append(agent, said("c", "late")).await.map(|_| ()) }
    });
    // The second attempt waits for the rows of the first, whose commit is on its way.
    let waiting = format!(
        "select count(*) from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.query like '%conversations%'
            and exists (select 1 from pg_locks h where h.pid = a.pid and h.relation = '\"{0}\".conversations'::regclass)",
        schema.name
    );
    while schema.run(&waiting) == ["0"] && !late.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    wire.release();

    late.await.unwrap().unwrap();
    assert_eq!(contents(&store, agent, "c").await, ["before", "late"]);
    store.close().await;
}

/// A crash, or a standby that takes over, may lose that a block of ids was given out: that is not waited for.
#[tokio::test]
async fn ids_that_the_server_forgot_are_not_given_out_twice() {
    let Some(schema) = TempSchema::new() else { return };
    let wire = Wire::to(&schema.server);
    let (here, there) = (open(wire.database(&schema)).unwrap(), open(schema.database()).unwrap());
    let agents = [bot(&here).await, there.mint_key("sales", Role::Write, None).await.unwrap().agent];
    here.append(agents[0], said("c", "the first of a block")).await.unwrap();

    wire.unplug();
    schema.run("update id_blocks set next = (select max(id) + 1 from messages) where name = 'messages'");
    wire.plug_in();
    for n in 0..3 {
        there.append(agents[1], said("c", &format!("there {n}"))).await.unwrap();
        here.append(agents[0], said("c", &format!("here {n}"))).await.unwrap();
    }

    let doubles = schema.run("select id from messages group by id having count(*) > 1");
    assert!(doubles.is_empty(), "given twice: {doubles:?}");
    here.close().await;
    there.close().await;
}

/// A call of a million tokens, in the one turn of a conversation.
fn call(id: &str) -> SpanBatch {
    let body = format!(
        r#"{{"conversations": [{{"conversation_id": "c", "spans": [{{"span_id": "{id}", "kind": "llm", "name": "chat",
            "attributes": {{"agentsight.turn.id": "a", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 1000000}}}}]}}]}}"#
    );
    SpanBatch::read(&Body::parse(body.as_bytes()).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_prices_waits_for_writes_that_price_with_the_book_as_it_was() {
    let Some(schema) = TempSchema::new() else { return };
    let schema = Arc::new(schema);
    let (store, beside) = (open(schema.database()).unwrap(), open(schema.database()).unwrap());
    let agent = bot(&store).await;
    store.ingest(agent, call("1")).await.unwrap();
    let waits = async |what: String| {
        let asked = format!("select count(*) from pg_stat_activity where {what}");
        while schema.run(&asked) != ["1"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };

    // Somebody holds the row up, so that a write which has asked for the book cannot end.
    let holds = Arc::clone(&schema);
    let held = tokio::task::spawn_blocking(move || {
        holds.run("begin; select id from token_usage for update; select pg_sleep(1); commit")
    });
    waits(format!("wait_event = 'PgSleep' and query like '%{}%'", schema.name)).await;
    let writer = store.clone();
    let written = tokio::spawn(async move { writer.ingest(agent, call("2")).await });
    waits("wait_event_type = 'Lock' and query like 'update token_usage%'".to_owned()).await;
    let rate = Rate { prompt: Some(PerToken::per_million("3").unwrap()), ..Rate::default() };
    beside.set_prices(vec![NewPrice::check("m", ALWAYS, rate).unwrap()]).await.unwrap();
    while beside.restate_step().await.unwrap() != Restated::Everything {}
    written.await.unwrap().unwrap();
    held.await.unwrap();

    let usage = store.list_usage(agent, UsageFilter::default(), Extent::Everything).await.unwrap().rows;
    let costs: Vec<_> = usage.iter().map(|row| (row.calls, row.cost_source.as_str(), row.cost_usd.as_str())).collect();
    assert_eq!(costs, [(2, "backend", "6.00000000")]);
    store.close().await;
    beside.close().await;
}

#[tokio::test]
async fn a_node_that_stops_leaves_no_mark_behind() {
    let Some(schema) = TempSchema::new() else { return };
    let store = open(schema.database()).unwrap();
    bot(&store).await;
    const MARKS: &str = "select count(*) from settings where name like 'writer %'";
    assert_eq!(schema.run(MARKS), ["1"]);

    store.close().await;

    assert_eq!(schema.run(MARKS), ["0"]);
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for_and_then_missed() {
    let Some(schema) = TempSchema::new() else { return };
    let wire = Wire::to(&schema.server);
    let patience = Duration::from_millis(600);
    let store =
        Store::open(&std::env::temp_dir(), &StoreConfig { queue_patience: patience, ..config(wire.database(&schema)) })
            .unwrap();
    let agent = bot(&store).await;
    store.append(agent, said("c", "before")).await.unwrap();

    wire.unplug();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.append(agent, said("c", "meanwhile")).await.map(|_| ()) }
    });
    tokio::time::sleep(patience / 4).await;
    wire.plug_in();
    waiting.await.unwrap().unwrap();

    wire.unplug();
    let late = store.append(agent, said("c", "too long")).await;
    assert!(matches!(late, Err(Error::Unavailable { .. })), "{late:?}");
    let late = store.fetch_conversation(agent, "c".into()).await;
    assert!(matches!(late, Err(Error::Unavailable { .. })), "{late:?}");

    wire.plug_in();
    // A server that was away is left alone for a moment.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(contents(&store, agent, "c").await, ["before", "meanwhile"]);
    store.append(agent, said("c", "after")).await.unwrap();
    assert_eq!(contents(&store, agent, "c").await, ["before", "meanwhile", "after"]);
    store.close().await;
}

/// What a table must be to be spread over machines by agent, as Citus does it.
#[tokio::test]
async fn tables_can_be_spread_by_agent() {
    let Some(schema) = TempSchema::new() else { return };
    open(schema.database()).unwrap().close().await;
    const OF_THE_INSTALLATION: &str =
        "'migrations', 'id_blocks', 'settings', 'agents', 'prices', 'price_book', 'repricing'";
    let here = "c.relnamespace = to_regnamespace(quote_ident(current_schema()))";

    // A key is found before its agent is known: its hash is unique over all agents, and its table stays whole.
    let loose = schema.run(&format!(
        "select c.relname || ': ' || pg_get_indexdef(i.indexrelid) from pg_index i join pg_class c on c.oid = i.indrelid
         where {here} and i.indisunique and c.relname not in ({OF_THE_INSTALLATION}, 'api_keys')
            and not exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'agent_id' and a.attnum = i.indkey[0])"
    ));
    assert!(loose.is_empty(), "unique keys that do not begin with the agent: {loose:#?}");
    let kinds = schema.run(&format!(
        "select c.relname from pg_class c where {here} and c.relkind = 'S'
         union all select k.conname::text from pg_constraint k join pg_class c on c.oid = k.conrelid where {here} and k.contype = 'f'
         union all select c.relname || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid where {here} and a.attidentity <> ''"
    ));
    assert!(kinds.is_empty(), "sequences, foreign keys, identity columns: {kinds:?}");
    let types = schema.run(&format!(
        "select distinct format_type(a.atttypid, a.atttypmod) || coalesce(' ' || l.collname, '') from pg_attribute a
         join pg_class c on c.oid = a.attrelid and c.relkind = 'r' left join pg_collation l on l.oid = a.attcollation and a.attcollation <> 0
         where {here} and a.attnum > 0 and c.relname <> 'migrations' order by 1"
    ));
    assert_eq!(types, ["bigint", "bytea", "text C", "tsvector"]);
}
