//! Clicks in the chat widget.

use serde::{Deserialize, Serialize};

use crate::filter::Query;
use crate::ids::{ButtonId, ConversationId, MessageId};
use crate::json::JsonText;
use crate::refusal::{FieldErrors, Refusal};
use crate::time::Timestamp;

/// A click as it stands on its message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageButton {
    /// Our key.
    pub id: ButtonId,
    /// What the group of buttons is for.
    pub button_event: String,
    /// The text shown.
    pub label: String,
    /// The value behind it.
    pub value: String,
    /// The sender's own data, an object.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: JsonText,
}

/// A click as it is answered to its POST.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Button {
    /// Our key.
    pub id: ButtonId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The message that the click left.
    pub message: Option<MessageId>,
    /// What the group of buttons is for.
    pub button_event: String,
    /// The text shown.
    pub label: String,
    /// The value behind it.
    pub value: String,
    /// The sender's own data, an object.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: JsonText,
    /// When it was clicked.
    pub timestamp: Timestamp,
}

/// A click as a row of the list of clicks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ButtonRow {
    /// Our key.
    pub id: ButtonId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The sender's name for it.
    pub conversation_id: String,
    /// The message that the click left.
    pub message: Option<MessageId>,
    /// What the group of buttons is for.
    pub button_event: String,
    /// The text shown.
    pub label: String,
    /// The value behind it.
    pub value: String,
    /// The sender's own data, an object.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: JsonText,
    /// When it was clicked.
    pub timestamp: Timestamp,
}

/// How often a button was clicked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ButtonCount {
    /// What the group of buttons is for.
    pub button_event: String,
    /// The value behind it.
    pub value: String,
    /// The text shown.
    pub label: String,
    /// Clicks.
    pub count: u64,
}

/// Which clicks are wanted; all that is given must hold (contract: reading §9.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ButtonFilter {
    /// Exact.
    pub button_event: Option<String>,
    /// Our key of the conversation.
    pub conversation: Option<i64>,
    /// The sender's name for it, exact.
    pub conversation_id: Option<String>,
    /// Inclusive.
    pub timestamp_after: Option<Timestamp>,
    /// Inclusive.
    pub timestamp_before: Option<Timestamp>,
}

/// Every parameter that the list reads.
pub const BUTTON_PARAMETERS: [&str; 8] = [
    "button_event",
    "conversation",
    "conversation_id",
    "timestamp_after",
    "timestamp_before",
    "page",
    "page_size",
    "paginate",
];

impl ButtonFilter {
    /// Reads the parameters.
    ///
    /// # Errors
    /// Every parameter whose value cannot be read.
    pub fn read(query: &Query) -> Result<Self, Refusal> {
        let mut errors = FieldErrors::default();
        let filter = Self {
            button_event: query.owned("button_event"),
            conversation: query.key("conversation", &mut errors),
            conversation_id: query.owned("conversation_id"),
            timestamp_after: query.timestamp("timestamp_after", &mut errors),
            timestamp_before: query.timestamp("timestamp_before", &mut errors),
        };
        errors.into_result()?;
        Ok(filter)
    }
}
