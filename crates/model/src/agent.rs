//! The observed bot and its environments.

use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, EnvironmentId};
use crate::key::Role;
use crate::limits::TEXT_CHARS;
use crate::refusal::texts;
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

/// The slug of an environment that people call so: its letters and digits in lower case, with dashes for what stands
/// between them. It is read by [`normalise_slug`] as itself, or could never be named.
///
/// # Errors
/// Why there is none.
pub fn slug_of_name(name: &str) -> Result<String, &'static str> {
    let name = name.trim();
    if name.is_empty() {
        return Err(texts::NOT_BLANK);
    }
    if name.chars().count() > TEXT_CHARS {
        return Err("Ensure this field has no more than 255 characters.");
    }
    if name.chars().any(char::is_control) {
        return Err(texts::CONTROL);
    }
    let name = name.to_lowercase();
    let is_kept = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_');
    let words = name.split(|c: char| !is_kept(c)).map(|word| word.trim_matches('.')).filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-");
    let slug = Some(slug).filter(|slug| slug.contains(char::is_alphanumeric)).and_then(|slug| normalise_slug(&slug));
    slug.ok_or("Give at least one letter or digit, of which its slug can be made.")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_made_of_letters_and_digits() {
        for (name, slug) in [
            ("Staging", "staging"),
            (" Production  EU ", "production-eu"),
            ("QA (v1.2)", "qa-v1.2"),
            ("load_test", "load_test"),
            ("../../etc", "etc"),
            ("Prüfung – Süd", "prüfung-süd"),
            ("PROD", "production"),
        ] {
            assert_eq!(slug_of_name(name).as_deref(), Ok(slug), "{name}");
            assert_eq!(normalise_slug(slug).as_deref(), Some(slug));
        }
        for (name, why) in [
            (" ", texts::NOT_BLANK),
            ("!!!", "Give at least one letter or digit, of which its slug can be made."),
            ("_._", "Give at least one letter or digit, of which its slug can be made."),
            ("a\nb", texts::CONTROL),
        ] {
            assert_eq!(slug_of_name(name), Err(why), "{name}");
        }
        assert!(slug_of_name(&"x".repeat(TEXT_CHARS + 1)).is_err());
    }
}
