//! SQLite's reading connections, and the snapshots that they keep from one read to the next.
//!
//! A read goes on with the snapshot of the one before it as long as that is the newest. A kept snapshot
//! must not stay behind when its connection rests, for the write-ahead log could not begin anew: a
//! sweeper ends it after a moment. Where reads never rest, [`LogBound`] has them pause.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::grams::Bell;
use super::sqlite::{BUSY_TIMEOUT, CHECKPOINT_PAGES, FILE, attach_index, connect_reader, engine_error, execute};
use super::wal::{WalIndex, WalState};
use super::{Reader, ended};
use crate::error::{Error, Result};

/// A connection that nobody used for this long, or up to twice as long, ends its snapshot.
const REST: Duration = Duration::from_millis(50);
/// Steps of SQLite's machine between looks at the clock.
const STEPS_PER_LOOK: i32 = 20_000;
/// Pages of the write-ahead log (64 MiB) past which kept snapshots make room for it to begin anew.
const LOG_PAGES: u32 = 4 * CHECKPOINT_PAGES;
/// How long the log waits for running reads to end before it grows on.
const RESTART_PATIENCE: Duration = Duration::from_millis(100);

/// Reading connections. A read takes one that rests, or opens one when none does.
pub(crate) struct Readers {
    folder: PathBuf,
    /// Whether the search index is believed.
    has_index: AtomicBool,
    /// How often that changed: connections of another time are not used again.
    changes: AtomicU64,
    bell: Arc<Bell>,
    resting: Mutex<Vec<Reading>>,
    /// Whether snapshots may outlive their read.
    keep: AtomicBool,
    /// Passes of the sweeper so far.
    pass: AtomicU64,
    /// Whether the sweeper is about to make a pass.
    sweeping: AtomicBool,
    closed: Mutex<bool>,
    wake: Condvar,
    sweeper: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// A reading connection, with its snapshot where it kept one.
struct Reading {
    connection: Connection,
    /// The changes of [`Readers::has_index`] when it was opened.
    changes: u64,
    index: Option<WalIndex>,
    /// The state of the log that the open snapshot shows.
    snapshot: Option<WalState>,
    /// The sweeper's pass after which it came to rest.
    rested: u64,
}

impl Reading {
    fn read<T>(&mut self, keep: bool, read: impl FnOnce(&Reader<'_>) -> Result<T>) -> Result<T> {
        let before = self.index.as_ref().map(WalIndex::state);
        if self.snapshot.is_some() && self.snapshot != before {
            self.end()?;
        }
        if self.snapshot.is_none() {
            execute(&self.connection, "begin", &[])?;
        }
        let result = read(&Reader::Sqlite(&self.connection));
        // Unchanged from before the snapshot to after it: this is the state that it shows.
        let after = self.index.as_ref().map(WalIndex::state);
        if keep && after.is_some() && after == before {
            self.snapshot = after;
        } else {
            self.end()?;
        }
        if self.index.is_none() {
            self.index = WalIndex::of(&self.connection);
        }
        result
    }

    fn end(&mut self) -> Result<()> {
        self.snapshot = None;
        execute(&self.connection, "commit", &[]).map(drop)
    }
}

impl Readers {
    pub(super) fn start(folder: &Path, has_index: bool, bell: Arc<Bell>) -> Result<Arc<Self>> {
        let readers = Arc::new(Self {
            folder: folder.to_owned(),
            has_index: AtomicBool::new(has_index),
            changes: AtomicU64::new(0),
            bell,
            resting: Mutex::new(Vec::new()),
            keep: AtomicBool::new(true),
            pass: AtomicU64::new(0),
            sweeping: AtomicBool::new(false),
            closed: Mutex::new(false),
            wake: Condvar::new(),
            sweeper: Mutex::new(None),
        });
        let sweeping = Arc::clone(&readers);
        let sweeper = std::thread::Builder::new().name("store-sweeper".to_owned()).spawn(move || sweeping.sweep());
        *readers.sweeper.lock() =
            Some(sweeper.map_err(|e| Error::Open(format!("cannot start the thread of snapshots: {e}")))?);
        Ok(readers)
    }

    /// Reads in one snapshot, on the calling thread; gives up at the deadline, where there is one.
    pub(super) fn read<T>(&self, deadline: Option<Instant>, read: impl FnOnce(&Reader<'_>) -> Result<T>) -> Result<T> {
        let resting = self.resting.lock().pop();
        let mut reading = match resting {
            Some(reading) => reading,
            None => self.connect()?,
        };
        if let Some(deadline) = deadline {
            let late = move || Instant::now() > deadline;
            reading.connection.progress_handler(STEPS_PER_LOOK, Some(late)).map_err(engine_error)?;
        }
        let result = reading.read(self.keep.load(Ordering::Relaxed), read);
        if let Err(Error::Index(why)) = &result
            && reading.changes == self.changes.load(Ordering::SeqCst)
        {
            self.doubt_index(why);
        }
        if matches!(
            result,
            Err(Error::Engine(_)
                | Error::Index(_)
                | Error::Unavailable { .. }
                | Error::Damaged { .. }
                | Error::TooSlow { .. })
        ) {
            // What failed once is not used again.
            return result;
        }
        if deadline.is_some() {
            reading.connection.progress_handler(0, None::<fn() -> bool>).map_err(engine_error)?;
        }
        self.rest(reading);
        result
    }

    fn connect(&self) -> Result<Reading> {
        let changes = self.changes.load(Ordering::SeqCst);
        let connection = connect_reader(&self.folder.join(FILE)).map_err(engine_error)?;
        if self.has_index.load(Ordering::SeqCst)
            && let Err(error) = attach_index(&connection, &self.folder)
        {
            self.doubt_index(&error.to_string());
        }
        Ok(Reading { connection, changes, index: None, snapshot: None, rested: 0 })
    }

    /// Does without the search index until it was looked at, or made anew.
    pub(super) fn doubt_index(&self, why: &str) {
        if self.has_index.swap(false, Ordering::SeqCst) {
            tracing::warn!(why, "the search index is not believed; until it is mended searches read every message");
            self.let_go_of_index();
        }
        self.bell.doubt();
    }

    /// Believes the search index again.
    pub(super) fn believe_index(&self) {
        self.has_index.store(true, Ordering::SeqCst);
        self.let_go_of_index();
    }

    fn let_go_of_index(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.resting.lock().clear();
    }

    fn rest(&self, mut reading: Reading) {
        if reading.changes != self.changes.load(Ordering::SeqCst) {
            return;
        }
        let keeps = reading.snapshot.is_some();
        reading.rested = self.pass.load(Ordering::Relaxed);
        self.resting.lock().push(reading);
        if keeps && !self.sweeping.load(Ordering::Relaxed) && !self.sweeping.swap(true, Ordering::SeqCst) {
            let _closed = self.closed.lock();
            self.wake.notify_one();
        }
    }

    /// The sweeper's thread: sleeps as long as no snapshot is kept.
    fn sweep(&self) {
        let mut closed = self.closed.lock();
        loop {
            while !*closed && !self.sweeping.load(Ordering::SeqCst) {
                self.wake.wait(&mut closed);
            }
            if !*closed {
                self.wake.wait_for(&mut closed, REST);
            }
            if *closed {
                return;
            }
            // Whoever comes to rest from here on wakes us.
            self.sweeping.store(false, Ordering::SeqCst);
            let pass = self.pass.fetch_add(1, Ordering::Relaxed) + 1;
            if self.end_snapshots(|reading| reading.rested + 1 < pass) {
                self.sweeping.store(true, Ordering::SeqCst);
            }
        }
    }

    /// Ends the snapshots of resting connections that are chosen; true where others are kept.
    fn end_snapshots(&self, chosen: impl Fn(&Reading) -> bool) -> bool {
        let mut resting = self.resting.lock();
        resting.retain_mut(|reading| reading.snapshot.is_none() || !chosen(reading) || reading.end().is_ok());
        resting.iter().any(|reading| reading.snapshot.is_some())
    }

    /// Lets the sweeper end.
    pub(super) fn stop(&self) {
        *self.closed.lock() = true;
        self.wake.notify_one();
    }

    /// Waits for the sweeper to end and lets go of the connections.
    pub(super) async fn close(&self) {
        self.stop();
        ended(&self.sweeper).await;
        self.resting.lock().clear();
    }
}

/// Copies the write-ahead log into the database from time to time, and keeps it from growing without end where reads
/// overlap without a gap.
///
/// SQLite's own way looks after each commit whether the log is long. As long as any read keeps the log from beginning
/// anew it is, and each commit then pays for sorting the log and for syncing the database.
pub(super) struct LogBound {
    readers: Arc<Readers>,
    index: Option<WalIndex>,
    /// Pages after the last commit.
    pages: u32,
    /// Pages past which it acts.
    bound: u32,
}

impl LogBound {
    /// Takes over from SQLite, for commits of this connection.
    pub(super) fn new(readers: Arc<Readers>, writer: &Connection) -> rusqlite::Result<Self> {
        writer.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok(Self { readers, index: None, pages: 0, bound: CHECKPOINT_PAGES })
    }

    /// After a commit of the writer.
    pub(super) fn hold(&mut self, writer: &Connection) {
        if self.index.is_none() {
            self.index = WalIndex::of(writer);
        }
        let before = self.pages;
        self.pages = self.index.as_ref().map_or(0, |index| index.state().pages());
        if self.pages < before {
            self.bound = CHECKPOINT_PAGES;
        }
        if self.pages <= self.bound {
            return;
        }
        self.bound = self.pages.saturating_add(CHECKPOINT_PAGES);
        // A kept snapshot is of the log, which then cannot begin anew with the next commit.
        self.readers.keep.store(false, Ordering::Relaxed);
        self.readers.end_snapshots(|_| true);
        let copied = if self.pages > LOG_PAGES {
            // Reads overlap: they are waited for.
            writer.busy_timeout(RESTART_PATIENCE).and_then(|()| {
                let copied = writer.query_row("pragma wal_checkpoint(restart)", [], |_| Ok(()));
                writer.busy_timeout(BUSY_TIMEOUT)?;
                copied
            })
        } else {
            writer.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))
        };
        self.readers.keep.store(true, Ordering::Relaxed);
        if let Err(error) = copied {
            tracing::warn!(error = %engine_error(error), "the write-ahead log could not be copied into the database");
        }
    }
}
