//! The same client for programs without an async runtime.
//!
//! Every method has the name, the arguments and the answer of its async sister, and calls it on a
//! thread of its own; there is no second implementation. A call blocks until it is answered, so in
//! async code use [`crate::AgentSight`].
//!
//! ```no_run
//! use agentsight::blocking::AgentSight;
//!
//! let agentsight = AgentSight::from_env()?;
//! let conversation = agentsight.fetch_conversation("conv-abc-123")?;
//! println!("{} messages", conversation.messages.len());
//! for marked in agentsight.fetch_conversations().is_marked(true).stream_lean() {
//!     println!("{}", marked?.conversation_id);
//! }
//! # Ok::<(), agentsight::Error>(())
//! ```

use std::sync::{Arc, mpsc};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::document::Document;
use crate::{
    Action, ActionDefinition, ActionId, ActionLog, ActionUpdate, Attachment, AttachmentsStored, Builder, Button,
    ButtonCount, ButtonRow, Click, Conversation, ConversationAttachments, ConversationRef, ConversationRow,
    Conversations, Deleted, Error, Feedback, FeedbackId, FeedbackPage, FeedbackUpdate, Files, List, Listed, Marked,
    Message, MessageId, NewAction, NewConversation, NewFeedback, NewMessage, NewTicket, Paged, Renamed, Result, Rows,
    Ticket, TicketComment, TicketId, TicketUpdate, TokenUsage, Update, Updated, Vote,
};

/// The client: one agent's conversations, through one API key.
///
/// Clones are cheap and share their connections and their thread, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct AgentSight {
    client: crate::AgentSight,
    runtime: Arc<Runtime>,
}

impl AgentSight {
    /// A client as the variables `AGENTSIGHT_API_KEY`, `AGENTSIGHT_API_ENDPOINT` and
    /// `AGENTSIGHT_ENVIRONMENT` say.
    ///
    /// # Errors
    /// As [`crate::AgentSight::from_env`].
    pub fn from_env() -> Result<Self> {
        Builder::from_env().build_blocking()
    }

    /// A client made by hand: finish it with [`Builder::build_blocking`].
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The blocking side of an async client.
    ///
    /// # Errors
    /// [`Error::Config`] when no thread can be started.
    pub fn new(client: crate::AgentSight) -> Result<Self> {
        Ok(Self { client, runtime: Arc::new(Runtime::start()?) })
    }

    /// As [`crate::AgentSight::fetch_conversations`].
    pub fn fetch_conversations(&self) -> Conversations<Self> {
        Conversations::new(self.clone())
    }

    /// As [`crate::AgentSight::download_attachment`].
    ///
    /// # Errors
    /// As there.
    pub fn download_attachment(&self, attachment: &Attachment) -> Result<Bytes> {
        let (client, attachment) = (self.client.clone(), attachment.clone());
        self.runtime.run(async move { client.download_attachment(&attachment).await })
    }

    /// As [`crate::AgentSight::fetch_feedbacks`].
    pub fn fetch_feedbacks(&self) -> List<Self, Feedback> {
        self.client.fetch_feedbacks().with_client(self.clone())
    }

    /// As [`crate::AgentSight::fetch_tickets`].
    pub fn fetch_tickets(&self) -> List<Self, Ticket> {
        self.client.fetch_tickets().with_client(self.clone())
    }

    /// As [`crate::AgentSight::fetch_ticket_comments`].
    pub fn fetch_ticket_comments(&self, ticket: impl Into<TicketId>) -> List<Self, TicketComment> {
        self.client.fetch_ticket_comments(ticket).with_client(self.clone())
    }

    /// As [`crate::AgentSight::fetch_actions`].
    pub fn fetch_actions(&self) -> List<Self, ActionDefinition> {
        self.client.fetch_actions().with_client(self.clone())
    }

    /// As [`crate::AgentSight::fetch_buttons`].
    pub fn fetch_buttons(&self) -> List<Self, ButtonRow> {
        self.client.fetch_buttons().with_client(self.clone())
    }

    /// As [`crate::AgentSight::update_message_metadata`].
    ///
    /// # Errors
    /// As there.
    pub fn update_message_metadata(&self, message: impl Into<MessageId>, metadata: impl Serialize) -> Result<Message> {
        let (client, message) = (self.client.clone(), message.into());
        let metadata = Document::of("metadata", &metadata);
        self.runtime.run(async move { client.put_message_metadata(message, metadata).await })
    }

    /// As [`crate::AgentSight::conversation`].
    #[must_use]
    pub fn conversation(&self, conversation: impl Into<ConversationRef>) -> OneConversation {
        OneConversation { client: self.client.conversation(conversation), runtime: Arc::clone(&self.runtime) }
    }
}

/// Methods that hand their arguments to the async ones of the same name.
macro_rules! same {
    ($side:ident: $($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        impl $side {$(
            #[doc = concat!("As [`crate::", stringify!($side), "::", stringify!($name), "`].")]
            ///
            /// # Errors
            /// As there.
            pub fn $name(&self, $($argument: impl Into<$kind>),*) -> Result<$answer> {
                let client = self.client.clone();
                $(let $argument: $kind = $argument.into();)*
                self.runtime.run(async move { client.$name($($argument),*).await })
            }
        )*}
    };
}

same! { AgentSight:
    fetch_conversation(conversation: ConversationRef) -> Conversation;
    fetch_conversation_attachments(conversation: ConversationRef) -> ConversationAttachments;
    rename_conversation(conversation: ConversationRef, name: String) -> Renamed;
    mark_conversation(conversation: ConversationRef, is_marked: bool) -> Marked;
    update_conversation(conversation: ConversationRef, update: Update) -> Updated;
    delete_conversation(conversation: ConversationRef) -> Deleted;
    submit_feedback(conversation: ConversationRef, feedback: NewFeedback) -> Feedback;
    submit_agent_feedback(feedback: NewFeedback) -> Feedback;
    vote(message: MessageId, vote: Vote) -> Feedback;
    fetch_feedback(feedback: FeedbackId) -> Feedback;
    update_feedback(feedback: FeedbackId, update: FeedbackUpdate) -> Feedback;
    delete_feedback(feedback: FeedbackId) -> ();
    create_ticket(new: NewTicket) -> Ticket;
    fetch_ticket(ticket: TicketId) -> Ticket;
    update_ticket(ticket: TicketId, update: TicketUpdate) -> Ticket;
    delete_ticket(ticket: TicketId) -> ();
    comment_ticket(ticket: TicketId, body: String) -> TicketComment;
    create_action(new: NewAction) -> ActionDefinition;
    fetch_action(action: ActionId) -> ActionDefinition;
    update_action(action: ActionId, update: ActionUpdate) -> ActionDefinition;
    fetch_action_logs(action: ActionId) -> Vec<ActionLog>;
    fetch_button_stats() -> Vec<ButtonCount>;
    fetch_button_stats_of(event: String) -> Vec<ButtonCount>;
    fetch_message(message: MessageId) -> Message;
}

/// One conversation of a client: see [`AgentSight::conversation`].
#[derive(Clone, Debug)]
pub struct OneConversation {
    client: crate::OneConversation,
    runtime: Arc<Runtime>,
}

same! { OneConversation:
    get_or_create(new: NewConversation) -> ConversationRow;
    initialize(new: NewConversation) -> ConversationRow;
    track_human_message(message: NewMessage) -> Message;
    track_agent_message(message: NewMessage) -> Message;
    track_attachments(files: Files) -> AttachmentsStored;
    track_action(action: Action) -> ActionLog;
    track_button(button_event: String, label: String, value: String) -> Button;
    track_click(click: Click) -> Button;
    track_token_usage(usage: TokenUsage) -> ActionLog;
    fetch() -> Conversation;
    fetch_attachments() -> ConversationAttachments;
    rename(name: String) -> Renamed;
    mark(is_marked: bool) -> Marked;
    update(update: Update) -> Updated;
    delete() -> Deleted;
    submit_feedback(feedback: NewFeedback) -> Feedback;
}

impl Conversations<AgentSight> {
    fn into_async(self) -> (Conversations<crate::AgentSight>, Arc<Runtime>) {
        let AgentSight { client, runtime } = self.client;
        (Conversations { client, wanted: self.wanted }, runtime)
    }

    /// One page of whole conversations, transcripts included.
    ///
    /// # Errors
    /// [`Error::Validation`] for a value that the server does not take, [`Error::NotFound`] for a
    /// page past the last.
    pub fn send(self) -> Result<Paged<Conversation>> {
        let (conversations, runtime) = self.into_async();
        runtime.run(conversations.send())
    }

    /// One page of rows without their transcripts.
    ///
    /// # Errors
    /// As [`Conversations::send`].
    pub fn send_lean(self) -> Result<Paged<ConversationRow>> {
        let (conversations, runtime) = self.into_async();
        runtime.run(conversations.send_lean())
    }

    /// All whole conversations, page after page, each page asked for when it is needed.
    #[must_use]
    pub fn stream(self) -> RowsIter<Conversation> {
        let (conversations, runtime) = self.into_async();
        RowsIter { rows: Some(conversations.stream()), runtime }
    }

    /// All rows without their transcripts, page after page.
    #[must_use]
    pub fn stream_lean(self) -> RowsIter<ConversationRow> {
        let (conversations, runtime) = self.into_async();
        RowsIter { rows: Some(conversations.stream_lean()), runtime }
    }
}

impl<T: Listed> List<AgentSight, T> {
    fn into_async(self) -> (List<crate::AgentSight, T>, Arc<Runtime>) {
        let AgentSight { client, runtime } = self.client.clone();
        (self.with_client(client), runtime)
    }

    /// One page.
    ///
    /// # Errors
    /// [`Error::Validation`] for a value that the server does not take, [`Error::NotFound`] for a
    /// page past the last.
    pub fn send(self) -> Result<Paged<T>> {
        let (list, runtime) = self.into_async();
        runtime.run(list.send())
    }

    /// All rows, page after page, each page asked for when it is needed.
    #[must_use]
    pub fn stream(self) -> RowsIter<T> {
        let (list, runtime) = self.into_async();
        RowsIter { rows: Some(list.stream()), runtime }
    }
}

impl List<AgentSight, Feedback> {
    /// One page, and how the matching rows are spread over the states of their tickets.
    ///
    /// # Errors
    /// As [`List::send`].
    pub fn send_counted(self) -> Result<FeedbackPage> {
        let (list, runtime) = self.into_async();
        runtime.run(list.send_counted())
    }
}

/// Rows of a list over all its pages. It ends after its first error.
#[derive(Debug)]
pub struct RowsIter<T> {
    /// None after the last row.
    rows: Option<Rows<T>>,
    runtime: Arc<Runtime>,
}

impl<T: Send + 'static> Iterator for RowsIter<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rows = self.rows.take()?;
        let next = self.runtime.run(async move {
            let row = rows.next().await;
            Ok((row, rows))
        });
        match next {
            Ok((Some(row), rows)) => {
                self.rows = Some(rows);
                Some(row)
            }
            Ok((None, _)) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// A thread that does the async work, idle connections included, until the last client is gone.
#[derive(Debug)]
struct Runtime {
    handle: tokio::runtime::Handle,
    /// The thread ends when this is dropped.
    _running: oneshot::Sender<()>,
}

impl Runtime {
    fn start() -> Result<Self> {
        let failed = |e: std::io::Error| Error::Config(format!("the client's thread cannot be started: {e}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (running, stopped) = oneshot::channel::<()>();
        let work = move || {
            // An error is what the drop of the sender looks like from here.
            let _ = runtime.block_on(stopped);
        };
        std::thread::Builder::new().name("agentsight".to_owned()).spawn(work).map_err(failed)?;
        Ok(Self { handle, _running: running })
    }

    /// Runs a future on the thread and waits for what it gives.
    fn run<T: Send + 'static>(&self, future: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            // Nobody hangs up: the caller waits below.
            let _ = answer.send(future.await);
        });
        answered.recv().unwrap_or_else(|_| Err(Error::Config("the client's thread has ended".to_owned())))
    }
}
