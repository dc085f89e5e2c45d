//! Recording what happens: each call is posted at once and gives what was stored.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use agentsight_model::action::ActionLog;
use agentsight_model::attachment::AttachmentsStored;
use agentsight_model::button::Button;
use agentsight_model::conversation::{Conversation, ConversationAttachments, ConversationRow};
use agentsight_model::feedback::Feedback;
use agentsight_model::ids::{ConversationId, ConversationRef, MessageId};
use agentsight_model::manage::{Deleted, Marked, Renamed, Updated};
use agentsight_model::message::{Message, Sender, TOKEN_USAGE_ACTION};
use agentsight_model::time::{Clock, Timestamp};
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::document::Document;
use crate::file::{Encoded, File, Files, encoded, multipart};
use crate::manage::{NewFeedback, Update};
use crate::transport::Repeat;
use crate::{AgentSight, Error, Result};

const CONVERSATIONS: &str = "/api/conversations/";
const MESSAGES: &str = "/api/track/";
const ACTIONS: &str = "/api/action_logs/";
const BUTTONS: &str = "/api/buttons/";
const ATTACHMENTS: &str = "/api/attachments/";

/// Uploads may take this many times as long as other requests, as in the original SDKs.
const JSON_UPLOAD_PATIENCE: u32 = 2;
const FORM_UPLOAD_PATIENCE: u32 = 3;

impl AgentSight {
    /// One conversation, to record into it and to manage it. Nothing is sent.
    ///
    /// A conversation that the server does not know yet begins with its first record, in the
    /// environment `production` and with nothing known about the end user. To say more, call
    /// [`OneConversation::get_or_create`] first.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let agentsight = agentsight::AgentSight::from_env()?;
    /// use agentsight::{Action, NewConversation};
    ///
    /// let conversation = agentsight.conversation("conv-abc-123");
    /// conversation.get_or_create(NewConversation::new().customer_id("user-456").device("desktop")).await?;
    /// conversation.track_human_message("I need help with my account").await?;
    /// conversation
    ///     .track_action(Action::new("database_lookup").duration_ms(150).response("User found"))
    ///     .await?;
    /// conversation.track_agent_message("Your account is fine.").await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn conversation(&self, conversation: impl Into<ConversationRef>) -> OneConversation {
        OneConversation { client: self.clone(), conversation: conversation.into() }
    }

    /// The time of an event that has none of its own.
    fn stamp(&self, given: Option<Timestamp>) -> Timestamp {
        given.unwrap_or_else(|| self.0.stamps.next(&self.0.clock))
    }
}

/// One conversation of a client: see [`AgentSight::conversation`].
///
/// Each record carries the time of its call, in microseconds. When the answer is lost, the same
/// bytes are sent again, and the server knows them by it. An event with a timestamp of your own is
/// stored once, too, however often you send it within ten minutes.
#[derive(Clone, Debug)]
pub struct OneConversation {
    client: AgentSight,
    conversation: ConversationRef,
}

impl OneConversation {
    /// The conversation, made if it is new. What is stored of it already is not overridden, only
    /// completed; it counts as used.
    ///
    /// # Errors
    /// [`Error::Input`] where the conversation is named by an integer, [`Error::Validation`] for an
    /// unknown environment or an overlong text.
    pub async fn get_or_create(&self, new: NewConversation) -> Result<ConversationRow> {
        self.post_conversation(new, true).await
    }

    /// As [`OneConversation::get_or_create`], for a conversation that nobody has used yet: a chat
    /// widget that was loaded. Its first record makes it used.
    ///
    /// # Errors
    /// As [`OneConversation::get_or_create`].
    pub async fn initialize(&self, new: NewConversation) -> Result<ConversationRow> {
        self.post_conversation(new, false).await
    }

    async fn post_conversation(&self, new: NewConversation, is_used: bool) -> Result<ConversationRow> {
        let ConversationRef::Named(name) = &self.conversation else {
            return Err(Error::Input("a conversation is made by a string, not by an integer".to_owned()));
        };
        let body = ConversationBody {
            timestamp: self.client.stamp(new.timestamp),
            conversation_id: name,
            customer_id: new.customer_id.as_deref(),
            customer_ip_address: new.customer_ip_address.as_deref(),
            device: new.device.as_deref(),
            source: new.source.as_deref(),
            language: new.language.as_deref(),
            name: new.name.as_deref(),
            is_used,
            environment: new.environment.as_deref().or(self.client.0.environment.as_deref()),
            metadata: new.metadata.as_ref(),
        };
        self.client.answer(self.client.write(Method::POST, CONVERSATIONS, &body, Repeat::Tracked)?).await
    }

    /// Records what the end user said.
    ///
    /// # Errors
    /// [`Error::Validation`] for a blank message; [`Error::FilesNotStored`] when the message is
    /// stored and its files are not.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let conversation = agentsight::AgentSight::from_env()?.conversation("conv-abc-123");
    /// use agentsight::{File, NewMessage};
    /// use serde_json::json;
    ///
    /// conversation.track_human_message("Where is my parcel?").await?;
    /// let message = NewMessage::new("It looks like this.")
    ///     .metadata(json!({ "channel": "wa" }))
    ///     .attach(File::from_path("photo.png")?);
    /// let stored = conversation.track_human_message(message).await?;
    /// assert_eq!(stored.attachments.len(), 1);
    /// # Ok(()) }
    /// ```
    pub async fn track_human_message(&self, message: impl Into<NewMessage>) -> Result<Message> {
        self.post_message(message.into(), Sender::EndUser).await
    }

    /// Records what the agent said.
    ///
    /// # Errors
    /// As [`OneConversation::track_human_message`].
    pub async fn track_agent_message(&self, message: impl Into<NewMessage>) -> Result<Message> {
        self.post_message(message.into(), Sender::Agent).await
    }

    async fn post_message(&self, new: NewMessage, sender: Sender) -> Result<Message> {
        let (conversation, conversation_id) = id_and_name(&self.conversation);
        let body = MessageBody {
            timestamp: self.client.stamp(new.timestamp),
            content: &new.content,
            sender,
            conversation_id,
            metadata: &new.metadata,
            conversation,
        };
        let call = self.client.write(Method::POST, MESSAGES, &body, Repeat::Tracked)?;
        let mut message: Message = self.client.answer(call).await?;
        if new.files.is_empty() {
            return Ok(message);
        }
        // Files never travel with their message (contract: tracking-v0 §4.1).
        let mut files = Files::new(new.files).message(message.id).sender(sender);
        files.form_data = new.form_data;
        match self.track_attachments(files).await {
            Ok(stored) => {
                message.attachments = stored.attachments;
                Ok(message)
            }
            Err(source) => Err(Error::FilesNotStored { message: Box::new(message), source: Box::new(source) }),
        }
    }

    /// Records files: of a message, or as one of their own.
    ///
    /// # Errors
    /// [`Error::TooLarge`] past a limit of the server, [`Error::NotFound`] for a message of another
    /// conversation.
    pub async fn track_attachments(&self, files: impl Into<Files>) -> Result<AttachmentsStored> {
        let files = files.into();
        let timestamp = self.client.stamp(files.timestamp);
        let (conversation, conversation_id) = id_and_name(&self.conversation);
        let call = if files.form_data {
            let metadata = serde_json::to_string(&files.metadata).map_err(|e| Error::Input(e.to_string()))?;
            let mut fields = vec![("timestamp", timestamp.to_string())];
            fields.extend(conversation.map(|id| ("conversation", id.to_string())));
            fields.extend(conversation_id.map(|name| ("conversation_id", name.to_owned())));
            fields.extend([
                ("sender", files.sender.as_str().to_owned()),
                ("mode", "form_data".to_owned()),
                ("metadata", metadata),
            ]);
            let (boundary, body) = multipart(&fields, &files.files, files.message);
            let content_type = HeaderValue::try_from(format!("multipart/form-data; boundary={boundary}"))
                .map_err(|e| Error::Input(e.to_string()))?;
            self.client
                .write_bytes(Method::POST, ATTACHMENTS, content_type, body, Repeat::Tracked)?
                .patient(FORM_UPLOAD_PATIENCE)
        } else {
            let body = FilesBody {
                timestamp,
                attachments: encoded(&files.files),
                metadata: &files.metadata,
                mode: "base64",
                sender: files.sender,
                conversation_id,
                conversation,
                message: files.message,
            };
            self.client.write(Method::POST, ATTACHMENTS, &body, Repeat::Tracked)?.patient(JSON_UPLOAD_PATIENCE)
        };
        self.client.answer(call).await
    }

    /// Records a run of a tool.
    ///
    /// # Errors
    /// [`Error::Validation`] for a blank name or an overlong text.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let conversation = agentsight::AgentSight::from_env()?.conversation("conv-abc-123");
    /// use agentsight::Action;
    /// use serde_json::json;
    ///
    /// let lookup = Action::new("database_lookup")
    ///     .duration_ms(150)
    ///     .tools_used(json!({ "database": "users_db" }))
    ///     .response("User found");
    /// conversation.track_action(lookup).await?;
    /// # Ok(()) }
    /// ```
    pub async fn track_action(&self, action: Action) -> Result<ActionLog> {
        let timestamp = self.client.stamp(action.timestamp);
        let (conversation, conversation_id) = id_and_name(&self.conversation);
        let body = ActionBody {
            timestamp,
            action_name: &action.name,
            conversation_id,
            metadata: &action.metadata,
            started_at: action.started_at,
            ended_at: action.ended_at,
            duration_ms: action.duration_ms.as_ref(),
            tools_used: action.tools_used.as_ref(),
            response: action.response.as_deref(),
            error_msg: action.error.as_deref(),
            conversation,
        };
        self.client.answer(self.client.write(Method::POST, ACTIONS, &body, Repeat::Tracked)?).await
    }

    /// Records a click: what the group of buttons is for, the text of the one clicked, its value.
    ///
    /// # Errors
    /// [`Error::Validation`] for a blank text.
    pub async fn track_button(
        &self,
        button_event: impl Into<String>,
        label: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Button> {
        self.track_click(Click::new(button_event, label, value)).await
    }

    /// Records a click with metadata or a time of its own.
    ///
    /// # Errors
    /// As [`OneConversation::track_button`].
    pub async fn track_click(&self, click: Click) -> Result<Button> {
        let (conversation, conversation_id) = id_and_name(&self.conversation);
        let body = ClickBody {
            timestamp: self.client.stamp(click.timestamp),
            button_event: &click.button_event,
            label: &click.label,
            value: &click.value,
            conversation_id,
            metadata: &click.metadata,
            conversation,
        };
        self.client.answer(self.client.write(Method::POST, BUTTONS, &body, Repeat::Tracked)?).await
    }

    /// Records tokens that were spent in this conversation since the last call.
    ///
    /// On the wire the numbers are running totals over all conversations of this client and its
    /// clones, as the original SDK sends them, and the server books what came on top. So posts of
    /// one client wait for each other, and tokens whose post got no answer are booked with the next.
    /// An agent whose `cumulative_token_counters` are turned off books totals as they stand, which
    /// is too much from the second call on: leave the setting on.
    ///
    /// # Errors
    /// As any record.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let conversation = agentsight::AgentSight::from_env()?.conversation("conv-abc-123");
    /// use agentsight::TokenUsage;
    ///
    /// conversation.track_token_usage(TokenUsage { prompt: 30, completion: 12, ..TokenUsage::default() }).await?;
    /// # Ok(()) }
    /// ```
    pub async fn track_token_usage(&self, usage: TokenUsage) -> Result<ActionLog> {
        let mut counters = self.client.0.counters.lock().await;
        let before = *counters;
        *counters = before.plus(usage);
        let total = *counters;
        let metadata = serde_json::json!({
            "prompt_tokens": total.prompt,
            "completion_tokens": total.completion,
            "total_tokens": total.prompt.saturating_add(total.completion).saturating_add(total.embedding),
            "embedding_tokens": total.embedding,
        });
        let answer = self.track_action(Action::new(TOKEN_USAGE_ACTION).metadata(metadata)).await;
        // Refused means not booked. Without an answer it may have been, and the totals go on.
        if answer.as_ref().is_err_and(|error| error.status().is_some_and(|status| (300..500).contains(&status))) {
            *counters = before;
        }
        answer
    }

    /// [`AgentSight::fetch_conversation`] for this one.
    ///
    /// # Errors
    /// As there.
    pub async fn fetch(&self) -> Result<Conversation> {
        self.client.fetch_conversation(self.conversation.clone()).await
    }

    /// [`AgentSight::fetch_conversation_attachments`] for this one.
    ///
    /// # Errors
    /// As there.
    pub async fn fetch_attachments(&self) -> Result<ConversationAttachments> {
        self.client.fetch_conversation_attachments(self.conversation.clone()).await
    }

    /// [`AgentSight::rename_conversation`] for this one.
    ///
    /// # Errors
    /// As there.
    pub async fn rename(&self, name: impl Into<String>) -> Result<Renamed> {
        self.client.rename_conversation(self.conversation.clone(), name).await
    }

    /// [`AgentSight::mark_conversation`] for this one.
    ///
    /// # Errors
    /// As there.
    pub async fn mark(&self, is_marked: bool) -> Result<Marked> {
        self.client.mark_conversation(self.conversation.clone(), is_marked).await
    }

    /// [`AgentSight::update_conversation`] for this one.
    ///
    /// # Errors
    /// As there.
    pub async fn update(&self, update: Update) -> Result<Updated> {
        self.client.update_conversation(self.conversation.clone(), update).await
    }

    /// [`AgentSight::delete_conversation`] for this one.
    ///
    /// # Errors
    /// As there.
    pub async fn delete(&self) -> Result<Deleted> {
        self.client.delete_conversation(self.conversation.clone()).await
    }

    /// [`AgentSight::submit_feedback`] for this one.
    ///
    /// # Errors
    /// As there.
    pub async fn submit_feedback(&self, feedback: impl Into<NewFeedback>) -> Result<Feedback> {
        self.client.submit_feedback(self.conversation.clone(), feedback).await
    }
}

/// The two fields of a body by which a conversation is named.
pub(crate) fn id_and_name(conversation: &ConversationRef) -> (Option<ConversationId>, Option<&str>) {
    match conversation {
        ConversationRef::Id(id) => (Some(*id), None),
        ConversationRef::Named(name) => (None, Some(name)),
    }
}

/// Times handed out by a client: the clock's, but never the same twice. Two messages with one text
/// and one time would be one message.
#[derive(Debug)]
pub(crate) struct Stamps(AtomicI64);

impl Default for Stamps {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Stamps {
    fn next(&self, clock: &Clock) -> Timestamp {
        let now = clock.now().0;
        let after = |last: i64| now.max(last.saturating_add(1));
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)));
        Timestamp(last.map_or(now, after))
    }
}

/// Running totals of [`OneConversation::track_token_usage`]; locked while they are posted, because
/// totals that arrive out of order would be booked twice.
pub(crate) type Counters = Mutex<TokenUsage>;

/// Tokens by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Input.
    pub prompt: u64,
    /// Output.
    pub completion: u64,
    /// Embedded text.
    pub embedding: u64,
}

impl TokenUsage {
    fn plus(self, more: Self) -> Self {
        Self {
            prompt: self.prompt.saturating_add(more.prompt),
            completion: self.completion.saturating_add(more.completion),
            embedding: self.embedding.saturating_add(more.embedding),
        }
    }
}

/// Setters that several inputs share.
macro_rules! setters {
    (metadata) => {
        /// Data of your own, anything that becomes a JSON object.
        #[must_use]
        pub fn metadata(mut self, metadata: impl Serialize) -> Self {
            self.metadata = Document::of("metadata", &metadata);
            self
        }
    };
    (timestamp) => {
        /// When it happened. Default: now.
        #[must_use]
        pub fn timestamp(mut self, at: impl Into<Timestamp>) -> Self {
            self.timestamp = Some(at.into());
            self
        }
    };
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: impl Into<String>) -> Self {
            self.$name = Some($name.into());
            self
        }
    )*};
}

/// What is known of a conversation that may be new.
#[derive(Clone, Debug, Default)]
pub struct NewConversation {
    customer_id: Option<String>,
    customer_ip_address: Option<String>,
    device: Option<String>,
    source: Option<String>,
    language: Option<String>,
    name: Option<String>,
    environment: Option<String>,
    metadata: Option<Document>,
    timestamp: Option<Timestamp>,
}

impl NewConversation {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// The end user, by a name of your own.
        customer_id,
        /// The end user's IPv4 or IPv6 address, from which the server may know the place.
        customer_ip_address,
        /// `desktop`, `mobile`, `tablet`.
        device,
        /// The channel, such as `web` or `whatsapp`.
        source,
        /// A language tag or name.
        language,
        /// A title.
        name,
        /// The environment by its slug, instead of the client's.
        environment,
    }

    /// Data of your own, anything that becomes a JSON object.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Serialize) -> Self {
        self.metadata = Some(Document::of("metadata", &metadata));
        self
    }

    setters!(timestamp);
}

/// A message to be recorded; a bare text is one too.
#[derive(Clone, Debug)]
pub struct NewMessage {
    content: String,
    metadata: Document,
    timestamp: Option<Timestamp>,
    files: Vec<File>,
    form_data: bool,
}

impl NewMessage {
    /// A message of this text.
    pub fn new(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            metadata: Document::EMPTY,
            timestamp: None,
            files: Vec::new(),
            form_data: false,
        }
    }

    setters!(metadata);
    setters!(timestamp);

    /// A file that belongs to it; may be called again for further files. They follow in one request
    /// of their own.
    #[must_use]
    pub fn attach(mut self, file: File) -> Self {
        self.files.push(file);
        self
    }

    /// Sends its files as multipart: see [`Files::form_data`].
    #[must_use]
    pub fn form_data(mut self) -> Self {
        self.form_data = true;
        self
    }
}

impl From<&str> for NewMessage {
    fn from(content: &str) -> Self {
        Self::new(content)
    }
}

impl From<String> for NewMessage {
    fn from(content: String) -> Self {
        Self::new(content)
    }
}

impl From<&String> for NewMessage {
    fn from(content: &String) -> Self {
        Self::new(content)
    }
}

/// A run of a tool, to be recorded.
#[derive(Clone, Debug)]
pub struct Action {
    name: String,
    metadata: Document,
    timestamp: Option<Timestamp>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    duration_ms: Option<serde_json::Number>,
    tools_used: Option<Document>,
    response: Option<String>,
    error: Option<String>,
}

impl Action {
    /// A run of the tool with this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            metadata: Document::EMPTY,
            timestamp: None,
            started_at: None,
            ended_at: None,
            duration_ms: None,
            tools_used: None,
            response: None,
            error: None,
        }
    }

    setters!(metadata);
    setters!(timestamp);

    /// When it began.
    #[must_use]
    pub fn started_at(mut self, at: impl Into<Timestamp>) -> Self {
        self.started_at = Some(at.into());
        self
    }

    /// When it ended.
    #[must_use]
    pub fn ended_at(mut self, at: impl Into<Timestamp>) -> Self {
        self.ended_at = Some(at.into());
        self
    }

    /// How long it took, in whole milliseconds.
    #[must_use]
    pub fn duration_ms(mut self, milliseconds: u64) -> Self {
        self.duration_ms = Some(milliseconds.into());
        self
    }

    /// How long it took, to the microsecond.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.duration_ms = if micros.is_multiple_of(1_000) {
            Some((micros / 1_000).into())
        } else {
            serde_json::Number::from_f64(micros as f64 / 1_000.0)
        };
        self
    }

    /// Its arguments, anything that becomes a JSON object.
    #[must_use]
    pub fn tools_used(mut self, tools_used: impl Serialize) -> Self {
        self.tools_used = Some(Document::of("tools_used", &tools_used));
        self
    }

    setters! {
        /// What came back.
        response,
        /// What went wrong.
        error,
    }
}

/// A click, to be recorded.
#[derive(Clone, Debug)]
pub struct Click {
    button_event: String,
    label: String,
    value: String,
    metadata: Document,
    timestamp: Option<Timestamp>,
}

impl Click {
    /// What the group of buttons is for, the text of the one clicked, its value.
    pub fn new(button_event: impl Into<String>, label: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            button_event: button_event.into(),
            label: label.into(),
            value: value.into(),
            metadata: Document::EMPTY,
            timestamp: None,
        }
    }

    setters!(metadata);
    setters!(timestamp);
}

// The bodies, their fields in the order of the original SDK (contract: tracking-v0).

#[derive(Serialize)]
struct ConversationBody<'a> {
    timestamp: Timestamp,
    conversation_id: &'a str,
    customer_id: Option<&'a str>,
    customer_ip_address: Option<&'a str>,
    device: Option<&'a str>,
    source: Option<&'a str>,
    language: Option<&'a str>,
    name: Option<&'a str>,
    is_used: bool,
    environment: Option<&'a str>,
    metadata: Option<&'a Document>,
}

#[derive(Serialize)]
struct MessageBody<'a> {
    timestamp: Timestamp,
    content: &'a str,
    sender: Sender,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<&'a str>,
    metadata: &'a Document,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<ConversationId>,
}

#[derive(Serialize)]
struct ActionBody<'a> {
    timestamp: Timestamp,
    action_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<&'a str>,
    metadata: &'a Document,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<&'a serde_json::Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools_used: Option<&'a Document>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a str>,
    // The answer calls it `error_message`.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_msg: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<ConversationId>,
}

#[derive(Serialize)]
struct ClickBody<'a> {
    timestamp: Timestamp,
    button_event: &'a str,
    label: &'a str,
    value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<&'a str>,
    metadata: &'a Document,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<ConversationId>,
}

#[derive(Serialize)]
struct FilesBody<'a> {
    timestamp: Timestamp,
    attachments: Vec<Encoded<'a>>,
    metadata: &'a Document,
    mode: &'static str,
    sender: Sender,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<ConversationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<MessageId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_events_of_a_client_have_one_time() {
        let clock = Clock::fixed(Timestamp(1_000));
        let stamps = Stamps::default();
        let next = || stamps.next(&clock).0;
        assert_eq!([next(), next(), next()], [1_000, 1_001, 1_002]);
        clock.advance_micros(50);
        assert_eq!([next(), next()], [1_050, 1_051]);
    }

    #[test]
    fn whole_milliseconds_stay_whole() {
        let written = |action: Action| action.duration_ms.unwrap().to_string();
        assert_eq!(written(Action::new("a").duration_ms(150)), "150");
        assert_eq!(written(Action::new("a").duration(Duration::from_millis(150))), "150");
        assert_eq!(written(Action::new("a").duration(Duration::from_micros(150_302))), "150.302");
    }
}
