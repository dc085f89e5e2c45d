//! Bodies of `/api/actions/` (contract: managing §5).

use crate::body::{Body, Length};
use crate::limits::{NOTE_BYTES, TEXT_CHARS};
use crate::refusal::{Refusal, texts};

/// What `POST /api/actions/` defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewActionDefinition {
    /// Unique per agent, case-sensitive.
    pub name: String,
    /// The label that people see; the name when nothing was said.
    pub display_name: String,
    /// What it does.
    pub description: String,
}

impl NewActionDefinition {
    /// Reads the body.
    ///
    /// # Errors
    /// Every field that cannot be taken.
    pub fn read(mut body: Body<'_>) -> Result<Self, Refusal> {
        let name = body.required_text("name", Length::Chars(TEXT_CHARS));
        let display_name = body.text("display_name", Length::Chars(TEXT_CHARS));
        let display_name = display_name.filter(|text| !text.trim().is_empty());
        let description = body.text("description", Length::Bytes(NOTE_BYTES)).unwrap_or_default();
        body.finish()?;
        Ok(Self { display_name: display_name.unwrap_or_else(|| name.clone()), name, description })
    }
}

/// What `PATCH /api/actions/{id}/` changes: only what is `Some`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionChange {
    /// Unique per agent, case-sensitive.
    pub name: Option<String>,
    /// The label that people see.
    pub display_name: Option<String>,
    /// What it does.
    pub description: Option<String>,
}

impl ActionChange {
    /// Reads the body.
    ///
    /// # Errors
    /// A field that cannot be taken, or none at all.
    pub fn read(mut body: Body<'_>) -> Result<Self, Refusal> {
        let mut change = Self::default();
        if body.raw("name").is_some() {
            change.name = Some(body.required_text("name", Length::Chars(TEXT_CHARS)));
        }
        if body.raw("display_name").is_some() {
            change.display_name = Some(body.required_text("display_name", Length::Chars(TEXT_CHARS)));
        }
        if let Some(raw) = body.raw("description") {
            if raw.get() == "null" {
                body.refuse("description", texts::NOT_NULL);
            }
            change.description = body.text("description", Length::Bytes(NOTE_BYTES));
        }
        body.finish()?;
        if change == Self::default() {
            return Err(Refusal::Detail("No valid fields to update.".into()));
        }
        Ok(change)
    }
}

/// `An action named "lookup_order" already exists for this agent.`
#[must_use]
pub fn name_is_taken(name: &str) -> Refusal {
    Refusal::field("name", format!("An action named \"{name}\" already exists for this agent."))
}
