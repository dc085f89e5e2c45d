//! What runs the statements. Nothing above this folder knows which engine it is.
//!
//! Statements are written once, in SQL that SQLite and PostgreSQL both take, with `?1 ?2` for
//! parameters and `rarray(?1)` for a parameter that is a list. A [`Table`] declares what is inserted,
//! a [`Row`] is read by position.

mod readers;
mod sqlite;
mod wal;
mod writer;

use std::path::Path;
use std::sync::Arc;

pub(crate) use sqlite::engine_error;

use crate::StoreConfig;
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
    KeyId
);

impl From<agentsight_model::time::Timestamp> for Param<'_> {
    fn from(at: agentsight_model::time::Timestamp) -> Self {
        Self::Int(at.0)
    }
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

/// A row of an answer, read by column position.
pub(crate) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
}

impl Row<'_> {
    pub(crate) fn int(&self, column: usize) -> Result<i64> {
        match self {
            Self::Sqlite(row) => sqlite::int(row, column),
        }
    }

    pub(crate) fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        match self {
            Self::Sqlite(row) => sqlite::opt_int(row, column),
        }
    }

    pub(crate) fn text(&self, column: usize) -> Result<&str> {
        self.opt_text(column)?.ok_or_else(|| damaged(column))
    }

    pub(crate) fn opt_text(&self, column: usize) -> Result<Option<&str>> {
        match self {
            Self::Sqlite(row) => sqlite::opt_text(row, column),
        }
    }

    pub(crate) fn blob(&self, column: usize) -> Result<&[u8]> {
        match self {
            Self::Sqlite(row) => sqlite::blob(row, column),
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
}

impl Reader<'_> {
    /// Runs `each` on every row.
    pub(crate) fn each(
        &self,
        sql: &str,
        params: &[Param<'_>],
        mut each: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Sqlite(connection) => sqlite::each(connection, sql, params, &mut each),
        }
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

/// A write transaction, shared by the jobs of one group. Reads what it wrote.
pub(crate) struct Tx<'c> {
    reader: Reader<'c>,
    ids: &'c crate::ids::IdBlocks,
    /// Conversations that this transaction leaves to be indexed.
    pending: std::cell::Cell<u64>,
}

impl<'c> std::ops::Deref for Tx<'c> {
    type Target = Reader<'c>;

    fn deref(&self) -> &Reader<'c> {
        &self.reader
    }
}

impl Tx<'_> {
    /// Runs a statement; answers how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<usize> {
        match &self.reader {
            Reader::Sqlite(connection) => sqlite::execute(connection, sql, params),
        }
    }

    /// Inserts a row.
    pub(crate) fn insert(&self, table: &'static Table, values: &[Param<'_>]) -> Result<()> {
        match &self.reader {
            Reader::Sqlite(connection) => sqlite::insert(connection, table, values),
        }
    }

    /// Tells the writer that a conversation was left for the search index.
    pub(crate) fn note_search_pending(&self) {
        self.pending.set(self.pending.get() + 1);
    }

    /// Takes a fresh id of a kind.
    pub(crate) fn next_id(&self, kind: crate::ids::Kind) -> Result<i64> {
        self.ids.next(self, kind)
    }
}

/// The engine that runs, with its readers and its writer.
#[derive(Clone)]
pub(crate) enum Engine {
    Sqlite(Arc<sqlite::Sqlite>),
}

impl Engine {
    /// Opens the embedded database in a folder, bringing its schema up to date.
    pub(crate) fn open_sqlite(folder: &Path, config: &StoreConfig) -> Result<Self> {
        sqlite::Sqlite::open(folder, config).map(|engine| Self::Sqlite(Arc::new(engine)))
    }

    /// A read of a handful of rows, run where it is asked for.
    pub(crate) fn read_now<T>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T>) -> Result<T> {
        match self {
            Self::Sqlite(engine) => engine.read(read),
        }
    }

    /// A read that may take long, run on a thread of its own and bounded in time and number.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self {
            Self::Sqlite(engine) => sqlite::Sqlite::read_apart(engine, read).await,
        }
    }

    /// A write; durable when it returns.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        write: impl FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self {
            Self::Sqlite(engine) => engine.writer().write(bytes, write).await,
        }
    }

    /// Conversations with texts that the search index does not hold yet.
    pub(crate) fn search_pending(&self) -> u64 {
        match self {
            Self::Sqlite(engine) => engine.writer().search_pending(),
        }
    }

    /// Refuses new writes, finishes those that wait, and lets go of the database.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(engine) => engine.close().await,
        }
    }
}
