//! SQLite: connections, statements, what its errors mean. Nobody outside `engine` knows of it.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentsight_model::time::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::types::{Null, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::Semaphore;

use super::grams::{self, Bell, Index, Indexer};
use super::readers::{LogBound, Readers};
use super::writer::{Seat, Writer};
use super::{Param, Reader, Row, damaged};
use crate::StoreConfig;
use crate::error::{Error, Result};
use crate::schema::{Absent, Step};

/// Name of the database file in the data folder.
pub(crate) const FILE: &str = "agentsight.db";
/// How long a connection waits for another process's write to end.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 256;
/// Page cache of the writer and of each reader, in KiB. The file system's own cache holds the rest.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 4 * 1024;
/// The same of the thread that indexes, and of what readers have of the index.
pub(super) const INDEX_CACHE_KIB: i64 = 4 * 1024;
const INDEX_READER_CACHE_KIB: i64 = 1024;
/// Bytes of the database that readers see without copying them: as much as SQLite can map. These pages
/// are the file system's cache, not ours; they go when something else needs the room.
const MAPPED_BYTES: i64 = i32::MAX as i64;
/// Pages in the write-ahead log before they are copied into the database (16 MiB).
pub(super) const CHECKPOINT_PAGES: u32 = 4_096;
/// The log file is cut back to this size after a checkpoint.
const JOURNAL_BYTES: i64 = 64 * 1024 * 1024;

/// The embedded engine: any number of readers, one writer.
pub(crate) struct Sqlite {
    readers: Arc<Readers>,
    /// Long reads at once; short ones do not wait behind them.
    apart: Semaphore,
    query_time: Duration,
    writer: Writer,
    /// None where there is no search index.
    indexer: Option<Indexer>,
}

impl Sqlite {
    /// Opens the database of a folder; answers too whether it was made now.
    pub(super) fn open(folder: &Path, config: &StoreConfig) -> Result<(Self, bool)> {
        let path = folder.join(FILE);
        let absent = Absent::plainly(config.make);
        prepare_folder(folder, &path, absent)?;
        let explain = |e| explain_open(&path, &e);
        let connection = connect(&path, WRITER_CACHE_KIB, true).map_err(explain)?;
        // Before the log is switched on, which would change the file.
        crate::schema::check(&path, &connection, absent).map_err(|step| match step {
            Step::Refused(error) => error,
            Step::Engine(error) => explain(error),
        })?;
        prepare_to_write(&connection).map_err(explain)?;
        let is_new = crate::schema::migrate(&path, &connection, absent, config.clock.now())?;
        crate::moving::refuse_unfinished(&Reader::Sqlite(&connection))?;
        let bell = Arc::new(Bell::default());
        let index = config.search_index.then(|| Index::open(folder, &connection)).and_then(|opened| {
            let explain = |error| tracing::error!(%error, "without a search index, searches read every message");
            opened.map_err(explain).ok()
        });
        let readers = Readers::start(folder, index.is_some(), Arc::clone(&bell))?;
        let log = LogBound::new(Arc::clone(&readers), &connection).map_err(explain)?;
        let seat = Seat::Sqlite { connection, log, bell: Arc::clone(&bell) };
        let writer = Writer::start(seat, config)?;
        let start = || Indexer::start(folder, index, Arc::clone(&readers), writer.inside()?, bell);
        let indexer = config.search_index.then(start).transpose()?;
        let apart = Semaphore::new(config.readers.max(1));
        Ok((Self { readers, apart, query_time: config.query_time, writer, indexer }, is_new))
    }

    pub(super) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Reads in one snapshot, on the calling thread.
    pub(super) fn read<T>(&self, read: impl FnMut(&Reader<'_>) -> Result<T>) -> Result<T> {
        self.read_until(None, read)
    }

    fn read_until<T>(&self, deadline: Option<Instant>, mut read: impl FnMut(&Reader<'_>) -> Result<T>) -> Result<T> {
        match self.readers.read(deadline, &mut read) {
            // The index is not believed any more.
            Err(Error::Index(_)) => self.readers.read(deadline, read),
            result => result,
        }
    }

    /// Reads on a thread for long work, within the time that a query may take.
    pub(super) async fn read_apart<T: Send + 'static>(
        engine: &Arc<Self>,
        read: impl FnMut(&Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _turn = engine.apart.acquire().await.map_err(|_| Error::Closed)?;
        let engine = Arc::clone(engine);
        let work = move || {
            let limit = engine.query_time;
            let deadline = Instant::now() + limit;
            engine.read_until(Some(deadline), read).map_err(|error| match error {
                Error::TooSlow { .. } => Error::TooSlow { limit },
                other => other,
            })
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| Error::Engine(e.into()))?
    }

    pub(super) async fn close(&self) {
        // It writes through the writer.
        if let Some(indexer) = &self.indexer {
            indexer.close().await;
        }
        self.writer.close().await;
        self.readers.close().await;
    }
}

/// How long a move waits for whoever has the database in hand.
const MOVE_PATIENCE: Duration = Duration::from_millis(500);

/// Takes the database of a folder for oneself: nobody else may have it open, or open it meanwhile.
pub(super) fn take(folder: &Path, absent: Absent<'_>, now: Timestamp) -> Result<Connection> {
    let path = folder.join(FILE);
    prepare_folder(folder, &path, absent)?;
    let explain = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::Open(format!("{} is in use by another program; stop the server and run this again", path.display()))
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Error::Open(format!(
            "{} cannot be taken in hand ({error}); this user must be able to read and to write the data folder",
            path.display()
        )),
        _ => explain_open(&path, &error),
    };
    let connection = connect(&path, WRITER_CACHE_KIB, true).map_err(explain)?;
    connection.busy_timeout(MOVE_PATIENCE).map_err(explain)?;
    // Before the first look, so that the lock on the whole file is the first one.
    connection.pragma_update(None, "locking_mode", "exclusive").map_err(explain)?;
    crate::schema::check(&path, &connection, absent).map_err(|step| match step {
        Step::Refused(error) => error,
        Step::Engine(error) => explain(error),
    })?;
    prepare_to_write(&connection).map_err(explain)?;
    // The log's own lock is only taken with the first write.
    connection.execute_batch("begin exclusive; commit").map_err(explain)?;
    crate::schema::migrate(&path, &connection, absent, now)?;
    Ok(connection)
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.readers.stop();
        if let Some(indexer) = &self.indexer {
            indexer.stop();
        }
    }
}

/// Makes a folder ready for its database, or refuses one that holds none.
fn prepare_folder(folder: &Path, path: &Path, absent: Absent<'_>) -> Result<()> {
    if matches!(absent, Absent::Refuse) && !path.is_file() {
        return Err(crate::schema::none_in(path));
    }
    if folder.is_file() {
        return Err(Error::Open(format!("data folder {} is a file; name a folder", folder.display())));
    }
    let refuse = |e: std::io::Error| Error::Open(format!("data folder {} cannot be written: {e}", folder.display()));
    make_private(folder).map_err(refuse)?;
    // SQLite would say no more than "unable to open database file".
    let probe = folder.join(".write-probe");
    std::fs::write(&probe, b"").map_err(refuse)?;
    match std::fs::remove_file(&probe) {
        // Another process tried the same, and was quicker.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(refuse),
    }
}

/// Makes a folder that is not there, for its owner alone: it will hold what people said.
pub(crate) fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// A connection that reads.
pub(super) fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, READER_CACHE_KIB, false)
}

/// Attaches the search index of a folder to a connection that reads its rows.
pub(super) fn attach_index(connection: &Connection, folder: &Path) -> rusqlite::Result<()> {
    let file = folder.join(grams::FILE);
    connection.execute(&format!("attach ?1 as {}", grams::SCHEMA), [file.to_string_lossy()])?;
    connection.pragma_update(Some(grams::SCHEMA), "cache_size", -INDEX_READER_CACHE_KIB)?;
    connection.pragma_update(Some(grams::SCHEMA), "mmap_size", MAPPED_BYTES)
}

pub(super) fn connect(path: &Path, cache_kib: i64, create: bool) -> rusqlite::Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Without it SQLite plans a statement anew whenever a parameter that it peeked at changes, which
    // cost four times the reading itself.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    rusqlite::vtab::array::load_module(&connection)?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    if !create {
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "mmap_size", MAPPED_BYTES)?;
    }
    Ok(connection)
}

pub(super) fn prepare_to_write(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES)
}

/// Runs `work` in a write transaction that is rolled back when it fails.
pub(super) fn transaction<T>(connection: &Connection, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    execute(connection, "begin immediate", &[])?;
    let done = work(connection).and_then(|done| execute(connection, "commit", &[]).map(|_| done));
    if done.is_err() && !connection.is_autocommit() {
        execute(connection, "rollback", &[])?;
    }
    done
}

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Null => Null.to_sql(),
            Self::Int(n) => Ok(ToSqlOutput::from(*n)),
            Self::Text(text) => Ok(ToSqlOutput::from(*text)),
            Self::Blob(bytes) => Ok(ToSqlOutput::from(*bytes)),
            Self::Column(_) => Err(rusqlite::Error::ToSqlConversionFailure("many rows are for a server".into())),
            Self::Ints(list) => Ok(ToSqlOutput::from_rc(
                Rc::new(list.iter().map(|n| Value::Integer(*n)).collect::<Vec<_>>()),
                c"rarray",
            )),
        }
    }
}

pub(super) fn each(
    connection: &Connection,
    sql: &str,
    params: &[Param<'_>],
    each: &mut dyn FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let mut statement = connection.prepare_cached(sql).map_err(engine_error)?;
    let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(engine_error)?;
    while let Some(row) = rows.next().map_err(engine_error)? {
        each(&Row::Sqlite(row))?;
    }
    Ok(())
}

pub(super) fn execute(connection: &Connection, sql: &str, params: &[Param<'_>]) -> Result<usize> {
    let mut statement = connection.prepare_cached(sql).map_err(engine_error)?;
    statement.execute(rusqlite::params_from_iter(params)).map_err(engine_error)
}

pub(super) fn int(row: &rusqlite::Row<'_>, column: usize) -> Result<i64> {
    opt_int(row, column)?.ok_or_else(|| damaged(column))
}

pub(super) fn opt_int(row: &rusqlite::Row<'_>, column: usize) -> Result<Option<i64>> {
    match row.get_ref(column).map_err(|_| damaged(column))? {
        ValueRef::Integer(n) => Ok(Some(n)),
        ValueRef::Null => Ok(None),
        _ => Err(damaged(column)),
    }
}

pub(super) fn opt_text<'r>(row: &'r rusqlite::Row<'_>, column: usize) -> Result<Option<&'r str>> {
    match row.get_ref(column).map_err(|_| damaged(column))? {
        ValueRef::Text(bytes) => simdutf8::basic::from_utf8(bytes).map(Some).map_err(|_| damaged(column)),
        ValueRef::Null => Ok(None),
        _ => Err(damaged(column)),
    }
}

pub(super) fn value<'r>(row: &'r rusqlite::Row<'_>, column: usize) -> Result<Param<'r>> {
    match row.get_ref(column).map_err(|_| damaged(column))? {
        ValueRef::Null => Ok(Param::Null),
        ValueRef::Integer(n) => Ok(Param::Int(n)),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).map(Param::Text).map_err(|_| damaged(column)),
        ValueRef::Blob(bytes) => Ok(Param::Blob(bytes)),
        ValueRef::Real(_) => Err(damaged(column)),
    }
}

pub(super) fn blob<'r>(row: &'r rusqlite::Row<'_>, column: usize) -> Result<&'r [u8]> {
    match row.get_ref(column).map_err(|_| damaged(column))? {
        ValueRef::Blob(bytes) => Ok(bytes),
        _ => Err(damaged(column)),
    }
}

/// What an error of SQLite means to us.
pub(crate) fn engine_error(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full,
        // Its patience is over, and nothing was done.
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::Unavailable { why: "it is locked by another program".to_owned() }
        }
        // Only the clock of a long read interrupts; it knows the limit.
        Some(ErrorCode::OperationInterrupted) => Error::TooSlow { limit: Duration::ZERO },
        _ => Error::Engine(error.into()),
    }
}

pub(super) fn explain_open(path: &Path, error: &rusqlite::Error) -> Error {
    let path = path.display();
    Error::Open(match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => format!(
            "{path} is not an AgentSight database (it may be damaged); restore it from a backup or choose another data folder"
        ),
        Some(ErrorCode::DatabaseCorrupt) => format!("{path} is damaged; restore it from a backup"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("{path} is locked by another program; stop it and start again")
        }
        Some(ErrorCode::DiskFull) => format!("no space left to open {path}"),
        _ => format!("{path} cannot be opened: {error}"),
    })
}
