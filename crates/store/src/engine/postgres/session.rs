//! One session at the server: its connection, its statements, its transactions.
//!
//! A session lives on a thread of its own, with a runtime that drives its connection: asking is
//! `block_on`, without a hop to another thread. What one exchange asks is sent together before the
//! first answer is awaited.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use agentsight_model::time::Timestamp;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, RowStream, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Cells;
use super::address::Address;
use crate::engine::{Batch, Column, Param, Query, Row, damaged, dialect};
use crate::error::{Error, Result};

/// Statements that a connection keeps prepared; past it all are prepared anew.
const STATEMENTS: usize = 512;
/// Rows and statements of a read between looks at the clock.
const STEPS_PER_LOOK: u32 = 1_000;
/// The shortest time after which the server itself ends a statement.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
/// After this time the server lets go of the rows of a node that vanished within a transaction: others wait for them.
const IDLE_IN_TRANSACTION_MS: u32 = 5_000;
/// How long a write waits for rows that another node holds, before its group gives way and tries again: less than a
/// statement may take, after which it would not.
const LOCK_TIME: Duration = Duration::from_secs(3);
/// After a silence this long, and three more questions, the server takes a node for vanished.
const UNHEARD_S: u32 = 15;
/// How long a server that could not be reached is left alone, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a server that is away is tried, to ask it what became of a commit.
const OUTCOME_PATIENCE: Duration = Duration::from_secs(15);
/// How long a server that is there may take to say so: it waits for its standby, or for the end of the connection that was lost.
const OUTCOME_TIME: Duration = Duration::from_secs(300);
/// What the names of marks begin with, among the settings.
const MARKS: &str = "writer ";
/// How long marks of nodes that were killed stay: far longer than a node runs, for they take no space.
const MARKS_KEPT: i64 = 1_000 * 24 * 60 * Timestamp::MINUTE;

/// What all sessions share: where the server is, and how it fares.
pub(super) struct Target {
    pub(super) address: Address,
    pub(super) tls: MakeRustlsConnect,
    pub(super) connect_time: Duration,
    pub(super) slow_query: Duration,
    pub(super) query_time: Duration,
    /// Which of several servers was the last to take a connection; it is tried first.
    pub(super) favourite: AtomicUsize,
    /// Since when, and for how long, nobody tries to connect.
    pub(super) pause: Mutex<Option<(Instant, Duration)>>,
}

impl Target {
    /// After which the server itself ends a statement.
    fn statement_time(&self) -> Duration {
        self.query_time.max(SHORTEST_TIMEOUT)
    }

    /// How long an answer may take. The server ends a statement before that; who is silent for longer is out of reach.
    fn answer_time(&self) -> Duration {
        self.statement_time() + self.connect_time
    }

    /// Waits for an answer as long as one may take.
    fn in_time<T>(
        &self,
        runtime: &Runtime,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        match runtime.block_on(async { tokio::time::timeout(self.answer_time(), answer).await }) {
            Ok(answered) => answered.map_err(|error| failure(&error)),
            Err(_) => Err(self.silent()),
        }
    }

    /// Logs what took long, without its values.
    fn note_time<'t>(&self, started: Instant, statements: impl Iterator<Item = &'t str>) {
        let took = started.elapsed();
        if took > self.slow_query {
            let texts: Vec<&str> = statements.collect();
            tracing::warn!(took_ms = took.as_millis(), statements = texts.join("; "), "slow statements");
        }
    }

    fn silent(&self) -> Failure {
        let why = format!("no answer within {:?}", self.answer_time());
        Failure { trouble: Trouble::Lost, error: Error::Unavailable { why } }
    }

    fn is_paused(&self) -> bool {
        self.pause.lock().is_some_and(|(since, pause)| since.elapsed() < pause)
    }

    fn note(&self, reached: bool) {
        let mut pause = self.pause.lock();
        *pause = match (reached, *pause) {
            (true, _) => None,
            (false, None) => Some((Instant::now(), FIRST_PAUSE)),
            (false, Some((_, last))) => Some((Instant::now(), (last * 2).min(LONGEST_PAUSE))),
        };
    }
}

/// A session, connected when it is first needed and again whenever its connection was lost.
pub(super) struct Session {
    runtime: Runtime,
    target: Arc<Target>,
    /// What its connection is told beside what all are.
    settings: String,
    link: Option<Link>,
    /// Where ids are taken, outside of the transaction that runs.
    apart: RefCell<Option<Link>>,
    marks: Marks,
}

/// Where the writer's session leaves a mark with each write that it commits, by which the outcome is known of one whose
/// answer was lost: a row of its own among the settings, which is compared and then set.
struct Marks {
    name: String,
    /// What the row holds, where it is there: a mark, or a fence before it.
    kept: Vec<u8>,
    /// The last number that was used.
    last: i64,
}

impl Marks {
    fn new(last: i64) -> Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|e| Error::Open(e.to_string()))?;
        Ok(Self { name: format!("{MARKS}{}", hex::encode(random)), kept: Vec::new(), last })
    }

    fn next(&mut self) -> i64 {
        self.last += 1;
        self.last
    }

    /// Begins a new row, where nobody knows what the old one holds, or will hold.
    fn renew(&mut self) {
        match Self::new(self.last) {
            Ok(fresh) => *self = fresh,
            Err(error) => tracing::error!(%error, "no name for a new mark"),
        }
    }
}

impl Session {
    pub(super) fn new(target: Arc<Target>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::Open(format!("cannot start a database session: {e}")))?;
        Ok(Self {
            runtime,
            target,
            settings: String::new(),
            link: None,
            apart: RefCell::default(),
            marks: Marks::new(0)?,
        })
    }

    /// Makes it the session of a writer, which does not wait for other nodes' rows as long as a statement may take, and
    /// whose marks are counted from the present on, so that their age can be told.
    pub(super) fn into_writer(mut self, now: Timestamp) -> Self {
        let lock_timeout = LOCK_TIME.min(self.target.statement_time() / 2);
        self.settings = format!("set lock_timeout = {};", lock_timeout.as_millis());
        self.marks.last = now.0;
        self
    }

    /// Takes the mark away that this session has left, and those of sessions that ended long ago without doing so.
    pub(super) fn clear_marks(&mut self) {
        const CLEAR: &str =
            "delete from settings where name = $1 or (name >= 'writer ' and name < 'writer!' and value < $2)";
        if self.connect().is_err() {
            return;
        }
        let old = (self.marks.last - MARKS_KEPT).to_be_bytes();
        if let Some(link) = &self.link {
            let cleared = async {
                let params: [(&(dyn ToSql + Sync), Type); 2] =
                    [(&self.marks.name, Type::TEXT), (&old.as_slice(), Type::BYTEA)];
                link.client.query_typed(CLEAR, &params).await
            };
            if let Err(failure) = self.target.in_time(&self.runtime, cleared) {
                tracing::debug!(error = %failure.error, "a mark of this node stays behind");
            }
        }
    }

    /// Runs something while the connection is looked after.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Connects, where there is no connection that lives.
    pub(super) fn connect(&mut self) -> Result<(), Failure> {
        // The runtime learns of a lost connection only while it runs.
        self.runtime.block_on(tokio::task::yield_now());
        if self.link.as_ref().is_none_or(|link| link.client.is_closed()) {
            self.link = None;
            // It may lead to a server that is no longer the one.
            self.apart.take();
            self.link = Some(Link::connect(&self.runtime, &self.target, &self.settings)?);
        }
        Ok(())
    }

    pub(super) fn target(&self) -> Arc<Target> {
        Arc::clone(&self.target)
    }

    fn begin(&mut self, kind: Kind, begin: &'static str) -> Result<Transaction<'_>> {
        self.connect().map_err(|failure| failure.error)?;
        let link = self.link.as_ref().ok_or_else(|| Failure::lost().error)?;
        let mut queue = Vec::with_capacity(2);
        if link.outgrows_plans() {
            queue.push(Sent::Text("discard plans"));
        }
        queue.push(Sent::Text(begin));
        if kind == Kind::Write {
            self.marks.next();
        }
        Ok(Transaction {
            runtime: &self.runtime,
            target: &self.target,
            link,
            apart: &self.apart,
            begun: Cell::new(false),
            queue: RefCell::new(queue),
            gathered: RefCell::default(),
            changes: Cell::new(0),
            trouble: Cell::new(None),
            marks: &self.marks,
            steps: Cell::new(0),
            deadline: Cell::new(None),
        })
    }

    /// Reads in one snapshot; `answer` is called with what was read before the transaction has ended.
    pub(super) fn read<T>(
        &mut self,
        limit: Option<Duration>,
        read: &mut dyn FnMut(&Transaction<'_>) -> Result<T>,
        answer: impl FnOnce(Result<T>),
    ) {
        const BEGIN: &str = "begin isolation level repeatable read read only";
        // Lists and searches are worth a plan for their values. There is an index for each; a table that was never
        // analysed, or whose texts lie apart, would be read whole because it looks small.
        const BEGIN_LONG: &str = "begin isolation level repeatable read read only; set local plan_cache_mode = auto; set local enable_seqscan = off";
        let begin = if limit.is_some() { BEGIN_LONG } else { BEGIN };
        let mut again = true;
        let is_lost = loop {
            let transaction = match self.begin(Kind::Read, begin) {
                Ok(transaction) => transaction,
                Err(error) => return answer(Err(error)),
            };
            transaction.deadline.set(limit.map(|limit| (Instant::now() + limit, limit)));
            let result = read(&transaction);
            let is_lost = transaction.trouble.get() == Some(Trouble::Lost);
            // A server that went away has forgotten the read; the next connection may be to one that lives.
            if is_lost && std::mem::take(&mut again) {
                drop(transaction);
                self.link = None;
                continue;
            }
            answer(result);
            break is_lost || !transaction.end("commit");
        };
        if is_lost {
            self.link = None;
        }
    }

    /// Runs `work` in a write transaction that is undone when it fails.
    pub(super) fn write<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T, Undone> {
        const BEGIN: &str = "begin isolation level read committed read write";
        let transaction =
            self.begin(Kind::Write, BEGIN).map_err(|error| Undone { trouble: Some(Trouble::Lost), error })?;
        let done = match work(&transaction) {
            Ok(done) => done,
            Err(error) => {
                let trouble = transaction.trouble.get();
                if trouble == Some(Trouble::Lost) || !transaction.end("rollback") {
                    self.link = None;
                }
                return Err(Undone { trouble, error });
            }
        };
        let mark = transaction.marks.last;
        let (failure, may_be_marked) = match transaction.commit() {
            Ok(is_marked) => {
                if is_marked {
                    self.marks.kept = mark.to_be_bytes().to_vec();
                }
                return Ok(done);
            }
            Err(failed) => failed,
        };
        if failure.trouble != Trouble::Lost {
            if !transaction.end("rollback") {
                self.link = None;
            }
            if failure.trouble == Trouble::Failed {
                self.marks.renew();
            }
            return Err(Undone { trouble: Some(failure.trouble), error: failure.error });
        }
        self.link = None;
        match may_be_marked.then(|| self.outcome(mark)) {
            Some(Outcome::Committed) => Ok(done),
            // A commit that was not sent was not done; one of nothing may be repeated.
            Some(Outcome::Aborted) | None => Err(Undone { trouble: Some(Trouble::Lost), error: failure.error }),
            Some(Outcome::Unknown) => {
                self.marks.renew();
                let why =
                    "the connection was lost while a write was committed, and its outcome cannot be learnt".to_owned();
                Err(Undone { trouble: None, error: Error::Unavailable { why } })
            }
        }
    }

    /// Asks on a new connection what became of a transaction whose commit was not answered.
    ///
    /// Its mark is there, or it is not: that holds on whichever server is reached, also after a crash or on a standby
    /// that was promoted, where transaction ids are given out a second time. Asking changes the mark, so that a
    /// commit that was held up on its way, and arrives yet, fails.
    fn outcome(&mut self, mark: i64) -> Outcome {
        let fence = self.marks.next().to_be_bytes();
        let deadline = Instant::now() + OUTCOME_PATIENCE;
        while Instant::now() < deadline {
            if self.connect().is_ok()
                && let Some(link) = &self.link
            {
                let asked = link.fence(&self.marks.name, &fence);
                match self.runtime.block_on(async { tokio::time::timeout(OUTCOME_TIME, asked).await }) {
                    Ok(Ok(kept)) => {
                        let is_there = kept.ends_with(&mark.to_be_bytes());
                        self.marks.kept = kept;
                        return if is_there { Outcome::Committed } else { Outcome::Aborted };
                    }
                    Ok(Err(error)) if failure(&error).trouble == Trouble::Failed => return Outcome::Unknown,
                    Ok(Err(_)) => self.link = None,
                    Err(_) => {
                        self.link = None;
                        return Outcome::Unknown;
                    }
                }
            }
            std::thread::sleep(FIRST_PAUSE);
        }
        Outcome::Unknown
    }
}

/// What became of a transaction.
enum Outcome {
    Committed,
    Aborted,
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

/// Why a transaction cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Trouble {
    /// The server is gone, and the transaction with it.
    Lost,
    /// Another transaction was in the way; a new attempt may succeed.
    Contended,
    /// A statement failed.
    Failed,
}

/// An error of the server, with what it means for the transaction.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) trouble: Trouble,
    pub(super) error: Error,
}

impl Failure {
    fn lost() -> Self {
        Self { trouble: Trouble::Lost, error: Error::Unavailable { why: "the connection was lost".to_owned() } }
    }
}

/// A write transaction of which nothing was kept.
pub(in crate::engine) struct Undone {
    /// What the server was in, where it was the server. Not known to be undone where this is `None` and
    /// the error says that the database is not available.
    pub(in crate::engine) trouble: Option<Trouble>,
    pub(in crate::engine) error: Error,
}

/// What an error of PostgreSQL means to us.
pub(super) fn failure(error: &tokio_postgres::Error) -> Failure {
    let Some(seen) = error.as_db_error() else {
        let lost =
            error.is_closed() || std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>());
        let why =
            std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
        return if lost {
            Failure { trouble: Trouble::Lost, error: Error::Unavailable { why } }
        } else {
            Failure { trouble: Trouble::Failed, error: Error::Engine(why.into()) }
        };
    };
    let code = seen.code();
    let lost = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::DATABASE_DROPPED,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        // A server that was the primary before a failover.
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    let contended = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        // Another node made the same row meanwhile; the next attempt finds it.
        SqlState::UNIQUE_VIOLATION,
        SqlState::LOCK_NOT_AVAILABLE,
    ];
    let text = || format!("{} ({})", seen.message(), code.code());
    if lost.contains(code) || code.code().starts_with("08") {
        Failure { trouble: Trouble::Lost, error: Error::Unavailable { why: text() } }
    } else if contended.contains(code) {
        tracing::debug!(why = text(), "another transaction was in the way");
        Failure { trouble: Trouble::Contended, error: Error::Contended }
    } else {
        let error = match *code {
            SqlState::DISK_FULL => Error::Full,
            // Only the clock of a read cancels; it knows the limit.
            SqlState::QUERY_CANCELED => Error::TooSlow { limit: Duration::ZERO },
            _ => Error::Engine(text().into()),
        };
        Failure { trouble: Trouble::Failed, error }
    }
}

/// Several statements as one, `union all`: the first column tells which, and the others hold those of all of them by their
/// types.
struct Joined {
    sql: String,
    /// Where the columns of each are.
    places: Vec<Vec<usize>>,
}

impl Joined {
    fn of(parts: &[&str], statements: &[Statement]) -> Result<Self> {
        const TYPES: [Type; 3] = [Type::INT8, Type::TEXT, Type::BYTEA];
        let count =
            |statement: &Statement, kind: &Type| statement.columns().iter().filter(|c| c.type_() == kind).count();
        let most = TYPES.each_ref().map(|kind| statements.iter().map(|s| count(s, kind)).max().unwrap_or(0));
        let [ints, strings, _] = most;
        let begins = [1, 1 + ints, 1 + ints + strings];
        let (mut texts, mut places) = (Vec::with_capacity(parts.len()), Vec::with_capacity(parts.len()));
        for (at, (sql, statement)) in parts.iter().zip(statements).enumerate() {
            // Which of its columns stand in the places of each type.
            let mut standing: [Vec<usize>; 3] = Default::default();
            let mut its = Vec::with_capacity(statement.columns().len());
            for (column, described) in statement.columns().iter().enumerate() {
                let kinds = TYPES.iter().position(|kind| kind == described.type_());
                let kind = kinds
                    .ok_or_else(|| Error::Engine(format!("a part has a column of {}", described.type_()).into()))?;
                let (Some(standing), Some(begin)) = (standing.get_mut(kind), begins.get(kind)) else { continue };
                its.push(begin + standing.len());
                standing.push(column);
            }
            let cells = TYPES.iter().zip(&standing).zip(most).flat_map(|((kind, standing), most)| {
                (0..most).map(move |place| match standing.get(place) {
                    Some(column) => format!("q.c{column}"),
                    None => format!("null::{kind}"),
                })
            });
            let cells: Vec<String> = std::iter::once(format!("{at}::int8")).chain(cells).collect();
            let names: Vec<String> = (0..statement.columns().len()).map(|column| format!("c{column}")).collect();
            texts.push(format!("select {} from ({sql}) q ({})", cells.join(", "), names.join(", ")));
            places.push(its);
        }
        Ok(Self { sql: texts.join(" union all "), places })
    }
}

/// A connection with the statements that are prepared on it.
struct Link {
    client: Client,
    statements: RefCell<HashMap<String, Statement>>,
    /// By the texts of their parts.
    joined: RefCell<HashMap<String, Arc<Joined>>>,
    /// Until the first transaction.
    is_new: Cell<bool>,
    /// Transactions so far.
    begun: Cell<u64>,
}

impl Link {
    /// Connects, and says how this session wants to be treated.
    fn connect(runtime: &Runtime, target: &Target, more: &str) -> Result<Self, Failure> {
        if target.is_paused() {
            let why = format!("{} could not be reached a moment ago", target.address.place());
            return Err(Failure { trouble: Trouble::Lost, error: Error::Unavailable { why } });
        }
        let connected = runtime.block_on(async {
            let client = connect(target, more).await?;
            Ok(Self {
                client,
                statements: RefCell::default(),
                joined: RefCell::default(),
                is_new: Cell::new(true),
                begun: Cell::default(),
            })
        });
        target.note(connected.is_ok());
        connected.map_err(|missed| {
            let why = match missed {
                Missed::Silent => {
                    format!("{} did not answer within {:?}", target.address.place(), target.connect_time)
                }
                // Whatever a server has against a connection: the store is not there for this request.
                Missed::Refused(error) => match failure(&error).error {
                    Error::Unavailable { why } => why,
                    other => other.to_string(),
                },
            };
            Failure { trouble: Trouble::Lost, error: Error::Unavailable { why } }
        })
    }

    /// Puts a fence before the last mark; answers both. Waits for a transaction that is still under way; and, as it
    /// writes, until a standby that the server waits for has everything that it speaks of.
    async fn fence(&self, name: &str, fence: &[u8]) -> Result<Vec<u8>, tokio_postgres::Error> {
        const BEGIN: &str = "begin isolation level read committed read write; set local statement_timeout = 0; set local lock_timeout = 0";
        // Where the answer to an earlier question was lost, its fence gives way to this one.
        const FENCE: &str = "insert into settings (name, value) values ($1, $2) on conflict (name) do update
            set value = $2 || substr(settings.value, greatest(length(settings.value) - 7, 1)) returning value";
        self.client.batch_execute(BEGIN).await?;
        let rows = self.client.query_typed(FENCE, &[(&name, Type::TEXT), (&fence, Type::BYTEA)]).await?;
        let kept = rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or_default();
        self.client.batch_execute("commit").await?;
        Ok(kept)
    }

    /// Counts a transaction; true where the plans of the session's statements should be made anew.
    ///
    /// A server plans a prepared statement for the tables as they are at first. In a store that is new
    /// and has no statistics yet they are empty, one index is as good as another, and the one taken may
    /// have every row of an agent read once the tables have grown. So plans are made anew whenever the
    /// session is four times as old as the last time: seldom, and soon enough.
    fn outgrows_plans(&self) -> bool {
        const FIRST: u64 = 64;
        let begun = self.begun.get() + 1;
        self.begun.set(begun);
        begun >= FIRST && begun.is_power_of_two() && begun.ilog2().is_multiple_of(2)
    }

    /// The prepared statement of a text. Its parameters have the types that these values say, so that
    /// none is taken for a smaller integer; an absent value takes what the statement makes of it.
    fn prepare(
        &self,
        runtime: &Runtime,
        target: &Target,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Statement, Failure> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let types: Vec<Type> = params.iter().map(kind).collect();
        let text = dialect::statement(sql);
        // Waits for whoever changes the tables, as running it would.
        let started = Instant::now();
        let prepared = target.in_time(runtime, self.client.prepare_typed(&text, &types));
        target.note_time(started, std::iter::once(sql));
        let statement = prepared?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Missed {
    /// It was refused, or broke.
    Refused(tokio_postgres::Error),
    /// Nothing was answered in time.
    Silent,
}

/// Connects a client to the first server that takes writes, and leaves its connection to the runtime.
pub(super) async fn connect(target: &Target, more: &str) -> Result<Client, Missed> {
    let servers = &target.address.servers;
    let favourite = target.favourite.load(Ordering::Relaxed);
    let mut missed = Missed::Silent;
    for at in (0..servers.len()).map(|turn| (favourite + turn) % servers.len()) {
        let Some(server) = servers.get(at) else { continue };
        match tokio::time::timeout(target.connect_time, connect_to(target, server, more)).await {
            Ok(Ok(client)) => {
                target.favourite.store(at, Ordering::Relaxed);
                return Ok(client);
            }
            Ok(Err(error)) => missed = Missed::Refused(error),
            Err(_) => missed = Missed::Silent,
        }
    }
    Err(missed)
}

async fn connect_to(
    target: &Target,
    server: &tokio_postgres::Config,
    more: &str,
) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = server.connect(target.tls.clone()).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a database connection ended");
        }
    });
    let timeout = target.statement_time().as_millis();
    // What is asked by key is planned once: planning it for its values took longer than running it. Parts of a question
    // are read one after the other, in the order of each.
    let mut settings = format!(
        "set statement_timeout = {timeout}; set jit = off; set plan_cache_mode = force_generic_plan; set client_min_messages = warning;
         set max_parallel_workers_per_gather = 0; set idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS};
         set tcp_keepalives_idle = {UNHEARD_S}; set tcp_keepalives_interval = {}; set tcp_keepalives_count = 3;
         select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off';",
        UNHEARD_S / 3
    );
    if let Some(schema) = &target.address.schema {
        settings.push_str(&format!("set search_path = {};", quoted(schema)));
    }
    settings.push_str(more);
    client.batch_execute(&settings).await?;
    Ok(client)
}

/// A name as it stands in a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn kind(param: &Param<'_>) -> Type {
    match param {
        Param::Null => Type::UNKNOWN,
        Param::Int(_) => Type::INT8,
        Param::Text(_) => Type::TEXT,
        Param::Blob(_) => Type::BYTEA,
        Param::Ints(_) | Param::Column(Column::Ints(_)) => Type::INT8_ARRAY,
        Param::Column(Column::Texts(_)) => Type::TEXT_ARRAY,
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(n) => n.to_sql(&Type::INT8, out),
            Self::Text(text) => sendable(text).to_sql(&Type::TEXT, out),
            Self::Blob(bytes) => bytes.to_sql(&Type::BYTEA, out),
            Self::Ints(list) => list.to_sql(ty, out),
            Self::Column(Column::Ints(column)) => column.to_sql(ty, out),
            Self::Column(Column::Texts(column)) => column.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A text as the server takes it. PostgreSQL has no text with a NUL. Nothing that is stored holds one, so that whoever
/// asks for one must find nothing: a noncharacter stands for it.
pub(in crate::engine) fn sendable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fdd2}").into() } else { text.into() }
}

/// A parameter of a statement that is sent later.
#[derive(Debug)]
enum Owned {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
    Ints(Vec<i64>),
    Column(Column),
}

impl Owned {
    fn of(param: &Param<'_>) -> Self {
        match param {
            Param::Null => Self::Null,
            Param::Int(n) => Self::Int(*n),
            Param::Text(text) => Self::Text((*text).to_owned()),
            Param::Blob(bytes) => Self::Blob(bytes.to_vec()),
            Param::Ints(list) => Self::Ints(list.to_vec()),
            Param::Column(column) => Self::Column((*column).clone()),
        }
    }

    fn lent(&self) -> Param<'_> {
        match self {
            Self::Null => Param::Null,
            Self::Int(n) => Param::Int(*n),
            Self::Text(text) => Param::Text(text),
            Self::Blob(bytes) => Param::Blob(bytes),
            Self::Ints(list) => Param::Ints(list),
            Self::Column(column) => Param::Column(column),
        }
    }
}

/// What waits to be sent with the next question.
enum Sent {
    Text(&'static str),
    Statement(Statement, Vec<Owned>),
}

/// Rows that wait to be sent as one statement.
struct Gathered {
    batch: &'static Batch,
    rows: Vec<Vec<Owned>>,
    /// Which rows are changed.
    keys: HashSet<Vec<i64>>,
}

impl Gathered {
    fn new(batch: &'static Batch) -> Self {
        Self { batch, rows: Vec::new(), keys: HashSet::new() }
    }

    /// The statement for what was gathered, and its parameters.
    fn into_statement(mut self) -> Result<Option<(&'static str, Vec<Owned>)>> {
        if self.rows.len() < 2 {
            return Ok(self.rows.pop().map(|row| (self.batch.one, row)));
        }
        let mut columns: Vec<Column> = self.batch.types.iter().map(|kind| kind.column()).collect();
        for row in &self.rows {
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(&value.lent())?;
            }
        }
        Ok(Some((self.batch.many, columns.into_iter().map(Owned::Column).collect())))
    }
}

/// An answer that is on its way. `None` has no rows.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Option<RowStream>, tokio_postgres::Error>> + 'a>>;

/// A transaction of a session.
pub(crate) struct Transaction<'s> {
    runtime: &'s Runtime,
    target: &'s Target,
    link: &'s Link,
    apart: &'s RefCell<Option<Link>>,
    begun: Cell<bool>,
    queue: RefCell<Vec<Sent>>,
    /// Rows that go to the end of the queue before anything else does.
    gathered: RefCell<Vec<Gathered>>,
    changes: Cell<u64>,
    trouble: Cell<Option<Trouble>>,
    marks: &'s Marks,
    steps: Cell<u32>,
    deadline: Cell<Option<(Instant, Duration)>>,
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("trouble", &self.trouble).finish_non_exhaustive()
    }
}

impl Transaction<'_> {
    /// Statements that this transaction has written with, sent or not.
    pub(in crate::engine) fn changes(&self) -> u64 {
        self.changes.get()
    }

    pub(in crate::engine) fn trouble(&self) -> Option<Trouble> {
        self.trouble.get()
    }

    /// Asks statements together, behind what waits, and hands their rows over in order.
    pub(in crate::engine) fn ask(
        &self,
        queries: &[Query<'_>],
        each: &mut dyn FnMut(usize, &Row<'_>) -> Result<()>,
    ) -> Result<()> {
        self.check()?;
        self.send_gathered()?;
        let statements: Result<Vec<Statement>> =
            queries.iter().map(|query| self.statement(query.sql, query.params)).collect();
        let statements = statements?;
        self.exchange(&statements, queries, None, &mut |at, row| each(at, &Row::Postgres(Cells::of(row)))).map(drop)
    }

    /// Asks the parts of one question as one statement.
    pub(in crate::engine) fn ask_parts(
        &self,
        parts: &[&str],
        params: &[Param<'_>],
        each: &mut dyn FnMut(usize, &Row<'_>) -> Result<()>,
    ) -> Result<()> {
        if let [sql] = parts {
            return self.ask(&[Query { sql, params }], each);
        }
        let key = parts.concat();
        let known = self.link.joined.borrow().get(&key).cloned();
        let joined = match known {
            Some(joined) => joined,
            None => {
                self.check()?;
                let statements: Result<Vec<Statement>> = parts.iter().map(|sql| self.statement(sql, params)).collect();
                let joined = Arc::new(Joined::of(parts, &statements?)?);
                let mut all = self.link.joined.borrow_mut();
                if all.len() >= STATEMENTS {
                    all.clear();
                }
                all.insert(key, Arc::clone(&joined));
                joined
            }
        };
        self.check()?;
        self.send_gathered()?;
        let statement = self.statement(&joined.sql, params)?;
        let hand_over = &mut |_, row: &tokio_postgres::Row| {
            let at = usize::try_from(Cells::of(row).int(0)?).map_err(|_| damaged(0))?;
            let places = joined.places.get(at).ok_or_else(|| damaged(0))?;
            each(at, &Row::Postgres(Cells::of_part(row, places)))
        };
        self.exchange(&[statement], &[Query { sql: &joined.sql, params }], None, hand_over).map(drop)
    }

    /// Runs a statement; answers how many rows it changed.
    pub(in crate::engine) fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        self.check()?;
        self.send_gathered()?;
        let statement = self.statement(sql, params)?;
        self.changes.set(self.changes.get() + 1);
        self.exchange(&[statement], &[Query { sql, params }], None, &mut |_, _| Ok(()))
    }

    /// Leaves a statement to be sent with the next question, or the commit.
    pub(in crate::engine) fn defer(&self, sql: &str, params: &[Param<'_>]) -> Result<()> {
        self.check()?;
        self.send_gathered()?;
        let statement = self.statement(sql, params)?;
        self.changes.set(self.changes.get() + 1);
        self.queue.borrow_mut().push(Sent::Statement(statement, params.iter().map(Owned::of).collect()));
        Ok(())
    }

    /// Leaves a row to be sent together with others of its batch, before anything else is.
    pub(in crate::engine) fn gather(&self, batch: &'static Batch, params: &[Param<'_>]) -> Result<()> {
        self.check()?;
        let key: Vec<i64> = params.iter().take(batch.key).filter_map(|param| param.int()).collect();
        let is_twice = |gathered: &Gathered| std::ptr::eq(gathered.batch, batch) && gathered.keys.contains(&key);
        if batch.key > 0 && self.gathered.borrow().iter().any(is_twice) {
            self.send_gathered()?;
        }
        self.changes.set(self.changes.get() + 1);
        let mut all = self.gathered.borrow_mut();
        let at = all.iter().position(|gathered| std::ptr::eq(gathered.batch, batch)).unwrap_or_else(|| {
            all.push(Gathered::new(batch));
            all.len() - 1
        });
        if let Some(gathered) = all.get_mut(at) {
            gathered.rows.push(params.iter().map(Owned::of).collect());
            gathered.keys.insert(key);
        }
        Ok(())
    }

    /// Puts what was gathered at the end of the queue.
    fn send_gathered(&self) -> Result<()> {
        for gathered in self.gathered.take() {
            let Some((sql, values)) = gathered.into_statement()? else { continue };
            let statement = self.statement(sql, &values.iter().map(Owned::lent).collect::<Vec<_>>())?;
            self.queue.borrow_mut().push(Sent::Statement(statement, values));
        }
        Ok(())
    }

    /// The same for the lock of rows that a statement selects, which changes nothing.
    pub(in crate::engine) fn defer_lock(&self, sql: &str, params: &[Param<'_>]) -> Result<()> {
        self.defer(&format!("{sql} for update"), params)?;
        self.changes.set(self.changes.get() - 1);
        Ok(())
    }

    /// Asks for one integer in a transaction of its own, on another connection.
    pub(in crate::engine) fn ask_apart(&self, sql: &str, params: &[Param<'_>]) -> Result<i64> {
        self.check()?;
        // Its commit needs no sync of its own: whatever uses the ids is committed after it, and a sync takes
        // all that was written before.
        const SETTINGS: &str = "set synchronous_commit = off;";
        let mut apart = self.apart.borrow_mut();
        if apart.as_ref().is_none_or(|link| link.client.is_closed()) {
            *apart = Some(Link::connect(self.runtime, self.target, SETTINGS).map_err(|failure| self.fail(failure))?);
        }
        let link = apart.as_ref().ok_or_else(|| Failure::lost().error)?;
        let asked = link.prepare(self.runtime, self.target, sql, params).and_then(|statement| {
            self.target.in_time(self.runtime, async {
                let mut rows = pin!(link.client.query_raw(&statement, params.iter()).await?);
                rows.next().await.transpose()
            })
        });
        match asked {
            Ok(row) => Cells::of(&row.ok_or_else(|| Error::Engine("no row was answered".into()))?).int(0),
            Err(failure) => {
                *apart = None;
                Err(self.fail(failure))
            }
        }
    }

    /// Whether this is the first transaction of its connection.
    pub(in crate::engine) fn is_first(&self) -> bool {
        self.link.is_new.replace(false)
    }

    /// Sends what waits, and the commit with it; answers whether it left a mark. A failure tells whether it may have.
    fn commit(&self) -> Result<bool, (Failure, bool)> {
        // Fails, and the transaction with it, where the row holds anything else than what we left there: decoding its
        // name is an error.
        const MARK: &str = "insert into settings (name, value) values (?1, ?2) on conflict (name) do update
            set value = case settings.value when ?3 then excluded.value else decode(settings.name, 'hex') end";
        if !self.begun.get() && self.changes.get() == 0 {
            return Ok(false);
        }
        // What wrote nothing may be done again, whatever became of it.
        let is_marked = self.changes.get() > 0;
        if is_marked {
            let mark = self.marks.last.to_be_bytes();
            self.defer(MARK, &[Param::Text(&self.marks.name), Param::Blob(&mark), Param::Blob(&self.marks.kept)])
                .map_err(|error| (self.failed_with(error), false))?;
        }
        self.exchange(&[], &[], Some("commit"), &mut |_, _| Ok(()))
            .map(|_| is_marked)
            .map_err(|error| (self.failed_with(error), is_marked))
    }

    fn failed_with(&self, error: Error) -> Failure {
        Failure { trouble: self.trouble.get().unwrap_or(Trouble::Failed), error }
    }

    /// Ends a transaction whose end cannot change anything; false when the connection is of no more use.
    fn end(&self, how: &'static str) -> bool {
        self.queue.borrow_mut().clear();
        self.gathered.borrow_mut().clear();
        if !self.begun.get() {
            return true;
        }
        self.target.in_time(self.runtime, self.link.client.batch_execute(how)).is_ok()
    }

    /// Refuses to go on after a failure: the server would, too.
    fn check(&self) -> Result<()> {
        match self.trouble.get() {
            None => Ok(()),
            Some(Trouble::Lost) => Err(Failure::lost().error),
            Some(Trouble::Contended) => Err(Error::Contended),
            Some(Trouble::Failed) => Err(Error::Engine("an earlier statement of the transaction failed".into())),
        }
    }

    fn fail(&self, failure: Failure) -> Error {
        self.trouble.set(Some(failure.trouble));
        match (failure.error, self.deadline.get()) {
            (Error::TooSlow { .. }, Some((_, limit))) => Error::TooSlow { limit },
            (Error::TooSlow { .. }, None) => Error::TooSlow { limit: self.target.query_time },
            (error, _) => error,
        }
    }

    fn statement(&self, sql: &str, params: &[Param<'_>]) -> Result<Statement> {
        self.link.prepare(self.runtime, self.target, sql, params).map_err(|failure| self.fail(failure))
    }

    /// Counts a row or a statement, and looks at the clock now and then.
    fn step(&self) -> Result<()> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        match self.deadline.get() {
            Some((deadline, limit)) if steps.is_multiple_of(STEPS_PER_LOOK) && Instant::now() > deadline => {
                Err(Error::TooSlow { limit })
            }
            _ => Ok(()),
        }
    }

    /// Sends everything that waits, then `queries`, then `last`, and only then awaits the answers.
    /// Answers how many rows the last of `queries` changed.
    fn exchange(
        &self,
        statements: &[Statement],
        queries: &[Query<'_>],
        last: Option<&'static str>,
        each: &mut dyn FnMut(usize, &tokio_postgres::Row) -> Result<()>,
    ) -> Result<u64> {
        let queue = self.queue.take();
        self.begun.set(true);
        let client = &self.link.client;
        let started = Instant::now();
        let exchanged = async {
            let mut answers: Vec<Expected<'_>> = Vec::with_capacity(queue.len() + queries.len() + 1);
            for sent in &queue {
                match sent {
                    Sent::Text(text) => answers.push(Expected::new(None, plain(client, text)).await),
                    Sent::Statement(statement, params) => {
                        let asked =
                            async { client.query_raw(statement, params.iter().map(Owned::lent)).await.map(Some) };
                        answers.push(Expected::new(None, Box::pin(asked)).await);
                    }
                }
            }
            for (at, (statement, query)) in statements.iter().zip(queries).enumerate() {
                let asked = async { client.query_raw(statement, query.params.iter()).await.map(Some) };
                answers.push(Expected::new(Some(at), Box::pin(asked)).await);
            }
            if let Some(last) = last {
                answers.push(Expected::new(None, plain(client, last)).await);
            }
            let mut changed = 0;
            for Expected { of, answer } in answers {
                let Some(rows) = answer.now_or_later().await.map_err(|error| self.fail(failure(&error)))? else {
                    continue;
                };
                let mut rows = pin!(rows);
                while let Some(row) = rows.next().await {
                    let row = row.map_err(|error| self.fail(failure(&error)))?;
                    if let Some(at) = of {
                        self.step()?;
                        each(at, &row)?;
                    }
                }
                self.step()?;
                changed = rows.rows_affected().unwrap_or(0);
            }
            Ok(changed)
        };
        let limit = self.target.answer_time();
        let changed = match self.runtime.block_on(async { tokio::time::timeout(limit, exchanged).await }) {
            Ok(changed) => changed,
            Err(_) => Err(self.fail(self.target.silent())),
        };
        self.target.note_time(started, queries.iter().map(|query| query.sql));
        changed
    }
}

fn plain<'a>(client: &'a Client, text: &'static str) -> Answer<'a> {
    Box::pin(async move { client.batch_execute(text).await.map(|()| None) })
}

/// What was sent and is to be answered.
struct Expected<'a> {
    /// The position of the query whose rows it brings.
    of: Option<usize>,
    answer: Asked<'a>,
}

enum Asked<'a> {
    Waits(Answer<'a>),
    Came(Result<Option<RowStream>, tokio_postgres::Error>),
}

impl<'a> Expected<'a> {
    /// The first look at an answer sends its question.
    async fn new(of: Option<usize>, mut answer: Answer<'a>) -> Self {
        let first = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
        let answer = match first {
            Poll::Pending => Asked::Waits(answer),
            Poll::Ready(came) => Asked::Came(came),
        };
        Self { of, answer }
    }
}

impl Asked<'_> {
    async fn now_or_later(self) -> Result<Option<RowStream>, tokio_postgres::Error> {
        match self {
            Self::Waits(answer) => answer.await,
            Self::Came(came) => came,
        }
    }
}
