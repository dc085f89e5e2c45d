//! The storage baseline: SQLite with nothing around it.
//!
//! Plain normalised tables, the keys and indexes that a fetch and a newest-first list need, and no
//! more: no search index, no identities of bodies, no counters. Rows are the ones that the server
//! must be able to give back, so an action has its message row here too.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use crate::dataset::{Conversation, Dataset};
use crate::error::{Context, Result};

const SCHEMA: &str = "
create table conversations(
  id integer primary key, agent integer not null, conversation_id text not null,
  name text, customer_id text, customer_ip_address text, device text, source text, language text,
  environment text not null, metadata text not null, started_at integer not null, ended_at integer not null,
  is_marked integer not null default 0, is_used integer not null default 1,
  unique (agent, conversation_id));
create index conversations_newest on conversations(agent, started_at, id);
create table messages(
  id integer primary key, conversation integer not null references conversations(id),
  timestamp integer not null, sender text not null, content text not null, action_name text, metadata text not null);
create index messages_of_conversation on messages(conversation, timestamp);
create table actions(
  id integer primary key, conversation integer not null references conversations(id),
  message integer not null references messages(id), name text not null, started_at integer, ended_at integer,
  duration_ms integer, tools_used text not null, response text not null, error_message text not null,
  metadata text not null);
create index actions_of_conversation on actions(conversation);
create table feedback(
  id integer primary key, conversation integer not null references conversations(id),
  sentiment text not null, source text not null, comment text, metadata text not null, created_at integer not null);
create index feedback_of_conversation on feedback(conversation);
";

const INSERT_CONVERSATION: &str = "insert into conversations(agent, conversation_id, name, customer_id, device, source,
    language, environment, metadata, started_at, ended_at, is_marked)
    values (1, ?1, ?2, ?3, ?4, 'web', ?5, 'production', ?6, ?7, ?8, ?9)";
const INSERT_MESSAGE: &str = "insert into messages(conversation, timestamp, sender, content, action_name, metadata)
    values (?1, ?2, ?3, ?4, ?5, '{}')";
const INSERT_ACTION: &str = "insert into actions(conversation, message, name, started_at, ended_at, duration_ms,
    tools_used, response, error_message, metadata) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '', '{}')";
const INSERT_FEEDBACK: &str = "insert into feedback(conversation, sentiment, source, comment, metadata, created_at)
    values (?1, ?2, 'customer', ?3, '{}', ?4)";

/// Opens or makes a database of bare tables; `synchronous` as SQLite spells it.
fn open(path: &Path, synchronous: &str) -> Result<Connection> {
    let database = Connection::open(path).context(format_args!("open {}", path.display()))?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", synchronous)?;
    database.set_prepared_statement_cache_capacity(32);
    Ok(database)
}

/// Durable inserts of messages into a database of their own.
#[derive(Debug)]
pub(crate) struct Inserts {
    database: Connection,
    pool: Vec<Conversation>,
    written: u64,
}

impl Inserts {
    /// A new database at `path`; `pool` gives the text of the messages, made beforehand so that only SQLite is timed.
    pub(crate) fn new(path: &Path, pool: Vec<Conversation>) -> Result<Self> {
        let database = open(path, "FULL")?;
        database.execute_batch(SCHEMA)?;
        Ok(Self { database, pool, written: 0 })
    }

    /// Inserts for `duration` in transactions of `group` messages, one for each of `group` conversations, as
    /// so many clients would. A conversation's first message brings its conversation row along. Gives messages/s.
    pub(crate) fn run(&mut self, group: u64, duration: Duration) -> Result<f64> {
        let Self { database, pool, written } = self;
        let mut keys = vec![0_i64; group as usize];
        let (begin, mut rows, mut step) = (Instant::now(), 0_u64, 0_usize);
        // Only whole conversations, so that the next run starts with new ones.
        while begin.elapsed() < duration || step % 10 != 0 {
            let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (slot, key) in keys.iter_mut().enumerate() {
                let source = &pool.get((step / 10 * group as usize + slot) % pool.len().max(1));
                let message = source.and_then(|conversation| conversation.messages.get(step % 10));
                let message = message.ok_or("the pool of messages is empty")?;
                if step % 10 == 0 {
                    *written += 1;
                    let mut insert = transaction.prepare_cached(INSERT_CONVERSATION)?;
                    let id = format!("bare-{written}");
                    let nothing: Option<&str> = None;
                    insert.execute(params![
                        id,
                        nothing,
                        nothing,
                        nothing,
                        nothing,
                        "{}",
                        message.at_us,
                        message.at_us,
                        false
                    ])?;
                    *key = transaction.last_insert_rowid();
                }
                insert_message(&transaction, *key, message.at_us, message.sender, &message.content, None)?;
                rows += 1;
            }
            transaction.commit()?;
            step += 1;
        }
        Ok(rows as f64 / begin.elapsed().as_secs_f64())
    }
}

/// Inserts one message row and gives its key.
fn insert_message(
    transaction: &Transaction<'_>,
    conversation: i64,
    at_us: i64,
    sender: &str,
    content: &str,
    action: Option<&str>,
) -> Result<i64> {
    let mut insert = transaction.prepare_cached(INSERT_MESSAGE)?;
    insert.execute(params![conversation, at_us, sender, content, action])?;
    Ok(transaction.last_insert_rowid())
}

/// Loads the whole data set into a new database at `path`, in the order in which the server gets it.
pub(crate) fn load(path: &Path, dataset: Dataset) -> Result<()> {
    // Not a measurement, so neither durable nor small transactions.
    let mut database = open(path, "OFF")?;
    database.execute_batch(SCHEMA)?;
    let mut index = 0;
    while index < dataset.conversations {
        let transaction = database.transaction()?;
        let end = dataset.conversations.min(index + 500);
        for index in index..end {
            insert_conversation(&transaction, &dataset.conversation(index))?;
        }
        transaction.commit()?;
        index = end;
    }
    database.execute_batch("pragma wal_checkpoint(truncate)").context("checkpoint")
}

/// Inserts one conversation with all that belongs to it.
fn insert_conversation(transaction: &Transaction<'_>, conversation: &Conversation) -> Result<()> {
    let facts = &conversation.facts;
    let metadata =
        format!("{{\"plan\": \"{}\", \"region\": \"{}\", \"build\": {}}}", facts.plan, facts.region, facts.build);
    let ended_at = conversation.messages.last().map_or(facts.started_at_us, |message| message.at_us);
    transaction.prepare_cached(INSERT_CONVERSATION)?.execute(params![
        conversation.conversation_id,
        conversation.name,
        facts.customer_id,
        facts.device,
        facts.language,
        metadata,
        facts.started_at_us,
        ended_at,
        facts.is_marked,
    ])?;
    let key = transaction.last_insert_rowid();
    for (number, message) in (0..).zip(&conversation.messages) {
        insert_message(transaction, key, message.at_us, message.sender, &message.content, None)?;
        for action in conversation.actions.iter().filter(|action| action.after == number) {
            let content = format!("Action {} performed", action.name);
            let shown = insert_message(transaction, key, action.at_us, "agent", &content, Some(action.name))?;
            let mut tools_used = String::from("{\"query\": ");
            push_json(&mut tools_used, &action.query);
            tools_used.push('}');
            transaction.prepare_cached(INSERT_ACTION)?.execute(params![
                key,
                shown,
                action.name,
                action.at_us - action.duration_ms as i64 * 1_000,
                action.at_us,
                action.duration_ms as i64,
                tools_used,
                action.response,
            ])?;
        }
    }
    if let Some(sentiment) = facts.sentiment {
        let mut insert = transaction.prepare_cached(INSERT_FEEDBACK)?;
        insert.execute(params![key, sentiment, conversation.comment, ended_at])?;
    }
    Ok(())
}

/// Reads conversations out of loaded bare tables.
#[derive(Debug)]
pub(crate) struct Reads {
    database: Connection,
}

impl Reads {
    /// Opens a database that [`load`] made.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(path, flags).context(format_args!("open {}", path.display()))?;
        database.set_prepared_statement_cache_capacity(32);
        Ok(Self { database })
    }

    /// Conversation `key` as JSON in the shape of the contract; `None` when there is none.
    pub(crate) fn fetch(&self, key: u64) -> Result<Option<String>> {
        let key = key as i64;
        let mut out = String::with_capacity(8 * 1024);
        let mut head = self.database.prepare_cached(
            "select id, conversation_id, name, customer_id, customer_ip_address, device, source, language, environment,
             metadata, started_at, ended_at, is_marked, is_used from conversations where id = ?1",
        )?;
        if head.query_row([key], |row| push_conversation(&mut out, row)).optional()?.is_none() {
            return Ok(None);
        }
        let actions = self.actions(key)?;
        out.push_str(",\"messages\":[");
        let mut messages = self.database.prepare_cached(
            "select id, timestamp, sender, content, action_name, metadata from messages
             where conversation = ?1 order by timestamp, id",
        )?;
        let mut rows = messages.query([key])?;
        while let Some(row) = rows.next()? {
            push_message(&mut out, key, row, &actions)?;
        }
        close(&mut out, "],\"feedbacks\":[");
        let mut feedback = self.database.prepare_cached(
            "select id, sentiment, source, comment, metadata, created_at from feedback where conversation = ?1
             order by created_at, id",
        )?;
        let mut rows = feedback.query([key])?;
        while let Some(row) = rows.next()? {
            push_feedback(&mut out, row)?;
        }
        close(&mut out, "],\"tickets\":[],\"token_usage\":null}");
        Ok(Some(out))
    }

    /// The actions of a conversation as JSON, with the message that each belongs to.
    fn actions(&self, key: i64) -> Result<Vec<(i64, String)>> {
        let mut statement = self.database.prepare_cached(
            "select message, id, started_at, ended_at, duration_ms, tools_used, response, error_message, metadata
             from actions where conversation = ?1",
        )?;
        let rows = statement.query_map([key], |row| {
            let (message, id): (i64, i64) = (row.get(0)?, row.get(1)?);
            let mut out = format!("{{\"id\":{id},\"message\":{message},\"started_at\":");
            push_time(&mut out, row.get(2)?);
            out.push_str(",\"ended_at\":");
            push_time(&mut out, row.get(3)?);
            let _infallible = write!(out, ",\"duration_ms\":{},\"tools_used\":", row.get::<_, i64>(4)?);
            out.push_str(row.get_ref(5)?.as_str()?);
            out.push_str(",\"response\":");
            push_json(&mut out, row.get_ref(6)?.as_str()?);
            out.push_str(",\"error_message\":");
            push_json(&mut out, row.get_ref(7)?.as_str()?);
            out.push_str(",\"metadata\":");
            out.push_str(row.get_ref(8)?.as_str()?);
            out.push('}');
            Ok((message, out))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// Writes the conversation's own fields, without the closing brace.
fn push_conversation(out: &mut String, row: &Row<'_>) -> rusqlite::Result<()> {
    let _infallible = write!(out, "{{\"id\":{},\"agent\":1", row.get::<_, i64>(0)?);
    let texts = [
        "conversation_id",
        "name",
        "customer_id",
        "customer_ip_address",
        "device",
        "source",
        "language",
        "environment",
    ];
    for (column, name) in (1..).zip(texts) {
        let _infallible = write!(out, ",\"{name}\":");
        match row.get_ref(column)?.as_str_or_null()? {
            Some(text) => push_json(out, text),
            None => out.push_str("null"),
        }
    }
    out.push_str(",\"metadata\":");
    out.push_str(row.get_ref(9)?.as_str()?);
    out.push_str(",\"started_at\":");
    push_time(out, row.get(10)?);
    out.push_str(",\"ended_at\":");
    push_time(out, row.get(11)?);
    let _infallible = write!(
        out,
        ",\"is_marked\":{},\"is_used\":{},\"is_deleted\":false,\"deleted_at\":null,\"geo_location\":null",
        row.get::<_, bool>(12)?,
        row.get::<_, bool>(13)?
    );
    Ok(())
}

/// Writes one message and a comma.
fn push_message(out: &mut String, conversation: i64, row: &Row<'_>, actions: &[(i64, String)]) -> Result<()> {
    let id: i64 = row.get(0)?;
    let _infallible = write!(out, "{{\"id\":{id},\"conversation\":{conversation},\"timestamp\":");
    push_time(out, row.get(1)?);
    let _infallible = write!(out, ",\"sender\":\"{}\",\"content\":", row.get_ref(2)?.as_str()?);
    push_json(out, row.get_ref(3)?.as_str()?);
    out.push_str(",\"action_name\":");
    match row.get_ref(4)?.as_str_or_null()? {
        Some(name) => push_json(out, name),
        None => out.push_str("null"),
    }
    out.push_str(",\"metadata\":");
    out.push_str(row.get_ref(5)?.as_str()?);
    out.push_str(",\"attachments\":[],\"action_logs\":[");
    for (_, action) in actions.iter().filter(|(message, _)| *message == id) {
        out.push_str(action);
    }
    out.push_str("],\"button\":null,\"feedback\":null},");
    Ok(())
}

/// Writes one feedback and a comma.
fn push_feedback(out: &mut String, row: &Row<'_>) -> Result<()> {
    let _infallible = write!(
        out,
        "{{\"id\":{},\"sentiment\":\"{}\",\"source\":\"{}\",\"comment\":",
        row.get::<_, i64>(0)?,
        row.get_ref(1)?.as_str()?,
        row.get_ref(2)?.as_str()?
    );
    push_json(out, row.get_ref(3)?.as_str()?);
    out.push_str(",\"metadata\":");
    out.push_str(row.get_ref(4)?.as_str()?);
    out.push_str(",\"created_at\":");
    push_time(out, row.get(5)?);
    out.push_str("},");
    Ok(())
}

/// Replaces the comma after the last element, if there was one, by what closes the array.
fn close(out: &mut String, ending: &str) {
    if out.ends_with(',') {
        out.pop();
    }
    out.push_str(ending);
}

/// Appends `text` as a JSON string.
fn push_json(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// Appends a time as the contract writes it.
fn push_time(out: &mut String, at_us: i64) {
    let _infallible = write!(out, "\"{:.6}\"", Timestamp::from_microsecond(at_us).unwrap_or_default());
}

/// Bytes that a SQLite file holds, by what for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pages {
    /// Pages of tables whose name starts with `search`, and of their indexes.
    pub(crate) search: u64,
    /// All other pages.
    pub(crate) other: u64,
}

/// Sums the pages of a SQLite file that nobody has open.
pub(crate) fn pages(path: &Path) -> Result<Pages> {
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .context(format_args!("open {}", path.display()))?;
    let mut statement = database.prepare(
        "select coalesce(owner.tbl_name, pages.name) like 'search%', sum(pages.pgsize)
         from dbstat as pages left join sqlite_schema as owner on owner.name = pages.name
         where pages.aggregate = true group by 1",
    )?;
    let mut sum = Pages::default();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bytes = row.get::<_, i64>(1)? as u64;
        if row.get(0)? { sum.search += bytes } else { sum.other += bytes }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loaded_conversation_is_read_back_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bare.db");
        let dataset = Dataset { conversations: 30 };
        load(&path, dataset).unwrap();
        let reads = Reads::open(&path).unwrap();
        for index in 0..30 {
            let expected = dataset.conversation(index);
            let read: serde_json::Value = serde_json::from_str(&reads.fetch(index + 1).unwrap().unwrap()).unwrap();
            assert_eq!(read["conversation_id"], expected.conversation_id.as_str());
            assert_eq!(read["metadata"]["plan"], expected.facts.plan);
            let messages = read["messages"].as_array().unwrap();
            assert_eq!(messages.len(), 12);
            let said: Vec<&str> = messages
                .iter()
                .filter(|message| message["action_name"].is_null())
                .map(|message| message["content"].as_str().unwrap())
                .collect();
            let contents: Vec<&str> = expected.messages.iter().map(|message| message.content.as_str()).collect();
            assert_eq!(said, contents);
            let with_action =
                messages.iter().filter(|message| message["action_logs"][0]["tools_used"]["query"].is_string());
            assert_eq!(with_action.count(), 2);
            assert_eq!(read["feedbacks"].as_array().unwrap().len(), usize::from(index % 4 == 0));
        }
        assert_eq!(reads.fetch(31).unwrap(), None);
    }

    #[test]
    fn inserts_are_whole_conversations() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inserts.db");
        let dataset = Dataset { conversations: 40 };
        let mut inserts = Inserts::new(&path, (0..40).map(|index| dataset.conversation(index)).collect()).unwrap();
        for group in [1, 16] {
            assert!(inserts.run(group, Duration::from_millis(20)).unwrap() > 0.0);
        }
        let uneven: i64 = inserts
            .database
            .query_row(
                "select count(*) from (select count(*) as n from messages group by conversation having n <> 10)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(uneven, 0);
    }

    #[test]
    fn search_tables_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pages.db");
        let database = Connection::open(&path).unwrap();
        database
            .execute_batch(
                "create table search_words(word text); create index by_word on search_words(word);
                 create table plain(x); insert into search_words values ('a'); insert into plain values (1);",
            )
            .unwrap();
        drop(database);
        let found = pages(&path).unwrap();
        assert_eq!(found.search, 2 * 4096);
        // The plain table and the page that lists all tables.
        assert_eq!(found.other, 2 * 4096);
    }
}
