//! A database in the hand of whoever moves a whole store: one connection on the caller's own thread,
//! without a queue, without other readers and without a search index that is kept up to date.

use std::path::Path;

use agentsight_model::time::Timestamp;
use rusqlite::Connection;

use super::postgres::WriterSession;
use super::{Reader, Tx, sqlite};
use crate::DatabaseConfig;
use crate::error::Result;
use crate::ids::IdBlocks;
use crate::schema::Absent;

/// A database that is moved from or to. Not to be used from within a runtime.
pub(crate) enum Hand {
    /// Nobody else can open it meanwhile.
    Sqlite(Box<Connection>),
    /// Others may go on: what is read is one snapshot.
    Postgres(Box<WriterSession>),
}

impl Hand {
    /// Takes a store in hand, bringing its schema up to date.
    pub(crate) fn take(
        folder: &Path,
        database: Option<&DatabaseConfig>,
        absent: Absent<'_>,
        now: Timestamp,
    ) -> Result<Self> {
        match database {
            Some(database) => {
                WriterSession::take(database, absent, now).map(|session| Self::Postgres(Box::new(session)))
            }
            None => sqlite::take(folder, absent, now).map(|connection| Self::Sqlite(Box::new(connection))),
        }
    }

    /// Reads in one snapshot. Where a server was lost on the way, `read` is called a second time.
    pub(crate) fn read<T>(&mut self, mut read: impl FnMut(&Reader<'_>) -> Result<T>) -> Result<T> {
        match self {
            Self::Sqlite(connection) => read(&Reader::Sqlite(connection)),
            Self::Postgres(session) => session.read(read),
        }
    }

    /// Runs `write` in a transaction of which all or nothing is kept; durable when it returns.
    pub(crate) fn write<T>(&mut self, write: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        let ids = IdBlocks::default();
        match self {
            Self::Sqlite(connection) => {
                sqlite::transaction(connection, |connection| write(&Tx::new(Reader::Sqlite(connection), &ids)))
            }
            Self::Postgres(session) => session.transaction(&ids, write).map_err(|undone| undone.error),
        }
    }

    /// Folds what a log still holds into the database, so that a copy of one file is a copy of everything.
    pub(crate) fn let_go(self) -> Result<()> {
        match self {
            Self::Sqlite(connection) => {
                connection.execute_batch("pragma wal_checkpoint(truncate)").map_err(super::engine_error)?;
                connection.close().map_err(|(_, error)| super::engine_error(error))
            }
            Self::Postgres(mut session) => {
                session.end();
                Ok(())
            }
        }
    }
}
