//! Bodies of the managing routes (contract: managing).

pub mod action;
pub mod feedback;
pub mod ticket;

use crate::body::{Body, Length};
use crate::conversation::present;
use crate::ids::ConversationId;
use crate::json::JsonText;
use crate::limits::TEXT_CHARS;
use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Reads the body of `POST …/mark/`.
///
/// # Errors
/// A missing or unreadable `is_marked`.
pub fn read_mark(mut body: Body<'_>) -> Result<bool, Refusal> {
    if body.raw("is_marked").is_none() {
        return Err(Refusal::Detail("Missing field 'is_marked'.".into()));
    }
    let marked = body.boolean("is_marked");
    if marked.is_none() {
        // Null is no boolean either.
        return Err(Refusal::field("is_marked", crate::refusal::texts::NOT_BOOLEAN));
    }
    body.finish()?;
    Ok(marked.unwrap_or_default())
}

/// Reads the body of `PATCH …/rename/`: the name, trimmed.
///
/// # Errors
/// A missing, empty or overlong `name`.
pub fn read_rename(mut body: Body<'_>) -> Result<String, Refusal> {
    if body.raw("name").is_none() {
        return Err(Refusal::Detail("Missing field 'name'.".into()));
    }
    let name = read_name(&mut body)?;
    body.finish()?;
    Ok(name)
}

fn read_name(body: &mut Body<'_>) -> Result<String, Refusal> {
    let name = body.text("name", Length::Chars(usize::MAX));
    if name.is_none() && body.given("name").is_some() {
        return Err(Refusal::field("name", crate::refusal::texts::NOT_TEXT));
    }
    let name = name.unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        return Err(Refusal::Detail("Field 'name' cannot be empty.".into()));
    }
    if name.chars().count() > TEXT_CHARS {
        return Err(Refusal::Detail(format!("Field 'name' cannot exceed {TEXT_CHARS} characters.").into()));
    }
    Ok(name.to_owned())
}

/// What `PATCH …/update/` changes: only fields that are `Some`; an inner `None` clears.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConversationUpdate {
    /// Trimmed, never empty.
    pub name: Option<String>,
    /// On or off the list of favourites.
    pub is_marked: Option<bool>,
    /// The end user.
    pub customer_id: Option<Option<String>>,
    /// Device.
    pub device: Option<Option<String>>,
    /// Language.
    pub language: Option<Option<String>>,
    /// The whole new document.
    pub metadata: Option<JsonText>,
}

impl ConversationUpdate {
    /// Reads the body.
    ///
    /// # Errors
    /// A field that cannot be taken, or none at all.
    pub fn read(mut body: Body<'_>) -> Result<Self, Refusal> {
        let mut update = Self::default();
        if body.raw("name").is_some() {
            update.name = Some(read_name(&mut body)?);
        }
        if body.raw("is_marked").is_some() {
            update.is_marked = body.boolean("is_marked");
            if body.given("is_marked").is_none() {
                body.refuse("is_marked", crate::refusal::texts::NOT_NULL);
            }
        }
        let mut clearable = |name| body.raw(name).is_some().then(|| body.text(name, Length::Chars(TEXT_CHARS)));
        update.customer_id = clearable("customer_id");
        update.device = clearable("device");
        update.language = clearable("language");
        if body.raw("metadata").is_some() {
            update.metadata = Some(body.object("metadata").unwrap_or_default());
        }
        body.finish()?;
        if update == Self::default() {
            return Err(Refusal::Detail("No valid fields to update.".into()));
        }
        Ok(update)
    }
}

/// Answer of `POST …/mark/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Marked {
    /// Our key.
    pub id: ConversationId,
    /// The sender's name.
    pub conversation_id: String,
    /// As it is now.
    pub is_marked: bool,
}

/// Answer of `PATCH …/rename/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Renamed {
    /// Our key.
    pub id: ConversationId,
    /// The sender's name.
    pub conversation_id: String,
    /// As it is now.
    pub name: String,
}

/// Answer of both deletes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Deleted {
    /// Our key.
    pub id: ConversationId,
    /// The sender's name.
    pub conversation_id: String,
    /// Always true.
    pub is_deleted: bool,
    /// When it went to the trash.
    pub deleted_at: Timestamp,
}

/// Answer of `PATCH …/update/`: identity, and the new value of each field that was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Updated {
    /// Our key.
    pub id: ConversationId,
    /// The sender's name.
    pub conversation_id: String,
    /// Names of the fields that were sent.
    pub updated_fields: Vec<String>,
    /// Present when sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Present when sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_marked: Option<bool>,
    /// Present when sent; null when cleared.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub customer_id: Option<Option<String>>,
    /// Present when sent; null when cleared.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub device: Option<Option<String>>,
    /// Present when sent; null when cleared.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub language: Option<Option<String>>,
    /// Present when sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub metadata: Option<JsonText>,
}

impl Updated {
    /// The answer to an update of this conversation.
    #[must_use]
    pub fn new(id: ConversationId, conversation_id: String, update: ConversationUpdate) -> Self {
        let sent = [
            ("name", update.name.is_some()),
            ("is_marked", update.is_marked.is_some()),
            ("customer_id", update.customer_id.is_some()),
            ("device", update.device.is_some()),
            ("language", update.language.is_some()),
            ("metadata", update.metadata.is_some()),
        ];
        Self {
            id,
            conversation_id,
            updated_fields: sent.iter().filter(|(_, sent)| *sent).map(|(name, _)| (*name).to_owned()).collect(),
            name: update.name,
            is_marked: update.is_marked,
            customer_id: update.customer_id,
            device: update.device,
            language: update.language,
            metadata: update.metadata,
        }
    }
}

/// Reads the body of `PATCH /api/track/{id}/`: the whole new document.
///
/// # Errors
/// A missing `metadata`, or one that is no object or too large.
pub fn read_metadata(mut body: Body<'_>) -> Result<JsonText, Refusal> {
    use crate::refusal::texts;
    let metadata = body.object("metadata");
    match body.raw("metadata") {
        None => body.refuse("metadata", texts::REQUIRED),
        Some(raw) if raw.get() == "null" => body.refuse("metadata", texts::NOT_OBJECT),
        Some(_) => {}
    }
    body.finish()?;
    Ok(metadata.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(json: &str) -> Result<ConversationUpdate, Refusal> {
        ConversationUpdate::read(Body::parse(json.as_bytes()).unwrap())
    }

    #[test]
    fn only_fields_that_are_there_change_and_null_clears() {
        let read = update(r#"{"customer_id": null, "metadata": {"a": 1}, "environment": "x"}"#).unwrap();
        assert_eq!(read.customer_id, Some(None));
        assert_eq!(read.device, None);
        let answer = Updated::new(ConversationId(1), "c".to_owned(), read);
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"id":1,"conversation_id":"c","updated_fields":["customer_id","metadata"],"customer_id":null,"metadata":{"a": 1}}"#
        );
    }

    #[test]
    fn a_cleared_field_is_told_from_one_that_was_not_sent() {
        let text = r#"{"id":1,"conversation_id":"c","updated_fields":["device"],"device":null}"#;
        let read: Updated = serde_json::from_str(text).unwrap();
        assert_eq!((&read.device, &read.language), (&Some(None), &None));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }

    #[test]
    fn nothing_to_update_is_refused() {
        for json in ["{}", r#"{"environment": "production"}"#] {
            assert_eq!(update(json), Err(Refusal::Detail("No valid fields to update.".into())));
        }
        assert_eq!(update(r#"{"name": "  "}"#), Err(Refusal::Detail("Field 'name' cannot be empty.".into())));
    }
}
