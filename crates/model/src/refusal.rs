//! What is wrong with what came in, by field.

use std::borrow::Cow;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::span::BatchRefusal;

/// A request that cannot be taken, in the shapes of the contract (README §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400 `{"field": ["message", …]}`.
    Fields(FieldErrors),
    /// 400 `{"field": "message"}`: a few refusals have no list.
    Bare(&'static str, Cow<'static, str>),
    /// 400 `{"detail": "…"}`: about the body as a whole.
    Detail(Cow<'static, str>),
    /// 400 `{"error": "…"}`: a few attachment refusals have this shape.
    Error(Cow<'static, str>),
    /// 400 that names the bad blocks of a batch of spans.
    Batch(Box<BatchRefusal>),
    /// 403: nobody who has a key may do this.
    Forbidden,
    /// 413 `{"detail": "…"}`, naming the limit that was passed.
    TooLarge(String),
}

impl Refusal {
    /// One message about one field.
    #[must_use]
    pub fn field(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        let mut errors = FieldErrors::default();
        errors.add(field, message);
        Self::Fields(errors)
    }

    /// One message about one field, without a list around it.
    #[must_use]
    pub fn bare(field: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Bare(field, message.into())
    }
}

/// For people: what is wrong, in a line.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fields(errors) => errors.fmt(f),
            Self::Bare(field, text) => write!(f, "{field}: {text}"),
            Self::Detail(text) | Self::Error(text) => f.write_str(text),
            Self::Batch(batch) => f.write_str(&batch.detail),
            Self::Forbidden => f.write_str("nobody who has a key may do this"),
            Self::TooLarge(text) => f.write_str(text),
        }
    }
}

/// Messages by field, in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<(Cow<'static, str>, Vec<Cow<'static, str>>)>);

impl FieldErrors {
    /// Adds a message about a field.
    pub fn add(&mut self, field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) {
        let field = field.into();
        match self.0.iter_mut().find(|(name, _)| *name == field) {
            Some((_, messages)) => messages.push(message.into()),
            None => self.0.push((field, vec![message.into()])),
        }
    }

    /// Whether something was found wrong with a field.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.0.iter().any(|(name, _)| name == field)
    }

    /// Nothing found wrong so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Ok` when nothing was found wrong.
    ///
    /// # Errors
    /// All that was found, as one refusal.
    pub fn into_result(self) -> Result<(), Refusal> {
        if self.is_empty() { Ok(()) } else { Err(Refusal::Fields(self)) }
    }
}

/// For people: `field: message`, one after the other.
impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = self.0.iter().flat_map(|(field, messages)| messages.iter().map(move |message| (field, message)));
        for (number, (field, message)) in said.enumerate() {
            let between = if number == 0 { "" } else { "; " };
            write!(f, "{between}{field}: {}", message.trim_end_matches('.'))?;
        }
        Ok(())
    }
}

impl Serialize for FieldErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (field, messages) in &self.0 {
            map.serialize_entry(field, messages)?;
        }
        map.end()
    }
}

/// Texts of the contract that more than one place says.
pub mod texts {
    /// A field that must be there.
    pub const REQUIRED: &str = "This field is required.";
    /// A field that may not be null.
    pub const NOT_NULL: &str = "This field may not be null.";
    /// A field that may not be empty.
    pub const NOT_BLANK: &str = "This field may not be blank.";
    /// A name with characters that no line can show.
    pub const CONTROL: &str = "Control characters are not allowed.";
    /// A date-time that cannot be read.
    pub const BAD_DATETIME: &str = "Datetime has wrong format.";
    /// A string field that holds an object or a list.
    pub const NOT_TEXT: &str = "Not a valid string.";
    /// A document that must be an object.
    pub const NOT_OBJECT: &str = "Must be a JSON object.";
    /// A flag that is none.
    pub const NOT_BOOLEAN: &str = "Must be a valid boolean.";
    /// A field that must be a list.
    pub const NOT_LIST: &str = "Expected a list of items.";
    /// A field that nobody knows, where none may be.
    pub const UNKNOWN: &str = "Unknown field.";
    /// A field whose value is fixed when the row is made.
    pub const FIXED: &str = "This field cannot be changed.";
    /// A key that must be an integer.
    pub const NOT_INTEGER: &str = "A valid integer is required.";
}
