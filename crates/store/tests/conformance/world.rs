//! Where a sentence happens: a store of its own, a clock that a hand moves, and bots that use it.

use std::path::PathBuf;
use std::time::Duration;

use agentsight_model::action::ActionLog;
use agentsight_model::attachment::AttachmentsStored;
use agentsight_model::conversation::ConversationRow;
use agentsight_model::feedback::{FeedbackSource, Sentiment};
use agentsight_model::filter::ConversationFilter;
use agentsight_model::ids::{AgentId, AttachmentId, ConversationId, ConversationRef, MessageId};
use agentsight_model::json::JsonText;
use agentsight_model::key::Role;
use agentsight_model::message::{Message, Sender};
use agentsight_model::page::{Page, PageNumber};
use agentsight_model::time::{Clock, Timestamp};
use agentsight_model::track::{
    Event, NewAction, NewClick, NewConversation, NewEvent, NewFeedback, NewFile, Receipt, Target,
};
use agentsight_store::{Appended, Error, Extent, Missing, Part, Store, StoreConfig, Stored};
use bytes::Bytes;
use serde_json::Value;
use tempfile::TempDir;

use crate::s3::S3Server;
use crate::schema::TempSchema;

/// 2026-03-02T09:15:00Z, when every world begins.
const NOON: Timestamp = Timestamp(1_772_442_900_000_000);

/// So many seconds after the world began.
pub(crate) fn at(seconds: i64) -> Timestamp {
    NOON.plus_micros(seconds * Timestamp::SECOND)
}

/// Where an engine keeps what it is given.
enum Place {
    Folder(TempDir),
    Schema(TempSchema, TempDir),
    /// The embedded engine, with its attachments in a bucket.
    Bucket(S3Server, TempDir),
}

impl Place {
    fn open(&self, config: &StoreConfig) -> Store {
        match self {
            Self::Folder(folder) => Store::open(folder.path(), config).unwrap(),
            Self::Schema(schema, folder) => {
                Store::open(folder.path(), &StoreConfig { database: Some(schema.database()), ..config.clone() })
                    .unwrap()
            }
            Self::Bucket(server, folder) => {
                let bucket = server.bucket("s3://files/some/prefix");
                Store::open(folder.path(), &StoreConfig { bucket: Some(bucket), ..config.clone() }).unwrap()
            }
        }
    }
}

/// A store that nobody else uses.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    place: Place,
}

/// SQLite as in life: a file, with its log beside it.
pub(crate) fn temp_sqlite() -> Option<World> {
    Some(World::at(Place::Folder(tempfile::tempdir().unwrap())))
}

/// A schema of its own on the server that the tests were given, if they were given one.
pub(crate) fn temp_postgres() -> Option<World> {
    Some(World::at(Place::Schema(TempSchema::new()?, tempfile::tempdir().unwrap())))
}

/// Attachments on an S3 server of its own.
pub(crate) fn temp_bucket() -> Option<World> {
    Some(World::at(Place::Bucket(S3Server::start(), tempfile::tempdir().unwrap())))
}

impl World {
    fn at(place: Place) -> Self {
        let clock = Clock::fixed(NOON);
        World { store: place.open(&StoreConfig { clock: clock.clone(), ..StoreConfig::default() }), clock, place }
    }

    /// Another opening of the same store: on PostgreSQL another node, on SQLite another process.
    pub(crate) fn neighbour(&self) -> Store {
        self.place.open(&StoreConfig { clock: self.clock.clone(), ..StoreConfig::default() })
    }

    /// Puts a file where the store keeps attachments, past the store; `name` as in `ab/cdef`.
    pub(crate) fn leaves_file(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.file(name), bytes).unwrap();
    }

    /// Gives such a file another name.
    pub(crate) fn moves_file(&self, from: &str, to: &str) {
        std::fs::rename(self.file(from), self.file(to)).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        let path = match &self.place {
            Place::Folder(folder) | Place::Schema(_, folder) => folder.path().join("blobs").join(name),
            Place::Bucket(server, _) => server.path("some/prefix/blobs").join(name),
        };
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// The bot of this name, with its two environments.
    pub(crate) async fn bot(&self, name: &str) -> Bot {
        let minted = self.store.mint_key(name, Role::Write, None).await.unwrap();
        Bot { store: self.store.clone(), agent: minted.agent }
    }

    /// The same data in a store that was closed and opened again, set up otherwise.
    pub(crate) async fn reopened_with(self, change: impl FnOnce(&mut StoreConfig)) -> Self {
        let Self { store, clock, place } = self;
        store.close().await;
        drop(store);
        let mut config = StoreConfig { clock: clock.clone(), ..StoreConfig::default() };
        change(&mut config);
        Self { store: place.open(&config), clock, place }
    }

    /// The same data in a store that was closed and opened again.
    pub(crate) async fn reopened(self) -> Self {
        self.reopened_with(|_| {}).await
    }

    /// Waits until the search index holds everything.
    pub(crate) async fn indexed(&self) {
        let all = async {
            while self.store.search_pending().await.unwrap() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), all).await.expect("the index never caught up");
    }
}

/// One agent's view of a store, with short words for what it does.
#[derive(Clone)]
pub(crate) struct Bot {
    pub(crate) store: Store,
    pub(crate) agent: AgentId,
}

impl Bot {
    /// The same agent in another opening of the store.
    pub(crate) fn in_world(&self, world: &World) -> Self {
        Self { store: world.store.clone(), agent: self.agent }
    }

    pub(crate) async fn opens(&self, new: NewConversation) -> Stored<ConversationRow> {
        self.store.upsert_conversation(self.agent, new).await.unwrap()
    }

    pub(crate) async fn does(&self, event: NewEvent) -> Stored<Appended> {
        self.store.append(self.agent, event).await.unwrap()
    }

    /// An end user says something in a conversation.
    pub(crate) async fn hears(&self, conversation: &str, seconds: i64, content: &str) -> Message {
        match self.does(event(named(conversation), seconds, said(content))).await.value {
            Appended::Message(message) => *message,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn runs(&self, conversation: &str, seconds: i64, action: &str) -> ActionLog {
        match self.does(event(named(conversation), seconds, ran(action, at(seconds)))).await.value {
            Appended::ActionLog(log) => *log,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn receives(&self, event: NewEvent) -> AttachmentsStored {
        match self.does(event).await.value {
            Appended::Files(stored) => stored,
            other => panic!("{other:?}"),
        }
    }

    /// Name, type and bytes of a file.
    pub(crate) async fn downloads(&self, conversation: ConversationId, id: AttachmentId) -> (String, String, Bytes) {
        let file = self.store.fetch_file(self.agent, conversation, id, Part::Whole).await.unwrap();
        (file.filename, file.mime_type, file.bytes.collect().await.unwrap())
    }

    pub(crate) async fn is_told(&self, conversation: &str, sentiment: Sentiment, source: FeedbackSource) {
        let new = NewFeedback { sentiment, ..feedback(named(conversation)) };
        self.store.record_feedback(self.agent, source, new).await.unwrap();
    }

    pub(crate) async fn id(&self, conversation: &str) -> ConversationId {
        self.store.fetch_conversation(self.agent, conversation.into()).await.unwrap().id
    }

    /// A whole conversation as JSON.
    pub(crate) async fn fetch(&self, which: impl Into<ConversationRef>) -> Value {
        json(&self.store.fetch_conversation(self.agent, which.into()).await.unwrap())
    }

    /// Some fields of a conversation.
    pub(crate) async fn fields<const N: usize>(&self, conversation: &str, fields: [&str; N]) -> [Value; N] {
        let whole = self.fetch(conversation).await;
        fields.map(|field| whole[field].clone())
    }

    /// Names of the conversations that match, in order; the count over all pages is checked to be theirs.
    pub(crate) async fn list(&self, filter: ConversationFilter) -> Vec<String> {
        let whole =
            self.store.list_conversations(self.agent, filter.clone(), Extent::Page(page(1, 100))).await.unwrap();
        let lean = self.store.list_conversation_rows(self.agent, filter, Extent::Everything).await.unwrap();
        let names: Vec<String> = whole.rows.into_iter().map(|row| row.conversation_id).collect();
        assert_eq!(lean.rows.into_iter().map(|row| row.conversation_id).collect::<Vec<_>>(), names);
        assert_eq!((whole.count, lean.count), (names.len() as u64, names.len() as u64));
        names
    }

    /// Names of the conversations that hold a text in a message, a name or an id.
    pub(crate) async fn search(&self, word: &str) -> Vec<String> {
        self.list(ConversationFilter { search: vec![word.to_owned()], ..all() }).await
    }
}

pub(crate) fn json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap()
}

pub(crate) fn document(text: &str) -> JsonText {
    JsonText::parse(text.to_owned()).unwrap()
}

pub(crate) fn page(number: u32, size: u32) -> Page {
    Page { number: PageNumber::At(number), size }
}

/// No filter at all.
pub(crate) fn all() -> ConversationFilter {
    ConversationFilter::default()
}

pub(crate) fn named(name: &str) -> Target {
    Target { id: None, name: Some(name.to_owned()) }
}

pub(crate) fn keyed(id: ConversationId) -> Target {
    Target { id: Some(id), name: None }
}

/// A conversation of which nothing but the name is said.
pub(crate) fn conversation(name: &str) -> NewConversation {
    NewConversation {
        conversation_id: name.to_owned(),
        name: None,
        customer_id: None,
        customer_ip_address: None,
        device: None,
        source: None,
        language: None,
        environment: None,
        metadata: None,
        is_used: None,
        timestamp: at(0),
    }
}

/// An event without metadata whose body had no identity.
pub(crate) fn event(target: Target, seconds: i64, what: Event) -> NewEvent {
    NewEvent { target, timestamp: at(seconds), metadata: JsonText::EMPTY, receipt: None, what }
}

/// The same event as the request with this identity.
pub(crate) fn sent_as(receipt: i64, event: NewEvent) -> NewEvent {
    NewEvent { receipt: Some(Receipt(receipt)), ..event }
}

pub(crate) fn said(content: &str) -> Event {
    Event::Message { sender: Sender::EndUser, content: content.to_owned() }
}

pub(crate) fn ran(action: &str, when: Timestamp) -> Event {
    Event::Action(NewAction {
        action_name: action.to_owned(),
        started_at: when,
        ended_at: when,
        duration_ms: None,
        tools_used: JsonText::EMPTY,
        response: String::new(),
        error_message: String::new(),
    })
}

pub(crate) fn clicked(label: &str) -> Event {
    Event::Click(NewClick {
        button_event: "delivery_choice".to_owned(),
        label: label.to_owned(),
        value: label.to_lowercase(),
    })
}

pub(crate) fn files(message: Option<MessageId>, files: &[(&str, &str, &'static [u8])]) -> Event {
    let files = files.iter().map(|(filename, mime_type, bytes)| NewFile {
        filename: (*filename).to_owned(),
        mime_type: (*mime_type).to_owned(),
        bytes: Bytes::from_static(bytes),
    });
    Event::Files { sender: Sender::EndUser, message, files: files.collect() }
}

pub(crate) fn one_file(filename: &str, bytes: Bytes) -> Event {
    let file = NewFile { filename: filename.to_owned(), mime_type: "application/octet-stream".to_owned(), bytes };
    Event::Files { sender: Sender::EndUser, message: None, files: vec![file] }
}

/// More than is sent to a bucket in one request, and not a whole number of its parts.
pub(crate) fn large_bytes() -> Bytes {
    (0..18_000_001_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>().into()
}

pub(crate) fn feedback(target: Target) -> NewFeedback {
    NewFeedback { target, sentiment: Sentiment::Neutral, comment: None, metadata: JsonText::EMPTY, created_at: at(0) }
}

/// What is missing, for a call that found nothing.
pub(crate) fn missing<T: std::fmt::Debug>(result: Result<T, Error>) -> Missing {
    match result {
        Err(Error::NotFound(missing)) => missing,
        other => panic!("found {other:?}"),
    }
}

/// The field errors of a refusal, as they are answered.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> Value {
    match result {
        Err(Error::Refused(agentsight_model::refusal::Refusal::Fields(errors))) => json(&errors),
        other => panic!("taken: {other:?}"),
    }
}
