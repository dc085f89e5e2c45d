//! What the tracking routes of generation 0.0.x write (contract: tracking-v0), as domain writes.

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine as _;
use bytes::Bytes;
use serde::Deserialize;

use crate::attachment::{clean_mime, fit_filename, guess_mime};
use crate::body::{Body, Length, is_absent, scalar_text};
use crate::feedback::Sentiment;
use crate::ids::{ConversationId, MessageId};
use crate::json::JsonText;
use crate::limits::{ACTION_TEXT_BYTES, AttachmentLimits, COMMENT_CHARS, CONTENT_BYTES, TEXT_CHARS};
use crate::message::Sender;
use crate::refusal::{Refusal, texts};
use crate::time::Timestamp;

/// A short text.
const SHORT: Length = Length::Chars(TEXT_CHARS);

/// How a tracking body names its conversation. The integer wins where both lead somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// `conversation`: our key, as answered to an earlier post.
    pub id: Option<ConversationId>,
    /// `conversation_id`: the sender's name; a conversation is made where it is new.
    pub name: Option<String>,
}

impl Target {
    /// Reads `conversation` and `conversation_id`; what SDK 0.0.x writes for "none" counts as absent.
    fn read(body: &mut Body<'_>) -> Self {
        let id = body.key("conversation").map(ConversationId);
        let name = body.text("conversation_id", SHORT).filter(|name| !is_absent(name));
        Self { id, name }
    }

    fn require(&self, body: &mut Body<'_>) {
        if self.id.is_none() && self.name.is_none() && !body.has_refused("conversation_id") {
            body.refuse("conversation_id", texts::REQUIRED);
        }
    }
}

/// First eight bytes of the SHA-256 of a body that carries a timestamp: by it a body that comes
/// again is recognised (contract: tracking-v0 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt(pub i64);

impl Receipt {
    /// The receipt of a request: its route and its bytes.
    #[must_use]
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        use sha2::Digest as _;
        let mut hash = sha2::Sha256::new();
        for part in parts {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut first = [0; 8];
        first.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(i64::from_le_bytes(first))
    }
}

/// `POST /api/conversations/`.
#[derive(Clone, Debug, PartialEq)]
pub struct NewConversation {
    /// The sender's name for it.
    pub conversation_id: String,
    /// Display title.
    pub name: Option<String>,
    /// The end user.
    pub customer_id: Option<String>,
    /// Readable addresses only; anything else was dropped.
    pub customer_ip_address: Option<IpAddr>,
    /// `desktop`, …
    pub device: Option<String>,
    /// The channel.
    pub source: Option<String>,
    /// Language.
    pub language: Option<String>,
    /// Slug as sent; `None` means production.
    pub environment: Option<String>,
    /// The sender's own data.
    pub metadata: Option<JsonText>,
    /// `None` makes no claim.
    pub is_used: Option<bool>,
    /// When it began.
    pub timestamp: Timestamp,
}

impl NewConversation {
    /// Reads the body.
    ///
    /// # Errors
    /// Every field that cannot be taken.
    pub fn read(mut body: Body<'_>, now: Timestamp) -> Result<Self, Refusal> {
        let conversation_id = body.required_text("conversation_id", SHORT);
        if !conversation_id.is_empty() && is_absent(&conversation_id) {
            body.refuse("conversation_id", texts::REQUIRED);
        }
        let address = body.given("customer_ip_address").and_then(scalar_text).and_then(|text| parse_address(&text));
        let new = Self {
            conversation_id,
            name: body.text("name", SHORT),
            customer_id: body.text("customer_id", SHORT),
            customer_ip_address: address,
            device: body.text("device", SHORT),
            source: body.text("source", SHORT),
            language: body.text("language", SHORT),
            environment: body.text("environment", SHORT),
            metadata: body.object("metadata"),
            is_used: body.boolean("is_used"),
            timestamp: body.timestamp("timestamp").unwrap_or(now),
        };
        body.finish()?;
        Ok(new)
    }
}

/// An address as text, its IPv6 zone taken off; `None` for what is no single address.
#[must_use]
pub fn parse_address(text: &str) -> Option<IpAddr> {
    text.trim().split('%').next()?.parse().ok()
}

/// One thing that happened in a conversation, to be appended to it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// The conversation.
    pub target: Target,
    /// When it happened, by the sender's clock.
    pub timestamp: Timestamp,
    /// The sender's own data.
    pub metadata: JsonText,
    /// `None` where the body had no timestamp and so no identity.
    pub receipt: Option<Receipt>,
    /// What happened.
    pub what: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Somebody said something.
    Message {
        /// Who.
        sender: Sender,
        /// What.
        content: String,
    },
    /// A tool ran.
    Action(NewAction),
    /// A button was clicked.
    Click(NewClick),
    /// Files were sent.
    Files {
        /// By whom, where no message says so.
        sender: Sender,
        /// The message that they belong to; a new one is made where there is none.
        message: Option<MessageId>,
        /// At least one.
        files: Vec<NewFile>,
    },
}

/// A run of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAction {
    /// Exact and case-sensitive.
    pub action_name: String,
    /// As given, or derived.
    pub started_at: Timestamp,
    /// As given, or derived.
    pub ended_at: Timestamp,
    /// As given, or derived where both times were.
    pub duration_ms: Option<serde_json::Number>,
    /// Arguments.
    pub tools_used: JsonText,
    /// What came back.
    pub response: String,
    /// What went wrong.
    pub error_message: String,
}

/// A click.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClick {
    /// What the group of buttons is for.
    pub button_event: String,
    /// The text shown.
    pub label: String,
    /// The value behind it.
    pub value: String,
}

/// A file, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Fits its column; data, never a path.
    pub filename: String,
    /// As given, or guessed.
    pub mime_type: String,
    /// All of it.
    pub bytes: Bytes,
}

impl NewEvent {
    /// `POST /api/track/`.
    ///
    /// # Errors
    /// Every field that cannot be taken.
    pub fn message(body: Body<'_>, receipt: Receipt, now: Timestamp) -> Result<Self, Refusal> {
        Self::read(body, receipt, now, |body, _| {
            let content = body.required_text("content", Length::Bytes(CONTENT_BYTES));
            Ok(Event::Message { sender: required_sender(body), content })
        })
    }

    /// `POST /api/action_logs/`.
    ///
    /// # Errors
    /// Every field that cannot be taken.
    pub fn action(body: Body<'_>, receipt: Receipt, now: Timestamp) -> Result<Self, Refusal> {
        Self::read(body, receipt, now, |body, timestamp| Ok(Event::Action(NewAction::read(body, timestamp))))
    }

    /// `POST /api/buttons/`.
    ///
    /// # Errors
    /// Every field that cannot be taken.
    pub fn click(body: Body<'_>, receipt: Receipt, now: Timestamp) -> Result<Self, Refusal> {
        Self::read(body, receipt, now, |body, _| {
            Ok(Event::Click(NewClick {
                button_event: body.required_text("button_event", SHORT),
                label: body.required_text("label", SHORT),
                value: body.required_text("value", SHORT),
            }))
        })
    }

    /// `POST /api/attachments/`, its files already taken out of the body.
    ///
    /// # Errors
    /// Every field that cannot be taken.
    pub fn files(body: Body<'_>, files: Vec<NewFile>, receipt: Receipt, now: Timestamp) -> Result<Self, Refusal> {
        Self::read(body, receipt, now, |body, _| {
            let message = body.key("message").map(MessageId);
            let sender = if body.given("sender").is_some() { required_sender(body) } else { Sender::EndUser };
            Ok(Event::Files { sender, message, files })
        })
    }

    fn read(
        mut body: Body<'_>,
        receipt: Receipt,
        now: Timestamp,
        what: impl FnOnce(&mut Body<'_>, Timestamp) -> Result<Event, Refusal>,
    ) -> Result<Self, Refusal> {
        let target = Target::read(&mut body);
        let has_timestamp = body.given("timestamp").is_some();
        let timestamp = body.timestamp("timestamp").unwrap_or(now);
        let metadata = body.object("metadata").unwrap_or_default();
        let what = what(&mut body, timestamp)?;
        if !matches!(what, Event::Files { message: Some(_), .. }) {
            target.require(&mut body);
        }
        body.finish()?;
        Ok(Self { target, timestamp, metadata, receipt: has_timestamp.then_some(receipt), what })
    }
}

fn required_sender(body: &mut Body<'_>) -> Sender {
    let Some(raw) = body.raw("sender") else {
        body.refuse("sender", texts::REQUIRED);
        return Sender::EndUser;
    };
    let text = scalar_text(raw).unwrap_or(Cow::Borrowed(raw.get()));
    text.parse().unwrap_or_else(|_| {
        body.refuse("sender", not_a_choice(&text));
        Sender::EndUser
    })
}

/// `"meh" is not a valid choice.`, with a long value cut.
#[must_use]
pub fn not_a_choice(given: &str) -> String {
    format!("\"{}\" is not a valid choice.", given.chars().take(100).collect::<String>())
}

impl NewAction {
    fn read(body: &mut Body<'_>, timestamp: Timestamp) -> Self {
        let action_name = body.required_text("action_name", SHORT);
        let started = body.timestamp("started_at");
        let ended = body.timestamp("ended_at");
        let given = read_duration(body);
        let micros = given.as_ref().and_then(serde_json::Number::as_f64).map(|ms| (ms * 1_000.0) as i64);
        let started_at = started.or_else(|| Some(ended?.plus_micros(micros?.saturating_neg()))).unwrap_or(timestamp);
        let ended_at = ended.or_else(|| Some(started?.plus_micros(micros?))).unwrap_or(timestamp);
        let duration_ms = given.or_else(|| Some(millis(started?, ended?)));
        let tools_used = match body.given("tools_used") {
            None => JsonText::EMPTY,
            Some(raw) if raw.get().len() > ACTION_TEXT_BYTES => {
                body.refuse("tools_used", format!("Ensure this field has no more than {ACTION_TEXT_BYTES} bytes."));
                JsonText::EMPTY
            }
            Some(raw) if raw.get().starts_with('{') => JsonText::from_raw(raw),
            Some(raw) => JsonText::parse(format!("{{\"value\": {}}}", raw.get())).unwrap_or_default(),
        };
        let response = free_text(body, "response");
        let error = if body.given("error_msg").is_some() { "error_msg" } else { "error_message" };
        Self {
            action_name,
            started_at,
            ended_at,
            duration_ms,
            tools_used,
            response,
            error_message: free_text(body, error),
        }
    }
}

/// A number, or a number's text; as it was sent, where JSON can say it.
fn read_duration(body: &mut Body<'_>) -> Option<serde_json::Number> {
    let raw = body.given("duration_ms")?;
    let read = scalar_text(raw).and_then(|text| serde_json::from_str::<serde_json::Number>(text.trim()).ok());
    if read.is_none() {
        body.refuse("duration_ms", "A valid number is required.");
    }
    read
}

/// Milliseconds between two instants: an integer where it is whole.
fn millis(from: Timestamp, to: Timestamp) -> serde_json::Number {
    let micros = to.0.saturating_sub(from.0);
    if micros % 1_000 == 0 {
        (micros / 1_000).into()
    } else {
        serde_json::Number::from_f64(micros as f64 / 1_000.0).unwrap_or_else(|| 0.into())
    }
}

/// A string as it is, anything else as its JSON text, nothing as `""`.
fn free_text(body: &mut Body<'_>, name: &'static str) -> String {
    let Some(raw) = body.given(name) else { return String::new() };
    let text = scalar_text(raw).unwrap_or(Cow::Borrowed(raw.get()));
    if text.len() > ACTION_TEXT_BYTES {
        body.refuse(name, format!("Ensure this field has no more than {ACTION_TEXT_BYTES} bytes."));
        return String::new();
    }
    text.into_owned()
}

/// One entry of `attachments` in a JSON body.
#[derive(Deserialize)]
struct FileIn<'a> {
    #[serde(borrow, default)]
    filename: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    mime_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a serde_json::value::RawValue,
}

/// Decodes the files of a JSON attachments body.
///
/// # Errors
/// No files, an entry that is none, base64 that cannot be decoded, a limit passed.
pub fn files_of_json(body: &Body<'_>, limits: AttachmentLimits) -> Result<Vec<NewFile>, Refusal> {
    let Some(raw) = body.given("attachments") else { return Err(no_files()) };
    let entries: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| Refusal::field("attachments", "Expected a list of items."))?;
    if entries.is_empty() {
        return Err(no_files());
    }
    check_file_count(entries.len(), limits)?;
    let mut files = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let number = index + 1;
        let entry: FileIn<'_> = serde_json::from_str(entry.get())
            .map_err(|e| Refusal::field("attachments", format!("Attachment {number}: {}.", reason(&e))))?;
        let data = scalar_text(entry.data)
            .and_then(|text| decode_base64(&text))
            .ok_or_else(|| Refusal::field("attachments", format!("Attachment {number}: data is not valid base64.")))?;
        files.push(NewFile::new(entry.filename.as_deref(), entry.mime_type.as_deref(), data.into(), index, limits)?);
    }
    Ok(files)
}

/// What serde found wrong, without its line and column, which point into a part of the body.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// 400: a request of this route without a file.
#[must_use]
pub fn no_files() -> Refusal {
    Refusal::Error("No attachment files found".into())
}

/// Counts files against the limit of a request.
///
/// # Errors
/// 413 past it.
pub fn check_file_count(files: usize, limits: AttachmentLimits) -> Result<(), Refusal> {
    if files > limits.files {
        return Err(Refusal::TooLarge(format!(
            "Too many attachments: {files} files, at most {} per request.",
            limits.files
        )));
    }
    Ok(())
}

impl NewFile {
    /// A file from what came with it.
    ///
    /// # Errors
    /// 413 naming the file when it is larger than one may be.
    pub fn new(
        filename: Option<&str>,
        mime_type: Option<&str>,
        bytes: Bytes,
        index: usize,
        limits: AttachmentLimits,
    ) -> Result<Self, Refusal> {
        let filename = fit_filename(filename.unwrap_or_default(), index);
        if bytes.len() > limits.file_bytes {
            return Err(Refusal::TooLarge(format!(
                "Attachment \"{filename}\" is too large: {} bytes, at most {} per file.",
                bytes.len(),
                limits.file_bytes
            )));
        }
        let mime_type = mime_type.and_then(clean_mime).unwrap_or_else(|| guess_mime(&filename, &bytes));
        Ok(Self { filename, mime_type, bytes })
    }
}

/// Decodes base64 as people and libraries write it: standard or URL-safe, padded or not, with white
/// space, with a `data:` prefix.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    use base64::alphabet;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

    let text = match text.get(..5) {
        Some(scheme) if scheme.eq_ignore_ascii_case("data:") => text.split_once(',')?.1,
        _ => text,
    };
    if let Ok(bytes) = STANDARD.decode(text) {
        return Some(bytes);
    }
    let plain: Vec<u8> = text
        .bytes()
        .filter(|b| !b.is_ascii_whitespace())
        .map(|b| match b {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        })
        .collect();
    STANDARD.decode(plain).ok()
}

/// `POST /api/conversation-feedbacks/`.
#[derive(Clone, Debug, PartialEq)]
pub struct NewFeedback {
    /// The conversation; never made by this.
    pub target: Target,
    /// How it was meant.
    pub sentiment: Sentiment,
    /// Non-empty.
    pub comment: Option<String>,
    /// The sender's own data.
    pub metadata: JsonText,
    /// Now: the time of a feedback is when it reaches us, for its body seldom has one.
    pub created_at: Timestamp,
}

/// A feedback's own timestamp counts where it lies at most this far back, and never in the future.
const FEEDBACK_REASONABLY_LATE: i64 = Timestamp::DAY;

impl NewFeedback {
    /// Reads the body.
    ///
    /// # Errors
    /// Every field that cannot be taken.
    pub fn read(mut body: Body<'_>, now: Timestamp) -> Result<Self, Refusal> {
        let target = Target::read(&mut body);
        target.require(&mut body);
        let sentiment = required_sentiment(&mut body);
        let comment = body.text("comment", Length::Chars(COMMENT_CHARS)).filter(|text| !text.is_empty());
        let metadata = body.object("metadata").unwrap_or_default();
        // An unreadable time is no reason to lose what somebody thought.
        let sent = body.given("timestamp").and_then(scalar_text).and_then(|text| text.parse::<Timestamp>().ok());
        let created_at = sent.filter(|at| *at <= now && at.0 >= now.0 - FEEDBACK_REASONABLY_LATE).unwrap_or(now);
        body.finish()?;
        Ok(Self { target, sentiment, comment, metadata, created_at })
    }
}

/// How feedback was meant; reported and neutral where it is missing or none.
pub(crate) fn required_sentiment(body: &mut Body<'_>) -> Sentiment {
    let Some(raw) = body.raw("sentiment") else {
        body.refuse("sentiment", texts::REQUIRED);
        return Sentiment::Neutral;
    };
    let text = scalar_text(raw).unwrap_or(Cow::Borrowed(raw.get()));
    text.parse().unwrap_or_else(|_| {
        body.refuse("sentiment", not_a_choice(&text));
        Sentiment::Neutral
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_772_442_900_000_000);

    fn action(json: &str) -> NewAction {
        let body = Body::parse(json.as_bytes()).unwrap();
        match NewEvent::action(body, Receipt(0), NOW).unwrap().what {
            Event::Action(action) => action,
            other => panic!("{other:?}"),
        }
    }

    fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
        match result.unwrap_err() {
            Refusal::Fields(errors) => serde_json::to_string(&errors).unwrap(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn times_of_an_action_are_derived_from_what_was_given() {
        let base = r#"{"action_name": "a", "conversation_id": "c", "timestamp": "2026-03-02T09:15:03Z""#;
        for (rest, started, ended, duration) in [
            (
                r#", "started_at": "2026-03-02T09:15:02.4Z", "duration_ms": 150}"#,
                "2026-03-02T09:15:02.400000Z",
                "2026-03-02T09:15:02.550000Z",
                "150",
            ),
            (
                r#", "ended_at": "2026-03-02T09:15:02Z", "duration_ms": "1000.0"}"#,
                "2026-03-02T09:15:01Z",
                "2026-03-02T09:15:02Z",
                "1000.0",
            ),
            (
                r#", "started_at": "2026-03-02T09:15:01Z", "ended_at": "2026-03-02T09:15:02Z"}"#,
                "2026-03-02T09:15:01Z",
                "2026-03-02T09:15:02Z",
                "1000",
            ),
            (
                r#", "started_at": "2026-03-02T09:15:01Z", "ended_at": "2026-03-02T09:15:01.0005Z"}"#,
                "2026-03-02T09:15:01Z",
                "2026-03-02T09:15:01.000500Z",
                "0.5",
            ),
            (r#", "duration_ms": 150}"#, "2026-03-02T09:15:03Z", "2026-03-02T09:15:03Z", "150"),
            ("}", "2026-03-02T09:15:03Z", "2026-03-02T09:15:03Z", "none"),
        ] {
            let log = action(&format!("{base}{rest}"));
            let duration_ms = log.duration_ms.map_or("none".to_owned(), |n| n.to_string());
            assert_eq!(
                (log.started_at.to_string().as_str(), log.ended_at.to_string().as_str(), duration_ms.as_str()),
                (started, ended, duration),
                "{rest}"
            );
        }
    }

    #[test]
    fn loose_types_of_an_action_are_kept_as_text() {
        let log = action(
            r#"{"action_name": "a", "conversation_id": "c", "response": {"a": 1}, "error_msg": 5, "tools_used": [1, 2]}"#,
        );
        assert_eq!(
            (log.response.as_str(), log.error_message.as_str(), log.tools_used.as_str()),
            (r#"{"a": 1}"#, "5", r#"{"value": [1, 2]}"#)
        );
    }

    #[test]
    fn the_word_none_is_no_conversation() {
        let body = |json: &'static str| NewEvent::message(Body::parse(json.as_bytes()).unwrap(), Receipt(0), NOW);
        let event =
            body(r#"{"content": "x", "sender": "agent", "conversation_id": "None", "conversation": "42"}"#).unwrap();
        assert_eq!(event.target, Target { id: Some(ConversationId(42)), name: None });
        assert_eq!(event.receipt, None);
        assert_eq!(
            refused(body(r#"{"content": " ", "sender": "bot", "conversation_id": "None", "conversation": "None"}"#)),
            r#"{"content":["This field may not be blank."],"sender":["\"bot\" is not a valid choice."],"conversation_id":["This field is required."]}"#
        );
    }

    #[test]
    fn base64_is_read_however_it_is_written() {
        for text in ["JVBERi0=", "JVBERi0", " JVBE\nRi0= ", "data:application/pdf;base64,JVBERi0="] {
            assert_eq!(decode_base64(text).as_deref(), Some(b"%PDF-".as_slice()), "{text}");
        }
        assert_eq!(decode_base64("_-8").as_deref(), Some(b"\xff\xef".as_slice()));
        assert_eq!(decode_base64("JVB!"), None);
    }

    #[test]
    fn files_past_a_limit_are_named() {
        let limits = AttachmentLimits { file_bytes: 4, files: 1, request_bytes: 100 };
        let files = |json: &'static str| files_of_json(&Body::parse(json.as_bytes()).unwrap(), limits);
        assert!(
            matches!(files(r#"{"attachments": [{"filename": "a.pdf", "data": "JVBERi0="}]}"#), Err(Refusal::TooLarge(text)) if text.contains("a.pdf") && text.contains('4'))
        );
        assert!(
            matches!(files(r#"{"attachments": [{"data": ""}, {"data": ""}]}"#), Err(Refusal::TooLarge(text)) if text.contains("1 per request"))
        );
        assert_eq!(files(r#"{"attachments": []}"#), Err(no_files()));
        assert_eq!(
            refused(files(r#"{"attachments": [{"data": "?"}]}"#)),
            r#"{"attachments":["Attachment 1: data is not valid base64."]}"#
        );
        assert_eq!(
            refused(files(r#"{"attachments": [{}]}"#)),
            r#"{"attachments":["Attachment 1: missing field `data`."]}"#
        );
        assert_eq!(refused(files(r#"{"attachments": 1}"#)), r#"{"attachments":["Expected a list of items."]}"#);
    }

    #[test]
    fn an_unreadable_address_is_dropped_and_a_zone_taken_off() {
        assert_eq!(parse_address("fe80::1%eth0").unwrap().to_string(), "fe80::1");
        assert_eq!(parse_address(" 203.0.113.45 ").unwrap().to_string(), "203.0.113.45");
        assert_eq!(parse_address("1.2.3.4, 5.6.7.8"), None);
        assert_eq!(parse_address("testclient"), None);
    }
}
