//! Where conversations live: the [`Store`], its schema, its engines, its blobs and its search.
//!
//! What is above sees domain methods and never SQL, rows or connections; what is below runs one
//! portable text on whichever engine it is. Each entity has its room: its statements, its row mapper
//! and its methods stand in one file.

mod action;
mod agent;
mod ahead;
mod blob;
mod button;
mod conversation;
mod counters;
mod dialogue;
mod engine;
mod error;
mod feedback;
pub mod geo;
mod ids;
mod ingest;
mod list;
mod manage;
mod message;
mod metadata;
pub mod moving;
mod orphans;
mod paging;
mod price;
mod redact;
mod restating;
mod schema;
mod search;
mod span;
mod ticket;
mod traces;
mod track;
mod usage;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agentsight_model::time::Clock;

pub use agent::{Identity, KeyRow, MintedKey};
pub use blob::{BucketConfig, BucketUrl, FileBytes, Part, Secret};
pub use engine::DatabaseUrl;
pub use error::{Error, Missing, Result};
pub use feedback::FoundFeedback;
pub use message::StoredFile;
pub use orphans::{BlobEvent, BlobTotals, Prune};
pub use paging::{Extent, Found};
pub use price::BookChange;
pub use redact::Redaction;
pub use restating::Restated;
pub use track::{Appended, Stored};

/// A PostgreSQL database that takes the place of the embedded one, shared by any number of nodes.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// Where it is, and who we are there.
    pub url: DatabaseUrl,
    /// Connections for reads at most. The writer has two of its own.
    pub connections: usize,
    /// How long connecting may take.
    pub connect_time: Duration,
    /// Statements that take longer are logged, without their parameters.
    pub slow_query: Duration,
}

impl DatabaseConfig {
    /// Connections for reads that a node takes at most, whatever is asked for.
    pub const MOST_CONNECTIONS: usize = 1_000;

    /// The usual settings for a database.
    #[must_use]
    pub fn new(url: DatabaseUrl) -> Self {
        Self { url, connections: 8, connect_time: Duration::from_secs(5), slow_query: Duration::from_secs(1) }
    }
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Where the present comes from.
    pub clock: Clock,
    /// Whether a store is made where there is none, and not refused.
    pub make: bool,
    /// Bytes of writes that wait at most; a sender waits for room.
    pub queue_bytes: usize,
    /// How long a sender waits for room, or for a database that is away, before it hears of it.
    pub queue_patience: Duration,
    /// Long reads (lists, searches) at once.
    pub readers: usize,
    /// Time that a long read may take.
    pub query_time: Duration,
    /// Whether the substring index is kept. Without it a search reads every message of the agent.
    pub search_index: bool,
    /// The database, where it is not the embedded one in the folder.
    pub database: Option<DatabaseConfig>,
    /// The bucket that holds the attachments, where they are not in the folder.
    pub bucket: Option<BucketConfig>,
    /// Geolocation databases, asked in this order.
    pub geoip: Vec<PathBuf>,
    /// What is taken out of texts before they are written.
    pub redaction: Redaction,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            make: true,
            queue_bytes: 64 * 1024 * 1024,
            queue_patience: Duration::from_secs(10),
            readers: std::thread::available_parallelism().map_or(2, usize::from),
            query_time: Duration::from_secs(12),
            search_index: true,
            database: None,
            bucket: None,
            geoip: Vec::new(),
            redaction: Redaction::default(),
        }
    }
}

/// The store. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Store {
    engine: engine::Engine,
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    blobs: blob::Blobs,
    geo: geo::Geo,
    redaction: Redaction,
    traces: traces::TracesAtWork,
    search_index: bool,
    /// How long whoever writes waits for the database.
    patience: Duration,
    folder: PathBuf,
    is_new: bool,
}

impl Store {
    /// Opens the embedded store in a folder, or the database that the configuration names. It is made when it is
    /// missing, unless the configuration says otherwise. Attachments are in the folder, or in the bucket that the configuration names,
    /// which is not asked anything yet: see [`Store::probe_attachments`].
    ///
    /// # Errors
    /// [`Error::Open`] with one sentence that says what is wrong and what would help.
    pub fn open(folder: &Path, config: &StoreConfig) -> Result<Self> {
        let (blobs, geo) = (blob::Blobs::open(folder, config.bucket.as_ref())?, geo::Geo::open(&config.geoip)?);
        let (engine, is_new) = engine::Engine::open(folder, config)?;
        let shared = Shared {
            clock: config.clock.clone(),
            blobs,
            geo,
            redaction: config.redaction.clone(),
            traces: traces::TracesAtWork::default(),
            search_index: config.search_index,
            patience: config.queue_patience,
            folder: folder.to_owned(),
            is_new,
        };
        Ok(Self { engine, shared: Arc::new(shared) })
    }

    /// Whether it was made when it was opened: where another was meant, its address is mistyped.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.shared.is_new
    }

    /// Refuses new writes, finishes those that wait, and lets go of the files.
    pub async fn close(&self) {
        self.engine.close().await;
    }

    /// Conversations with texts that the search index does not hold yet; searches read them one by one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn search_pending(&self) -> Result<u64> {
        self.engine.search_pending().await
    }

    /// Whether the store takes no more writes, though nobody has closed it: only opening it anew helps.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.engine.writer().has_failed()
    }

    /// The folder that holds everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// Where the store's present comes from.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Checks that a file can be written, read and removed where attachments are kept.
    ///
    /// # Errors
    /// [`Error::Blob`] with one sentence that says what is wrong and what would help.
    pub async fn probe_attachments(&self) -> Result<()> {
        self.shared.blobs.probe().await.map(drop)
    }

    /// Checks that the storage of attachments answers. An answer is believed for a few seconds.
    ///
    /// # Errors
    /// [`Error::Blob`]
    pub async fn check_attachments(&self) -> Result<()> {
        self.shared.blobs.check().await
    }

    /// Checks that a read and a durable write of the database work.
    ///
    /// # Errors
    /// What does not.
    pub async fn check(&self) -> Result<()> {
        use engine::params;
        self.engine.read_now(|reader| reader.one("select count(*) from agents", &[], |row| row.int(0))).await?;
        let now = self.shared.clock.now();
        let write = move |tx: &engine::Tx<'_>| {
            let stamp = now.0.to_le_bytes();
            tx.execute(
                "insert into settings (name, value) values ('checked_at', ?1) on conflict (name) do update set value = excluded.value",
                params![stamp.as_slice()],
            )
        };
        self.engine.write(64, write).await
    }

    /// A secret of this store, made when it is first asked for.
    ///
    /// # Errors
    /// When it can be neither read nor made.
    pub async fn secret(&self, name: &'static str) -> Result<Vec<u8>> {
        use engine::params;
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(|e| Error::Engine(e.to_string().into()))?;
        let write = move |tx: &engine::Tx<'_>| {
            tx.execute(
                "insert into settings (name, value) values (?1, ?2) on conflict (name) do nothing",
                params![name, fresh.as_slice()],
            )?;
            let kept = tx.one("select value from settings where name = ?1", params![name], |row| {
                row.blob(0).map(<[u8]>::to_vec)
            })?;
            kept.ok_or_else(|| Error::Engine("a setting vanished".into()))
        };
        self.engine.write(64, write).await
    }
}
