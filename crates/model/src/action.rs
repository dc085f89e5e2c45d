//! Actions and their runs.

use serde::{Deserialize, Serialize};

use crate::ids::{ActionId, ActionLogId, MessageId};
use crate::json::JsonText;
use crate::time::Timestamp;

/// One run of a tool or action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionLog {
    /// Our key.
    pub id: ActionLogId,
    /// The definition.
    pub action: ActionId,
    /// The message that the run left.
    pub message: MessageId,
    /// When it began, as given or derived.
    pub started_at: Option<Timestamp>,
    /// When it ended, as given or derived.
    pub ended_at: Option<Timestamp>,
    /// Milliseconds, in the number form that was sent: `150` stays `150`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub duration_ms: Option<serde_json::Number>,
    /// Arguments, an object as sent.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub tools_used: JsonText,
    /// What came back; empty when nothing did.
    pub response: String,
    /// What went wrong; empty on success.
    pub error_message: String,
    /// The sender's own data, an object.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: JsonText,
}
