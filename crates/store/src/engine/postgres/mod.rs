//! PostgreSQL: sessions, statements, what its errors mean. Nobody outside `engine` knows of it.
//!
//! Each session is a thread of its own on which its connection lives. Reads take the session that was
//! used last, up to a number of them; the writer has one, and a second connection for ids.

mod address;
mod opening;
mod session;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use agentsight_model::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_postgres::types::{FromSql, Type};

pub use address::DatabaseUrl;
pub(crate) use session::Transaction;
pub(super) use session::{Trouble, Undone, sendable};

use super::writer::{Seat, Writer};
use super::{Param, Reader, Tx, damaged};
use crate::error::{Error, Result};
use crate::ids::IdBlocks;
use crate::schema::Absent;
use crate::{DatabaseConfig, StoreConfig};
use session::{Session, Target};

/// The time that a statement of a move may take.
const UNHURRIED: Duration = Duration::from_secs(24 * 60 * 60);

/// Work for a session's thread.
type Job = Box<dyn FnOnce(&mut Session) + Send>;

/// The engine that is a server: reading sessions, one writer.
pub(crate) struct Postgres {
    target: Arc<Target>,
    /// Reads at once.
    turns: Arc<Semaphore>,
    sessions: u32,
    /// Long reads at once; short ones do not wait behind them.
    apart: Semaphore,
    /// Threads of sessions that have nothing to do, the one used last at the end.
    idle: Arc<Mutex<Vec<mpsc::UnboundedSender<Job>>>>,
    /// How long a read waits for its turn.
    patience: Duration,
    query_time: Duration,
    writer: Writer,
}

impl Postgres {
    /// Opens a database; answers too whether the store was made now.
    pub(super) fn open(database: &DatabaseConfig, config: &StoreConfig) -> Result<(Self, bool)> {
        let target = target(database, config.query_time)?;
        let (absent, now) = (Absent::plainly(config.make), config.clock.now());
        // A thread of its own, because a runtime cannot be entered from within another.
        let opening = Arc::clone(&target);
        let opened = std::thread::spawn(move || {
            let mut session = Session::new(opening)?;
            let is_new = opening::open(&mut session, absent, now)?;
            WriterSession(session.into_writer(now)).checked().map(|session| (session, is_new))
        });
        let (session, is_new) =
            opened.join().map_err(|_| Error::Open("the thread that opens the database failed".to_owned()))??;
        let sessions = database.connections.clamp(1, DatabaseConfig::MOST_CONNECTIONS);
        let engine = Self {
            target,
            turns: Arc::new(Semaphore::new(sessions)),
            sessions: sessions as u32,
            apart: Semaphore::new(config.readers.clamp(1, sessions.saturating_sub(1).max(1))),
            idle: Arc::default(),
            patience: config.queue_patience,
            query_time: config.query_time,
            writer: Writer::start(Seat::Postgres(Box::new(session)), config)?,
        };
        Ok((engine, is_new))
    }

    pub(super) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Reads in one snapshot on a session.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnMut(&Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(None, read).await
    }

    /// The same within the time that a query may take.
    pub(super) async fn read_apart<T: Send + 'static>(
        &self,
        read: impl FnMut(&Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _turn = self.apart.acquire().await.map_err(|_| Error::Closed)?;
        self.run(Some(self.query_time), read).await
    }

    async fn run<T: Send + 'static>(
        &self,
        limit: Option<Duration>,
        mut read: impl FnMut(&Reader<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = tokio::time::timeout(self.patience, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_| Error::Busy { retry_after: self.patience })?
            .map_err(|_| Error::Closed)?;
        let idle = self.idle.lock().pop();
        let thread = match idle {
            Some(thread) => thread,
            None => self.hire()?,
        };
        let (reply, answer) = oneshot::channel();
        let (idle, back) = (Arc::clone(&self.idle), thread.clone());
        let job = move |session: &mut Session| {
            session.read(limit, &mut |transaction| read(&Reader::Postgres(transaction)), |result| {
                // Whoever asked may have gone.
                let _ = reply.send(result);
            });
            idle.lock().push(back);
            drop(turn);
        };
        thread.send(Box::new(job)).map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Starts a session's thread.
    fn hire(&self) -> Result<mpsc::UnboundedSender<Job>> {
        let (thread, mut jobs) = mpsc::unbounded_channel::<Job>();
        let target = Arc::clone(&self.target);
        let work = move || {
            let mut session = match Session::new(target) {
                Ok(session) => session,
                Err(error) => return tracing::error!(%error, "a database session did not start"),
            };
            // Waiting on the session's own runtime, so that a connection that ends is noticed meanwhile.
            while let Some(job) = session.block_on(jobs.recv()) {
                job(&mut session);
            }
        };
        std::thread::Builder::new()
            .name("store-reader".to_owned())
            .spawn(work)
            .map_err(|e| Error::Engine(format!("cannot start a database session: {e}").into()))?;
        Ok(thread)
    }

    pub(super) async fn close(&self) {
        self.writer.close().await;
        // Every session has come back when all turns are ours.
        let all = self.turns.acquire_many(self.sessions).await;
        self.turns.close();
        drop(all);
        self.idle.lock().clear();
    }
}

fn target(database: &DatabaseConfig, query_time: Duration) -> Result<Arc<Target>> {
    let address = address::Address::of(&database.url).map_err(Error::Open)?;
    let tls = address.tls().map_err(Error::Open)?;
    Ok(Arc::new(Target {
        address,
        tls,
        connect_time: database.connect_time,
        slow_query: database.slow_query,
        query_time,
        favourite: AtomicUsize::new(0),
        pause: Mutex::default(),
    }))
}

/// A session that its owner drives: the one writer, or whoever moves a store.
pub(crate) struct WriterSession(Session);

impl WriterSession {
    /// Connects for work that takes its time.
    ///
    /// Not to be called from within a runtime.
    pub(super) fn take(database: &DatabaseConfig, absent: Absent<'_>, now: Timestamp) -> Result<Self> {
        let mut session = Session::new(target(database, UNHURRIED)?)?;
        opening::open(&mut session, absent, now)?;
        Ok(Self(session.into_writer(now)))
    }

    /// Leaves nothing of itself in the database.
    pub(super) fn end(&mut self) {
        self.0.clear_marks();
    }

    /// Reads in one snapshot, however long it takes and however long nothing is asked meanwhile.
    pub(super) fn read<T>(&mut self, mut read: impl FnMut(&Reader<'_>) -> Result<T>) -> Result<T> {
        const PATIENTLY: &str = "set local idle_in_transaction_session_timeout = 0";
        let mut result = Err(Error::Closed);
        let mut work = |transaction: &Transaction<'_>| {
            transaction.defer(PATIENTLY, &[])?;
            read(&Reader::Postgres(transaction))
        };
        self.0.read(None, &mut work, |answer| result = answer);
        result
    }

    /// Itself, unless it leads to a store that is being filled.
    fn checked(mut self) -> Result<Self> {
        self.read(crate::moving::refuse_unfinished)?;
        Ok(self)
    }

    /// Runs `work` in a write transaction that is undone when it fails.
    pub(super) fn transaction<T>(
        &mut self,
        ids: &IdBlocks,
        work: impl FnOnce(&Tx<'_>) -> Result<T>,
    ) -> Result<T, Undone> {
        self.0.write(|transaction| {
            if transaction.is_first() {
                // A server that crashed, or a standby in its place, may have lost that they were given to us, and
                // give them to another.
                ids.forget();
            }
            work(&Tx::new(Reader::Postgres(transaction), ids))
        })
    }
}

/// The columns of a row as a statement has them; where it is a part of another, the places of its columns there.
pub(crate) struct Cells<'r> {
    row: &'r tokio_postgres::Row,
    places: Option<&'r [usize]>,
}

impl<'r> Cells<'r> {
    fn of(row: &'r tokio_postgres::Row) -> Self {
        Self { row, places: None }
    }

    fn of_part(row: &'r tokio_postgres::Row, places: &'r [usize]) -> Self {
        Self { row, places: Some(places) }
    }

    fn place(&self, column: usize) -> Result<usize> {
        match self.places {
            None => Ok(column),
            Some(places) => places.get(column).copied().ok_or_else(|| damaged(column)),
        }
    }

    fn value<T: FromSql<'r>>(&self, column: usize) -> Result<Option<T>> {
        self.row.try_get(self.place(column)?).map_err(|_| damaged(column))
    }

    pub(super) fn int(&self, column: usize) -> Result<i64> {
        self.opt_int(column)?.ok_or_else(|| damaged(column))
    }

    pub(super) fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        self.value(column)
    }

    pub(super) fn opt_text(&self, column: usize) -> Result<Option<&'r str>> {
        self.value(column)
    }

    pub(super) fn blob(&self, column: usize) -> Result<&'r [u8]> {
        self.value(column)?.ok_or_else(|| damaged(column))
    }

    pub(super) fn any_value(&self, column: usize) -> Result<Param<'r>> {
        let place = self.place(column)?;
        let found = match self.row.columns().get(place).map(tokio_postgres::Column::type_) {
            Some(&Type::INT8) => self.value(column)?.map(Param::Int),
            Some(&Type::TEXT) => self.value(column)?.map(Param::Text),
            Some(&Type::BYTEA) => self.value(column)?.map(Param::Blob),
            _ => return Err(damaged(column)),
        };
        Ok(found.unwrap_or(Param::Null))
    }
}
