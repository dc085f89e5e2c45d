//! Lists of feedback, tickets, actions and clicks, page by page.

use std::fmt::Display;
use std::marker::PhantomData;

use agentsight_model::action::Action;
use agentsight_model::button::ButtonRow;
use agentsight_model::feedback::{Feedback, FeedbackKind, FeedbackPage, Sentiment};
use agentsight_model::ids::{ConversationId, MessageId};
use agentsight_model::limits::PAGE_ROWS;
use agentsight_model::page::Paged;
use agentsight_model::ticket::{Ticket, TicketComment, TicketPriority, TicketStatus};
use agentsight_model::time::Timestamp;
use serde::de::DeserializeOwned;

use crate::fetch::{Rows, rows};
use crate::{AgentSight, Result};

/// What stands in a [`List`].
pub trait Listed: DeserializeOwned + Send + 'static {
    /// Our integer of the row.
    #[doc(hidden)]
    fn key(&self) -> i64;
}

macro_rules! listed {
    ($($row:ty: $key:expr;)*) => {$(
        impl Listed for $row {
            fn key(&self) -> i64 {
                $key(self)
            }
        }
    )*};
}

listed! {
    Feedback: |row: &Feedback| row.id.0;
    Ticket: |row: &Ticket| row.id.0;
    TicketComment: |row: &TicketComment| row.id;
    Action: |row: &Action| row.id.0;
    ButtonRow: |row: &ButtonRow| row.id.0;
}

/// Which rows of a list are wanted, and how. All that is given must hold.
///
/// Made by [`AgentSight::fetch_feedbacks`], [`AgentSight::fetch_tickets`] and their like; the type parameters are the
/// client, async or blocking, and the rows.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before send or stream"]
pub struct List<C, T> {
    pub(crate) client: C,
    pub(crate) wanted: Wanted,
    rows: PhantomData<fn() -> T>,
}

/// The address and its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    path: String,
    query: Vec<(String, String)>,
    ordering: Vec<String>,
    page: Option<u32>,
    page_size: Option<u32>,
}

impl<C, T> List<C, T> {
    pub(crate) fn new(client: C, path: impl Into<String>) -> Self {
        let (query, ordering) = (Vec::new(), Vec::new());
        let wanted = Wanted { path: path.into(), query, ordering, page: None, page_size: None };
        Self { client, wanted, rows: PhantomData }
    }

    /// The same list for another client.
    #[cfg(feature = "blocking")]
    pub(crate) fn with_client<D>(self, client: D) -> List<D, T> {
        List { client, wanted: self.wanted, rows: PhantomData }
    }

    /// Smallest first by this, a sort key of the API; a further call breaks ties.
    pub fn order_by(mut self, key: &str) -> Self {
        self.wanted.ordering.push(key.to_owned());
        self
    }

    /// Largest first by this; a further call breaks ties.
    pub fn order_by_descending(mut self, key: &str) -> Self {
        self.wanted.ordering.push(format!("-{key}"));
        self
    }

    /// Which page, from 1. A stream begins with it.
    pub fn page(mut self, number: u32) -> Self {
        self.wanted.page = Some(number);
        self
    }

    /// Rows of a page, 1 to 100. Default: the server's 10, and 100 in a stream.
    pub fn page_size(mut self, rows: u32) -> Self {
        self.wanted.page_size = Some(rows);
        self
    }

    /// Any other parameter of the API, as it goes into the address. A parameter that is given twice keeps its last
    /// value.
    pub fn param(mut self, name: impl Into<String>, value: impl Display) -> Self {
        let name = name.into();
        self.wanted.query.retain(|(given, _)| *given != name);
        self.also(name, value)
    }

    /// A parameter that may be repeated.
    fn also(mut self, name: impl Into<String>, value: impl Display) -> Self {
        self.wanted.query.push((name.into(), value.to_string()));
        self
    }
}

impl<C> List<C, Feedback> {
    /// About what.
    pub fn kind(self, kind: FeedbackKind) -> Self {
        self.param("kind", kind.as_str())
    }

    /// How it was meant.
    pub fn sentiment(self, sentiment: Sentiment) -> Self {
        self.param("sentiment", sentiment.as_str())
    }

    /// One conversation, by our integer; votes on its messages included.
    pub fn conversation(self, id: impl Into<ConversationId>) -> Self {
        self.param("conversation", id.into())
    }

    /// One conversation, by the sender's name; votes on its messages included.
    pub fn conversation_id(self, name: impl Into<String>) -> Self {
        self.param("conversation_id", name.into())
    }

    /// The vote on one message.
    pub fn message(self, id: impl Into<MessageId>) -> Self {
        self.param("message", id.into())
    }

    /// Votes with this topic, exact.
    pub fn topic(self, topic: impl Into<String>) -> Self {
        self.param("topic", topic.into())
    }

    /// Votes with this reason, exact.
    pub fn reason(self, reason: impl Into<String>) -> Self {
        self.param("reason", reason.into())
    }

    /// One environment by its slug.
    pub fn environment(self, slug: impl Into<String>) -> Self {
        self.param("environment", slug.into())
    }

    /// With a comment, or without.
    pub fn has_comment(self, flag: bool) -> Self {
        self.param("has_comment", flag)
    }

    /// The comment contains this, case ignored.
    pub fn comment_contains(self, part: impl Into<String>) -> Self {
        self.param("comment_contains", part.into())
    }

    /// Each word occurs in the comment, topic, reason or the conversation's name, case ignored.
    pub fn search(self, words: impl Into<String>) -> Self {
        self.param("search", words.into())
    }

    /// Left then or later.
    pub fn created_at_after(self, at: impl Into<Timestamp>) -> Self {
        self.param("created_at_after", at.into())
    }

    /// Left then or earlier.
    pub fn created_at_before(self, at: impl Into<Timestamp>) -> Self {
        self.param("created_at_before", at.into())
    }

    /// Only feedback that became a ticket, and with it.
    pub fn include_tickets(self, flag: bool) -> Self {
        self.param("include_tickets", flag)
    }

    /// With [`include_tickets`](Self::include_tickets): tickets in this state; may be called again for further ones.
    pub fn ticket_status(self, status: TicketStatus) -> Self {
        self.also("ticket_status", status.as_str())
    }
}

impl<C> List<C, Ticket> {
    /// In this state; may be called again for further ones.
    pub fn status(self, status: TicketStatus) -> Self {
        self.also("status", status.as_str())
    }

    /// As pressing as this.
    pub fn priority(self, priority: TicketPriority) -> Self {
        self.param("priority", priority.as_str())
    }

    /// About one conversation, by our integer.
    pub fn conversation(self, id: impl Into<ConversationId>) -> Self {
        self.param("conversation", id.into())
    }

    /// About one conversation, by the sender's name.
    pub fn conversation_id(self, name: impl Into<String>) -> Self {
        self.param("conversation_id", name.into())
    }

    /// About a conversation, or about none.
    pub fn has_conversation(self, flag: bool) -> Self {
        self.param("has_conversation", flag)
    }

    /// Come of feedback, or not.
    pub fn has_feedback(self, flag: bool) -> Self {
        self.param("has_feedback", flag)
    }

    /// With at least one of these labels, none of which holds a comma.
    pub fn tags(self, tags: &[&str]) -> Self {
        self.param("tags", tags.join(","))
    }

    /// Each word occurs in the title, case ignored.
    pub fn search(self, words: impl Into<String>) -> Self {
        self.param("search", words.into())
    }

    /// Made then or later.
    pub fn created_at_after(self, at: impl Into<Timestamp>) -> Self {
        self.param("created_at_after", at.into())
    }

    /// Made then or earlier.
    pub fn created_at_before(self, at: impl Into<Timestamp>) -> Self {
        self.param("created_at_before", at.into())
    }

    /// Changed then or later.
    pub fn updated_at_after(self, at: impl Into<Timestamp>) -> Self {
        self.param("updated_at_after", at.into())
    }

    /// Changed then or earlier.
    pub fn updated_at_before(self, at: impl Into<Timestamp>) -> Self {
        self.param("updated_at_before", at.into())
    }
}

impl<C> List<C, Action> {
    /// The name, exact.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.param("name", name.into())
    }

    /// The name contains this, case ignored.
    pub fn name_contains(self, part: impl Into<String>) -> Self {
        self.param("name__icontains", part.into())
    }

    /// The label contains this, case ignored.
    pub fn display_name(self, part: impl Into<String>) -> Self {
        self.param("display_name", part.into())
    }

    /// Each word occurs in the name, the label or the description, case ignored.
    pub fn search(self, words: impl Into<String>) -> Self {
        self.param("search", words.into())
    }
}

impl<C> List<C, ButtonRow> {
    /// Clicks of one group of buttons, exact.
    pub fn button_event(self, event: impl Into<String>) -> Self {
        self.param("button_event", event.into())
    }

    /// One conversation, by our integer.
    pub fn conversation(self, id: impl Into<ConversationId>) -> Self {
        self.param("conversation", id.into())
    }

    /// One conversation, by the sender's name.
    pub fn conversation_id(self, name: impl Into<String>) -> Self {
        self.param("conversation_id", name.into())
    }

    /// Clicked then or later.
    pub fn timestamp_after(self, at: impl Into<Timestamp>) -> Self {
        self.param("timestamp_after", at.into())
    }

    /// Clicked then or earlier.
    pub fn timestamp_before(self, at: impl Into<Timestamp>) -> Self {
        self.param("timestamp_before", at.into())
    }
}

impl Wanted {
    fn query(&self) -> Vec<(String, String)> {
        let mut query = self.query.clone();
        let mut add = |name: &str, value: String| query.push((name.to_owned(), value));
        if !self.ordering.is_empty() {
            add("ordering", self.ordering.join(","));
        }
        if let Some(page) = self.page {
            add("page", page.to_string());
        }
        if let Some(size) = self.page_size {
            add("page_size", size.to_string());
        }
        query
    }
}

impl<T: Listed> List<AgentSight, T> {
    /// One page.
    ///
    /// # Errors
    /// [`Error::Validation`](crate::Error::Validation) for a value that the server does not take,
    /// [`Error::NotFound`](crate::Error::NotFound) for a page past the last.
    pub async fn send(self) -> Result<Paged<T>> {
        self.client.answer(self.client.get(&self.wanted.path, &self.wanted.query())?).await
    }

    /// All rows, page after page, each page asked for when it is needed.
    pub fn stream(self) -> Rows<T> {
        let mut wanted = self.wanted;
        wanted.page_size = wanted.page_size.or(Some(PAGE_ROWS));
        let (path, first) = (wanted.path.clone(), wanted.page.unwrap_or(1));
        let query = move |page| Ok(Wanted { page: Some(page), ..wanted.clone() }.query());
        rows(self.client, path, first, Box::new(query), T::key)
    }
}

impl List<AgentSight, Feedback> {
    /// One page, and how the matching rows are spread over the states of their tickets.
    ///
    /// # Errors
    /// As [`List::send`].
    pub async fn send_counted(self) -> Result<FeedbackPage> {
        self.client.answer(self.client.get(&self.wanted.path, &self.wanted.query())?).await
    }
}
