//! Moving a whole store: from one engine to the other with every id and every byte ([`migrate`]), into a
//! backup while the server runs ([`backup`]), and back ([`restore`]).
//!
//! None of it knows what rows mean. What is deliberately absent: merging two stores. A target is empty,
//! or holds the unfinished beginning of the same move.
//!
//! All of these block, for as long as they take; they are not to be called from within a runtime.

mod archive;
mod files;
mod state;
mod tables;

use std::fmt;
use std::path::{Path, PathBuf};

use agentsight_model::time::{Clock, Timestamp};
use tokio::runtime::Runtime;

pub use archive::{BackupOptions, Manifest, backup, restore};
pub use files::{FileSum, Files};
pub(crate) use state::refuse_unfinished;
pub use tables::Sum;

use crate::blob::Blobs;
use crate::engine::hand::Hand;
use crate::engine::{Reader, SQLITE_FILE};
use crate::error::Error;
use crate::schema::Absent;
use crate::{BucketConfig, DatabaseConfig};
use state::State;
use tables::{PAGE_ROWS, Summing, TABLES, Value};

/// Rows of the page after one that was cut short by its bytes, at least.
const FEWEST_ROWS: usize = 16;

/// Why a store was not moved.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// One sentence that says what is wrong and what would help.
    #[error("{0}")]
    Said(String),
    /// The watch said so. What was done is kept, where it can be gone on with.
    #[error("stopped")]
    Stopped,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Trouble {
    fn said<T>(sentence: impl Into<String>) -> Result<T, Self> {
        Err(Self::Said(sentence.into()))
    }
}

/// Who looks on while a store is moved.
pub trait Watch {
    /// A part of the work begins, or goes on where so much of all of it is done.
    fn begin(&mut self, work: &'static str, done: u64, total: u64);
    /// So much more of it is done.
    fn advance(&mut self, by: u64);
    /// Whether to stop at the next good moment.
    fn is_stopped(&self) -> bool;
}

fn carry_on(watch: &dyn Watch) -> Result<(), Trouble> {
    if watch.is_stopped() { Err(Trouble::Stopped) } else { Ok(()) }
}

/// Where a store is: its folder, the database, where it is not the embedded one in it, and the bucket,
/// where that has the attachments.
#[derive(Clone, Debug)]
pub struct Place {
    /// The data folder; of a database, the one of its attachments.
    pub folder: PathBuf,
    /// The database.
    pub database: Option<DatabaseConfig>,
    /// The bucket of the attachments.
    pub bucket: Option<BucketConfig>,
}

impl Place {
    /// Reads `sqlite:PATH`, a data folder or the database file in it, or `postgres://…`, whose attachments
    /// are in the folder that is named beside it.
    ///
    /// # Errors
    /// One sentence that says how it is written.
    pub fn of(url: &str, attachments: &Path) -> Result<Self, String> {
        const HOW: &str = "write sqlite:FOLDER or postgres://user:password@host:5432/database";
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let database = DatabaseConfig::new(url.parse()?);
            return Ok(Self { folder: attachments.to_owned(), database: Some(database), bucket: None });
        }
        let Some(path) = url.strip_prefix("sqlite:") else {
            return Err(format!("it begins neither with sqlite: nor with postgres://; {HOW}"));
        };
        if path.is_empty() {
            return Err(format!("it names no folder; {HOW}"));
        }
        if path.starts_with("//") && !path.starts_with("///") {
            return Err(format!("\"{path}\" is not a path; {HOW}"));
        }
        let path = Path::new(path);
        if path.file_name().is_some_and(|name| name == SQLITE_FILE) && !path.is_dir() {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            return Ok(Self { folder: folder.unwrap_or(Path::new(".")).to_owned(), database: None, bucket: None });
        }
        if path.is_file() {
            return Err(format!("{} is a file; name the data folder, or the {SQLITE_FILE} in it", path.display()));
        }
        Ok(Self { folder: path.to_owned(), database: None, bucket: None })
    }

    /// Whether both are certainly the same store.
    fn is(&self, other: &Self) -> bool {
        match (&self.database, &other.database) {
            (Some(one), Some(another)) => one.url == another.url,
            (None, None) => self.has_folder_of(other),
            _ => false,
        }
    }

    /// Whether the attachments of both are in the same place.
    fn keeps_files_with(&self, other: &Self) -> bool {
        match (&self.bucket, &other.bucket) {
            (Some(one), Some(another)) => (&one.url, &one.endpoint) == (&another.url, &another.endpoint),
            (None, None) => self.has_folder_of(other),
            _ => false,
        }
    }

    fn has_folder_of(&self, other: &Self) -> bool {
        match (self.folder.canonicalize(), other.folder.canonicalize()) {
            (Ok(one), Ok(another)) => one == another,
            _ => self.folder == other.folder,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.database {
            Some(database) => write!(f, "{}", database.url),
            None => write!(f, "sqlite:{}", self.folder.display()),
        }
    }
}

/// How a store is moved.
#[derive(Clone, Debug)]
pub struct MoveOptions {
    /// Where the present comes from.
    pub clock: Clock,
    /// Whether a store counts as moved although the source itself has lost some attachments.
    pub allow_missing_files: bool,
}

/// A table of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Its name.
    pub table: &'static str,
    /// What the source holds now.
    pub source: Sum,
    /// What the target holds.
    pub target: Sum,
}

/// How a move ended.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Every table.
    pub tables: Vec<Compared>,
    /// The attachments.
    pub files: Files,
    /// Conversations that the target has to index for search.
    pub to_index: u64,
    /// When an earlier run had already found both to be the same: nothing was copied now.
    pub finished_before: Option<Timestamp>,
    /// Whether both hold the same.
    pub is_verified: bool,
}

/// Copies a store into an empty one, ids and bytes kept, and compares both at the end.
///
/// What was copied stays when it fails or is stopped: the same call goes on from there. Until both are
/// found to be the same, no server opens the target.
///
/// # Errors
/// Where it did not come to a comparison.
pub fn migrate(from: &Place, to: &Place, options: &MoveOptions, watch: &mut dyn Watch) -> Result<Verdict, Trouble> {
    const SAME: &str = "source and target are the same store; name another target";
    if from.is(to) {
        return Trouble::said(SAME);
    }
    let now = options.clock.now();
    let runtime = runtime()?;
    let mut source = Hand::take(&from.folder, from.database.as_ref(), Absent::Refuse, now)?;
    let blobs = Pair {
        source: Blobs::open(&from.folder, from.bucket.as_ref())?,
        target: Blobs::open(&to.folder, to.bucket.as_ref())?,
        is_one: from.keeps_files_with(to),
    };
    // Rather now than after all rows. A folder is made with the first file, and a full one says so by then.
    if to.bucket.is_some() {
        runtime.block_on(blobs.target.probe())?;
    }
    let id = source.write(state::make_store_id)?;
    let mut target = take_target(to, &id, now)?;
    let state = begin(&mut target, to, &id, SAME)?;
    let finished_before = state.finished_at();
    if finished_before.is_none() {
        let mut copying = Copying { target: &mut target, state, to };
        source.read(|reader| Ok(copying.rows(reader, watch)))??;
        leave_to_be_indexed(&mut target)?;
        if !blobs.is_one {
            source.read(|reader| Ok(blobs.copy(reader, &runtime, watch)))??;
        }
    }
    // A fresh look: what was written to the source meanwhile makes a difference.
    let (tables, files) = compare(&mut source, &mut target, &blobs, &runtime, watch)?;
    let is_verified = tables.iter().all(|table| table.source == table.target)
        && files.different.is_empty()
        && (files.missing.is_empty() || options.allow_missing_files);
    if is_verified && finished_before.is_none() {
        target.write(|tx| {
            let state = State::read(tx)?.unwrap_or_default();
            State { finished_at: Some(options.clock.now().0), ..state }.write(tx)
        })?;
    }
    let to_index = target.read(crate::search::count_pending)?;
    target.let_go()?;
    source.let_go()?;
    Ok(Verdict { tables, files, to_index, finished_before, is_verified })
}

/// Takes the target in hand. One that is made says from its first moment whose move fills it: killed before that was
/// said, it would be opened as an empty store.
fn take_target(to: &Place, source_id: &str, now: Timestamp) -> Result<Hand, Error> {
    let state = State::of(source_id).to_bytes()?;
    Hand::take(&to.folder, to.database.as_ref(), Absent::MakeWith(state::NAME, &state), now)
}

/// A runtime for the storage of attachments, which is asynchronous.
fn runtime() -> Result<Runtime, Trouble> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Trouble::Said(format!("cannot start a runtime: {error}")))
}

/// Looks at what the target holds, and says in it that a move begins, or goes on.
fn begin(target: &mut Hand, to: &Place, source_id: &str, same: &str) -> Result<State, Trouble> {
    let (found, id, filled) = target.read(|reader| {
        let mut filled = None;
        for table in TABLES.iter().filter(|table| table.name != "settings" && !table.replaces) {
            if filled.is_none() && !table.read(reader, &[], 1)?.is_empty() {
                filled = Some(table.name);
            }
        }
        Ok((State::read(reader)?, state::store_id(reader)?, filled))
    })?;
    if id.as_deref() == Some(source_id) {
        return Trouble::said(same);
    }
    match (found, filled) {
        (Some(state), _) if state.source == source_id => Ok(state),
        (Some(State { finished_at: None, .. }), _) => Trouble::said(format!(
            "the target {to} holds the unfinished move of another store; finish that one, or name an empty target"
        )),
        (_, Some(table)) => {
            Trouble::said(format!("the target {to} is not empty (it has rows in {table}); name an empty one"))
        }
        (_, None) => {
            let state = State::of(source_id);
            target.write(|tx| state.write(tx)).map_err(|error| on_target(error, to))?;
            Ok(state)
        }
    }
}

fn on_target(error: Error, to: &Place) -> Trouble {
    match error {
        Error::Full => Trouble::Said(format!(
            "no space left on the target {to}; make room and run the same command again, it goes on where it stopped"
        )),
        other => other.into(),
    }
}

struct Copying<'a> {
    target: &'a mut Hand,
    state: State,
    to: &'a Place,
}

impl Copying<'_> {
    /// Copies the rows of all tables from where an earlier run stopped, each page with how far it leads.
    fn rows(&mut self, source: &Reader<'_>, watch: &mut dyn Watch) -> Result<(), Trouble> {
        let total = TABLES.iter().map(|table| table.count(source)).sum::<Result<u64, Error>>()?;
        watch.begin("copying rows", self.state.rows, total);
        let reached = TABLES.iter().position(|table| table.name == self.state.table).unwrap_or(0);
        for table in TABLES.iter().skip(reached) {
            let mut after = if table.name == self.state.table { self.state.key()? } else { Vec::new() };
            let mut rows = PAGE_ROWS;
            if table.replaces && after.is_empty() {
                self.target.write(|tx| table.clear(tx)).map_err(|error| on_target(error, self.to))?;
            }
            loop {
                carry_on(watch)?;
                let page = table.read(source, &after, rows)?;
                let Some(last) = page.last() else { break };
                after = table.key_of(last).to_vec();
                let state = State {
                    table: table.name.to_owned(),
                    after: after.iter().map(Value::to_json).collect(),
                    rows: self.state.rows + page.len() as u64,
                    ..self.state.clone()
                };
                let write = |tx: &crate::engine::Tx<'_>| {
                    table.write(tx, &page)?;
                    state.write(tx)
                };
                self.target.write(write).map_err(|error| on_target(error, self.to))?;
                self.state = state;
                watch.advance(page.len() as u64);
                rows = (page.len() * 2).clamp(FEWEST_ROWS, PAGE_ROWS);
            }
        }
        Ok(())
    }
}

/// Leaves every conversation of the target to its search index, which was not moved.
fn leave_to_be_indexed(target: &mut Hand) -> Result<(), Trouble> {
    const LEAVE: &str = "insert into search_pending (agent_id, conversation)
        select agent_id, id from conversations where unindexed_since is not null on conflict do nothing";
    Ok(target.write(|tx| tx.execute(LEAVE, &[]))?)
}

/// The attachments of both sides.
struct Pair {
    source: Blobs,
    target: Blobs,
    is_one: bool,
}

impl Pair {
    /// Copies what the target has not got yet. What the source has not got is found by the comparison.
    fn copy(&self, source: &Reader<'_>, runtime: &Runtime, watch: &mut dyn Watch) -> Result<(), Trouble> {
        watch.begin("copying files", 0, files::count(source)?);
        files::each(source, watch, &mut |file| {
            if !runtime.block_on(self.target.holds(file.hash, file.size))?
                && let Some(bytes) = files::whole(runtime, &self.source, file)?
            {
                runtime.block_on(self.target.put(file.hash, bytes)).map_err(|error| match error {
                    Error::Full => Trouble::Said("no space left for the attachments of the target; make room and run the same command again, it goes on where it stopped".to_owned()),
                    other => other.into(),
                })?;
            }
            Ok(())
        })
    }

    fn compare(&self, source: &Reader<'_>, runtime: &Runtime, watch: &mut dyn Watch) -> Result<Files, Trouble> {
        watch.begin("comparing files", 0, files::count(source)?);
        let mut found = Files::default();
        files::each(source, watch, &mut |file| {
            found.named.add(file.size);
            if files::whole(runtime, &self.target, file)?.is_none() {
                let is_lost = self.is_one || files::whole(runtime, &self.source, file)?.is_none();
                let list = if is_lost { &mut found.missing } else { &mut found.different };
                list.push(file.text());
            }
            Ok(())
        })?;
        Ok(found)
    }
}

fn compare(
    source: &mut Hand,
    target: &mut Hand,
    blobs: &Pair,
    runtime: &Runtime,
    watch: &mut dyn Watch,
) -> Result<(Vec<Compared>, Files), Trouble> {
    let mut rows = |reader: &Reader<'_>| TABLES.iter().map(|table| table.count(reader)).sum::<Result<u64, Error>>();
    let total = source.read(&mut rows)? + target.read(&mut rows)?;
    watch.begin("comparing rows", 0, total);
    let of_source = source.read(|reader| Ok(sums(reader, watch)))??;
    let of_target = target.read(|reader| Ok(sums(reader, watch)))??;
    let files = source.read(|reader| Ok(blobs.compare(reader, runtime, watch)))??;
    let tables = TABLES.iter().zip(of_source).zip(of_target);
    let tables = tables.map(|((table, source), target)| Compared { table: table.name, source, target });
    Ok((tables.collect(), files))
}

/// The sums of all tables, in their order.
fn sums(reader: &Reader<'_>, watch: &mut dyn Watch) -> Result<Vec<Sum>, Trouble> {
    let mut sums = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        let (mut summing, mut after, mut rows) = (Summing::new(), Vec::new(), PAGE_ROWS);
        loop {
            carry_on(watch)?;
            let page = table.read(reader, &after, rows)?;
            let Some(last) = page.last() else { break };
            after = table.key_of(last).to_vec();
            rows = (page.len() * 2).clamp(FEWEST_ROWS, PAGE_ROWS);
            summing.add(&page);
            watch.advance(page.len() as u64);
        }
        sums.push(summing.done());
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, StoreConfig};

    #[test]
    fn a_target_is_one_from_the_moment_that_it_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let to = Place { folder: folder.path().to_owned(), database: None, bucket: None };

        // As if it was killed here.
        drop(take_target(&to, "0123", Timestamp(0)).unwrap());

        let opened = Store::open(folder.path(), &StoreConfig::default()).map(drop);
        assert!(opened.unwrap_err().to_string().contains("is being filled by `agentsight migrate`"));
        let mut again = take_target(&to, "0123", Timestamp(0)).unwrap();
        assert_eq!(begin(&mut again, &to, "0123", "the same").unwrap(), State::of("0123"));
    }
}
