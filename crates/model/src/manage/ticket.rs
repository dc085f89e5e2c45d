//! Bodies of `/api/tickets/` (contract: managing §4).

use serde_json::value::RawValue;

use crate::body::{Body, Length, scalar_text};
use crate::ids::{ConversationId, FeedbackId};
use crate::limits::{NOTE_BYTES, TEXT_CHARS, TICKET_TAGS};
use crate::refusal::{Refusal, texts};
use crate::ticket::{TicketPriority, TicketStatus};
use crate::track::not_a_choice;

/// What `POST /api/tickets/` makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTicket {
    /// Trimmed, 1 to 255 characters.
    pub title: String,
    /// Open when nothing was said.
    pub status: TicketStatus,
    /// How pressing it is.
    pub priority: Option<TicketPriority>,
    /// Free labels.
    pub tags: Vec<String>,
    /// Slug as sent; `None` means production.
    pub environment: Option<String>,
    /// The conversation that it is about; that of the feedback when nothing was said.
    pub conversation: Option<ConversationId>,
    /// The feedback that it comes of.
    pub feedback: Option<FeedbackId>,
}

impl NewTicket {
    /// Reads the body.
    ///
    /// # Errors
    /// Every field that cannot be taken.
    pub fn read(mut body: Body<'_>) -> Result<Self, Refusal> {
        let new = Self {
            title: title(&mut body),
            status: body.given("status").and_then(|_| choice(&mut body, "status")).unwrap_or(TicketStatus::Open),
            priority: body.given("priority").and_then(|_| choice(&mut body, "priority")),
            tags: tags(&mut body),
            environment: body.text("environment", Length::Chars(TEXT_CHARS)),
            conversation: primary_key(&mut body, "conversation_id").map(ConversationId),
            feedback: primary_key(&mut body, "feedback_id").map(FeedbackId),
        };
        body.finish()?;
        Ok(new)
    }
}

/// What `PATCH /api/tickets/{id}/` changes: only what is `Some`; an inner `None` clears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TicketChange {
    /// Trimmed, 1 to 255 characters.
    pub title: Option<String>,
    /// Where it stands.
    pub status: Option<TicketStatus>,
    /// How pressing it is.
    pub priority: Option<Option<TicketPriority>>,
    /// All labels.
    pub tags: Option<Vec<String>>,
}

impl TicketChange {
    /// Reads the body.
    ///
    /// # Errors
    /// A field that cannot be taken or never changes, or none at all.
    pub fn read(mut body: Body<'_>) -> Result<Self, Refusal> {
        let change = Self {
            title: body.raw("title").map(|_| title(&mut body)),
            status: body.raw("status").and_then(|_| choice(&mut body, "status")),
            priority: body.raw("priority").map(|_| {
                let given = body.given("priority");
                given.and_then(|_| choice(&mut body, "priority"))
            }),
            tags: body.raw("tags").map(|_| tags(&mut body)),
        };
        if body.raw("environment").is_some() {
            body.refuse("environment", "Environment cannot be changed after creation.");
        }
        for field in ["conversation_id", "feedback_id"] {
            if body.raw(field).is_some() {
                body.refuse(field, texts::FIXED);
            }
        }
        body.finish()?;
        if change == Self::default() {
            return Err(Refusal::Detail("No valid fields to update.".into()));
        }
        Ok(change)
    }
}

/// Reads the body of `POST /api/tickets/{id}/comments/`: what is said, unchanged.
///
/// # Errors
/// A missing, blank or overlong `body`.
pub fn read_comment(mut body: Body<'_>) -> Result<String, Refusal> {
    let text = body.required_text("body", Length::Bytes(NOTE_BYTES));
    body.finish()?;
    Ok(text)
}

fn title(body: &mut Body<'_>) -> String {
    // White space around it does not count.
    let title = body.required_text("title", Length::Bytes(NOTE_BYTES)).trim().to_owned();
    if title.chars().count() > TEXT_CHARS {
        body.refuse("title", format!("Ensure this field has no more than {TEXT_CHARS} characters."));
    }
    title
}

fn choice<T: std::str::FromStr>(body: &mut Body<'_>, name: &'static str) -> Option<T> {
    let raw = body.raw(name)?;
    let text = scalar_text(raw).unwrap_or(raw.get().into());
    let read = text.parse().ok();
    if read.is_none() {
        body.refuse(name, not_a_choice(&text));
    }
    read
}

fn tags(body: &mut Body<'_>) -> Vec<String> {
    let Some(raw) = body.given("tags") else { return Vec::new() };
    let Ok(entries) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        body.refuse("tags", texts::NOT_LIST);
        return Vec::new();
    };
    if entries.len() > TICKET_TAGS {
        body.refuse("tags", format!("Ensure this field has no more than {TICKET_TAGS} elements."));
        return Vec::new();
    }
    let mut tags = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        match scalar_text(entry) {
            Some(tag) if tag.chars().count() > TEXT_CHARS => {
                body.refuse(
                    format!("tags[{index}]"),
                    format!("Ensure this field has no more than {TEXT_CHARS} characters."),
                );
            }
            Some(tag) => tags.push(tag.into_owned()),
            None => body.refuse(format!("tags[{index}]"), texts::NOT_TEXT),
        }
    }
    tags
}

/// The key of a row: an integer or its decimal text. Anything else is named by its kind.
fn primary_key(body: &mut Body<'_>, name: &'static str) -> Option<i64> {
    let raw = body.given(name)?;
    let key = body.key(name);
    if key.is_none() {
        let kind = match raw.get().as_bytes().first() {
            Some(b'"') => "str",
            Some(b't' | b'f') => "bool",
            Some(b'[') => "list",
            Some(b'{') => "dict",
            _ if raw.get().contains(['.', 'e', 'E']) => "float",
            _ => "int",
        };
        body.refuse(name, format!("Incorrect type. Expected pk value, received {kind}."));
    }
    key
}

/// `Invalid pk "999" - object does not exist.`
#[must_use]
pub fn no_such_key(key: i64) -> String {
    format!("Invalid pk \"{key}\" - object does not exist.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
        match result.unwrap_err() {
            Refusal::Fields(errors) => serde_json::to_string(&errors).unwrap(),
            other => format!("{other:?}"),
        }
    }

    fn body(json: &str) -> Body<'_> {
        Body::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_ticket_is_open_without_priority_and_labels_unless_it_says_otherwise() {
        let new = NewTicket::read(body(r#"{"title": "  ETA ", "priority": null, "tags": null, "feedback_id": "10"}"#))
            .unwrap();
        assert_eq!((new.title.as_str(), new.status, new.priority), ("ETA", TicketStatus::Open, None));
        assert_eq!((new.tags.len(), new.conversation, new.feedback), (0, None, Some(FeedbackId(10))));
    }

    #[test]
    fn every_problem_names_its_field() {
        let wrong = r#"{"title": " ", "status": "todo", "priority": 1, "tags": ["a", {}], "conversation_id": "c-1", "feedback_id": true}"#;
        assert_eq!(
            refused(NewTicket::read(body(wrong))),
            r#"{"title":["This field may not be blank."],"status":["\"todo\" is not a valid choice."],"priority":["\"1\" is not a valid choice."],"tags[1]":["Not a valid string."],"conversation_id":["Incorrect type. Expected pk value, received str."],"feedback_id":["Incorrect type. Expected pk value, received bool."]}"#
        );
        assert_eq!(
            refused(NewTicket::read(body(r#"{"title": "x", "tags": "a,b"}"#))),
            r#"{"tags":["Expected a list of items."]}"#
        );
    }

    #[test]
    fn a_change_clears_the_priority_with_null_and_moves_nothing_elsewhere() {
        let change = TicketChange::read(body(r#"{"priority": null, "tags": []}"#)).unwrap();
        assert_eq!((change.priority, change.tags, change.status), (Some(None), Some(Vec::new()), None));
        assert_eq!(
            refused(TicketChange::read(body(
                r#"{"status": null, "environment": "production", "conversation_id": null}"#
            ))),
            r#"{"status":["\"null\" is not a valid choice."],"environment":["Environment cannot be changed after creation."],"conversation_id":["This field cannot be changed."]}"#
        );
        assert_eq!(
            TicketChange::read(body(r#"{"agent": 5}"#)),
            Err(Refusal::Detail("No valid fields to update.".into()))
        );
    }
}
