//! What people think of a conversation, a message or an agent.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, ConversationId, EnvironmentId, FeedbackId, MessageId};
use crate::json::JsonText;
use crate::time::Timestamp;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// The word on the wire and in the store.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text { $($word => Ok(Self::$variant),)* _ => Err(UnknownWord) }
            }
        }
    };
}

/// Not one of the words of a closed list.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not one of the choices")]
pub struct UnknownWord;

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
}
