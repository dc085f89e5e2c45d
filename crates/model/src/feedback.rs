//! What people think of a conversation, a message or an agent.

use serde::{Deserialize, Serialize};

use crate::agent::normalise_slug;
use crate::conversation::present;
use crate::filter::{Query, SortKeys, strict_flag, words_of};
use crate::ids::{AgentId, ConversationId, EnvironmentId, FeedbackId, MessageId};
use crate::json::JsonText;
use crate::refusal::{FieldErrors, Refusal};
use crate::ticket::{FeedbackTicket, TicketStatus};
use crate::time::Timestamp;
use crate::words::words;

words! {
    /// What feedback is about.
    FeedbackKind {
        /// A conversation as a whole.
        Conversation = "conversation",
        /// The agent.
        Agent = "agent",
        /// One message: a vote.
        Message = "message",
    }
}
/// Feedback on the product itself, which is nobody's who has a key.
pub const PRODUCT: &str = "product";

words! {
    /// How it was meant.
    Sentiment {
        /// Content.
        Positive = "positive",
        /// Neither.
        Neutral = "neutral",
        /// Discontent.
        Negative = "negative",
    }
}
words! {
    /// Where feedback came from; only `customer` counts in satisfaction metrics.
    FeedbackSource {
        /// Through an API key: the end user's.
        Customer = "customer",
        /// Through a signed-in person.
        Platform = "platform",
    }
}

/// One piece of feedback.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Feedback {
    /// Our key.
    pub id: FeedbackId,
    /// What it is about.
    pub kind: FeedbackKind,
    /// The agent.
    pub agent: AgentId,
    /// Null on feedback about the agent.
    pub conversation: Option<ConversationId>,
    /// The sender's name for the conversation.
    pub conversation_id: Option<String>,
    /// The message that was voted on.
    pub message: Option<MessageId>,
    /// The signed-in person who left it; null for an API key.
    pub user: Option<i64>,
    /// Slug of the environment.
    pub environment: Option<String>,
    /// Key of the environment.
    pub environment_id: Option<EnvironmentId>,
    /// How it was meant.
    pub sentiment: Sentiment,
    /// Set by the server only.
    pub category: Option<String>,
    /// At most 5 000 characters.
    pub comment: Option<String>,
    /// Of a vote.
    pub topic: Option<String>,
    /// Of a vote.
    pub reason: Option<String>,
    /// Where it came from.
    pub source: FeedbackSource,
    /// The sender's own data, an object.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: JsonText,
    /// When it was left.
    pub created_at: Timestamp,
    /// The ticket that came of it: null where none did, absent in lists without tickets and in answers to writes.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub ticket: Option<Option<Box<FeedbackTicket>>>,
}

/// A page of feedback: the envelope of every list, and how the matching rows are spread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedbackPage {
    /// Rows over all pages.
    pub count: u64,
    /// Size of a page, after clamping.
    pub page_size: u32,
    /// At least 1.
    pub total_pages: u32,
    /// 1-based.
    pub current_page: u32,
    /// Address of the next page; null on the last.
    pub next: Option<String>,
    /// Address of the page before; null on the first.
    pub previous: Option<String>,
    /// The rows.
    pub results: Vec<Feedback>,
    /// How many match.
    pub counts: FeedbackCounts,
}

/// How many rows match a list of feedback; with `include_tickets` also by the state of their tickets, whatever state
/// was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedbackCounts {
    /// All of them.
    pub all: u64,
    /// Those that became a ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tickets: Option<u64>,
    /// Those whose ticket is neither done nor closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_tickets: Option<u64>,
    /// By state of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u64>,
    /// By state of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<u64>,
    /// By state of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<u64>,
    /// By state of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_review: Option<u64>,
    /// By state of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// By state of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<u64>,
}

impl FeedbackCounts {
    /// Counts of a list with tickets, from `of`, which tells how many have a ticket in a state.
    #[must_use]
    pub fn by_status(of: impl Fn(TicketStatus) -> u64) -> Self {
        let sum = |wanted: fn(TicketStatus) -> bool| {
            TicketStatus::ALL.iter().copied().filter(|status| wanted(*status)).map(&of).sum::<u64>()
        };
        let all = sum(|_| true);
        Self {
            all,
            tickets: Some(all),
            open_tickets: Some(sum(TicketStatus::is_open)),
            backlog: Some(of(TicketStatus::Backlog)),
            open: Some(of(TicketStatus::Open)),
            in_progress: Some(of(TicketStatus::InProgress)),
            in_review: Some(of(TicketStatus::InReview)),
            done: Some(of(TicketStatus::Done)),
            closed: Some(of(TicketStatus::Closed)),
        }
    }
}

/// Which feedback is wanted; all that is given must hold (contract: reading §7.1).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeedbackFilter {
    /// About what.
    pub kind: Option<FeedbackKind>,
    /// Exact.
    pub sentiment: Option<Sentiment>,
    /// Our key of the conversation.
    pub conversation: Option<i64>,
    /// The sender's name for it, exact; votes on its messages included.
    pub conversation_id: Option<String>,
    /// Our key of the message.
    pub message: Option<i64>,
    /// Exact.
    pub topic: Option<String>,
    /// Exact.
    pub reason: Option<String>,
    /// Exact.
    pub category: Option<String>,
    /// Our key of the agent, which can only be the caller's.
    pub agent: Option<i64>,
    /// The signed-in person.
    pub user: Option<i64>,
    /// Slugs that must hold all at once; more than one different matches nothing.
    pub environments: Vec<String>,
    /// A comment that is not empty, or none.
    pub has_comment: Option<bool>,
    /// Substring, case ignored.
    pub comment_contains: Option<String>,
    /// Inclusive.
    pub created_at_after: Option<Timestamp>,
    /// Inclusive.
    pub created_at_before: Option<Timestamp>,
    /// Only those that became a ticket, and with it.
    pub include_tickets: bool,
    /// With `include_tickets`: false matches nothing.
    pub has_ticket: Option<bool>,
    /// With `include_tickets`: any of these.
    pub ticket_status: Vec<TicketStatus>,
    /// Each must occur in the comment, topic, reason, category or the conversation's name.
    pub search: Vec<String>,
    /// Newest first when empty.
    pub ordering: SortKeys,
}

/// Every parameter that the list reads.
pub const FEEDBACK_PARAMETERS: [&str; 24] = [
    "kind",
    "sentiment",
    "conversation",
    "conversation_id",
    "message",
    "topic",
    "reason",
    "category",
    "agent",
    "user",
    "environment",
    "env",
    "has_comment",
    "comment_contains",
    "created_at_after",
    "created_at_before",
    "include_tickets",
    "has_ticket",
    "ticket_status",
    "search",
    "ordering",
    "page",
    "page_size",
    "paginate",
];

impl FeedbackFilter {
    /// Reads the parameters. Slugs are checked against the agent's by the store.
    ///
    /// # Errors
    /// Every parameter whose value cannot be read; [`Refusal::Forbidden`] for feedback on the product itself.
    pub fn read(query: &Query) -> Result<Self, Refusal> {
        if query.get("kind") == Some(PRODUCT) {
            return Err(Refusal::Forbidden);
        }
        let include_tickets = strict_flag(query, "include_tickets")?;
        let gated = ["has_ticket", "ticket_status"].into_iter().find(|name| query.get(name).is_some());
        if let (false, Some(name)) = (include_tickets, gated) {
            return Err(Refusal::bare(name, "Ticket filters need ?include_tickets=true on the API-key plane."));
        }
        let mut errors = FieldErrors::default();
        let filter = Self {
            kind: query.choice("kind", &mut errors),
            sentiment: query.choice("sentiment", &mut errors),
            conversation: query.key("conversation", &mut errors),
            conversation_id: query.owned("conversation_id"),
            message: query.key("message", &mut errors),
            topic: query.owned("topic"),
            reason: query.owned("reason"),
            category: query.owned("category"),
            agent: query.key("agent", &mut errors),
            user: query.key("user", &mut errors),
            environments: ["environment", "env"].iter().filter_map(|name| normalise_slug(query.get(name)?)).collect(),
            has_comment: query.flag("has_comment", &mut errors),
            comment_contains: query.owned("comment_contains"),
            created_at_after: query.timestamp("created_at_after", &mut errors),
            created_at_before: query.timestamp("created_at_before", &mut errors),
            include_tickets,
            has_ticket: query.flag("has_ticket", &mut errors),
            ticket_status: query.choices("ticket_status", &mut errors),
            search: words_of(query, &mut errors),
            ordering: SortKeys::read(query, &["created_at", "id", "kind", "sentiment", "category"]),
        };
        errors.into_result()?;
        Ok(filter)
    }
}
