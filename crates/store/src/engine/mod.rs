//! What runs the statements. Nothing above this folder knows which engine it is.
//!
//! Statements are written once, in SQL that SQLite and PostgreSQL both take, with `?1 ?2` for
//! parameters and `rarray(?1)` for a parameter that is a list. A [`Table`] declares what is inserted,
//! a [`Row`] is read by position.

pub(crate) mod dialect;
mod grams;
pub(crate) mod hand;
mod indexing;
pub(crate) mod online;
mod postgres;
mod readers;
mod sqlite;
mod wal;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub use postgres::DatabaseUrl;
pub(crate) use sqlite::{FILE as SQLITE_FILE, engine_error, make_private};

use crate::StoreConfig;
use crate::ahead::{Ahead, Errand};
use crate::error::{Error, Result};

/// A parameter of a statement.
#[derive(Clone, Debug)]
pub(crate) enum Param<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Blob(&'a [u8]),
    /// For `rarray(?)`: `in (select value from rarray(?2))`.
    Ints(&'a [i64]),
    /// One column of many rows, for statements that only a server is given: `unnest(?1, ?2)`.
    Column(&'a Column),
}

/// The values of many rows in one column.
#[derive(Clone, Debug)]
pub(crate) enum Column {
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
}

impl Column {
    /// Adds a value, as it is sent by itself; one of another type than the column's is an error of ours.
    pub(crate) fn push(&mut self, value: &Param<'_>) -> Result<()> {
        match (self, value) {
            (Self::Ints(column), Param::Int(n)) => column.push(Some(*n)),
            (Self::Ints(column), Param::Null) => column.push(None),
            (Self::Texts(column), Param::Text(text)) => column.push(Some(postgres::sendable(text).into_owned())),
            (Self::Texts(column), Param::Null) => column.push(None),
            (column, value) => return Err(Error::Engine(format!("{value:?} does not go into {column:?}").into())),
        }
        Ok(())
    }
}

/// The type of a column of a [`Batch`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum ColumnType {
    Int,
    Text,
}

impl ColumnType {
    fn column(self) -> Column {
        match self {
            Self::Int => Column::Ints(Vec::new()),
            Self::Text => Column::Texts(Vec::new()),
        }
    }
}

/// A statement that most writes of a group run, each for a row of its own: a server is given it once for all of them.
pub(crate) struct Batch {
    /// For one row.
    pub(crate) one: &'static str,
    /// For many: a parameter is a column, `from unnest(?1, ?2)`.
    pub(crate) many: &'static str,
    pub(crate) types: &'static [ColumnType],
    /// How many of the first columns, which are integers, tell which row is changed: two changes of one row do not go
    /// into one statement. 0 where rows are made.
    pub(crate) key: usize,
}

impl From<i64> for Param<'_> {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}

impl From<bool> for Param<'_> {
    fn from(flag: bool) -> Self {
        Self::Int(i64::from(flag))
    }
}

impl Param<'_> {
    fn int(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            _ => None,
        }
    }
}

impl<'a> From<&'a str> for Param<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Param<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Param<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Blob(bytes)
    }
}

impl<'a, T: Into<Param<'a>>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

macro_rules! id_params {
    ($($id:ident),*) => {$(
        impl From<agentsight_model::ids::$id> for Param<'_> {
            fn from(id: agentsight_model::ids::$id) -> Self {
                Self::Int(id.0)
            }
        }
    )*};
}
id_params!(
    AgentId,
    ConversationId,
    MessageId,
    ActionId,
    ActionLogId,
    ButtonId,
    AttachmentId,
    FeedbackId,
    EnvironmentId,
    KeyId,
    SpanId,
    TicketId,
    UsageId
);

impl From<agentsight_model::time::Timestamp> for Param<'_> {
    fn from(at: agentsight_model::time::Timestamp) -> Self {
        Self::Int(at.0)
    }
}

/// An empty store's connection, to look at its schema.
#[cfg(test)]
pub(crate) fn sqlite_for_tests(folder: &Path) -> rusqlite::Connection {
    let now = agentsight_model::time::Timestamp(0);
    sqlite::take(folder, crate::schema::Absent::Make, now).unwrap()
}

/// Writes a parameter list: `params![agent, id, name.as_deref()]`.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$($crate::engine::Param::from($value)),*] as &[$crate::engine::Param<'_>]
    };
}
pub(crate) use params;

/// A table as it is inserted into: one declaration, from which each engine makes its own statement.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [&'static str],
    /// `on conflict …`, or nothing.
    pub(crate) on_conflict: &'static str,
}

impl Table {
    /// The statement that inserts one row.
    fn insert_text(&self) -> String {
        let marks: Vec<String> = (1..=self.columns.len()).map(|n| format!("?{n}")).collect();
        let (name, columns, marks) = (self.name, self.columns.join(", "), marks.join(", "));
        format!("insert into {name} ({columns}) values ({marks}) {}", self.on_conflict)
    }

    /// Runs `work` with the statement that inserts one row, which each thread puts together once.
    fn with_insert<T>(&self, work: impl FnOnce(&str) -> T) -> T {
        thread_local! {
            static INSERTS: std::cell::RefCell<std::collections::HashMap<&'static str, std::rc::Rc<str>>> = std::cell::RefCell::default();
        }
        let sql = INSERTS.with_borrow_mut(|inserts| {
            std::rc::Rc::clone(inserts.entry(self.name).or_insert_with(|| self.insert_text().into()))
        });
        work(&sql)
    }
}

/// One statement of several that are asked together.
pub(crate) struct Query<'a> {
    pub(crate) sql: &'a str,
    pub(crate) params: &'a [Param<'a>],
}

/// A row of an answer, read by column position.
pub(crate) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(postgres::Cells<'a>),
}

impl Row<'_> {
    pub(crate) fn int(&self, column: usize) -> Result<i64> {
        match self {
            Self::Sqlite(row) => sqlite::int(row, column),
            Self::Postgres(cells) => cells.int(column),
        }
    }

    pub(crate) fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        match self {
            Self::Sqlite(row) => sqlite::opt_int(row, column),
            Self::Postgres(cells) => cells.opt_int(column),
        }
    }

    pub(crate) fn text(&self, column: usize) -> Result<&str> {
        self.opt_text(column)?.ok_or_else(|| damaged(column))
    }

    pub(crate) fn opt_text(&self, column: usize) -> Result<Option<&str>> {
        match self {
            Self::Sqlite(row) => sqlite::opt_text(row, column),
            Self::Postgres(cells) => cells.opt_text(column),
        }
    }

    pub(crate) fn blob(&self, column: usize) -> Result<&[u8]> {
        match self {
            Self::Sqlite(row) => sqlite::blob(row, column),
            Self::Postgres(cells) => cells.blob(column),
        }
    }

    /// The value of a column as it lies there, whatever its type.
    pub(crate) fn value(&self, column: usize) -> Result<Param<'_>> {
        match self {
            Self::Sqlite(row) => sqlite::value(row, column),
            Self::Postgres(cells) => cells.any_value(column),
        }
    }

    pub(crate) fn flag(&self, column: usize) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    pub(crate) fn string(&self, column: usize) -> Result<String> {
        self.text(column).map(str::to_owned)
    }

    pub(crate) fn opt_string(&self, column: usize) -> Result<Option<String>> {
        Ok(self.opt_text(column)?.map(str::to_owned))
    }

    pub(crate) fn timestamp(&self, column: usize) -> Result<agentsight_model::time::Timestamp> {
        self.int(column).map(agentsight_model::time::Timestamp)
    }

    pub(crate) fn opt_timestamp(&self, column: usize) -> Result<Option<agentsight_model::time::Timestamp>> {
        Ok(self.opt_int(column)?.map(agentsight_model::time::Timestamp))
    }

    /// A JSON document; absent means `{}`.
    pub(crate) fn json(&self, column: usize) -> Result<agentsight_model::json::JsonText> {
        match self.opt_text(column)? {
            None => Ok(agentsight_model::json::JsonText::EMPTY),
            Some(text) => agentsight_model::json::JsonText::parse(text.to_owned()).map_err(|_| damaged(column)),
        }
    }

    /// A word of a closed list.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, column: usize) -> Result<T> {
        self.text(column)?.parse().map_err(|_| damaged(column))
    }
}

pub(crate) fn damaged(column: usize) -> Error {
    Error::Damaged { table: "row", column }
}

/// A connection to read with: every statement sees the same snapshot.
pub(crate) enum Reader<'c> {
    Sqlite(&'c rusqlite::Connection),
    Postgres(&'c postgres::Transaction<'c>),
}

impl Reader<'_> {
    /// Runs `each` on every row. It must not ask the reader for more meanwhile.
    pub(crate) fn each(
        &self,
        sql: &str,
        params: &[Param<'_>],
        mut each: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Sqlite(connection) => sqlite::each(connection, sql, params, &mut each),
            Self::Postgres(transaction) => transaction.ask(&[Query { sql, params }], &mut |_, row| each(row)),
        }
    }

    /// Runs several statements and hands each of their rows over with the position of its statement.
    ///
    /// They are answered in order. A server is asked all of them at once, which costs one round trip
    /// instead of one per statement.
    pub(crate) fn each_of(
        &self,
        queries: &[Query<'_>],
        each: &mut dyn FnMut(usize, &Row<'_>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Sqlite(connection) => queries.iter().enumerate().try_for_each(|(at, query)| {
                sqlite::each(connection, query.sql, query.params, &mut |row| each(at, row))
            }),
            Self::Postgres(transaction) => transaction.ask(queries, each),
        }
    }

    /// Runs the parts of one question, which share their parameters, and hands each of their rows over with the position
    /// of its part. A server is given one statement for all of them, so that their types of columns must be integers,
    /// texts or bytes.
    pub(crate) fn each_part(
        &self,
        parts: &[&str],
        params: &[Param<'_>],
        each: &mut dyn FnMut(usize, &Row<'_>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Sqlite(connection) => parts
                .iter()
                .enumerate()
                .try_for_each(|(at, sql)| sqlite::each(connection, sql, params, &mut |row| each(at, row))),
            Self::Postgres(transaction) => transaction.ask_parts(parts, params, each),
        }
    }

    /// Whether each question costs a round trip, so that asking for what may not be there is cheaper than asking first.
    pub(crate) fn is_far(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// All rows.
    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: &[Param<'_>],
        mut map: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        self.each(sql, params, |row| {
            rows.push(map(row)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The first row, if there is one.
    pub(crate) fn one<T>(
        &self,
        sql: &str,
        params: &[Param<'_>],
        map: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut map = Some(map);
        let mut found = None;
        self.each(sql, params, |row| {
            if let Some(map) = map.take() {
                found = Some(map(row)?);
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// What a transaction says of the conversations that wait to be indexed.
#[derive(Clone, Copy, Default)]
struct Pending {
    /// How many they were when it counted them; else as many as before it.
    counted: Option<u64>,
    /// How many it has left since.
    more: u64,
}

/// A write transaction, shared by the jobs of one group. Reads what it wrote.
pub(crate) struct Tx<'c> {
    reader: Reader<'c>,
    ids: &'c crate::ids::IdBlocks,
    /// How many conversations wait to be indexed after this transaction.
    pending: std::cell::Cell<Pending>,
    /// What is added to the agents' totals when all jobs are done.
    totals: std::cell::RefCell<BTreeMap<(i64, &'static str), i64>>,
    ahead: std::cell::RefCell<Ahead>,
}

impl<'c> std::ops::Deref for Tx<'c> {
    type Target = Reader<'c>;

    fn deref(&self) -> &Reader<'c> {
        &self.reader
    }
}

impl<'c> Tx<'c> {
    fn new(reader: Reader<'c>, ids: &'c crate::ids::IdBlocks) -> Self {
        Self {
            reader,
            ids,
            pending: std::cell::Cell::default(),
            totals: std::cell::RefCell::default(),
            ahead: std::cell::RefCell::default(),
        }
    }

    /// Runs a statement, without waiting for it where the engine is a server: a failure then shows with the
    /// next read of the transaction, or with its commit.
    pub(crate) fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<()> {
        match &self.reader {
            Reader::Sqlite(connection) => sqlite::execute(connection, sql, params).map(drop),
            Reader::Postgres(transaction) => transaction.defer(sql, params),
        }
    }

    /// Runs a statement of a batch, as [`Tx::execute`] does. A server is given the rows of many writes together, before
    /// whatever else it is asked.
    pub(crate) fn execute_batched(&self, batch: &'static Batch, params: &[Param<'_>]) -> Result<()> {
        match &self.reader {
            Reader::Sqlite(connection) => sqlite::execute(connection, batch.one, params).map(drop),
            Reader::Postgres(transaction) => transaction.gather(batch, params),
        }
    }

    /// Runs a statement; answers how many rows it changed.
    pub(crate) fn execute_counted(&self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        match &self.reader {
            Reader::Sqlite(connection) => sqlite::execute(connection, sql, params).map(|rows| rows as u64),
            Reader::Postgres(transaction) => transaction.execute(sql, params),
        }
    }

    /// Inserts a row, as [`Tx::execute`] runs a statement.
    pub(crate) fn insert(&self, table: &'static Table, values: &[Param<'_>]) -> Result<()> {
        table.with_insert(|sql| self.execute(sql, values))
    }

    /// Keeps other nodes from the selected rows until the commit. What is read next sees what they have
    /// committed before. SQLite has one write transaction at a time, and nothing to keep away.
    pub(crate) fn lock(&self, sql: &str, params: &[Param<'_>]) -> Result<()> {
        match &self.reader {
            Reader::Sqlite(_) => Ok(()),
            Reader::Postgres(transaction) => transaction.defer_lock(sql, params),
        }
    }

    /// Adds to a total of an agent, at the end of the transaction and in a fixed order: these rows are
    /// written by every node, and whoever holds one must not wait for another.
    pub(crate) fn add_to_total(&self, agent: agentsight_model::ids::AgentId, name: &'static str, by: i64) {
        *self.totals.borrow_mut().entry((agent.0, name)).or_default() += by;
    }

    /// What was asked ahead of the group's writes.
    pub(crate) fn ahead(&self) -> std::cell::RefMut<'_, Ahead> {
        self.ahead.borrow_mut()
    }

    /// Writes what was left for the end.
    fn settle(&self) -> Result<()> {
        for ((agent, name), by) in self.totals.take() {
            crate::counters::write(self, agent, name, by)?;
        }
        Ok(())
    }

    /// Tells the writer that a conversation was left for the search index.
    pub(crate) fn note_search_pending(&self) {
        let Pending { counted, more } = self.pending.get();
        self.pending.set(Pending { counted, more: more + 1 });
    }

    /// Tells the writer how many wait for the search index.
    pub(crate) fn note_pending_are(&self, count: u64) {
        self.pending.set(Pending { counted: Some(count), more: 0 });
    }

    /// Takes a fresh id of a kind.
    pub(crate) fn next_id(&self, kind: crate::ids::Kind) -> Result<i64> {
        self.ids.next(self, kind)
    }

    /// Where ids are given out in a transaction of their own, takes a block of them there: other nodes
    /// do not wait for this transaction, and its failure merely wastes them. Answers the block's end.
    pub(crate) fn take_ids_apart(&self, sql: &str, params: &[Param<'_>]) -> Option<Result<i64>> {
        match &self.reader {
            Reader::Sqlite(_) => None,
            Reader::Postgres(transaction) => Some(transaction.ask_apart(sql, params)),
        }
    }
}

/// Waits for a thread of the store that was told to end.
async fn ended(thread: &parking_lot::Mutex<Option<std::thread::JoinHandle<()>>>) {
    let Some(thread) = thread.lock().take() else { return };
    let name = thread.thread().name().unwrap_or_default().to_owned();
    if !matches!(tokio::task::spawn_blocking(move || thread.join()).await, Ok(Ok(()))) {
        tracing::error!(name, "a thread of the store did not end as it should");
    }
}

/// The engine that runs, with its readers and its writer.
#[derive(Clone)]
pub(crate) enum Engine {
    Sqlite(Arc<sqlite::Sqlite>),
    Postgres(Arc<postgres::Postgres>),
}

impl Engine {
    /// Opens the database that the configuration names, or the embedded one in a folder, bringing its
    /// schema up to date; answers too whether a store was made there now.
    pub(crate) fn open(folder: &Path, config: &StoreConfig) -> Result<(Self, bool)> {
        Ok(match &config.database {
            Some(database) => {
                let (engine, is_new) = postgres::Postgres::open(database, config)?;
                (Self::Postgres(Arc::new(engine)), is_new)
            }
            None => {
                let (engine, is_new) = sqlite::Sqlite::open(folder, config)?;
                (Self::Sqlite(Arc::new(engine)), is_new)
            }
        })
    }

    /// A read of a handful of rows, in one snapshot. The embedded engine runs it where it is asked for.
    ///
    /// It may run again, from its beginning, where the connection to a server was lost.
    pub(crate) async fn read_now<T: Send + 'static>(
        &self,
        read: impl FnMut(&Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self {
            Self::Sqlite(engine) => engine.read(read),
            Self::Postgres(engine) => engine.read(read).await,
        }
    }

    /// A read that may take long, in one snapshot, bounded in time and number. It may run again, as with
    /// [`Engine::read_now`].
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnMut(&Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self {
            Self::Sqlite(engine) => sqlite::Sqlite::read_apart(engine, read).await,
            Self::Postgres(engine) => engine.read_apart(read).await,
        }
    }

    /// A write; durable when it returns.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        write: impl FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer().write(bytes, None, write).await
    }

    /// The same for a write that begins by asking where it goes: a group's writes ask together.
    pub(crate) async fn write_to<T: Send + 'static>(
        &self,
        errand: Errand,
        bytes: usize,
        write: impl FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer().write(bytes, Some(errand), write).await
    }

    pub(crate) fn writer(&self) -> &writer::Writer {
        match self {
            Self::Sqlite(engine) => engine.writer(),
            Self::Postgres(engine) => engine.writer(),
        }
    }

    /// Conversations with texts that the search index does not hold yet.
    pub(crate) async fn search_pending(&self) -> Result<u64> {
        match self {
            Self::Sqlite(engine) => Ok(engine.writer().search_pending()),
            // Other nodes write too.
            Self::Postgres(engine) => engine.read(crate::search::count_pending).await,
        }
    }

    /// Refuses new writes, finishes those that wait, and lets go of the database.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(engine) => engine.close().await,
            Self::Postgres(engine) => engine.close().await,
        }
    }
}
