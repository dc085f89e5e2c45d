//! Ids as types, so that a message's is never taken for a conversation's.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// A bot that is observed, owner of everything below it.
    AgentId,
    /// Our integer key of a conversation; the sender's own is the string `conversation_id`.
    ConversationId,
    /// One message.
    MessageId,
    /// A tool or action as a definition; its runs are action logs.
    ActionId,
    /// One run of an action.
    ActionLogId,
    /// One click.
    ButtonId,
    /// One file of a message.
    AttachmentId,
    /// One piece of feedback.
    FeedbackId,
    /// One environment of an agent.
    EnvironmentId,
    /// One API key.
    KeyId,
    /// One ticket.
    TicketId,
    /// One span, as a row; its sender's own is the hexadecimal `span_id`.
    SpanId,
    /// One row of token usage.
    UsageId,
}

/// What a caller may name a conversation by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConversationRef {
    /// Our integer.
    Id(ConversationId),
    /// The sender's string, exact and case-sensitive.
    Named(String),
}

impl From<i64> for ConversationRef {
    fn from(id: i64) -> Self {
        Self::Id(ConversationId(id))
    }
}

impl From<i32> for ConversationRef {
    fn from(id: i32) -> Self {
        Self::from(i64::from(id))
    }
}

impl From<u32> for ConversationRef {
    fn from(id: u32) -> Self {
        Self::from(i64::from(id))
    }
}

impl From<u64> for ConversationRef {
    /// Past the range of keys this is one that no conversation bears.
    fn from(id: u64) -> Self {
        Self::from(i64::try_from(id).unwrap_or(i64::MAX))
    }
}

impl From<ConversationId> for ConversationRef {
    fn from(id: ConversationId) -> Self {
        Self::Id(id)
    }
}

impl From<&str> for ConversationRef {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

impl From<String> for ConversationRef {
    fn from(name: String) -> Self {
        Self::Named(name)
    }
}

impl From<&String> for ConversationRef {
    fn from(name: &String) -> Self {
        Self::Named(name.clone())
    }
}
