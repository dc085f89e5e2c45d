//! Actions and their runs.

use serde::{Deserialize, Serialize};

use crate::filter::{Query, SortKeys, words_of};
use crate::ids::{ActionId, ActionLogId, AgentId, MessageId};
use crate::json::JsonText;
use crate::refusal::{FieldErrors, Refusal};
use crate::time::Timestamp;

/// A tool or action as a definition; its runs are [`ActionLog`]s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Action {
    /// Our key.
    pub id: ActionId,
    /// The name under which it runs: exact, case-sensitive, unique per agent.
    pub name: String,
    /// The label that people see.
    pub display_name: String,
    /// What it does.
    pub description: String,
    /// The agent.
    pub agent: AgentId,
}

/// Which actions are wanted; all that is given must hold (contract: reading §9.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionFilter {
    /// Exact.
    pub name: Option<String>,
    /// Substring, case ignored.
    pub name_contains: Option<String>,
    /// Substring, case ignored.
    pub display_name: Option<String>,
    /// Each must occur in the name, the label or the description, case ignored.
    pub search: Vec<String>,
    /// By id when empty.
    pub ordering: SortKeys,
}

/// Every parameter that the list reads.
pub const ACTION_PARAMETERS: [&str; 8] =
    ["name", "name__icontains", "display_name", "search", "ordering", "page", "page_size", "paginate"];

impl ActionFilter {
    /// Reads the parameters.
    ///
    /// # Errors
    /// Every parameter whose value cannot be read.
    pub fn read(query: &Query) -> Result<Self, Refusal> {
        let mut errors = FieldErrors::default();
        let filter = Self {
            name: query.owned("name"),
            name_contains: query.owned("name__icontains"),
            display_name: query.owned("display_name"),
            search: words_of(query, &mut errors),
            ordering: SortKeys::read(query, &["name", "display_name", "id"]),
        };
        errors.into_result()?;
        Ok(filter)
    }
}

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
