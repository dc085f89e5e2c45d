//! Bodies of `/api/feedbacks/` (contract: managing §3).

use std::borrow::Cow;

use crate::body::{Body, Length, is_absent, scalar_text};
use crate::feedback::{Feedback, FeedbackKind, PRODUCT, Sentiment};
use crate::ids::{AgentId, ConversationId, MessageId};
use crate::json::JsonText;
use crate::limits::{COMMENT_CHARS, SLUG_CHARS, TEXT_CHARS};
use crate::refusal::{FieldErrors, Refusal, texts};
use crate::time::Timestamp;
use crate::track::{NewFeedback, Target, not_a_choice, required_sentiment};

/// What `POST /api/feedbacks/` records.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedbackPost {
    /// On a conversation: a row of its own each time.
    Conversation(NewFeedback),
    /// On the agent as a whole: a row of its own each time.
    Agent(AgentFeedback),
    /// On a message: one for each.
    Message(Vote),
}

/// Feedback on the agent as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentFeedback {
    /// How it was meant.
    pub sentiment: Sentiment,
    /// Non-empty.
    pub comment: Option<String>,
    /// Slug as sent; `None` is no environment in particular.
    pub environment: Option<String>,
    /// The sender's own data.
    pub metadata: JsonText,
    /// Now.
    pub created_at: Timestamp,
}

/// A vote on a message. An outer `None` leaves what an earlier vote said, an inner one clears it.
#[derive(Clone, Debug, PartialEq)]
pub struct Vote {
    /// The message.
    pub message: MessageId,
    /// How it was meant.
    pub sentiment: Sentiment,
    /// What was said.
    pub comment: Option<Option<String>>,
    /// The sender's own word for what it is about.
    pub topic: Option<Option<String>>,
    /// The sender's own word for why.
    pub reason: Option<Option<String>>,
    /// The sender's own data.
    pub metadata: Option<JsonText>,
    /// Now: the time of the first vote.
    pub created_at: Timestamp,
}

/// What belongs to votes alone.
const ONLY_VOTES: [(&str, &str); 2] =
    [("topic", "Only message feedback has a topic."), ("reason", "Only message feedback has a reason.")];

impl FeedbackPost {
    /// Reads the body, which a key of the agent `own` sent.
    ///
    /// # Errors
    /// Every field that cannot be taken; [`Refusal::Forbidden`] for feedback on the product itself.
    pub fn read(mut body: Body<'_>, own: AgentId, now: Timestamp) -> Result<Self, Refusal> {
        let kind = body.given("kind").map(|raw| scalar_text(raw).unwrap_or(Cow::Borrowed(raw.get())));
        if kind.as_deref() == Some(PRODUCT) {
            return Err(Refusal::Forbidden);
        }
        let kind = match kind {
            None => Err(Cow::Borrowed(texts::REQUIRED)),
            Some(word) => word.parse().map_err(|_| Cow::Owned(not_a_choice(&word))),
        };
        let kind = kind.map_err(|text| body.refuse("kind", text)).ok();
        let sentiment = required_sentiment(&mut body);
        let comment = clearable(&mut body, "comment", COMMENT_CHARS);
        let metadata = body.raw("metadata").map(|_| body.object("metadata").unwrap_or_default());
        let post = match kind {
            None => None,
            Some(FeedbackKind::Conversation) => {
                let id = body.integer("conversation").map(ConversationId);
                let name = body.text("conversation_id", Length::Chars(TEXT_CHARS)).filter(|name| !is_absent(name));
                if id.is_none() && name.is_none() && body.given("conversation").is_none() {
                    body.refuse("conversation_id", texts::REQUIRED);
                }
                derived(&mut body, FeedbackKind::Conversation);
                foreign(&mut body);
                Some(Self::Conversation(NewFeedback {
                    target: Target { id, name },
                    sentiment,
                    comment: comment.flatten(),
                    metadata: metadata.unwrap_or_default(),
                    created_at: now,
                }))
            }
            Some(FeedbackKind::Agent) => {
                if body.given("agent").is_some() && body.integer("agent").is_some_and(|agent| agent != own.0) {
                    body.refuse("agent", "Invalid agent.");
                }
                foreign(&mut body);
                Some(Self::Agent(AgentFeedback {
                    sentiment,
                    comment: comment.flatten(),
                    environment: clearable(&mut body, "environment", TEXT_CHARS).flatten(),
                    metadata: metadata.unwrap_or_default(),
                    created_at: now,
                }))
            }
            Some(FeedbackKind::Message) => {
                if body.given("message").is_none() {
                    body.refuse("message", texts::REQUIRED);
                }
                let message = body.integer("message").unwrap_or_default();
                derived(&mut body, FeedbackKind::Message);
                Some(Self::Message(Vote {
                    message: MessageId(message),
                    sentiment,
                    comment,
                    topic: clearable(&mut body, "topic", SLUG_CHARS),
                    reason: clearable(&mut body, "reason", SLUG_CHARS),
                    metadata,
                    created_at: now,
                }))
            }
        };
        body.finish()?;
        // Without a kind something was refused.
        post.ok_or_else(|| Refusal::field("kind", texts::REQUIRED))
    }
}

/// A text that null and nothing but white space clear.
fn clearable(body: &mut Body<'_>, name: &'static str, chars: usize) -> Option<Option<String>> {
    body.raw(name)?;
    Some(body.text(name, Length::Chars(chars)).filter(|text| !text.trim().is_empty()))
}

/// Refuses an environment where another row decides on it.
fn derived(body: &mut Body<'_>, kind: FeedbackKind) {
    let given = body.given("environment").and_then(scalar_text);
    if body.given("environment").is_some() && given.is_none_or(|text| !text.trim().is_empty()) {
        body.refuse("environment", derived_text(kind));
    }
}

fn derived_text(kind: FeedbackKind) -> &'static str {
    match kind {
        FeedbackKind::Conversation | FeedbackKind::Agent => "Derived from the conversation.",
        FeedbackKind::Message => "Derived from the message.",
    }
}

/// Refuses what belongs to votes alone.
fn foreign(body: &mut Body<'_>) {
    for (field, text) in ONLY_VOTES {
        if clearable(body, field, SLUG_CHARS).flatten().is_some() {
            body.refuse(field, text);
        }
    }
}

/// What `PATCH /api/feedbacks/{id}/` changes: an outer `None` leaves, an inner one clears.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeedbackChange {
    /// How it was meant.
    pub sentiment: Option<Sentiment>,
    /// What was said.
    pub comment: Option<Option<String>>,
    /// Slug as sent; of feedback on the agent only.
    pub environment: Option<Option<String>>,
    /// Of a vote only.
    pub topic: Option<Option<String>>,
    /// Of a vote only.
    pub reason: Option<Option<String>>,
    /// What never changes, as the body says it is.
    claims: Vec<(&'static str, Option<String>)>,
}

impl FeedbackChange {
    /// Reads the body; whether its fields belong to the kind is for [`FeedbackChange::check`].
    ///
    /// # Errors
    /// A field that cannot be taken, or none at all.
    pub fn read(mut body: Body<'_>) -> Result<Self, Refusal> {
        let mut change = Self {
            sentiment: body.raw("sentiment").map(|_| required_sentiment(&mut body)),
            comment: clearable(&mut body, "comment", COMMENT_CHARS),
            environment: clearable(&mut body, "environment", TEXT_CHARS),
            topic: clearable(&mut body, "topic", SLUG_CHARS),
            reason: clearable(&mut body, "reason", SLUG_CHARS),
            claims: Vec::new(),
        };
        let nothing = change == Self::default();
        for field in ["kind", "conversation", "conversation_id", "message", "agent"] {
            if let Some(raw) = body.raw(field) {
                let text = (raw.get() != "null").then(|| scalar_text(raw).unwrap_or(Cow::Borrowed(raw.get())));
                change.claims.push((field, text.map(Cow::into_owned)));
            }
        }
        let claims_nothing = change.claims.is_empty();
        body.finish()?;
        if nothing && claims_nothing {
            return Err(Refusal::Detail("No valid fields to update.".into()));
        }
        Ok(change)
    }

    /// Holds the change against the row that it is for.
    ///
    /// # Errors
    /// Fields that the row's kind does not have, and those that never change where they differ.
    pub fn check(&self, stored: &Feedback) -> Result<(), Refusal> {
        let mut errors = FieldErrors::default();
        for (field, claimed) in &self.claims {
            let is = match *field {
                "kind" => Some(stored.kind.as_str().to_owned()),
                "conversation" => stored.conversation.map(|id| id.to_string()),
                "conversation_id" => stored.conversation_id.clone(),
                "message" => stored.message.map(|id| id.to_string()),
                _ => Some(stored.agent.to_string()),
            };
            if *claimed != is {
                errors.add(*field, texts::FIXED);
            }
        }
        if stored.kind != FeedbackKind::Agent && self.environment.as_ref().is_some_and(Option::is_some) {
            errors.add("environment", derived_text(stored.kind));
        }
        if stored.kind != FeedbackKind::Message {
            for ((field, text), given) in ONLY_VOTES.into_iter().zip([&self.topic, &self.reason]) {
                if given.as_ref().is_some_and(Option::is_some) {
                    errors.add(field, text);
                }
            }
        }
        errors.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(json: &str) -> Result<FeedbackPost, Refusal> {
        FeedbackPost::read(Body::parse(json.as_bytes()).unwrap(), AgentId(3), Timestamp(0))
    }

    fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
        match result.unwrap_err() {
            Refusal::Fields(errors) => serde_json::to_string(&errors).unwrap(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_vote_tells_what_was_sent_from_what_was_not_and_from_null() {
        let FeedbackPost::Message(vote) =
            post(r#"{"kind": "message", "message": "105", "sentiment": "negative", "topic": "style", "reason": null}"#)
                .unwrap()
        else {
            panic!("no vote")
        };
        assert_eq!(vote.message, MessageId(105));
        assert_eq!((vote.comment, vote.topic, vote.reason), (None, Some(Some("style".to_owned())), Some(None)));
    }

    #[test]
    fn every_kind_takes_its_own_fields() {
        for (json, errors) in [
            (
                r#"{"sentiment": "meh"}"#,
                r#"{"kind":["This field is required."],"sentiment":["\"meh\" is not a valid choice."]}"#,
            ),
            (r#"{"kind": "thumb", "sentiment": "neutral"}"#, r#"{"kind":["\"thumb\" is not a valid choice."]}"#),
            (
                r#"{"kind": "conversation", "sentiment": "neutral", "conversation_id": "None"}"#,
                r#"{"conversation_id":["This field is required."]}"#,
            ),
            (
                r#"{"kind": "conversation", "sentiment": "neutral", "conversation": "c-1"}"#,
                r#"{"conversation":["A valid integer is required."]}"#,
            ),
            (
                r#"{"kind": "conversation", "sentiment": "neutral", "conversation": 1, "environment": "production", "topic": "x"}"#,
                r#"{"environment":["Derived from the conversation."],"topic":["Only message feedback has a topic."]}"#,
            ),
            (
                r#"{"kind": "agent", "sentiment": "neutral", "agent": 4, "reason": "x"}"#,
                r#"{"agent":["Invalid agent."],"reason":["Only message feedback has a reason."]}"#,
            ),
            (
                r#"{"kind": "message", "sentiment": "neutral", "environment": "dev"}"#,
                r#"{"message":["This field is required."],"environment":["Derived from the message."]}"#,
            ),
        ] {
            assert_eq!(refused(post(json)), errors, "{json}");
        }
        assert_eq!(post(r#"{"kind": "product"}"#), Err(Refusal::Forbidden));
        assert!(
            post(r#"{"kind": "agent", "sentiment": "neutral", "agent": "3", "environment": "", "topic": null}"#)
                .is_ok()
        );
    }
}
