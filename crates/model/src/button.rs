//! Clicks in the chat widget.

use serde::{Deserialize, Serialize};

use crate::ids::{ButtonId, ConversationId, MessageId};
use crate::json::JsonText;
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
