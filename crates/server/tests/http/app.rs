//! A server for one test, and a client that shows everything that goes over the wire.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use agentsight_model::key::{ApiKey, Role};
use agentsight_model::time::Clock;
use agentsight_server::{Server, ServerConfig};
use agentsight_store::{BucketConfig, Redaction, Store, StoreConfig};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::document;
use crate::schema::TempSchema;

/// The present of every test.
pub(crate) const NOW: &str = "2026-03-02T09:30:00Z";
/// How the client calls the server.
pub(crate) const HOST: &str = "bots.test:8000";
/// Longer than anything here takes: whoever waits longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A real server on port 0 over a real store in a temporary folder, with a clock that stands still.
pub(crate) struct TestApp {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    folder: tempfile::TempDir,
    /// Where the store is on PostgreSQL.
    schema: Option<TempSchema>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::with(ServerConfig::default()).await
    }

    pub(crate) async fn with(config: ServerConfig) -> Self {
        Self::start_with(config, StoreConfig::default()).await
    }

    /// With its attachments in a bucket.
    pub(crate) async fn over(bucket: BucketConfig) -> Self {
        let store = StoreConfig { bucket: Some(bucket), ..StoreConfig::default() };
        Self::start_with(ServerConfig::default(), store).await
    }

    /// With rules for what is never written.
    pub(crate) async fn redacting(rules: &str) -> Self {
        let store = StoreConfig { redaction: Redaction::parse(rules).unwrap(), ..StoreConfig::default() };
        Self::start_with(ServerConfig::default(), store).await
    }

    async fn start_with(config: ServerConfig, store: StoreConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(NOW.parse().unwrap());
        let schema = TempSchema::wanted();
        let database = schema.as_ref().map(TempSchema::database);
        let store = Store::open(folder.path(), &StoreConfig { clock: clock.clone(), database, ..store }).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::new(store.clone(), config).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(listener, async { stopped.await.unwrap_or_default() }));
        Self { address, store, clock, folder, schema, stop: Some(stop), serving: Some(serving) }
    }

    /// A bot by its name; it exists once a key was made for it.
    pub(crate) fn agent<'a>(&'a self, name: &'a str) -> Agent<'a> {
        Agent { app: self, name }
    }

    /// The usual bot with a key that may write.
    pub(crate) async fn bot(&self) -> Bot<'_> {
        self.agent("helpdesk").with_key(Role::Write).await
    }

    /// Somebody without a key.
    pub(crate) fn stranger(&self) -> Bot<'_> {
        Bot { app: self, authorization: None }
    }

    /// Moves the server's clock.
    pub(crate) fn advance(&self, time: Duration) {
        self.clock.advance_micros(i64::try_from(time.as_micros()).unwrap());
    }

    /// A connection on which a test may say what it likes.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes as they are, says that no more will come, and gives back all that comes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may have answered and gone before it has read all.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = within(stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Asks the server to stop, without waiting for it.
    pub(crate) fn ask_to_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits until the server has stopped.
    pub(crate) async fn stopped(&mut self) {
        within(self.serving.take().unwrap()).await.unwrap();
    }

    /// Everything that the store holds, as text: equal texts mean that nothing was written.
    ///
    /// Left out are what is kept for the store's own work: blocks of ids, settings, the search index.
    pub(crate) fn contents(&self) -> String {
        if let Some(schema) = &self.schema {
            return schema.contents();
        }
        let connection = rusqlite::Connection::open(self.folder.path().join("agentsight.db")).unwrap();
        let mut tables = connection
            .prepare(
                "select name from sqlite_master where type = 'table' and name not like 'search_%' and name not like 'sqlite_%'
                    and name not in ('id_blocks', 'settings', 'repricing') order by name",
            )
            .unwrap();
        let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let mut contents = String::new();
        for table in tables {
            let mut rows = connection.prepare(&format!("select * from {table}")).unwrap();
            let columns: Vec<usize> =
                (0..rows.column_count()).filter(|at| rows.column_name(*at) != Ok("unindexed_since")).collect();
            let mut rows = rows.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let values: Vec<_> = columns.iter().map(|at| row.get_ref(*at).unwrap()).collect();
                contents.push_str(&format!("{table} {values:?}\n"));
            }
        }
        contents
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Waits, but not for ever: a test that would hang fails.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("no end after {PATIENCE:?}"))
}

/// A bot of a test's server.
#[derive(Clone, Copy)]
pub(crate) struct Agent<'a> {
    app: &'a TestApp,
    name: &'a str,
}

impl<'a> Agent<'a> {
    pub(crate) async fn with_key(self, role: Role) -> Bot<'a> {
        self.with_named_key(role).await.0
    }

    /// The bot, and its key in clear.
    pub(crate) async fn with_named_key(self, role: Role) -> (Bot<'a>, ApiKey) {
        let key = self.app.store.mint_key(self.name, role, None).await.unwrap().key;
        (Bot { app: self.app, authorization: Some(format!("Api-Key {}", key.reveal())) }, key)
    }
}

/// A caller.
#[derive(Clone)]
pub(crate) struct Bot<'a> {
    app: &'a TestApp,
    authorization: Option<String>,
}

/// A request as it was sent, so that it can be sent again.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Bot<'_> {
    /// The same caller with another `Authorization`.
    pub(crate) fn saying(&self, authorization: &str) -> Self {
        Self { app: self.app, authorization: Some(authorization.to_owned()) }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Vec::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.json("POST", path, body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.json("PATCH", path, body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], Vec::new()).await
    }

    /// A body that says it is JSON, whatever it is.
    pub(crate) async fn json(&self, method: &str, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.send(method, path, &[("Content-Type", "application/json")], body.into()).await
    }

    pub(crate) async fn form(&self, path: &str, form: &Form) -> Answer {
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        self.send("POST", path, &[("Content-Type", &content_type)], form.bytes()).await
    }

    /// The whole conversation as SDK 0.0.x fetches it: first row of the list.
    pub(crate) async fn fetch(&self, conversation_id: &str) -> Value {
        let answer = self.get(&format!("/api/conversations/?conversation_id={conversation_id}")).await;
        answer.json()["results"][0].clone()
    }

    /// The same bytes once more.
    pub(crate) async fn resend(&self, answer: &Answer) -> Answer {
        self.say(answer.sent.clone()).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.say(Sent { method: method.to_owned(), path: path.to_owned(), headers, body }).await
    }

    async fn say(&self, sent: Sent) -> Answer {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n", sent.method, sent.path);
        if let Some(authorization) = &self.authorization {
            head.push_str(&format!("Authorization: {authorization}\r\n"));
        }
        for (name, value) in &sent.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !sent.body.is_empty() || ["POST", "PATCH", "PUT"].contains(&sent.method.as_str()) {
            head.push_str(&format!("Content-Length: {}\r\n", sent.body.len()));
        }
        head.push_str("\r\n");
        let mut stream = self.app.connect().await;
        // As simple clients do: the whole request first, then the answer.
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&sent.body).await.unwrap_or_else(|e| panic!("{} {}: {e}", sent.method, sent.path));
        let mut bytes = Vec::new();
        within(stream.read_to_end(&mut bytes)).await.unwrap_or_else(|e| panic!("{} {}: {e}", sent.method, sent.path));
        let answer = Answer::parse(&bytes, sent);
        document::check(&answer);
        answer
    }
}

/// An answer, and the request that it answers.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) sent: Sent,
}

impl Answer {
    fn parse(bytes: &[u8], sent: Sent) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("{sent:?}: no answer but {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                (name.to_ascii_lowercase(), value.to_owned())
            })
            .collect();
        let answer = Self { status, headers, body: bytes[end + 4..].to_vec(), sent };
        if answer.sent.method != "HEAD" && answer.status != 204 {
            let length: usize = answer.header("content-length").unwrap().parse().unwrap();
            assert_eq!(answer.body.len(), length, "the answer is as long as it says");
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{:?}: {e}: {}", self.sent.path, self.text()))
    }

    /// Status and body, signatures of links cut.
    pub(crate) fn whole(&self) -> (u16, Value) {
        (self.status, unsigned(self.json()))
    }

    /// The id of the row that was answered.
    pub(crate) fn id(&self) -> i64 {
        self.json()["id"].as_i64().unwrap_or_else(|| panic!("no id in {}", self.text()))
    }
}

/// The same with signatures cut, which differ from store to store.
pub(crate) fn unsigned(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains("&sig=") => {
            format!("{}&sig=…", text.split("&sig=").next().unwrap()).into()
        }
        Value::Array(items) => items.into_iter().map(unsigned).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, unsigned(value))).collect(),
        other => other,
    }
}

const BOUNDARY: &str = "d5a6f2b1c3";

/// A multipart form, its parts in the order in which they were added.
#[derive(Default)]
pub(crate) struct Form(Vec<u8>);

impl Form {
    pub(crate) fn text(self, name: &str, value: &str) -> Self {
        self.part(&format!("Content-Disposition: form-data; name=\"{name}\""), value.as_bytes())
    }

    pub(crate) fn file(self, name: &str, filename: &str, mime_type: &str, bytes: &[u8]) -> Self {
        let head = format!(
            "Content-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\nContent-Type: {mime_type}"
        );
        self.part(&head, bytes)
    }

    pub(crate) fn part(mut self, head: &str, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(format!("--{BOUNDARY}\r\n{head}\r\n\r\n").as_bytes());
        self.0.extend_from_slice(bytes);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut whole = self.0.clone();
        whole.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        whole
    }
}

/// Base64 as SDK 0.0.x writes it.
pub(crate) fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
