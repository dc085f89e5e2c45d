//! Loaded stores: made once through the server's own doors, then only read.
//!
//! A store is a folder with the server's data, the bare tables of the same rows, and a marker that
//! is written last. A folder without the marker was left by an interrupted run and is made anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::dataset::{self, Conversation, Dataset};
use crate::error::{Context, Result};
use crate::http::{Answer, Connection, write_post};
use crate::options::Options;
use crate::process::Process;
use crate::server::Place;
use crate::{server, sqlite, wire};

/// A loaded store, not being served.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) dataset: Dataset,
    pub(crate) loading: Loading,
    /// The server's key of conversation `i`; the server gave them in the order of arrival.
    pub(crate) keys: Arc<Vec<u64>>,
    folder: PathBuf,
    database: Option<String>,
}

/// What was seen while a store was loaded; kept in its marker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Loading {
    pub(crate) dataset_version: u32,
    pub(crate) conversations: u64,
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
    /// Answers 429 and 503, waited out and sent again.
    pub(crate) refused: u64,
    /// From the last answer until the search index had caught up; absent when the server does not say.
    pub(crate) settled_after_seconds: Option<f64>,
    pub(crate) rss_after: u64,
    pub(crate) pss_after: u64,
    /// Where it lies in a PostgreSQL: a store that was left half loaded there is not met again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<String>,
}

impl Store {
    /// The store of `conversations` under `parent`, loaded now unless it is there already; its rows are in
    /// `postgres`, where that is given.
    pub(crate) async fn prepare(
        options: &Options,
        parent: &Path,
        postgres: Option<&str>,
        conversations: u64,
    ) -> Result<Self> {
        let engine = if postgres.is_some() { "postgres-" } else { "" };
        let folder = parent.join(format!("store-{engine}{conversations}"));
        let dataset = Dataset { conversations };
        let marker = folder.join("complete.json");
        let loading: Loading = if marker.exists() {
            let text = fs::read(&marker).context(marker.display())?;
            serde_json::from_slice(&text).context(marker.display())?
        } else {
            make(options, &folder, postgres, dataset)
                .await
                .context(format_args!("load {conversations} conversations"))?
        };
        if loading.dataset_version != dataset::VERSION || loading.conversations != conversations {
            return Err(format!("{} holds another data set, remove it to load it anew", folder.display()).into());
        }
        let keys = fs::read_to_string(folder.join("keys.txt")).context("keys.txt")?;
        let keys: Vec<u64> = keys.lines().map(str::parse).collect::<std::result::Result<_, _>>().context("keys.txt")?;
        if keys.len() as u64 != conversations {
            return Err(format!("{}/keys.txt has {} keys", folder.display(), keys.len()).into());
        }
        let database = postgres.zip(loading.schema.as_deref()).map(|(url, schema)| with_schema(url, schema));
        Ok(Self { dataset, loading, keys: Arc::new(keys), folder, database })
    }

    /// The server's data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The same rows in bare tables.
    pub(crate) fn bare_tables(&self) -> PathBuf {
        self.folder.join("bare.db")
    }

    /// Starts a server over the store, without waiting until it is ready.
    pub(crate) fn spawn(&self, options: &Options) -> Result<Process> {
        let (data, log) = (self.folder.join("data"), self.folder.join("server.log"));
        server::spawn(&options.server, Place { data: &data, database: self.database.as_deref(), log: &log })
    }

    /// Serves the store and makes sure that it gives back what was put in.
    pub(crate) async fn serve(&self, options: &Options) -> Result<Process> {
        let mut process = self.spawn(options)?;
        process.answers("/readyz").await.context(format_args!("see {}/server.log", self.folder.display()))?;
        server::settle(&process).await?;
        let mut connection = Connection::open(process.address()).await?;
        for index in (0..20).map(|k| k * self.dataset.conversations / 20) {
            self.check(&mut connection, index).await.context(format_args!("conversation {index} read back"))?;
        }
        Ok(process)
    }

    /// Compares one conversation with the data set.
    async fn check(&self, connection: &mut Connection, index: u64) -> Result<()> {
        let key = self.key(index);
        let expected = self.dataset.conversation(index);
        let read: Whole = connection.get(&format!("/api/conversations/{key}/")).await?.json()?;
        let said = read.messages.iter().filter(|message| message.action_name.is_none()).map(|message| &message.content);
        let same = read.conversation_id == expected.conversation_id
            && said.eq(expected.messages.iter().map(|message| &message.content))
            && read.messages.len() as u64 == dataset::MESSAGES + dataset::ACTIONS;
        if same { Ok(()) } else { Err("is not what was sent".into()) }
    }

    /// The server's key of conversation `index`, or 0.
    pub(crate) fn key(&self, index: u64) -> u64 {
        self.keys.get(index as usize).copied().unwrap_or(0)
    }
}

#[derive(Deserialize)]
struct Whole {
    conversation_id: String,
    messages: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    content: String,
    action_name: Option<String>,
}

#[derive(Deserialize)]
struct Id {
    id: u64,
}

/// A name that no schema has yet.
pub(crate) fn fresh_schema(purpose: &str) -> String {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    format!("bench_{purpose}_{}", since.as_micros())
}

/// The address of a schema in a database.
pub(crate) fn with_schema(url: &str, schema: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}schema={schema}")
}

/// Makes the folder of a store.
async fn make(options: &Options, folder: &Path, postgres: Option<&str>, dataset: Dataset) -> Result<Loading> {
    if folder.exists() {
        fs::remove_dir_all(folder).context(format_args!("remove the unfinished {}", folder.display()))?;
    }
    let data = folder.join("data");
    fs::create_dir_all(&data).context(format_args!("create {}", data.display()))?;
    eprintln!("loading {} conversations over {} connections", dataset.conversations, options.load_connections);
    let schema = postgres.map(|_| fresh_schema("store"));
    let database = postgres.zip(schema.as_deref()).map(|(url, schema)| with_schema(url, schema));
    let place = Place { data: &data, database: database.as_deref(), log: &folder.join("server.log") };
    let process = server::start(&options.server, place).await?;
    let next = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..options.load_connections {
        let connection = Connection::open(process.address()).await?;
        tasks.spawn(Loader::new(connection, dataset).run(Arc::clone(&next)));
    }
    let mut keys = vec![0_u64; dataset.conversations as usize];
    let (mut requests, mut refused) = (0, 0);
    while let Some(finished) = tasks.join_next().await {
        let loaded = finished.context("a loading task")??;
        requests += loaded.requests;
        refused += loaded.refused;
        for (index, key) in loaded.keys {
            if let Some(slot) = keys.get_mut(index as usize) {
                *slot = key;
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let settled = server::settle(&process).await?;
    let memory = process.memory()?;
    process.stop().await?;
    if postgres.is_none() {
        eprintln!("loaded in {seconds:.0} s, now the same rows into bare tables");
        sqlite::load(&folder.join("bare.db"), dataset)?;
    }
    let lines: Vec<String> = keys.iter().map(u64::to_string).collect();
    fs::write(folder.join("keys.txt"), lines.join("\n"))?;
    let loading = Loading {
        dataset_version: dataset::VERSION,
        conversations: dataset.conversations,
        seconds,
        requests,
        refused,
        settled_after_seconds: settled.as_ref().map(Duration::as_secs_f64),
        rss_after: memory.rss,
        pss_after: memory.pss,
        schema,
    };
    fs::write(folder.join("complete.json"), serde_json::to_vec_pretty(&loading)?)?;
    Ok(loading)
}

/// One connection that posts conversations, one after another, as an application with the SDK would.
struct Loader {
    connection: Connection,
    dataset: Dataset,
    request: Vec<u8>,
    body: String,
    loaded: Loaded,
}

/// What one connection has loaded.
#[derive(Default)]
struct Loaded {
    keys: Vec<(u64, u64)>,
    requests: u64,
    refused: u64,
}

impl Loader {
    fn new(connection: Connection, dataset: Dataset) -> Self {
        Self { connection, dataset, request: Vec::new(), body: String::new(), loaded: Loaded::default() }
    }

    /// Takes the next conversation that nobody has taken, until there is none.
    async fn run(mut self, next: Arc<AtomicU64>) -> Result<Loaded> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= self.dataset.conversations {
                return Ok(self.loaded);
            }
            if index.is_multiple_of(10_000) && index > 0 {
                eprintln!("  {index} conversations");
            }
            let key = self.post_conversation(&self.dataset.conversation(index)).await?;
            self.loaded.keys.push((index, key));
        }
    }

    /// Posts one conversation with all that belongs to it and gives the server's key.
    async fn post_conversation(&mut self, conversation: &Conversation) -> Result<u64> {
        let id = &conversation.conversation_id;
        wire::conversation(&mut self.body, conversation);
        let created: Id = self.post("/api/conversations/").await?.json()?;
        let key = Some(created.id);
        for (number, message) in (0..).zip(&conversation.messages) {
            wire::message(&mut self.body, id, key, message.at_us, message.sender, &message.content);
            self.post("/api/track/").await?;
            for action in conversation.actions.iter().filter(|action| action.after == number) {
                wire::action(&mut self.body, id, key, action);
                self.post("/api/action_logs/").await?;
            }
        }
        if let Some(sentiment) = conversation.facts.sentiment {
            wire::feedback(&mut self.body, id, sentiment, &conversation.comment);
            self.post("/api/conversation-feedbacks/").await?;
        }
        if conversation.facts.is_marked {
            self.body.push_str("{\"is_marked\": true}");
            self.post(&format!("/api/conversations/{}/mark/", created.id)).await?;
        }
        Ok(created.id)
    }

    /// Posts `body` and clears it; waits and repeats while the server says that it is busy.
    async fn post(&mut self, path: &str) -> Result<Answer<'_>> {
        write_post(&mut self.request, format_args!("{path}"), &self.body);
        self.body.clear();
        loop {
            self.loaded.requests += 1;
            let status = self.connection.send(&self.request).await?.status;
            match status {
                200 | 201 => return Ok(self.connection.last(status)),
                429 | 503 => {
                    self.loaded.refused += 1;
                    sleep(Duration::from_millis(100)).await;
                }
                _ => {
                    let answer = self.connection.last(status);
                    return Err(
                        format!("POST {path}: answer {status}: {}", String::from_utf8_lossy(answer.body)).into()
                    );
                }
            }
        }
    }
}
