//! The observed bot and its environments.

use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, EnvironmentId};
use crate::key::Role;
use crate::time::Timestamp;

/// A stage of an agent's conversations, such as `production`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Environment {
    /// Our key, per agent on the wire.
    pub id: EnvironmentId,
    /// The name on the wire; never renamed.
    pub slug: String,
    /// The label that people see.
    pub name: String,
    /// Only production conversations count in analytics.
    pub is_production: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its label was last changed.
    pub updated_at: Timestamp,
}

/// The slug of the environment that a conversation belongs to when nothing was said.
pub const PRODUCTION: &str = "production";
/// The slug of the other environment that every agent begins with.
pub const DEVELOPMENT: &str = "development";

/// A slug as meant: trimmed, lower-cased, `prod` and `dev` written out. `None` for an empty text.
#[must_use]
pub fn normalise_slug(text: &str) -> Option<String> {
    let slug = text.trim().to_lowercase();
    match slug.as_str() {
        "" => None,
        "prod" => Some(PRODUCTION.to_owned()),
        "dev" => Some(DEVELOPMENT.to_owned()),
        _ => Some(slug),
    }
}

/// Who a key is: the answer of `GET /api/me/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    /// The agent that the key belongs to.
    pub agent_id: AgentId,
    /// Its name.
    pub agent_name: String,
    /// What the key may do.
    pub role: Role,
    /// The environments of the agent.
    pub environments: Vec<Environment>,
    /// What this server can do beyond the plain protocol.
    pub capabilities: Vec<String>,
}
