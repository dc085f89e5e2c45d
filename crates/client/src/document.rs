//! JSON objects that a caller gives, whatever Rust type they come as.

use agentsight_model::json::JsonText;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};

/// A JSON object, or why what was given is none. The reason comes out when it is sent, so that
/// setters can be chained.
#[derive(Clone, Debug)]
pub(crate) struct Document(Result<JsonText, String>);

impl Document {
    /// `{}`
    pub(crate) const EMPTY: Self = Self(Ok(JsonText::EMPTY));

    pub(crate) fn of(field: &str, value: &impl Serialize) -> Self {
        let text = serde_json::to_string(value).map_err(|e| format!("{field} cannot be written as JSON: {e}"));
        Self(text.and_then(|text| {
            if text.starts_with('{') {
                JsonText::parse(text).map_err(|e| e.to_string())
            } else {
                Err(format!("{field} must be a JSON object"))
            }
        }))
    }
}

impl Default for Document {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Ok(text) => text.serialize(serializer),
            Err(reason) => Err(S::Error::custom(reason)),
        }
    }
}
