//! A whole store moved, backed up and restored: nothing is lost on the way, and what was lost is found.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

#[expect(dead_code, reason = "other suites use more of it")]
#[path = "s3/server.rs"]
mod s3;
#[expect(dead_code, reason = "other suites use more of it")]
#[path = "postgres/schema.rs"]
mod schema;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agentsight_model::attachment::ContentHash;
use agentsight_model::filter::ConversationFilter;
use agentsight_model::ids::AgentId;
use agentsight_model::json::JsonText;
use agentsight_model::key::Role;
use agentsight_model::message::Sender;
use agentsight_model::time::{Clock, Timestamp};
use agentsight_model::track::{Event, NewEvent, NewFile, Target};
use agentsight_store::moving::{
    BackupOptions, Manifest, MoveOptions, Place, Trouble, Verdict, Watch, backup, migrate, restore,
};
use agentsight_store::{Error, Extent, Part, Store, StoreConfig};
use rusqlite::Connection;
use rusqlite::types::Value;
use s3::S3Server;
use schema::TempSchema;
use tempfile::TempDir;

const NOON: Timestamp = Timestamp(1_772_442_900_000_000);
/// Tables that each installation fills by itself.
const OWN: [&str; 2] = ["migrations", "search_pending"];

/// A watch that lets so many steps pass, and may do something when a part of the work begins.
struct Steps<'a> {
    left: Cell<u64>,
    begun: Vec<(&'static str, u64)>,
    at: Option<(&'static str, &'a dyn Fn())>,
}

impl<'a> Steps<'a> {
    fn all() -> Self {
        Self::only(u64::MAX)
    }

    fn only(steps: u64) -> Self {
        Self { left: Cell::new(steps), begun: Vec::new(), at: None }
    }

    fn when(work: &'static str, act: &'a dyn Fn()) -> Self {
        Self { at: Some((work, act)), ..Self::all() }
    }
}

impl Watch for Steps<'_> {
    fn begin(&mut self, work: &'static str, done: u64, _total: u64) {
        self.begun.push((work, done));
        if let Some((at, act)) = self.at
            && at == work
        {
            act();
        }
    }

    fn advance(&mut self, _by: u64) {}

    fn is_stopped(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left == 0
    }
}

fn in_folder(folder: &TempDir) -> Place {
    Place { folder: folder.path().to_owned(), database: None, bucket: None }
}

fn in_schema(schema: &TempSchema, folder: &TempDir) -> Place {
    Place { folder: folder.path().to_owned(), database: Some(schema.database()), bucket: None }
}

fn open(place: &Place) -> Result<Store, Error> {
    let (database, bucket) = (place.database.clone(), place.bucket.clone());
    let config = StoreConfig { clock: Clock::fixed(NOON), database, bucket, ..StoreConfig::default() };
    Store::open(&place.folder, &config)
}

/// Moves on a thread of its own, for a move is not made for a runtime.
fn moved_with(from: &Place, to: &Place, watch: &mut Steps<'_>) -> Result<Verdict, Trouble> {
    migrate(from, to, &MoveOptions { clock: Clock::fixed(NOON), allow_missing_files: false }, watch)
}

fn moved(from: &Place, to: &Place) -> Verdict {
    let verdict = moved_with(from, to, &mut Steps::all()).unwrap();
    assert!(verdict.is_verified, "{verdict:#?}");
    verdict
}

fn refused(from: &Place, to: &Place) -> String {
    match moved_with(from, to, &mut Steps::all()) {
        Err(trouble) => trouble.to_string(),
        Ok(verdict) => panic!("it was moved: {verdict:#?}"),
    }
}

fn database(folder: &Path) -> Connection {
    Connection::open(folder.join("agentsight.db")).unwrap()
}

fn names(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn tables(connection: &Connection) -> Vec<String> {
    let all = "select name from pragma_table_list where schema = 'main' and type = 'table' and name not like 'sqlite\\_%' escape '\\' order by name";
    names(connection, all).into_iter().filter(|name| !OWN.contains(&name.as_str())).collect()
}

/// A store whose every table has rows of every kind of value, as the schema declares them.
fn filled(rows: i64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async { open(&in_folder(&folder)).unwrap().close().await });
    let connection = database(folder.path());
    connection.execute_batch("begin").unwrap();
    for table in tables(&connection) {
        // Enough for several pages of one table.
        let rows = if table == "messages" { rows * 100 } else { rows };
        let mut statement = connection
            .prepare(&format!("select name, lower(type), \"notnull\", pk from pragma_table_info('{table}')"))
            .unwrap();
        let columns: Vec<(String, String, bool, i64)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let marks: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
        let mut insert = connection.prepare(&format!("insert into {table} values ({})", marks.join(", "))).unwrap();
        for row in 0..rows {
            let values = columns.iter().map(|column| made_up(&folder, &table, column, row));
            insert.execute(rusqlite::params_from_iter(values)).unwrap();
        }
    }
    connection.execute_batch("commit").unwrap();
    folder
}

/// A value of a column, another one in each row.
fn made_up(folder: &TempDir, table: &str, (name, kind, not_null, pk): &(String, String, bool, i64), row: i64) -> Value {
    let file = format!("file {}", row % 7).into_bytes();
    match (table, name.as_str()) {
        ("attachments", "hash") => {
            let hash = hex(&ContentHash::of(&file).0);
            let (shelf, rest) = hash.split_at(2);
            let shelf = folder.path().join("blobs").join(shelf);
            fs::create_dir_all(&shelf).unwrap();
            fs::write(shelf.join(rest), &file).unwrap();
            return Value::Blob(ContentHash::of(&file).0.to_vec());
        }
        ("attachments", "size_bytes") => return Value::Integer(file.len() as i64),
        _ => {}
    }
    if !not_null && *pk == 0 && row % 3 == 1 {
        return Value::Null;
    }
    match kind.as_str() {
        // Both ends of the range, and an order that is not that of the rows.
        "integer" if row == 5 && *pk == 0 => Value::Integer(i64::MIN),
        "integer" if row == 6 && *pk == 0 => Value::Integer(i64::MAX),
        "integer" => Value::Integer((row * 7_919) % 1_000_003),
        "text" => {
            Value::Text(format!("{} {row} 'ž\\ 退款\n\u{10ffff}", ["Z", "a", "é", "\u{e000}", "😀"][row as usize % 5]))
        }
        "blob" => Value::Blob(format!("\0{row}\u{ff}").into_bytes()),
        other => panic!("{table}.{name} is {other}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything that a store of SQLite holds, past the code that moves it.
fn contents(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let connection = database(folder);
    let of_table = |table: String| {
        let columns = names(
            &connection,
            &format!("select name from pragma_table_info('{table}') where name <> 'unindexed_since'"),
        );
        let quoted: Vec<String> = columns.iter().map(|column| format!("quote(\"{column}\")")).collect();
        let all = match table.as_str() {
            "settings" => "where name not in ('move', 'store_id', 'checked_at')",
            _ => "",
        };
        let rows = names(&connection, &format!("select {} from {table} {all} order by 1", quoted.join(" || ',' || ")));
        (table, rows)
    };
    tables(&connection).into_iter().map(of_table).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

fn said(conversation: &str, content: &str) -> NewEvent {
    NewEvent {
        target: Target { id: None, name: Some(conversation.to_owned()) },
        timestamp: NOON,
        metadata: JsonText::EMPTY,
        receipt: None,
        what: Event::Message { sender: Sender::EndUser, content: content.to_owned() },
    }
}

fn sent(conversation: &str, bytes: &'static [u8]) -> NewEvent {
    let file = NewFile { filename: "a.txt".into(), mime_type: "text/plain".into(), bytes: bytes.into() };
    NewEvent {
        what: Event::Files { sender: Sender::EndUser, message: None, files: vec![file] },
        ..said(conversation, "")
    }
}

/// Ten conversations of a bot, some of them with files, and what they look like whole.
async fn recorded(store: &Store) -> (AgentId, Vec<String>) {
    let agent = store.mint_key("helpdesk", Role::Write, None).await.unwrap().agent;
    for n in 0..10 {
        store.append(agent, said(&format!("c-{n}"), &format!("Where is parcel {n}?"))).await.unwrap();
        store.append(agent, sent(&format!("c-{n}"), if n % 2 == 0 { b"even" } else { b"odd" })).await.unwrap();
    }
    (agent, fetched(store, agent).await)
}

async fn fetched(store: &Store, agent: AgentId) -> Vec<String> {
    let mut whole = Vec::new();
    for n in 0..10 {
        let conversation = store.fetch_conversation(agent, format!("c-{n}").as_str().into()).await.unwrap();
        for message in &conversation.messages {
            for file in &message.attachments {
                let stored = store.fetch_file(agent, conversation.id, file.id, Part::Whole).await.unwrap();
                stored.bytes.collect().await.unwrap();
            }
        }
        whole.push(serde_json::to_string(&conversation).unwrap());
    }
    whole
}

#[test]
fn every_row_of_every_table_is_moved_and_moved_back() {
    let (first, between, last) = (filled(50), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = contents(first.path());
    assert!(before.values().all(|rows| rows.len() >= 50), "{:?}", before.keys());

    match TempSchema::new() {
        Some(schema) => {
            let there = moved(&in_folder(&first), &in_schema(&schema, &between));
            // What only PostgreSQL has would be empty.
            let tables = schema.run("select tablename from pg_tables where schemaname = current_schema()");
            let empty: Vec<String> =
                tables.iter().map(|table| format!("select '{table}' where not exists (select from {table})")).collect();
            assert_eq!(schema.run(&empty.join(" union all ")), ["search_docs"]);
            let back = moved(&in_schema(&schema, &between), &in_folder(&last));
            assert_eq!(
                there.tables.iter().map(|table| table.target).collect::<Vec<_>>(),
                back.tables.iter().map(|table| table.target).collect::<Vec<_>>()
            );
        }
        None => {
            moved(&in_folder(&first), &in_folder(&last));
        }
    }

    let after = contents(last.path());
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    for (table, rows) in &before {
        assert_eq!(&after[table], rows, "{table}");
    }
    let indexed = "select (select count(*) from search_pending) || ' of ' || count(*) from conversations where unindexed_since = 0";
    assert_eq!(names(&database(last.path()), indexed), ["50 of 50"]);
}

#[test]
fn conversations_are_fetched_searched_and_continued_where_they_were_moved() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let schema = TempSchema::new();
    let target = schema.as_ref().map_or(in_folder(&second), |schema| in_schema(schema, &second));
    let runtime = runtime();
    let (agent, whole, secret) = runtime.block_on(async {
        let store = open(&in_folder(&first)).unwrap();
        let (agent, whole) = recorded(&store).await;
        let secret = store.secret("file_links").await.unwrap();
        store.close().await;
        (agent, whole, secret)
    });
    // A server was started on the target once, and has left nothing but a secret.
    runtime.block_on(async {
        let store = open(&target).unwrap();
        assert_ne!(store.secret("file_links").await.unwrap(), secret);
        store.check().await.unwrap();
        store.close().await;
    });

    let verdict = moved(&in_folder(&first), &target);

    assert_eq!((verdict.files.named.count, verdict.files.named.bytes, verdict.to_index), (2, 7, 10));
    runtime.block_on(async {
        let store = open(&target).unwrap();
        assert_eq!(store.secret("file_links").await.unwrap(), secret);
        assert_eq!(fetched(&store, agent).await, whole);
        let filter = ConversationFilter { search: vec!["PARCEL 7".to_owned()], ..ConversationFilter::default() };
        let found = store.list_conversation_rows(agent, filter, Extent::Everything).await.unwrap();
        assert_eq!(found.rows.into_iter().map(|row| row.conversation_id).collect::<Vec<_>>(), ["c-7"]);
        store.append(agent, said("c-new", "hi")).await.unwrap();
        let new = store.fetch_conversation(agent, "c-new".into()).await.unwrap();
        assert!(new.id.0 > 10 && new.messages[0].id.0 > 20, "ids are never used again: {new:?}");
        store.close().await;
    });
}

#[test]
fn a_move_that_is_stopped_again_and_again_goes_on_each_time() {
    let (first, second) = (filled(30), tempfile::tempdir().unwrap());
    let schema = TempSchema::new();
    let target = schema.as_ref().map_or(in_folder(&second), |schema| in_schema(schema, &second));
    let mut begun = Vec::new();

    // Two pages a run, until all rows are there.
    let stops = (0..100)
        .take_while(|_| {
            let mut watch = Steps::only(2);
            let stopped = moved_with(&in_folder(&first), &target, &mut watch);
            assert!(matches!(stopped, Err(Trouble::Stopped)), "{stopped:?}");
            begun.push(watch.begun[0]);
            watch.begun.len() == 1
        })
        .count();

    assert!(stops > 8, "stopped {stops} times");
    assert!(begun.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{begun:?}");
    assert!(begun.last().unwrap().1 > 3_000, "{begun:?}");
    let refusal = open(&target).err().unwrap().to_string();
    assert_eq!(
        refusal,
        "this store is being filled by `agentsight migrate`, which has not finished; run that command again, or choose another store"
    );
    let verdict = moved(&in_folder(&first), &target);
    assert_eq!(verdict.finished_before, None);
    // Once it is finished, it is only compared again.
    let mut watch = Steps::all();
    let again = moved_with(&in_folder(&first), &target, &mut watch).unwrap();
    assert_eq!((again.is_verified, again.finished_before), (true, Some(NOON)));
    assert_eq!(watch.begun.iter().map(|(work, _)| *work).collect::<Vec<_>>(), ["comparing rows", "comparing files"]);
}

#[test]
fn a_changed_byte_in_the_target_is_found() {
    let (first, second) = (filled(12), tempfile::tempdir().unwrap());
    let schema = TempSchema::new();
    let target = schema.as_ref().map_or(in_folder(&second), |schema| in_schema(schema, &second));
    moved(&in_folder(&first), &target);

    let change = "update ticket_comments set body = replace(body, 'ž', 'Ž') where role like '%退%' and id = 7919";
    match &schema {
        Some(schema) => drop(schema.run(change)),
        None => drop(database(second.path()).execute(change, []).unwrap()),
    }
    let file = find_file(&second.path().join("blobs"));
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, [&[bytes[0] ^ 1], &bytes[1..]].concat()).unwrap();
    let verdict = moved_with(&in_folder(&first), &target, &mut Steps::all()).unwrap();

    assert!(!verdict.is_verified);
    let different: Vec<&str> =
        verdict.tables.iter().filter(|table| table.source != table.target).map(|table| table.table).collect();
    assert_eq!(different, ["ticket_comments"]);
    assert_eq!((verdict.files.named.count, verdict.files.different.len(), verdict.files.missing.len()), (7, 1, 0));
}

fn find_file(blobs: &Path) -> std::path::PathBuf {
    let shelf = fs::read_dir(blobs).unwrap().next().unwrap().unwrap();
    fs::read_dir(shelf.path()).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn what_is_written_to_the_source_meanwhile_is_found() {
    let Some(schema) = TempSchema::new() else { return };
    let (first, second, third) = (filled(5), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = in_schema(&schema, &second);
    moved(&in_folder(&first), &source);

    let write = || drop(schema.run("update messages set content = 'later' where id = 7919"));
    let verdict = moved_with(&source, &in_folder(&third), &mut Steps::when("copying files", &write)).unwrap();

    assert!(!verdict.is_verified);
    assert!(open(&in_folder(&third)).is_err(), "what is not verified is not served");
}

#[test]
fn a_file_that_the_source_has_lost_is_named_and_may_be_done_without() {
    let (first, second) = (filled(3), tempfile::tempdir().unwrap());
    fs::remove_file(find_file(&first.path().join("blobs"))).unwrap();

    let verdict = moved_with(&in_folder(&first), &in_folder(&second), &mut Steps::all()).unwrap();
    let options = MoveOptions { clock: Clock::fixed(NOON), allow_missing_files: true };
    let allowed = migrate(&in_folder(&first), &in_folder(&second), &options, &mut Steps::all()).unwrap();

    assert_eq!((verdict.is_verified, verdict.files.missing.len(), verdict.files.different.len()), (false, 1, 0));
    assert!(allowed.is_verified);
}

#[test]
fn a_move_that_cannot_be_says_why() {
    let (first, second, other) = (filled(3), tempfile::tempdir().unwrap(), filled(2));
    let hidden = |sentence: String| {
        let sentence = sentence.replace(first.path().to_str().unwrap(), "FIRST");
        sentence.replace(second.path().to_str().unwrap(), "SECOND").replace(other.path().to_str().unwrap(), "OTHER")
    };

    assert_eq!(
        refused(&in_folder(&first), &in_folder(&first)),
        "source and target are the same store; name another target"
    );
    assert_eq!(
        hidden(refused(&in_folder(&second), &in_folder(&first))),
        "there is no AgentSight store in SECOND: it holds no agentsight.db"
    );
    assert_eq!(
        hidden(refused(&in_folder(&first), &in_folder(&other))),
        "the target sqlite:OTHER is not empty (it has rows in id_blocks); name an empty one"
    );
    let stopped = moved_with(&in_folder(&first), &in_folder(&second), &mut Steps::only(3));
    assert!(matches!(stopped, Err(Trouble::Stopped)), "{stopped:?}");
    assert_eq!(
        hidden(refused(&in_folder(&other), &in_folder(&second))),
        "the target sqlite:SECOND holds the unfinished move of another store; finish that one, or name an empty target"
    );
    let running = runtime();
    let server = running.block_on(async { open(&in_folder(&first)).unwrap() });
    assert_eq!(
        hidden(refused(&in_folder(&first), &in_folder(&second))),
        "FIRST/agentsight.db is in use by another program; stop the server and run this again"
    );
    running.block_on(server.close());
    database(first.path()).execute("insert into migrations values (99, 'from the future', 0)", []).unwrap();
    let newer = refused(&in_folder(&first), &in_folder(&second));
    assert!(newer.contains("was written by a newer AgentSight (schema 99, this program knows "), "{newer}");
    if let Some(schema) = TempSchema::new() {
        let nothing = refused(&in_schema(&schema, &second), &in_folder(&other));
        assert!(nothing.starts_with("there is no AgentSight store in the database "), "{nothing}");
    }
}

#[test]
fn a_place_is_a_folder_its_database_file_or_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let attachments = Path::new("attachments");
    let of = |url: &str| Place::of(url, attachments).map(|place| place.folder.display().to_string());
    fs::write(folder.path().join("notes.txt"), "").unwrap();

    assert_eq!(of("sqlite:data").unwrap(), "data");
    assert_eq!(of("sqlite:/srv/data/agentsight.db").unwrap(), "/srv/data");
    assert_eq!(of("sqlite:agentsight.db").unwrap(), ".");
    assert_eq!(of("postgres://me@db/chats").unwrap(), "attachments");
    let how = "write sqlite:FOLDER or postgres://user:password@host:5432/database";
    assert_eq!(of("data").unwrap_err(), format!("it begins neither with sqlite: nor with postgres://; {how}"));
    assert_eq!(of("sqlite:").unwrap_err(), format!("it names no folder; {how}"));
    assert_eq!(of("sqlite://data").unwrap_err(), format!("\"//data\" is not a path; {how}"));
    assert!(of("postgres:///chats").unwrap_err().starts_with("the database's address names no host; "));
    let file = of(&format!("sqlite:{}", folder.path().join("notes.txt").display())).unwrap_err();
    assert!(file.ends_with("notes.txt is a file; name the data folder, or the agentsight.db in it"), "{file}");
}

fn backed_up(data: &TempDir, into: &Path) -> Result<Manifest, Trouble> {
    let options =
        BackupOptions { clock: Clock::fixed(NOON), verify_files: true, allow_missing_files: false, bucket: None };
    backup(data.path(), into, &options, &mut Steps::all())
}

#[test]
fn a_backup_beside_a_writing_store_is_whole_and_of_one_moment() {
    let (data, room) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let runtime = runtime();
    let (store, agent, before) = runtime.block_on(async {
        let store = open(&in_folder(&data)).unwrap();
        let (agent, before) = recorded(&store).await;
        (store, agent, before)
    });
    let over = Arc::new(AtomicBool::new(false));
    let writing = runtime.spawn({
        let (store, over) = (store.clone(), Arc::clone(&over));
        async move {
            let mut written = 0;
            while !over.load(Ordering::Relaxed) {
                store.append(agent, said("load", "more and more")).await.unwrap();
                store.append(agent, sent("load", b"of all of them")).await.unwrap();
                written += 1;
            }
            written
        }
    });

    let mut made = 0;
    let backups: Vec<_> = std::iter::repeat_with(|| {
        made += 1;
        let into = room.path().join(format!("backup-{made}"));
        let manifest = backed_up(&data, &into).unwrap();
        (into, manifest)
    })
    .take(5)
    .collect();
    over.store(true, Ordering::Relaxed);
    let written: u64 = runtime.block_on(writing).unwrap();
    runtime.block_on(store.close());

    assert!(written > 5, "nothing was written meanwhile");
    for (n, (into, manifest)) in backups.iter().enumerate() {
        let restored = room.path().join(format!("restored-{n}"));
        assert_eq!(&restore(into, &restored, &mut Steps::all()).unwrap(), manifest);
        let mut files: Vec<_> =
            fs::read_dir(&restored).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, ["agentsight.db", "blobs"]);
        let whole = runtime.block_on(async {
            let store = Store::open(&restored, &StoreConfig::default()).unwrap();
            let whole = fetched(&store, agent).await;
            store.close().await;
            whole
        });
        assert_eq!(whole, before);
        let torn = "select count(*) from conversations c where message_count <> (select count(*) from messages m where m.agent_id = c.agent_id and m.conversation = c.id)
            or attachment_count <> (select count(*) from attachments a where a.agent_id = c.agent_id and a.conversation = c.id)";
        let torn: i64 = database(&restored).query_row(torn, [], |row| row.get(0)).unwrap();
        assert_eq!(torn, 0);
    }
}

#[test]
fn a_backup_that_is_damaged_is_not_restored() {
    let (data, room) = (filled(9), tempfile::tempdir().unwrap());
    let (into, to) = (room.path().join("backup"), room.path().join("data"));
    let said = || {
        restore(&into, &to, &mut Steps::all()).unwrap_err().to_string().replace(room.path().to_str().unwrap(), "ROOM")
    };
    let manifest = backed_up(&data, &into).unwrap();
    assert_eq!((manifest.files.count, manifest.rows["messages"], manifest.made_at), (7, 900, NOON));

    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        // Another file than the one that the store still has.
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let file = find_file(&into.join("blobs"));
    flip(&file);
    let damaged = said();
    assert!(damaged.ends_with(" is missing or not the file that it should be; the backup is damaged"), "{damaged}");
    flip(&file);
    flip(&into.join("agentsight.db"));
    assert_eq!(
        said(),
        "ROOM/backup/agentsight.db is not the file that backup.json describes; the backup is damaged, or its server was started on it"
    );
    flip(&into.join("agentsight.db"));
    fs::create_dir(&to).unwrap();
    fs::write(to.join("diary.txt"), "dear diary").unwrap();
    assert_eq!(said(), "the data folder ROOM/data is not empty; move it away, or name another one with --data-dir");
    fs::remove_file(to.join("diary.txt")).unwrap();
    // Into the empty folder that is there, which may be a disk of its own.
    restore(&into, &to, &mut Steps::all()).unwrap();
    assert_eq!(contents(&to), contents(data.path()));
    fs::remove_file(into.join("backup.json")).unwrap();
    assert_eq!(said(), "ROOM/backup is no backup: it has no backup.json, which is written when a backup is whole");
}

#[test]
fn a_backup_that_cannot_be_leaves_nothing_behind() {
    let (data, room) = (filled(9), tempfile::tempdir().unwrap());
    let into = room.path().join("backup");
    let options =
        BackupOptions { clock: Clock::fixed(NOON), verify_files: false, allow_missing_files: false, bucket: None };
    for steps in 0..4 {
        let stopped = backup(data.path(), &into, &options, &mut Steps::only(steps));
        assert!(matches!(stopped, Err(Trouble::Stopped)), "{stopped:?}");
        assert!(!into.exists(), "after {steps} steps");
    }
    fs::remove_file(find_file(&data.path().join("blobs"))).unwrap();

    let lost = backed_up(&data, &into).unwrap_err().to_string();
    let allowed = BackupOptions { allow_missing_files: true, ..options };
    let without = backup(data.path(), &into, &allowed, &mut Steps::all()).unwrap();
    let again = backed_up(&data, &into).unwrap_err().to_string();
    let inside = backed_up(&data, &data.path().join("backup")).unwrap_err().to_string();
    let nothing = backed_up(&tempfile::tempdir().unwrap(), &room.path().join("other")).unwrap_err().to_string();

    assert!(lost.starts_with("1 of the attachments that rows name are not in "), "{lost}");
    assert_eq!((without.files.count, without.missing_files.len()), (6, 1));
    assert!(again.ends_with("backup is not empty; name a new folder for the backup"), "{again}");
    assert!(inside.ends_with("backup is in the data folder itself; name a folder elsewhere"), "{inside}");
    assert!(!data.path().join("backup").exists());
    assert!(nothing.starts_with("there is no AgentSight store in "), "{nothing}");
    restore(&into, &room.path().join("restored"), &mut Steps::all()).unwrap();
}

#[test]
fn attachments_are_moved_into_a_bucket_and_stay_there_in_a_backup() {
    let (first, second, room) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = S3Server::start();
    let target = Place { bucket: Some(server.bucket("s3://files/chats")), ..in_folder(&second) };
    let runtime = runtime();
    let (agent, whole) = runtime.block_on(async {
        let store = open(&in_folder(&first)).unwrap();
        let recorded = recorded(&store).await;
        store.close().await;
        recorded
    });

    let verdict = moved(&in_folder(&first), &target);
    let options = BackupOptions {
        clock: Clock::fixed(NOON),
        verify_files: true,
        allow_missing_files: false,
        bucket: target.bucket.clone(),
    };
    let (into, to) = (room.path().join("backup"), room.path().join("data"));
    let manifest = backup(second.path(), &into, &options, &mut Steps::all()).unwrap();
    restore(&into, &to, &mut Steps::all()).unwrap();

    assert_eq!((verdict.files.named.count, second.path().join("blobs").exists()), (2, false));
    assert_eq!((manifest.files.count, manifest.files_in.as_deref()), (2, Some("s3://files/chats")));
    let restored = Place { folder: to.clone(), ..target };
    runtime.block_on(async {
        let store = open(&restored).unwrap();
        assert_eq!(fetched(&store, agent).await, whole);
        store.close().await;
    });
    assert!(!to.join("blobs").exists());
    server.remove_bucket();
    let gone = backup(second.path(), &room.path().join("late"), &options, &mut Steps::all()).unwrap_err().to_string();
    assert!(gone.contains("files"), "{gone}");
    assert!(!room.path().join("late").exists());
}

#[test]
fn the_sources_prices_take_the_place_of_those_that_a_server_made_in_the_target() {
    use agentsight_model::price::{ALWAYS, NewPrice, PerToken, Rate};
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, to) = (in_folder(&source), in_folder(&target));
    let models = async |place: &Place, change: bool| {
        let store = open(place).unwrap();
        store.renew_default_prices().await.unwrap();
        if change {
            let rate = Rate { prompt: Some(PerToken(1)), ..Rate::default() };
            store.set_prices(vec![NewPrice::check("mine", ALWAYS, rate).unwrap()]).await.unwrap();
            store.remove_prices("gpt-4o*".to_owned(), None).await.unwrap();
        }
        let prices = store.all_prices().await.unwrap();
        store.close().await;
        prices.into_iter().map(|price| price.model).collect::<Vec<_>>()
    };
    let (sources, before) = runtime().block_on(async { (models(&from, true).await, models(&to, false).await) });
    assert_ne!(sources, before);

    moved(&from, &to);

    assert_eq!(runtime().block_on(models(&to, false)), sources);
}
