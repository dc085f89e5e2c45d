//! A conversation: one exchange between an end user and an agent.

use serde::{Deserialize, Deserializer, Serialize};

use crate::attachment::Attachment;
use crate::feedback::Feedback;
use crate::ids::{AgentId, ConversationId, EnvironmentId, MessageId};
use crate::json::JsonText;
use crate::message::{Message, Sender};
use crate::ticket::ConversationTicket;
use crate::time::Timestamp;
use crate::usage::UsageSummary;

/// Where an address is, as far as the operator's database knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GeoLocation {
    /// The conversation's `customer_ip_address`.
    pub ip_address: String,
    /// English name.
    pub city: Option<String>,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: Option<String>,
    /// IANA name of the time zone.
    pub timezone_name: Option<String>,
}

// The lean row and the whole conversation share their first fields, and serde's `flatten` would
// cost both speed and the verbatim metadata.
macro_rules! with_head {
    ($(#[$doc:meta])* $name:ident { $($rest:tt)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name {
            /// Our integer key.
            pub id: ConversationId,
            /// The agent that it belongs to.
            pub agent: AgentId,
            /// The sender's own name for it, unique within the agent.
            pub conversation_id: String,
            /// Display title.
            pub name: Option<String>,
            /// The end user, as the sender names them.
            pub customer_id: Option<String>,
            /// The end user's address, as the sender gave it.
            pub customer_ip_address: Option<String>,
            /// `desktop`, `mobile`, `tablet` by convention.
            pub device: Option<String>,
            /// The channel, such as `web` or `whatsapp`.
            #[serde(default)]
            pub source: Option<String>,
            /// A language tag or name, as given.
            pub language: Option<String>,
            /// Slug of the environment.
            pub environment: String,
            /// Key of the environment.
            pub environment_id: EnvironmentId,
            /// Put on a person's list of favourites.
            pub is_marked: bool,
            /// In the trash: hidden from lists, still readable by id.
            pub is_deleted: bool,
            /// Somebody really used it; false for a widget that was only loaded.
            pub is_used: bool,
            /// Earliest of all its times.
            pub started_at: Timestamp,
            /// Time of its last message, else of its start.
            pub ended_at: Timestamp,
            /// When it went to the trash.
            pub deleted_at: Option<Timestamp>,
            /// The sender's own data, an object; `{}` when none was given.
            #[serde(default)]
            #[cfg_attr(feature = "openapi", schema(value_type = Object))]
            pub metadata: JsonText,
            /// Where the end user was; null when no address was given or nothing is known of it.
            pub geo_location: Option<GeoLocation>,
            /// Messages, synthetic ones included.
            pub message_count: u64,
            /// Feedback on the conversation and votes on its messages.
            pub feedback_count: u64,
            $($rest)*
        }
    };
}

with_head! {
    /// A conversation without its transcript: the row of lean lists and of `POST /api/conversations/`.
    ConversationRow {
        /// Only with `include_tickets=true`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tickets: Option<Vec<ConversationTicket>>,
    }
}

with_head! {
    /// A whole conversation: what `fetch_conversation` is about.
    Conversation {
        /// By time, then by id.
        pub messages: Vec<Message>,
        /// Feedback on the conversation as a whole, oldest first; votes are on their messages.
        pub feedbacks: Vec<Feedback>,
        /// Newest first. Absent in lists without `include_tickets=true`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tickets: Option<Vec<ConversationTicket>>,
        /// Tokens and their cost; null when none were reported, absent in lists.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
        pub token_usage: Option<Option<UsageSummary>>,
    }
}

/// A key that is there with null is `Some(None)`, one that is missing is `None`.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

impl ConversationRow {
    /// The whole conversation, once its parts are known.
    #[must_use]
    pub fn with_transcript(self, messages: Vec<Message>, feedbacks: Vec<Feedback>) -> Conversation {
        Conversation {
            id: self.id,
            agent: self.agent,
            conversation_id: self.conversation_id,
            name: self.name,
            customer_id: self.customer_id,
            customer_ip_address: self.customer_ip_address,
            device: self.device,
            source: self.source,
            language: self.language,
            environment: self.environment,
            environment_id: self.environment_id,
            is_marked: self.is_marked,
            is_deleted: self.is_deleted,
            is_used: self.is_used,
            started_at: self.started_at,
            ended_at: self.ended_at,
            deleted_at: self.deleted_at,
            metadata: self.metadata,
            geo_location: self.geo_location,
            message_count: self.message_count,
            feedback_count: self.feedback_count,
            messages,
            feedbacks,
            tickets: self.tickets,
            token_usage: None,
        }
    }
}

/// Answer of `GET /api/conversations/lookup/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lookup {
    /// Our integer key.
    pub id: ConversationId,
    /// The name that was asked for.
    pub conversation_id: String,
}

/// Files of one message, within [`ConversationAttachments`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageAttachments {
    /// The message.
    pub message_id: MessageId,
    /// The same once more; both spellings are in use.
    pub id: MessageId,
    /// Who sent it.
    pub sender: Sender,
    /// When.
    pub timestamp: Timestamp,
    /// Its files, by id.
    pub attachments: Vec<Attachment>,
}

/// Answer of `GET /api/conversations/{id}/attachments/`: grouped by message as generation 0.0
/// documents it, and flat as 0.1 does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConversationAttachments {
    /// The sender's name for the conversation.
    pub conversation_id: String,
    /// Our integer key.
    pub conversation: ConversationId,
    /// Number of files.
    pub total_attachments: u64,
    /// The same number once more.
    pub attachment_count: u64,
    /// Messages that have files, in transcript order.
    pub messages: Vec<MessageAttachments>,
    /// All files, in the same order.
    pub attachments: Vec<Attachment>,
}

/// Keys that occur in metadata: answer of the `…metadata-keys/` routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MetadataKeys {
    /// Sorted, nested ones as dot paths, at most 200.
    pub keys: Vec<String>,
}

/// Values that occur under one metadata key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MetadataValues {
    /// The key that was asked for.
    pub key: String,
    /// Distinct scalars, at most 200.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Value>))]
    pub values: Vec<JsonText>,
}
