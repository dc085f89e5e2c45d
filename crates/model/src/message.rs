//! A message: one utterance, or the trace that an action, a click or a file leaves in the transcript.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::action::ActionLog;
use crate::attachment::Attachment;
use crate::button::MessageButton;
use crate::feedback::Feedback;
use crate::ids::{ConversationId, MessageId};
use crate::json::JsonText;
use crate::time::Timestamp;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Sender {
    /// The person.
    EndUser,
    /// The bot.
    Agent,
}

impl Sender {
    /// The word on the wire and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EndUser => "end_user",
            Self::Agent => "agent",
        }
    }
}

impl FromStr for Sender {
    type Err = UnknownSender;

    fn from_str(text: &str) -> Result<Self, UnknownSender> {
        match text {
            "end_user" => Ok(Self::EndUser),
            "agent" => Ok(Self::Agent),
            _ => Err(UnknownSender),
        }
    }
}

/// Neither `end_user` nor `agent`.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a sender is end_user or agent")]
pub struct UnknownSender;

/// One message with all that hangs on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Message {
    /// Our key.
    pub id: MessageId,
    /// The conversation that it belongs to.
    pub conversation: ConversationId,
    /// When it was said, by the sender's clock.
    pub timestamp: Timestamp,
    /// Who said it.
    pub sender: Sender,
    /// What was said, unchanged.
    pub content: String,
    /// Name of the action on the message that an action leaves, else null.
    pub action_name: Option<String>,
    /// The sender's own data, an object; `{}` when none was given.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: JsonText,
    /// Its files, by id.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// The run of the action that left this message.
    #[serde(default)]
    pub action_logs: Vec<ActionLog>,
    /// The click that left this message.
    pub button: Option<MessageButton>,
    /// The vote on this message.
    #[serde(default)]
    pub feedback: Option<Feedback>,
}

/// Content of the message that a run of an action leaves.
#[must_use]
pub fn action_content(action_name: &str) -> String {
    format!("Action {action_name} performed")
}

/// Content of the message that a click leaves.
#[must_use]
pub fn click_content(label: &str) -> String {
    format!("Button clicked: {label}")
}

/// Content of the message that files without a message of their own leave.
pub const ATTACHMENTS_CONTENT: &str = "[Attachments]";

/// The action in which SDK 0.0.x hides its token counters.
pub const TOKEN_USAGE_ACTION: &str = "token_usage";
