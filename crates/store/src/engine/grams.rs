//! The search index of the embedded engine: a database of its own beside that of the rows, and the thread that writes it.
//!
//! So the writer of rows only notes what is to be indexed, and indexing takes another core. What the index holds can
//! always be made again of the rows: a file that is missing, damaged or older than they are is begun anew, and a backup
//! does without it.
//!
//! Rows are put away as indexed only after the index is durable. Both databases hold a token and count slices: an index
//! that has another token, or fewer slices than its rows say, is not believed, neither when the store is opened nor by
//! any search, whoever replaced the file. What fails likewise. Searches do without it then, and the thread looks at it and
//! makes it anew where it does not hold its rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, ErrorCode};

use super::indexing::{DEBT, QUIET, Rest};
use super::readers::Readers;
use super::sqlite::{self, INDEX_CACHE_KIB, engine_error, execute};
use super::writer::Inside;
use super::{Reader, Row, Tx, ended, params};
use crate::error::{Error, Result};
use crate::ids::IdBlocks;
use crate::search::{self, Gathered, Waiting, count_pending};

/// Name of the index's file in the data folder.
pub(super) const FILE: &str = "search.db";
/// Under which name readers of the rows have it attached.
pub(super) const SCHEMA: &str = "search";

/// Conversations that are taken at a time: few in a pause, for somebody may wait for the writer, and more where it is busy
/// and each time has to wait for it.
const TAKEN_IN_PAUSE: i64 = 256;
const TAKEN_IN_DEBT: i64 = 1_024;
/// Messages that are indexed in one transaction, or a conversation more.
const SLICE: usize = 4_096;

/// The index gathers 8 MiB before it writes a segment, and merges eight segments of a size rather than four: merging was
/// a third of its time.
const TABLES: &str = "
    -- Which store's rows are indexed, and slices so far.
    create table slices (token blob not null, done integer not null);
    -- What was indexed together: a document belongs to one conversation.
    create table search_docs (id integer primary key, conversation integer not null);
    create virtual table search_grams using fts5(
        grams, content = '', columnsize = 0, detail = none,
        tokenize = \"ascii tokenchars ' !\"\"#$%&''()*+,-./:;<=>?@[\\]^_`{|}~'\"
    );
    insert into search_grams (search_grams, rank) values ('hashsize', 8388608);
    insert into search_grams (search_grams, rank) values ('automerge', 8);";
/// Setting of the rows' database: the token, then the slices that are put away.
const SETTING: &str = "search_index";
const TOKEN_BYTES: usize = 16;

/// What both databases say of the index.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    token: [u8; TOKEN_BYTES],
    slices: i64,
}

impl Mark {
    fn of_rows(reader: &Reader<'_>) -> Result<Option<Self>> {
        let setting = reader.one("select value from settings where name = ?1", params![SETTING], |row| {
            row.blob(0).map(<[u8]>::to_vec)
        })?;
        Ok(setting.as_deref().and_then(|bytes| {
            let (token, slices) = bytes.split_first_chunk()?;
            Some(Self { token: *token, slices: i64::from_le_bytes(slices.try_into().ok()?) })
        }))
    }

    fn write_to_rows(self, tx: &Tx<'_>) -> Result<()> {
        let value = [self.token.as_slice(), &self.slices.to_le_bytes()].concat();
        tx.execute(
            "insert into settings (name, value) values (?1, ?2) on conflict (name) do update set value = excluded.value",
            params![SETTING, value.as_slice()],
        )
    }

    /// Of an index, or of rows that have one attached.
    fn of_index(index: &Reader<'_>) -> Result<Option<Self>> {
        let mark =
            index.one("select token, done from slices", &[], |row| Ok((row.blob(0)?.try_into().ok(), row.int(1)?)))?;
        Ok(mark.and_then(|(token, slices)| Some(Self { token: token?, slices })))
    }

    /// Whether an index with this mark holds what rows with that one have put away.
    fn covers(self, rows: Self) -> bool {
        self.token == rows.token && self.slices >= rows.slices
    }
}

/// Runs `each` on what the attached index finds; false where none is attached.
pub(super) fn ask(rows: &Connection, question: &str, each: &mut dyn FnMut(&Row<'_>) -> Result<()>) -> Result<bool> {
    const ASK: &str = "select d.conversation from search_grams join search_docs d on d.id = search_grams.rowid where search_grams match ?1";
    if rows.is_readonly(SCHEMA).is_err() {
        return Ok(false);
    }
    let reader = Reader::Sqlite(rows);
    let told = Mark::of_rows(&reader)?;
    let held = Mark::of_index(&reader).map_err(failed)?;
    if !told.zip(held).is_some_and(|(told, held)| held.covers(told)) {
        return Err(Error::Index("it does not hold what its rows say".to_owned()));
    }
    reader.each(ASK, params![question], each).map_err(failed).map(|()| true)
}

/// What the engine cannot do with an index.
fn failed(error: Error) -> Error {
    match error {
        Error::Engine(why) => Error::Index(why.to_string()),
        other => other,
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

fn is_damaged(error: &Error) -> bool {
    matches!(error, Error::Damaged { .. })
        || matches!(error, Error::Engine(why) if why.downcast_ref().is_some_and(is_damage))
}

/// The index, open to be written.
pub(super) struct Index {
    path: PathBuf,
    connection: Connection,
    token: [u8; TOKEN_BYTES],
}

impl Index {
    /// Opens the index of a folder beside its rows, which leave everything to be indexed where it is begun anew.
    pub(super) fn open(folder: &Path, rows: &Connection) -> Result<Self> {
        Self::open_if(folder, rows, |path, _| Ok(is_whole(path)))
    }

    /// The same of an index that somebody has reason to doubt: every page of it is looked at.
    fn reopen(folder: &Path, rows: &Connection) -> Result<Self> {
        Self::open_if(folder, rows, |path, index| {
            const CHECK: &str = "insert into search_grams (search_grams) values ('integrity-check')";
            let said: rusqlite::Result<String> = index.query_row("pragma quick_check(1)", [], |row| row.get(0));
            Ok(is_whole(path) && said.is_ok_and(|said| said == "ok") && index.execute_batch(CHECK).is_ok())
        })
    }

    /// Opens the index, and keeps it where it is good and holds what its rows say.
    fn open_if(folder: &Path, rows: &Connection, is_good: impl Fn(&Path, &Connection) -> Result<bool>) -> Result<Self> {
        let path = folder.join(FILE);
        let explain = |error: rusqlite::Error| sqlite::explain_open(&path, &error);
        let opened = Self::connect(&path).map_err(|error| (is_damage(&error), explain(error))).and_then(|connection| {
            let mark = Self::mark(&path, &connection).map_err(|error| (is_damaged(&error), error));
            mark.and_then(|_| is_good(&path, &connection).map_err(|error| (false, error)))
                .map(|good| good.then_some(connection))
        });
        let connection = match opened {
            Ok(Some(connection)) => connection,
            Err((false, error)) => return Err(error),
            Ok(None) | Err((true, _)) => {
                tracing::warn!(file = %path.display(), "the search index is damaged");
                discard(&path)?;
                Self::connect(&path).map_err(explain)?
            }
        };
        let fits = || -> Result<Option<Mark>> {
            let told = Mark::of_rows(&Reader::Sqlite(rows))?;
            let held = Self::mark(&path, &connection)?;
            Ok(held.zip(told).filter(|(held, told)| held.covers(*told)).map(|(held, _)| held))
        };
        let token = match fits()? {
            Some(held) => held.token,
            // Another process may do the same.
            None => sqlite::transaction(rows, |rows| match fits()? {
                Some(held) => Ok(held.token),
                None => Self::begin_anew(&connection, rows),
            })?,
        };
        Ok(Self { path, connection, token })
    }

    /// What an index says of itself; nothing where it is empty.
    fn mark(path: &Path, index: &Connection) -> Result<Option<Mark>> {
        let index = Reader::Sqlite(index);
        if index.one("select count(*) from sqlite_master", &[], |row| row.int(0))? == Some(0) {
            return Ok(None);
        }
        Mark::of_index(&index).map_err(|error| if is_damaged(&error) { error } else { not_ours(path, &error) })
    }

    fn connect(path: &Path) -> rusqlite::Result<Connection> {
        let connection = sqlite::connect(path, INDEX_CACHE_KIB, true)?;
        sqlite::prepare_to_write(&connection)?;
        connection.query_row("select count(*) from sqlite_master", [], |_| Ok(()))?;
        Ok(connection)
    }

    /// Empties the index, and leaves every conversation to it.
    fn begin_anew(index: &Connection, rows: &Connection) -> Result<[u8; TOKEN_BYTES]> {
        const EVERYTHING: &str =
            "drop table if exists search_grams; drop table if exists search_docs; drop table if exists slices;";
        let token = random()?;
        sqlite::transaction(index, |index| {
            index.execute_batch(EVERYTHING).and_then(|()| index.execute_batch(TABLES)).map_err(engine_error)?;
            execute(index, "insert into slices (token, done) values (?1, 0)", params![token.as_slice()]).map(drop)
        })?;
        let ids = IdBlocks::default();
        let tx = Tx::new(Reader::Sqlite(rows), &ids);
        search::leave_all(&tx)?;
        Mark { token, slices: 0 }.write_to_rows(&tx)?;
        let conversations = count_pending(&tx)?;
        if conversations > 0 {
            tracing::info!(
                conversations,
                "the search index is made anew; until then searches read what it does not hold"
            );
        }
        Ok(token)
    }

    /// Adds documents; durable when it returns. Answers how many slices there are now.
    fn add(&self, gathered: &[Gathered]) -> Result<Mark> {
        sqlite::transaction(&self.connection, |index| {
            let reader = Reader::Sqlite(index);
            let last = reader.one("select coalesce(max(id), 0) from search_docs", &[], |row| row.int(0))?.unwrap_or(0);
            for (id, document) in (last + 1..).zip(gathered) {
                let sql = "insert into search_docs (id, conversation) values (?1, ?2)";
                execute(index, sql, params![id, document.conversation])?;
            }
            // Last and together: other statements in between would make the index write what it gathered so far as a
            // segment of its own, and merging many small segments costs more than the indexing.
            for (id, document) in (last + 1..).zip(gathered) {
                let sql = "insert into search_grams (rowid, grams) values (?1, ?2)";
                execute(index, sql, params![id, &document.grams])?;
            }
            execute(index, "update slices set done = done + 1", &[])?;
            Mark::of_index(&reader)?.filter(|mark| mark.token == self.token).ok_or_else(replaced)
        })
        .map_err(failed)
    }

    fn close(self) {
        // So that a copy of the file is a copy of everything.
        if let Err(error) = self.connection.execute_batch("pragma wal_checkpoint(truncate)") {
            tracing::warn!(%error, file = %self.path.display(), "a log stays beside the search index");
        }
    }
}

fn replaced() -> Error {
    Error::Index("another program has begun it anew".to_owned())
}

fn not_ours(path: &Path, error: &Error) -> Error {
    let path = path.display();
    Error::Open(format!("{path} is no search index of AgentSight ({error}); remove it, and one is made"))
}

/// Whether a file whose log is gone is as long as it says: SQLite does not ask.
fn is_whole(path: &Path) -> bool {
    const PAGE_SIZE: std::ops::Range<usize> = 16..18;
    const PAGES: std::ops::Range<usize> = 28..32;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
        return true;
    }
    let mut header = [0; PAGES.end];
    let Ok(mut file) = std::fs::File::open(path) else { return true };
    let Ok(about) = file.metadata() else { return true };
    if about.len() == 0 {
        return true;
    }
    if std::io::Read::read_exact(&mut file, &mut header).is_err() {
        return false;
    }
    let size = header.get(PAGE_SIZE).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_be_bytes);
    let pages = header.get(PAGES).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
    about.len() >= u64::from(size) * u64::from(pages)
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::Engine(e.to_string().into()))?;
    Ok(bytes)
}

/// Removes a file with its log.
fn discard(path: &Path) -> Result<()> {
    for end in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(end);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Open(format!("{} cannot be removed: {error}", Path::new(&file).display())));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Wakes the indexer.
#[derive(Default)]
pub(super) struct Bell {
    state: Mutex<Listening>,
    wake: Condvar,
}

#[derive(Default)]
struct Listening {
    /// The indexer waits for something to do.
    is_idle: bool,
    is_closed: bool,
    /// Somebody has reason to doubt the index.
    is_doubted: bool,
}

impl Bell {
    /// Says that there is something to index.
    pub(super) fn ring(&self) {
        if self.state.lock().is_idle {
            self.wake.notify_one();
        }
    }

    /// Asks for a look at the index.
    pub(super) fn doubt(&self) {
        self.state.lock().is_doubted = true;
        self.wake.notify_one();
    }

    fn takes_doubt(&self) -> bool {
        std::mem::take(&mut self.state.lock().is_doubted)
    }

    fn close(&self) {
        self.state.lock().is_closed = true;
        self.wake.notify_one();
    }

    /// Waits until there is something to index; false where it is over.
    fn wait_while(&self, nothing: impl Fn() -> bool) -> bool {
        let mut state = self.state.lock();
        while !state.is_closed && !state.is_doubted && nothing() {
            state.is_idle = true;
            self.wake.wait(&mut state);
            state.is_idle = false;
        }
        !state.is_closed
    }

    /// Waits so long; false where it is over.
    fn wait_for(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.is_closed {
            self.wake.wait_for(&mut state, time);
        }
        !state.is_closed
    }

    fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }
}

/// The thread that indexes.
pub(super) struct Indexer {
    bell: Arc<Bell>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Indexer {
    pub(super) fn start(
        folder: &Path,
        index: Option<Index>,
        readers: Arc<Readers>,
        inside: Inside,
        bell: Arc<Bell>,
    ) -> Result<Self> {
        let folder = folder.to_owned();
        let slice = Slice { number: i64::from_le_bytes(random()?), taken: Vec::new() };
        let mut work = Indexing {
            folder,
            kept: None,
            index,
            readers,
            inside,
            bell: Arc::clone(&bell),
            rest: Rest::default(),
            slice,
        };
        let thread = std::thread::Builder::new()
            .name("store-indexer".to_owned())
            .spawn(move || {
                work.run();
                work.index.into_iter().for_each(Index::close);
            })
            .map_err(|e| Error::Open(format!("cannot start the thread of the search index: {e}")))?;
        Ok(Self { bell, thread: Mutex::new(Some(thread)) })
    }

    /// Lets the thread end.
    pub(super) fn stop(&self) {
        self.bell.close();
    }

    /// Waits for it to end.
    pub(super) async fn close(&self) {
        self.stop();
        ended(&self.thread).await;
    }
}

struct Indexing {
    folder: PathBuf,
    /// None where it could not be opened.
    index: Option<Index>,
    /// The token of an index that was doubted, and found good.
    kept: Option<[u8; TOKEN_BYTES]>,
    readers: Arc<Readers>,
    inside: Inside,
    bell: Arc<Bell>,
    rest: Rest,
    /// What is in hand.
    slice: Slice,
}

/// Conversations that were taken to be indexed.
struct Slice {
    /// Tells them from what was taken before, and by other processes.
    number: i64,
    taken: Vec<Waiting>,
}

impl Indexing {
    fn run(&mut self) {
        while self.bell.wait_while(|| self.index.is_some() && self.debt() == 0) {
            let before = self.writes();
            if !self.bell.wait_for(self.rest.left().unwrap_or(QUIET)) {
                return;
            }
            if self.rest.left().is_some() {
                continue;
            }
            if self.bell.takes_doubt() || self.index.is_none() {
                match self.renew() {
                    Ok(()) => self.rest.end(),
                    Err(error) => self.rest.begin(&error),
                }
                continue;
            }
            let was_quiet = self.writes() == before;
            while self.debt() > DEBT || (was_quiet && self.debt() > 0 && self.writes() == before) {
                if self.bell.is_closed() {
                    return;
                }
                match self.index_slice() {
                    Ok(true) => self.rest.end(),
                    Ok(false) => {
                        self.rest.end();
                        break;
                    }
                    // The store is being closed.
                    Err(Error::Closed) => return,
                    Err(Error::Index(why)) => {
                        self.readers.doubt_index(&why);
                        break;
                    }
                    Err(error) => {
                        self.rest.begin(&error);
                        break;
                    }
                }
            }
        }
    }

    /// Looks at an index that is doubted, opens the one that has taken its place, or makes it anew.
    fn renew(&mut self) -> Result<()> {
        self.index = None;
        self.slice.taken.clear();
        let path = self.folder.join(sqlite::FILE);
        let rows = sqlite::connect(&path, INDEX_CACHE_KIB, true).map_err(engine_error)?;
        sqlite::prepare_to_write(&rows).map_err(engine_error)?;
        let mut index = Index::reopen(&self.folder, &rows)?;
        if self.kept == Some(index.token) {
            // It was found good before, and has failed again.
            index.token = sqlite::transaction(&rows, |rows| Index::begin_anew(&index.connection, rows))?;
        }
        self.kept = Some(index.token);
        self.inside.write(|tx| {
            tx.note_pending_are(count_pending(tx)?);
            Ok(())
        })?;
        self.index = Some(index);
        self.readers.believe_index();
        tracing::info!("the search index is believed again");
        Ok(())
    }

    fn debt(&self) -> u64 {
        self.inside.pending.load(Ordering::Relaxed)
    }

    /// Writes that were asked for so far, ours left out.
    fn writes(&self) -> u64 {
        self.inside.writes.load(Ordering::Relaxed)
    }

    /// Indexes what is in hand, and takes what is next; false where there is none.
    fn index_slice(&mut self) -> Result<bool> {
        let Some(index) = &self.index else { return Ok(false) };
        let (Slice { number, taken }, token) = (&self.slice, index.token);
        let (number, mut left, mut mark) = (*number, taken.as_slice(), None);
        while !left.is_empty() {
            let (gathered, read) = self.readers.read(None, |reader| search::gather(reader, left, SLICE))?;
            mark = Some(index.add(&gathered)?);
            left = left.get(read..).unwrap_or_default();
        }
        let (indexed, next) = (std::mem::take(&mut self.slice.taken), number.wrapping_add(1));
        let most = if self.debt() > DEBT { TAKEN_IN_DEBT } else { TAKEN_IN_PAUSE };
        // One write for both, for it waits for whatever the writer has in hand.
        let taken = self.inside.write(move |tx| {
            // What another program's index does not hold is not put away.
            if Mark::of_rows(tx)?.is_none_or(|mark| mark.token != token) {
                return Err(replaced());
            }
            if let Some(mark) = mark {
                search::put_away(tx, number, &indexed)?;
                mark.write_to_rows(tx)?;
            }
            let taken = search::take(tx, next, most)?;
            tx.note_pending_are(count_pending(tx)?);
            Ok(taken)
        })?;
        self.slice = Slice { number: next, taken };
        Ok(!self.slice.taken.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use agentsight_model::filter::ConversationFilter;
    use agentsight_model::ids::AgentId;
    use agentsight_model::json::JsonText;
    use agentsight_model::key::Role;
    use agentsight_model::message::Sender;
    use agentsight_model::track::{Event, NewEvent, Target};
    use tempfile::TempDir;

    use super::*;
    use crate::{Extent, Store, StoreConfig};

    fn open(folder: &TempDir) -> Store {
        Store::open(folder.path(), &StoreConfig::default()).unwrap()
    }

    async fn bot(store: &Store) -> AgentId {
        store.mint_key("helpdesk", Role::Write, None).await.unwrap().agent
    }

    async fn hears(store: &Store, agent: AgentId, conversation: &str, text: &str) {
        let event = NewEvent {
            target: Target { id: None, name: Some(conversation.to_owned()) },
            timestamp: store.clock().now(),
            metadata: JsonText::EMPTY,
            receipt: None,
            what: Event::Message { sender: Sender::EndUser, content: text.to_owned() },
        };
        store.append(agent, event).await.unwrap();
    }

    async fn search(store: &Store, agent: AgentId, text: &str) -> Vec<String> {
        let filter = ConversationFilter { search: vec![text.to_owned()], ..ConversationFilter::default() };
        let found = store.list_conversation_rows(agent, filter, Extent::Everything).await.unwrap();
        let mut names: Vec<String> = found.rows.into_iter().map(|row| row.conversation_id).collect();
        names.sort();
        names
    }

    async fn indexed(store: &Store) {
        let all = async {
            while store.search_pending().await.unwrap() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), all).await.expect("the index never caught up");
    }

    /// Documents that hold a gram, once the index has so many: one that is doubted is made anew behind the reads.
    async fn documents_are(folder: &TempDir, gram: &str, expected: i64) {
        let count = || -> rusqlite::Result<i64> {
            let index = Connection::open(folder.path().join(FILE))?;
            let sql = "select count(*) from search_grams where search_grams match ?1";
            index.query_row(sql, [format!("\"1:{gram}\"")], |row| row.get(0))
        };
        let all = async {
            while count() != Ok(expected) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), all).await;
        assert!(waited.is_ok(), "{:?} documents, not {expected}", count());
    }

    #[tokio::test]
    async fn an_index_that_does_not_hold_its_rows_is_made_anew() {
        type Harm = fn(&Path, &[u8]);
        let harms: [(&str, Harm); 6] = [
            ("missing", |file, _| std::fs::remove_file(file).unwrap()),
            ("no database", |file, _| std::fs::write(file, "nothing but words, and rather more than a few").unwrap()),
            ("older than its rows", |file, older| std::fs::write(file, older).unwrap()),
            ("cut short", |file, _| {
                let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
                file.set_len(file.metadata().unwrap().len() - 500).unwrap();
            }),
            ("damaged within", |file, _| {
                let mut bytes = std::fs::read(file).unwrap();
                bytes.chunks_mut(4_096).skip(1).step_by(2).for_each(|page| page.fill(0));
                std::fs::write(file, bytes).unwrap();
            }),
            ("of another store", |file, _| {
                let index = Connection::open(file).unwrap();
                index.execute("update slices set token = zeroblob(16), done = 1000", []).unwrap();
            }),
        ];
        for (name, harm) in harms {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join(FILE);
            let store = open(&folder);
            let agent = bot(&store).await;
            hears(&store, agent, "first", "some words").await;
            indexed(&store).await;
            store.close().await;
            let older = std::fs::read(&file).unwrap();
            let store = open(&folder);
            hears(&store, agent, "second", "some more words").await;
            indexed(&store).await;
            store.close().await;
            harm(&file, &older);

            let store = open(&folder);

            assert_eq!(search(&store, agent, "words").await, ["first", "second"], "{name}: before it is made");
            indexed(&store).await;
            assert_eq!(search(&store, agent, "words").await, ["first", "second"], "{name}: from the new one");
            documents_are(&folder, "wor", 2).await;
            assert_eq!(search(&store, agent, "words").await, ["first", "second"], "{name}: again");
            store.close().await;
        }
    }

    #[tokio::test]
    async fn an_index_that_is_replaced_under_a_running_store_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let one = open(&folder);
        let agent = bot(&one).await;
        hears(&one, agent, "first", "words").await;
        indexed(&one).await;
        assert_eq!(search(&one, agent, "words").await, ["first"]);
        for end in ["", "-wal", "-shm"] {
            std::fs::remove_file(folder.path().join(format!("{FILE}{end}"))).unwrap();
        }
        // Another process, which makes it anew.
        let other = open(&folder);

        let mut told = vec!["first".to_owned()];
        for round in 0..6 {
            for (writer, name) in [(&one, "one"), (&other, "other")] {
                told.push(format!("{name} {round}"));
                hears(writer, agent, &format!("{name} {round}"), "words").await;
                indexed(writer).await;
                told.sort();
                for reader in [&one, &other] {
                    assert_eq!(search(reader, agent, "words").await, told);
                }
            }
        }
        one.close().await;
        other.close().await;
        let store = open(&folder);
        assert_eq!(store.search_pending().await.unwrap(), 0);
        assert_eq!(search(&store, agent, "words").await, told);
    }

    #[tokio::test]
    async fn an_index_that_holds_its_rows_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..3 {
            let store = open(&folder);
            let agent = bot(&store).await;
            assert_eq!(store.search_pending().await.unwrap(), 0);
            hears(&store, agent, &format!("round {round}"), "words").await;
            indexed(&store).await;
            store.close().await;
        }
        documents_are(&folder, "wor", 3).await;
    }

    /// Rows that wait, with whether they are taken.
    async fn waits(store: &Store) -> Vec<(Option<i64>, Option<i64>)> {
        let sql = "select since, taken from search_pending order by conversation";
        let read = |reader: &Reader<'_>| reader.all(sql, &[], |row| Ok((row.opt_int(0)?, row.opt_int(1)?)));
        store.engine.read_now(read).await.unwrap()
    }

    /// A store whose conversations wait as long as nobody takes them.
    fn unindexed(folder: &TempDir) -> Store {
        Store::open(folder.path(), &StoreConfig { search_index: false, ..StoreConfig::default() }).unwrap()
    }

    async fn take(store: &Store, slice: i64) -> Vec<Waiting> {
        store.engine.write(0, move |tx| search::take(tx, slice, 100)).await.unwrap()
    }

    async fn put_away(store: &Store, slice: i64, taken: Vec<Waiting>) {
        store.engine.write(0, move |tx| search::put_away(tx, slice, &taken)).await.unwrap();
    }

    #[tokio::test]
    async fn what_comes_to_a_conversation_while_it_is_indexed_waits_for_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = unindexed(&folder);
        let agent = bot(&store).await;
        for name in ["quiet", "busy"] {
            hears(&store, agent, name, "before").await;
        }

        let taken = take(&store, 1).await;
        hears(&store, agent, "busy", "after").await;
        put_away(&store, 1, taken).await;

        assert_eq!(waits(&store).await, [(None, None)]);
        let since = take(&store, 2).await;
        let gathered = store.engine.read_now(move |reader| search::gather(reader, &since, 100)).await.unwrap().0;
        let grams: String = gathered.into_iter().map(|one| one.grams).collect();
        assert!(grams.contains("1:aft") && !grams.contains("1:bef"), "{grams:?}");
    }

    #[tokio::test]
    async fn what_was_taken_and_not_put_away_is_indexed_whole_by_whoever_takes_it_next() {
        let folder = tempfile::tempdir().unwrap();
        let store = unindexed(&folder);
        let agent = bot(&store).await;
        hears(&store, agent, "busy", "before").await;

        let first = take(&store, 1).await;
        hears(&store, agent, "busy", "after").await;
        let second = take(&store, 2).await;
        // The first one lived after all.
        put_away(&store, 1, first).await;

        assert_eq!(waits(&store).await, [(Some(0), Some(2))]);
        let gather = move |reader: &Reader<'_>| Ok((search::gather(reader, &second, 100)?.0, second.len()));
        let (gathered, many) = store.engine.read_now(gather).await.unwrap();
        let grams: String = gathered.into_iter().map(|one| one.grams).collect();
        assert!(many == 1 && grams.contains("1:aft") && grams.contains("1:bef"), "{grams:?}");
    }
}
