//! One writer: takes all writes that wait into one transaction and answers each after the commit.
//!
//! There is no timer: the next group forms while this one commits. The queue is bounded in bytes; a
//! sender waits for room, because the older SDK never repeats a refused write, and only past a
//! deadline hears that we are busy. Where a group fails, each of its writes runs alone, so that a bad
//! one fails by itself. When nothing waits, the writer to a server brings the search index up to date; the embedded
//! engine's index has a thread of its own (`grams.rs`), which writes through this queue too.
//!
//! The same on both engines. A server may go away: a group that it has certainly not kept waits for it
//! to come back, for as long as a sender waits for room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::grams::Bell;
use super::indexing::{DEBT, QUIET, Rest};
use super::postgres::{Trouble, Undone as ServerUndone, WriterSession};
use super::readers::LogBound;
use super::{Pending, Reader, Tx, ended, sqlite};
use crate::StoreConfig;
use crate::ahead::{Errand, look_ahead};
use crate::error::{Error, Result};
use crate::ids::IdBlocks;
use crate::search;

/// Writes that one commit takes at most. 512 is where the measured gain flattens.
const GROUP_JOBS: usize = 512;
/// Bytes that one commit takes at most, unless a single write is larger.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// Conversations that wait for the thread that indexes past which the writer makes way for it: it rests as long as its
/// last group took, for each time that there are so many, and at most so many times as long.
const LARGE_DEBT: u64 = 2 * DEBT;
const LONGEST_WAY: u32 = 4;
/// Messages that are indexed in one transaction, or a conversation more.
const INDEX_SLICE: usize = 1_024;
/// How often a node of several looks for rows that another left to be indexed and did not live to index.
const LOOK_ROUND: Duration = Duration::from_secs(10);
/// Attempts of a group that other nodes get in the way of, and then of each of its writes alone.
const ATTEMPTS_TOGETHER: u32 = 3;
const ATTEMPTS_ALONE: u32 = 6;
/// How long a write waits before it tries again, at first.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The connection of the writer.
pub(super) enum Seat {
    Sqlite { connection: Connection, log: LogBound, bell: Arc<Bell> },
    Postgres(Box<WriterSession>),
}

impl Seat {
    /// Runs `work` in a write transaction that is undone when it fails.
    fn transaction<T>(&mut self, ids: &IdBlocks, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T, Undone> {
        let settled = |tx: &Tx<'_>| {
            let done = work(tx)?;
            tx.settle()?;
            Ok(done)
        };
        match self {
            Self::Sqlite { connection, log, .. } => {
                let done =
                    sqlite::transaction(connection, |connection| settled(&Tx::new(Reader::Sqlite(connection), ids)));
                log.hold(connection);
                done.map_err(|error| {
                    // The blocks that it took are not ours.
                    ids.forget();
                    Undone { trouble: None, error }
                })
            }
            Self::Postgres(session) => {
                session.transaction(ids, settled).map_err(|ServerUndone { trouble, error }| Undone { trouble, error })
            }
        }
    }

    /// Whether other nodes write to the same database.
    fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

/// A transaction of which nothing was kept; or, where the database is not available and there is no
/// trouble to mend, one of which nobody knows.
struct Undone {
    trouble: Option<Trouble>,
    error: Error,
}

/// What a job says of its run within a group.
enum Applied {
    /// It did what it should, or failed before it wrote anything.
    Kept,
    /// It wrote, or asked the server for what it refused, and then failed: the group must be undone.
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
    errand: Option<Errand>,
    bytes: usize,
    /// None where it is ours.
    _room: Option<OwnedSemaphorePermit>,
}

/// The sending end of the writer's queue.
pub(crate) struct Writer {
    queue: Mutex<Option<Sender<Queued>>>,
    room: Arc<Semaphore>,
    room_bytes: usize,
    patience: Duration,
    /// How long a sender waits for its answer; no limit where the disk is our own.
    deadline: Option<Duration>,
    pending: Arc<AtomicU64>,
    /// Writes that were asked for so far.
    writes: Arc<AtomicU64>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(seat: Seat, config: &StoreConfig) -> Result<Self> {
        let (sender, receiver) = channel();
        let waiting = match &seat {
            Seat::Sqlite { connection, .. } => search::count_pending(&Reader::Sqlite(connection))?,
            // Enough to have a look; the first look counts.
            Seat::Postgres(_) => 1,
        };
        let deadline = seat.is_shared().then_some(config.queue_patience * 2);
        let pending = Arc::new(AtomicU64::new(waiting));
        let mut desk = Desk {
            seat,
            ids: IdBlocks::default(),
            pending: Arc::clone(&pending),
            index: config.search_index,
            patience: config.queue_patience,
            missing_since: None,
            index_rest: Rest::default(),
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
            deadline,
            pending,
            writes: Arc::default(),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Runs a closure as a job and waits for its commit.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        errand: Option<Errand>,
        write: impl FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let job = Box::new(Call { write, result: None, reply, given_up: Arc::clone(&given_up) });
        let room = self.room_for(bytes).await?;
        self.writes.fetch_add(1, Ordering::Relaxed);
        // The lock is gone before the wait.
        self.queue
            .lock()
            .as_ref()
            .ok_or(Error::Closed)?
            .send(Queued { job, errand, bytes, _room: Some(room) })
            .map_err(|_| Error::Closed)?;
        let answered = match self.deadline {
            Some(deadline) => tokio::time::timeout(deadline, answer).await.map_err(|_| {
                // Whoever was told that it may try again must not find it done later, and then have it twice.
                given_up.store(true, Ordering::Release);
                Error::Unavailable { why: format!("a write was not confirmed within {} s", deadline.as_secs()) }
            })?,
            None => answer.await,
        };
        answered.map_err(|_| Error::Closed)?
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

    /// Whether its thread has ended before it was told to.
    pub(crate) fn has_failed(&self) -> bool {
        self.thread.lock().as_ref().is_some_and(std::thread::JoinHandle::is_finished)
    }

    pub(super) fn search_pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// The queue for threads of the store itself.
    pub(super) fn inside(&self) -> Result<Inside> {
        let queue = self.queue.lock().clone().ok_or(Error::Closed)?;
        Ok(Inside { queue, pending: Arc::clone(&self.pending), writes: Arc::clone(&self.writes) })
    }

    pub(super) async fn close(&self) {
        drop(self.queue.lock().take());
        ended(&self.thread).await;
    }
}

/// The writer as threads of the store know it. It does not end as long as one of them holds this.
pub(super) struct Inside {
    queue: Sender<Queued>,
    /// Conversations that wait to be indexed.
    pub(super) pending: Arc<AtomicU64>,
    /// Writes that were asked for from outside so far.
    pub(super) writes: Arc<AtomicU64>,
}

impl Inside {
    /// Runs a closure as a job and waits for its commit. Not to be used from within a runtime.
    pub(super) fn write<T: Send + 'static>(
        &self,
        write: impl FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Call { write, result: None, reply, given_up: Arc::default() });
        self.queue.send(Queued { job, errand: None, bytes: 0, _room: None }).map_err(|_| Error::Closed)?;
        answer.blocking_recv().map_err(|_| Error::Closed)?
    }
}

struct Call<T, F> {
    write: F,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
    /// Whether the sender waits no longer.
    given_up: Arc<AtomicBool>,
}

impl<T: Send, F: FnMut(&Tx<'_>) -> Result<T> + Send> Job for Call<T, F> {
    fn apply(&mut self, tx: &Tx<'_>) -> Applied {
        if self.given_up.load(Ordering::Acquire) {
            self.result = Some(Err(Error::Closed));
            return Applied::Kept;
        }
        let before = tx.changes();
        let result = (self.write)(tx);
        let broken = result.is_err() && (tx.changes() != before || tx.is_spoilt());
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
    /// Rows changed on this connection so far, or statements that change some: tells whether a failed job had written.
    pub(super) fn changes(&self) -> u64 {
        match &self.reader {
            Reader::Sqlite(connection) => connection.total_changes(),
            Reader::Postgres(transaction) => transaction.changes(),
        }
    }

    /// Whether the engine will take no more in this transaction.
    fn is_spoilt(&self) -> bool {
        match &self.reader {
            Reader::Sqlite(_) => false,
            Reader::Postgres(transaction) => transaction.trouble().is_some(),
        }
    }
}

/// How a group ended.
enum Ended {
    Kept,
    /// One of its jobs failed after it had written; each job remembers its result.
    Broken(Option<Trouble>),
    /// It could not begin or commit.
    Undone(Undone),
}

/// The writer's thread.
struct Desk {
    seat: Seat,
    ids: IdBlocks,
    pending: Arc<AtomicU64>,
    index: bool,
    /// How long a write waits for a server that went away.
    patience: Duration,
    /// Since when it is away.
    missing_since: Option<Instant>,
    index_rest: Rest,
}

impl Desk {
    fn run(&mut self, queue: &Receiver<Queued>) {
        let indexes = self.index && self.seat.is_shared();
        loop {
            let pause = match (indexes, self.debt()) {
                (true, 0) => Some(LOOK_ROUND),
                (true, _) => Some(self.index_rest.left().unwrap_or(QUIET)),
                (false, _) => None,
            };
            let first = match pause {
                Some(pause) => match queue.recv_timeout(pause) {
                    Ok(first) => first,
                    Err(RecvTimeoutError::Timeout) => {
                        self.index_while_quiet(queue);
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                },
                None => match queue.recv() {
                    Ok(first) => first,
                    Err(_) => break,
                },
            };
            let began = Instant::now();
            self.group(first, queue);
            if indexes && self.debt() > DEBT && self.index_rest.left().is_none() {
                self.index_slice();
            }
            if self.index && !indexes {
                let debts = u32::try_from(self.debt() / LARGE_DEBT).unwrap_or(u32::MAX).min(LONGEST_WAY);
                std::thread::sleep(began.elapsed() * debts);
            }
        }
        match &mut self.seat {
            // Fold the log into the database, so that a copy of one file is a copy of everything.
            Seat::Sqlite { connection, .. } => {
                if let Err(error) = connection.execute_batch("pragma wal_checkpoint(truncate)") {
                    tracing::warn!(%error, "the write-ahead log stays beside the database");
                }
            }
            Seat::Postgres(session) => session.end(),
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
            Ended::Kept => group.into_iter().for_each(|queued| queued.job.answer(Ok(()))),
            // Nobody knows what became of it: doing it again might store it twice.
            Ended::Undone(Undone { trouble: None, error: Error::Unavailable { why } }) => Self::refuse(group, &why),
            ended if alone || matches!(ended.trouble(), Some(Trouble::Lost | Trouble::Contended)) => {
                self.again(group, ended);
            }
            _ => group.into_iter().for_each(|queued| {
                let mut single = vec![queued];
                let ended = self.commit(&mut single);
                self.again(single, ended);
            }),
        }
    }

    /// Runs a group as long as what was in its way may pass, and answers its jobs.
    fn again(&mut self, mut group: Vec<Queued>, mut ended: Ended) {
        let attempts = if group.len() > 1 { ATTEMPTS_TOGETHER } else { ATTEMPTS_ALONE };
        let mut attempt = 1;
        loop {
            let may_pass = match ended.trouble() {
                // Counted from the first write that missed the server, so that those behind it do not wait longer.
                Some(Trouble::Lost) => self.missing_since.get_or_insert_with(Instant::now).elapsed() < self.patience,
                Some(Trouble::Contended) => attempt < attempts,
                Some(Trouble::Failed) | None => false,
            };
            if !may_pass {
                break;
            }
            std::thread::sleep(FIRST_PAUSE * attempt.min(10));
            attempt += 1;
            ended = self.commit(&mut group);
        }
        match ended {
            // Those that failed by themselves remember how.
            Ended::Kept | Ended::Broken(None) => group.into_iter().for_each(|queued| queued.job.answer(Ok(()))),
            Ended::Broken(Some(Trouble::Lost)) => Self::refuse(group, "the connection was lost, and did not come back"),
            Ended::Undone(Undone { error: Error::Unavailable { why }, .. }) => Self::refuse(group, &why),
            Ended::Broken(Some(_)) | Ended::Undone(_) if group.len() > 1 => group.into_iter().for_each(|queued| {
                let mut single = vec![queued];
                let ended = self.commit(&mut single);
                self.again(single, ended);
            }),
            Ended::Broken(Some(_)) => group.into_iter().for_each(|queued| queued.job.answer(Ok(()))),
            Ended::Undone(Undone { error, .. }) => {
                if let Some(queued) = group.pop() {
                    queued.job.answer(Err(error));
                }
            }
        }
    }

    /// Tells everybody that the database is not there.
    fn refuse(group: Vec<Queued>, why: &str) {
        group.into_iter().for_each(|queued| queued.job.answer(Err(Error::Unavailable { why: why.to_owned() })));
    }

    /// One transaction for all of them, or none of it.
    fn commit(&mut self, group: &mut [Queued]) -> Ended {
        let mut broken = None;
        let asks_ahead = self.seat.is_shared() && group.len() > 1;
        let done = self.seat.transaction(&self.ids, |tx| {
            if asks_ahead {
                let alone = group.iter().all(|queued| queued.errand.is_some());
                look_ahead(tx, group.iter().filter_map(|queued| queued.errand.as_ref()), alone)?;
            }
            for queued in group.iter_mut() {
                if let Applied::Broken = queued.job.apply(tx) {
                    broken = Some(());
                    return Err(Error::Closed);
                }
            }
            if tx.ahead().made_in_vain() {
                broken = Some(());
                return Err(Error::Closed);
            }
            Ok(tx.pending.get())
        });
        match (done, broken) {
            (Ok(pending), _) => {
                self.note(pending);
                self.missing_since = None;
                Ended::Kept
            }
            (Err(undone), Some(())) => Ended::Broken(undone.trouble),
            (Err(undone), None) => Ended::Undone(undone),
        }
    }

    /// After a commit: what it says of the conversations that wait to be indexed.
    fn note(&self, Pending { counted, more }: Pending) {
        // Nobody else changes the number.
        self.pending.store(counted.unwrap_or_else(|| self.debt()) + more, Ordering::Relaxed);
        if more > 0
            && let Seat::Sqlite { bell, .. } = &self.seat
        {
            bell.ring();
        }
    }

    fn index_while_quiet(&mut self, queue: &Receiver<Queued>) {
        // The index may have been left behind by others: only a look can tell.
        while self.index_slice() {
            match queue.try_recv() {
                Ok(first) => return self.group(first, queue),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }

    /// Indexes a slice of what is pending; false where there was nothing, or no more, or it failed.
    fn index_slice(&mut self) -> bool {
        let debt = self.debt();
        let done = self.seat.transaction(&self.ids, |tx| {
            let indexed = search::index_pending(tx, INDEX_SLICE)?;
            // Another process may have written, or indexed, meanwhile.
            let left = if indexed == 0 || indexed >= debt { search::count_pending(tx)? } else { debt - indexed };
            Ok((indexed, left))
        });
        match done {
            Ok((indexed, left)) => {
                self.pending.store(left, Ordering::Relaxed);
                self.index_rest.end();
                indexed > 0 && left > 0
            }
            Err(Undone { error, .. }) => {
                self.index_rest.begin(&error);
                false
            }
        }
    }
}

impl Ended {
    fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Kept => None,
            Self::Broken(trouble) => *trouble,
            Self::Undone(undone) => undone.trouble,
        }
    }
}
