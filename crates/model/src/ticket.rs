//! Cases for people to work on.

use serde::{Deserialize, Serialize};

use crate::feedback::{FeedbackKind, Sentiment};
use crate::filter::{Query, SortKeys, words_of};
use crate::ids::{AgentId, ConversationId, EnvironmentId, FeedbackId, TicketId};
use crate::limits::FILTER_TERMS;
use crate::refusal::{FieldErrors, Refusal};
use crate::time::Timestamp;
use crate::words::words;

words! {
    /// Where a ticket stands, in the order of a board.
    TicketStatus {
        /// To be looked at some day.
        Backlog = "backlog",
        /// To be done.
        Open = "open",
        /// Somebody is at it.
        InProgress = "in_progress",
        /// Somebody looks at what was done.
        InReview = "in_review",
        /// Done.
        Done = "done",
        /// Nothing more will happen.
        Closed = "closed",
    }
}
words! {
    /// How pressing a ticket is.
    TicketPriority {
        /// It can wait.
        Low = "low",
        /// As usual.
        Medium = "medium",
        /// Before others.
        High = "high",
    }
}
words! {
    /// Who wrote a comment.
    CommentRole {
        /// Through an API key.
        Agent = "agent",
        /// One of those who build the agent.
        Dev = "dev",
        /// One of those who report on it.
        Reporter = "reporter",
    }
}

impl TicketStatus {
    /// Neither done nor closed.
    #[must_use]
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Done | Self::Closed)
    }
}

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ticket {
    /// Our key.
    pub id: TicketId,
    /// The agent.
    pub agent: AgentId,
    /// What it is about.
    pub title: String,
    /// Where it stands.
    pub status: TicketStatus,
    /// How pressing it is; null where nobody said.
    pub priority: Option<TicketPriority>,
    /// Free labels.
    pub tags: Vec<String>,
    /// Slug of the environment in which the problem was seen; never changes.
    pub environment: String,
    /// Key of the environment.
    pub environment_id: EnvironmentId,
    /// The conversation that it is about, if any.
    pub conversation: Option<TicketConversation>,
    /// The feedback that it came of, if any.
    pub feedback: Option<TicketFeedback>,
    /// The thread, oldest first.
    pub comments: Vec<TicketComment>,
    /// Comments of the thread.
    pub comments_count: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it or its thread last changed.
    pub updated_at: Timestamp,
}

/// The conversation of a ticket, in brief.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketConversation {
    /// Our key.
    pub id: ConversationId,
    /// The sender's name for it.
    pub conversation_id: String,
    /// Display title.
    pub name: Option<String>,
    /// Slug of its environment.
    pub environment: String,
    /// Key of its environment.
    pub environment_id: EnvironmentId,
}

/// The feedback of a ticket, in brief.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketFeedback {
    /// Our key.
    pub id: FeedbackId,
    /// What it is about.
    pub kind: FeedbackKind,
    /// How it was meant.
    pub sentiment: Sentiment,
    /// What was said.
    pub comment: Option<String>,
    /// When it was left.
    pub created_at: Timestamp,
}

/// A ticket as it stands on its conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConversationTicket {
    /// Our key.
    pub id: TicketId,
    /// What it is about.
    pub title: String,
    /// Where it stands.
    pub status: TicketStatus,
    /// How pressing it is; null where nobody said.
    pub priority: Option<TicketPriority>,
    /// Free labels.
    pub tags: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it or its thread last changed.
    pub updated_at: Timestamp,
    /// The thread, oldest first.
    pub comments: Vec<TicketComment>,
}

/// A ticket as it stands on the feedback that it came of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedbackTicket {
    /// Our key.
    pub id: TicketId,
    /// What it is about.
    pub title: String,
    /// Where it stands.
    pub status: TicketStatus,
    /// How pressing it is; null where nobody said.
    pub priority: Option<TicketPriority>,
    /// Free labels.
    pub tags: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it or its thread last changed.
    pub updated_at: Timestamp,
    /// Comments of the thread.
    pub comments_count: u64,
    /// The thread, oldest first.
    pub comments: Vec<TicketComment>,
}

impl From<ConversationTicket> for FeedbackTicket {
    fn from(ticket: ConversationTicket) -> Self {
        let ConversationTicket { id, title, status, priority, tags, created_at, updated_at, comments } = ticket;
        let comments_count = comments.len() as u64;
        Self { id, title, status, priority, tags, created_at, updated_at, comments_count, comments }
    }
}

/// One comment of a ticket's thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketComment {
    /// Our key.
    pub id: i64,
    /// Name of the key or person.
    pub author: String,
    /// Who that is.
    pub role: CommentRole,
    /// What was said.
    pub body: String,
    /// When.
    pub created_at: Timestamp,
}

/// Which tickets are wanted; all that is given must hold (contract: reading §8.1).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TicketFilter {
    /// Any of these.
    pub status: Vec<TicketStatus>,
    /// Exact.
    pub priority: Option<TicketPriority>,
    /// Our key of the conversation.
    pub conversation: Option<i64>,
    /// The sender's name for it, exact.
    pub conversation_id: Option<String>,
    /// Anchored to a conversation, or not.
    pub has_conversation: Option<bool>,
    /// Come of feedback, or not.
    pub has_feedback: Option<bool>,
    /// At least one of these labels, exact.
    pub tags: Vec<String>,
    /// Inclusive.
    pub created_at_after: Option<Timestamp>,
    /// Inclusive.
    pub created_at_before: Option<Timestamp>,
    /// Inclusive.
    pub updated_at_after: Option<Timestamp>,
    /// Inclusive.
    pub updated_at_before: Option<Timestamp>,
    /// Each must occur in the title, case ignored.
    pub search: Vec<String>,
    /// Newest first when empty.
    pub ordering: SortKeys,
}

/// Every parameter that the list reads.
pub const TICKET_PARAMETERS: [&str; 16] = [
    "status",
    "priority",
    "conversation",
    "conversation_id",
    "has_conversation",
    "has_feedback",
    "tags",
    "created_at_after",
    "created_at_before",
    "updated_at_after",
    "updated_at_before",
    "search",
    "ordering",
    "page",
    "page_size",
    "paginate",
];

impl TicketFilter {
    /// Reads the parameters.
    ///
    /// # Errors
    /// Every parameter whose value cannot be read.
    pub fn read(query: &Query) -> Result<Self, Refusal> {
        let mut errors = FieldErrors::default();
        let tags: Vec<String> = query
            .get("tags")
            .map(|text| text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect())
            .unwrap_or_default();
        if tags.len() > FILTER_TERMS {
            errors.add("tags", format!("Use at most {FILTER_TERMS} tags."));
        }
        let filter = Self {
            status: query.choices("status", &mut errors),
            priority: query.choice("priority", &mut errors),
            conversation: query.key("conversation", &mut errors),
            conversation_id: query.owned("conversation_id"),
            has_conversation: query.flag("has_conversation", &mut errors),
            has_feedback: query.flag("has_feedback", &mut errors),
            tags,
            created_at_after: query.timestamp("created_at_after", &mut errors),
            created_at_before: query.timestamp("created_at_before", &mut errors),
            updated_at_after: query.timestamp("updated_at_after", &mut errors),
            updated_at_before: query.timestamp("updated_at_before", &mut errors),
            search: words_of(query, &mut errors),
            ordering: SortKeys::read(query, &["created_at", "updated_at", "priority", "status", "title"]),
        };
        errors.into_result()?;
        Ok(filter)
    }
}
