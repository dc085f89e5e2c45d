//! One session at the server: its connection, its statements, its transactions.
//!
//! A session lives on a thread of its own, with a runtime that drives its connection: asking is
//! `block_on`, without a hop to another thread. What one exchange asks is sent together before the
//! first answer is awaited.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, RowStream, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use crate::engine::{Param, Query, Row, dialect};
use crate::error::{Error, Result};

/// Statements that a connection keeps prepared; past it all are prepared anew.
const STATEMENTS: usize = 512;
/// Rows and statements of a read between looks at the clock.
const STEPS_PER_LOOK: u32 = 1_000;
/// The shortest time after which the server itself ends a statement.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
/// After this time the server lets go of the rows of a node that vanished within a transaction.
const IDLE_IN_TRANSACTION_MS: u32 = 60_000;
/// How long a server that could not be reached is left alone, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a new connection is asked for what became of a commit.
const OUTCOME_PATIENCE: Duration = Duration::from_secs(15);

/// What all sessions share: where the server is, and how it fares.
pub(super) struct Target {
    pub(super) address: Address,
    pub(super) tls: MakeRustlsConnect,
    pub(super) connect_time: Duration,
    pub(super) slow_query: Duration,
    pub(super) query_time: Duration,
    /// Since when, and for how long, nobody tries to connect.
    pub(super) pause: Mutex<Option<(Instant, Duration)>>,
}

impl Target {
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
    link: Option<Link>,
    /// Where ids are taken, outside of the transaction that runs.
    apart: RefCell<Option<Link>>,
}

impl Session {
    pub(super) fn new(target: Arc<Target>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::Open(format!("cannot start a database session: {e}")))?;
        Ok(Self { runtime, target, link: None, apart: RefCell::default() })
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
            self.link = Some(Link::connect(&self.runtime, &self.target, "")?);
        }
        Ok(())
    }

    pub(super) fn target(&self) -> Arc<Target> {
        Arc::clone(&self.target)
    }

    fn begin(&mut self, kind: Kind, begin: &'static str) -> Result<Transaction<'_>> {
        self.connect().map_err(|failure| failure.error)?;
        let link = self.link.as_ref().ok_or_else(|| Failure::lost().error)?;
        let mut queue = Vec::with_capacity(3);
        if link.outgrows_plans() {
            queue.push(Sent::Text("discard plans"));
        }
        queue.push(Sent::Text(begin));
        if kind == Kind::Write {
            queue.push(Sent::OwnId);
        }
        Ok(Transaction {
            runtime: &self.runtime,
            target: &self.target,
            link,
            apart: &self.apart,
            begun: Cell::new(false),
            queue: RefCell::new(queue),
            changes: Cell::new(0),
            trouble: Cell::new(None),
            own_id: RefCell::new(None),
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
        // Lists and searches are worth a plan for their values.
        const BEGIN_LONG: &str = "begin isolation level repeatable read read only; set local plan_cache_mode = auto";
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
        let Err(failure) = transaction.commit() else { return Ok(done) };
        let (trouble, own_id) = (failure.trouble, transaction.own_id.take());
        if trouble != Trouble::Lost {
            if !transaction.end("rollback") {
                self.link = None;
            }
            return Err(Undone { trouble: Some(trouble), error: failure.error });
        }
        self.link = None;
        match own_id.map(|id| self.outcome(&id)) {
            Some(Outcome::Committed) => Ok(done),
            // Without an id the commit was never sent.
            Some(Outcome::Aborted) | None => Err(Undone { trouble: Some(Trouble::Lost), error: failure.error }),
            Some(Outcome::Unknown) => {
                let why =
                    "the connection was lost while a write was committed, and its outcome cannot be learnt".to_owned();
                Err(Undone { trouble: None, error: Error::Unavailable { why } })
            }
        }
    }

    /// Asks on a new connection what became of a transaction whose commit was not answered.
    fn outcome(&mut self, id: &str) -> Outcome {
        const STATUS: &str = "select pg_xact_status(cast($1 as text)::xid8)";
        let deadline = Instant::now() + OUTCOME_PATIENCE;
        while Instant::now() < deadline {
            if self.connect().is_ok()
                && let Some(link) = &self.link
            {
                let asked = self.runtime.block_on(link.client.query_typed(STATUS, &[(&id, Type::TEXT)]));
                match asked.map(|rows| rows.first().and_then(|row| row.try_get::<_, Option<String>>(0).ok().flatten()))
                {
                    Ok(Some(status)) if status == "committed" => return Outcome::Committed,
                    Ok(Some(status)) if status == "aborted" => return Outcome::Aborted,
                    // The server has not noticed yet that we went away.
                    Ok(Some(_)) => {}
                    Ok(None) => return Outcome::Unknown,
                    Err(error) if error.as_db_error().is_some() => return Outcome::Unknown,
                    Err(_) => self.link = None,
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

/// A connection with the statements that are prepared on it.
struct Link {
    client: Client,
    statements: RefCell<HashMap<String, Statement>>,
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
            let attempt = connect(target, more);
            tokio::time::timeout(target.connect_time, attempt).await
        });
        let result = match connected {
            Ok(result) => result.map_err(|error| Failure { trouble: Trouble::Lost, ..failure(&error) }),
            Err(_) => {
                let why = format!("{} did not answer within {:?}", target.address.place(), target.connect_time);
                Err(Failure { trouble: Trouble::Lost, error: Error::Unavailable { why } })
            }
        };
        target.note(result.is_ok());
        let client = result.map_err(|failure| match failure.error {
            unavailable @ Error::Unavailable { .. } => Failure { trouble: Trouble::Lost, error: unavailable },
            // Whatever a server has against a connection: the store is not there for this request.
            other => Failure { trouble: Trouble::Lost, error: Error::Unavailable { why: other.to_string() } },
        })?;
        Ok(Self { client, statements: RefCell::default(), begun: Cell::default() })
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
    fn prepare(&self, runtime: &Runtime, sql: &str, params: &[Param<'_>]) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let types: Vec<Type> = params.iter().map(kind).collect();
        let text = dialect::statement(sql);
        let statement = runtime.block_on(self.client.prepare_typed(&text, &types))?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// Connects a client and leaves its connection to the runtime.
pub(super) async fn connect(target: &Target, more: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = target.address.config.connect(target.tls.clone()).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a database connection ended");
        }
    });
    let timeout = target.query_time.max(SHORTEST_TIMEOUT).as_millis();
    // What is asked by key is planned once: planning it for its values took longer than running it.
    let mut settings = format!(
        "set statement_timeout = {timeout}; set idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}; set jit = off; set plan_cache_mode = force_generic_plan; set client_min_messages = warning;
         select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off';"
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
        Param::Ints(_) => Type::INT8_ARRAY,
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(n) => n.to_sql(&Type::INT8, out),
            // PostgreSQL has no text with a NUL. Nothing that is stored holds one, so that whoever asks for one
            // must find nothing: a noncharacter stands for it.
            Self::Text(text) if text.contains('\0') => text.replace('\0', "\u{fdd2}").to_sql(&Type::TEXT, out),
            Self::Text(text) => text.to_sql(&Type::TEXT, out),
            Self::Blob(bytes) => bytes.to_sql(&Type::BYTEA, out),
            Self::Ints(list) => list.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A parameter of a statement that is sent later.
#[derive(Debug)]
enum Owned {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
    Ints(Vec<i64>),
}

impl Owned {
    fn of(param: &Param<'_>) -> Self {
        match param {
            Param::Null => Self::Null,
            Param::Int(n) => Self::Int(*n),
            Param::Text(text) => Self::Text((*text).to_owned()),
            Param::Blob(bytes) => Self::Blob(bytes.to_vec()),
            Param::Ints(list) => Self::Ints(list.to_vec()),
        }
    }

    fn lent(&self) -> Param<'_> {
        match self {
            Self::Null => Param::Null,
            Self::Int(n) => Param::Int(*n),
            Self::Text(text) => Param::Text(text),
            Self::Blob(bytes) => Param::Blob(bytes),
            Self::Ints(list) => Param::Ints(list),
        }
    }
}

/// What waits to be sent with the next question.
enum Sent {
    Text(&'static str),
    /// The transaction's own id, by which its outcome can be asked for.
    OwnId,
    Statement(Statement, Vec<Owned>),
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
    changes: Cell<u64>,
    trouble: Cell<Option<Trouble>>,
    own_id: RefCell<Option<String>>,
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
        let statements: Result<Vec<Statement>> =
            queries.iter().map(|query| self.statement(query.sql, query.params)).collect();
        let statements = statements?;
        self.exchange(&statements, queries, None, each).map(drop)
    }

    /// Runs a statement; answers how many rows it changed.
    pub(in crate::engine) fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        self.check()?;
        let statement = self.statement(sql, params)?;
        self.changes.set(self.changes.get() + 1);
        self.exchange(&[statement], &[Query { sql, params }], None, &mut |_, _| Ok(()))
    }

    /// Leaves a statement to be sent with the next question, or the commit.
    pub(in crate::engine) fn defer(&self, sql: &str, params: &[Param<'_>]) -> Result<()> {
        self.check()?;
        let statement = self.statement(sql, params)?;
        self.changes.set(self.changes.get() + 1);
        self.queue.borrow_mut().push(Sent::Statement(statement, params.iter().map(Owned::of).collect()));
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
        let asked = link.prepare(self.runtime, sql, params).and_then(|statement| {
            self.runtime.block_on(async {
                let mut rows = pin!(link.client.query_raw(&statement, params.iter()).await?);
                rows.next().await.transpose()
            })
        });
        match asked {
            Ok(row) => super::int(&row.ok_or_else(|| Error::Engine("no row was answered".into()))?, 0),
            Err(error) => {
                *apart = None;
                Err(self.fail(failure(&error)))
            }
        }
    }

    /// Sends what waits, and the commit with it.
    fn commit(&self) -> Result<(), Failure> {
        // The id must be known before the commit is sent.
        if self.own_id.borrow().is_none() && self.changes.get() > 0 {
            self.exchange(&[], &[], None, &mut |_, _| Ok(())).map_err(|error| self.failed_with(error))?;
        }
        if !self.begun.get() {
            return Ok(());
        }
        self.exchange(&[], &[], Some("commit"), &mut |_, _| Ok(())).map(drop).map_err(|error| self.failed_with(error))
    }

    fn failed_with(&self, error: Error) -> Failure {
        Failure { trouble: self.trouble.get().unwrap_or(Trouble::Failed), error }
    }

    /// Ends a transaction whose end cannot change anything; false when the connection is of no more use.
    fn end(&self, how: &'static str) -> bool {
        self.queue.borrow_mut().clear();
        if !self.begun.get() {
            return true;
        }
        self.runtime.block_on(self.link.client.batch_execute(how)).is_ok()
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
        self.link.prepare(self.runtime, sql, params).map_err(|error| self.fail(failure(&error)))
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
        each: &mut dyn FnMut(usize, &Row<'_>) -> Result<()>,
    ) -> Result<u64> {
        let queue = self.queue.take();
        self.begun.set(true);
        let client = &self.link.client;
        let started = Instant::now();
        let changed = self.runtime.block_on(async {
            let mut answers: Vec<Expected<'_>> = Vec::with_capacity(queue.len() + queries.len() + 1);
            for sent in &queue {
                match sent {
                    Sent::Text(text) => answers.push(Expected::new(None, plain(client, text)).await),
                    Sent::OwnId => {
                        const OWN_ID: &str = "select pg_current_xact_id()::text";
                        let asked = async { client.query_typed_raw(OWN_ID, NO_PARAMS).await.map(Some) };
                        answers.push(Expected::new(Some(Of::OwnId), Box::pin(asked)).await);
                    }
                    Sent::Statement(statement, params) => {
                        let asked =
                            async { client.query_raw(statement, params.iter().map(Owned::lent)).await.map(Some) };
                        answers.push(Expected::new(None, Box::pin(asked)).await);
                    }
                }
            }
            for (at, (statement, query)) in statements.iter().zip(queries).enumerate() {
                let asked = async { client.query_raw(statement, query.params.iter()).await.map(Some) };
                answers.push(Expected::new(Some(Of::Query(at)), Box::pin(asked)).await);
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
                    match of {
                        Some(Of::Query(at)) => {
                            self.step()?;
                            each(at, &Row::Postgres(&row))?;
                        }
                        Some(Of::OwnId) => *self.own_id.borrow_mut() = row.try_get(0).ok(),
                        None => {}
                    }
                }
                self.step()?;
                changed = rows.rows_affected().unwrap_or(0);
            }
            Ok(changed)
        });
        let took = started.elapsed();
        if took > self.target.slow_query {
            let texts: Vec<&str> = queries.iter().map(|query| query.sql).collect();
            tracing::warn!(took_ms = took.as_millis(), statements = texts.join("; "), "slow statements");
        }
        changed
    }
}

const NO_PARAMS: [(&i64, Type); 0] = [];

fn plain<'a>(client: &'a Client, text: &'static str) -> Answer<'a> {
    Box::pin(async move { client.batch_execute(text).await.map(|()| None) })
}

/// Whose rows an answer brings.
#[derive(Clone, Copy)]
enum Of {
    Query(usize),
    OwnId,
}

/// What was sent and is to be answered.
struct Expected<'a> {
    of: Option<Of>,
    answer: Asked<'a>,
}

enum Asked<'a> {
    Waits(Answer<'a>),
    Came(Result<Option<RowStream>, tokio_postgres::Error>),
}

impl<'a> Expected<'a> {
    /// The first look at an answer sends its question.
    async fn new(of: Option<Of>, mut answer: Answer<'a>) -> Self {
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
