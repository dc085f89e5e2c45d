//! One writer: takes all writes that wait into one transaction and answers each after the commit.
//!
//! There is no timer: the next group forms while this one commits. The queue is bounded in bytes; a
//! sender waits for room, because the older SDK never repeats a refused write, and only past a
//! deadline hears that we are busy. Where a group fails, each of its writes runs alone, so that a bad
//! one fails by itself. When nothing waits, the writer brings the search index up to date.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::readers::{LogBound, Readers};
use super::{Reader, Tx, sqlite};
use crate::StoreConfig;
use crate::error::{Error, Result};
use crate::ids::IdBlocks;
use crate::search;

/// Writes that one commit takes at most. 512 is where the measured gain flattens.
const GROUP_JOBS: usize = 512;
/// Bytes that one commit takes at most, unless a single write is larger.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// A pause this long is a good moment to index.
const QUIET: Duration = Duration::from_millis(25);
/// Messages indexed in one transaction, or a conversation more.
const INDEX_SLICE: usize = 1_024;
/// Conversations that wait to be indexed past which indexing no longer waits for a pause: a search
/// reads all of them, which takes some 50 ms for this many.
const INDEX_DEBT: u64 = 5_000;

/// What a job says of its run within a group.
enum Applied {
    /// It did what it should, or failed before it wrote anything.
    Kept,
    /// It wrote and then failed: the group must be undone.
    Broken,
}

/// A unit of work in the queue. It may run more than once: alone, when its group failed.
trait Job: Send {
    /// Runs within the shared transaction and remembers its result.
    fn apply(&mut self, tx: &Tx<'_>) -> Applied;
    /// Answers the sender, after the commit or with the failure of it.
    fn answer(self: Box<Self>, commit: Result<()>);
}

struct Queued {
    job: Box<dyn Job>,
    bytes: usize,
    _room: OwnedSemaphorePermit,
}

/// The sending end of the writer's queue.
pub(crate) struct Writer {
    queue: Mutex<Option<Sender<Queued>>>,
    room: Arc<Semaphore>,
    room_bytes: usize,
    patience: Duration,
    pending: Arc<AtomicU64>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(connection: Connection, readers: Arc<Readers>, config: &StoreConfig) -> Result<Self> {
        let (sender, receiver) = channel();
        let pending = Arc::new(AtomicU64::new(search::count_pending(&Reader::Sqlite(&connection))?));
        let mut desk = Desk {
            connection,
            log: LogBound::new(readers),
            ids: IdBlocks::default(),
            pending: Arc::clone(&pending),
            index: config.search_index,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || desk.run(&receiver))
            .map_err(|e| Error::Open(format!("cannot start the writer thread: {e}")))?;
        Ok(Self {
            queue: Mutex::new(Some(sender)),
            room: Arc::new(Semaphore::new(config.queue_bytes.min(Semaphore::MAX_PERMITS))),
            room_bytes: config.queue_bytes.min(Semaphore::MAX_PERMITS),
            patience: config.queue_patience,
            pending,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Runs a closure as a job and waits for its commit.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        write: impl FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Call { write, result: None, reply });
        let room = self.room_for(bytes).await?;
        // The lock is gone before the wait.
        self.queue
            .lock()
            .as_ref()
            .ok_or(Error::Closed)?
            .send(Queued { job, bytes, _room: room })
            .map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Waits until the queue has room for these bytes.
    async fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.clamp(1, self.room_bytes)).unwrap_or(u32::MAX);
        if let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(permits) {
            return Ok(room);
        }
        let waiting = tokio::time::timeout(self.patience, Arc::clone(&self.room).acquire_many_owned(permits));
        waiting.await.map_err(|_| Error::Busy { retry_after: self.patience })?.map_err(|_| Error::Closed)
    }

    pub(super) fn search_pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    pub(super) async fn close(&self) {
        drop(self.queue.lock().take());
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && tokio::task::spawn_blocking(move || thread.join()).await.is_err()
        {
            tracing::error!("the writer thread did not end");
        }
    }
}

struct Call<T, F> {
    write: F,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnMut(&Tx<'_>) -> Result<T> + Send> Job for Call<T, F> {
    fn apply(&mut self, tx: &Tx<'_>) -> Applied {
        let before = tx.changes();
        let result = (self.write)(tx);
        let broken = result.is_err() && tx.changes() != before;
        self.result = Some(result);
        if broken { Applied::Broken } else { Applied::Kept }
    }

    fn answer(self: Box<Self>, commit: Result<()>) {
        let result = match (commit, self.result) {
            (Ok(()), Some(result)) => result,
            (Err(failure), _) => Err(failure),
            (Ok(()), None) => Err(Error::Closed),
        };
        // A sender that went away does not want to know.
        let _ = self.reply.send(result);
    }
}

impl Tx<'_> {
    /// Rows changed on this connection so far: tells whether a failed job had written.
    pub(super) fn changes(&self) -> u64 {
        match &self.reader {
            Reader::Sqlite(connection) => connection.total_changes(),
        }
    }
}

/// Why a transaction was rolled back.
enum Undone {
    /// One of its jobs wrote and then failed; it remembers its error.
    ByJob,
    /// It could not begin or commit.
    ByEngine(Error),
}

impl Undone {
    /// What the only job of the transaction is told.
    fn alone(self) -> Result<()> {
        match self {
            Self::ByJob => Ok(()),
            Self::ByEngine(error) => Err(error),
        }
    }
}

/// The writer's thread.
struct Desk {
    connection: Connection,
    log: LogBound,
    ids: IdBlocks,
    pending: Arc<AtomicU64>,
    index: bool,
}

impl Desk {
    fn run(&mut self, queue: &Receiver<Queued>) {
        loop {
            let first = if self.index && self.debt() > 0 {
                match queue.recv_timeout(QUIET) {
                    Ok(first) => first,
                    Err(RecvTimeoutError::Timeout) => {
                        self.index_while_quiet(queue);
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            } else {
                match queue.recv() {
                    Ok(first) => first,
                    Err(_) => break,
                }
            };
            self.group(first, queue);
            self.log.hold(&self.connection);
            if self.index && self.debt() > INDEX_DEBT {
                self.index_slice();
            }
        }
        // Fold the log into the database, so that a copy of one file is a copy of everything.
        if let Err(error) = self.connection.execute_batch("pragma wal_checkpoint(truncate)") {
            tracing::warn!(%error, "the write-ahead log stays beside the database");
        }
    }

    fn debt(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    fn group(&mut self, first: Queued, queue: &Receiver<Queued>) {
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while group.len() < GROUP_JOBS && bytes < GROUP_BYTES {
            match queue.try_recv() {
                Ok(next) => {
                    bytes += next.bytes;
                    group.push(next);
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        let alone = group.len() == 1;
        match self.commit(&mut group) {
            Ok(()) => group.into_iter().for_each(|queued| queued.job.answer(Ok(()))),
            Err(undone) if alone => {
                if let Some(queued) = group.pop() {
                    queued.job.answer(undone.alone());
                }
            }
            Err(_) => {
                for queued in group {
                    let mut single = [queued];
                    let done = self.commit(&mut single).or_else(|undone| undone.alone());
                    let [queued] = single;
                    queued.job.answer(done);
                }
            }
        }
    }

    /// One transaction for all of them, or none of it.
    fn commit(&mut self, group: &mut [Queued]) -> Result<(), Undone> {
        let ids = &self.ids;
        let mut broken = false;
        let done = sqlite::transaction(&self.connection, |connection| {
            let tx = Tx { reader: Reader::Sqlite(connection), ids, pending: Cell::new(0) };
            for queued in group.iter_mut() {
                if let Applied::Broken = queued.job.apply(&tx) {
                    broken = true;
                    return Err(Error::Closed);
                }
            }
            Ok(tx.pending.get())
        });
        match done {
            Ok(pending) => {
                self.pending.fetch_add(pending, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                self.ids.forget();
                Err(if broken { Undone::ByJob } else { Undone::ByEngine(error) })
            }
        }
    }

    fn index_while_quiet(&mut self, queue: &Receiver<Queued>) {
        while self.debt() > 0 && self.index_slice() {
            match queue.try_recv() {
                Ok(first) => return self.group(first, queue),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }

    /// Indexes a slice of what is pending; false where there was nothing or it failed.
    fn index_slice(&mut self) -> bool {
        let (ids, debt) = (&self.ids, self.debt());
        let done = sqlite::transaction(&self.connection, |connection| {
            let tx = Tx { reader: Reader::Sqlite(connection), ids, pending: Cell::new(0) };
            let indexed = search::index_pending(&tx, INDEX_SLICE)?;
            // Another process may have written, or indexed, meanwhile.
            let exact = if indexed >= debt { Some(search::count_pending(&tx)?) } else { None };
            Ok((indexed, exact))
        });
        match done {
            Ok((indexed, exact)) => {
                let left = exact.unwrap_or_else(|| self.debt().saturating_sub(indexed));
                self.pending.store(left, Ordering::Relaxed);
                indexed > 0
            }
            Err(error) => {
                self.ids.forget();
                tracing::error!(%error, "the search index could not be brought up to date; searches read what is missing");
                false
            }
        }
    }
}
