//! Spans, and what they tell of a conversation (contract: ingest-v1).
//!
//! [`SpanBatch::read`] takes a body of `POST /api/ingest/` apart. Every span keeps its text as it came; beside it stands
//! what the transcript, the action logs and the token usage are made of, so that a store need not look into attributes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Number;
use serde_json::value::RawValue;

use crate::agent::normalise_slug;
use crate::body::{Body, Length, scalar_text};
use crate::filter::{Query, SortKeys};
use crate::ids::{ConversationId, SpanId};
use crate::json::{JsonText, repair};
use crate::limits::{BLOCKS_NAMED, SPAN_ID_CHARS, SPAN_PROBLEMS_NAMED, TEXT_CHARS};
use crate::message::Sender;
use crate::refusal::{FieldErrors, Refusal, texts};
use crate::time::Timestamp;
use crate::track::{NewClick, parse_address};
use crate::usage::{TokenCounts, whole};

const SHORT: Length = Length::Chars(TEXT_CHARS);

/// One conversation of a batch: what is said of it, and its spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanBlock {
    /// The sender's name for the conversation.
    pub conversation_id: String,
    /// What is given replaces what is stored; what is absent leaves it.
    pub fields: BlockFields,
    /// In the order of the request.
    pub spans: Vec<NewSpan>,
}

/// Conversation fields of a block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockFields {
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
    /// Slug or alias as sent; an existing conversation moves there.
    pub environment: Option<String>,
    /// Replaces the whole document; `{}` clears it.
    pub metadata: Option<JsonText>,
}

/// A span, and what it tells.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSpan {
    /// Its identity within the conversation; lower case.
    pub span_id: String,
    /// Lower case; empty where none was sent.
    pub trace_id: String,
    /// May name a span that never arrives; lower case.
    pub parent_span_id: Option<String>,
    /// `turn`, `llm`, `tool`, …; any value.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `None` where the sender knew no time: then its arrival counts.
    pub started_at: Option<Timestamp>,
    /// `None` where the sender knew no time: then its start counts.
    pub ended_at: Option<Timestamp>,
    /// Milliseconds, as sent.
    pub duration_ms: Option<Number>,
    /// `ok`, `error`, `unset`, or whatever was sent.
    pub status: String,
    /// The turn that it belongs to: the `span_id` of a span of kind `turn`.
    pub turn_id: Option<String>,
    /// What it tells beside being there.
    pub tells: Tells,
    /// What was said in it, where it comes from an instrumentation that knows no turns.
    pub dialogue: Option<Dialogue>,
    /// The span as it came.
    pub payload: JsonText,
}

/// What a span tells of its conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum Tells {
    /// One exchange.
    Turn(Turn),
    /// A tool or a task ran.
    Tool(ToolRun),
    /// A model was called.
    Llm(LlmCall),
    /// A button was clicked; its own data beside it.
    Click(NewClick, JsonText),
    /// The conversation was opened or described: nobody used it by that.
    Visit,
    /// Something happened that nothing is made of.
    Nothing,
}

/// One exchange of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    /// False where it broke off: then none of its messages reach the transcript.
    pub complete: bool,
    /// `error`, `abandoned`, `deadline`, `shutdown`, where it is not complete.
    pub incomplete_reason: Option<String>,
    /// What was said, in the order of the events.
    pub messages: Vec<TurnMessage>,
}

/// Something said within a turn.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnMessage {
    /// By whom.
    pub sender: Sender,
    /// What; may be empty.
    pub content: String,
    /// `None` where the event had no time: then the start of its turn counts.
    pub timestamp: Option<Timestamp>,
    /// The sender's own data, and `latency_ms` on the answer.
    pub metadata: JsonText,
}

/// What a call of a model was given, which is most often the conversation so far, and what came back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dialogue {
    /// In order. What stands after the last answer is new.
    pub heard: Vec<TurnMessage>,
    /// What came back.
    pub said: Vec<TurnMessage>,
}

/// The spans of one trace that came together, for the store to find their conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceSpans {
    /// Lower case; empty where there was none.
    pub trace_id: String,
    /// What one of them calls the conversation; `None` where none does.
    pub conversation_id: Option<String>,
    /// What they say of it. An environment that the agent does not have is ignored.
    pub fields: BlockFields,
    /// In the order of the request.
    pub spans: Vec<NewSpan>,
}

/// A run of a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolRun {
    /// Exact and case-sensitive.
    pub name: String,
    /// Its arguments, as an object.
    pub arguments: JsonText,
    /// What came back, as text.
    pub response: String,
    /// What went wrong.
    pub error: String,
}

/// A call of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LlmCall {
    /// The model that answered.
    pub model: Option<String>,
    /// Its tokens.
    pub counts: TokenCounts,
    /// What the sender says it cost, in units of 0.00000001 US dollars.
    pub reported_cost: i64,
    /// False where the zeros are unknowns.
    pub is_reported: bool,
}

/// A span as it is read (contract: reading §11.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Span {
    /// Our key.
    pub id: SpanId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The sender's name for it.
    pub conversation_id: String,
    /// 32 hexadecimal digits; empty where none was sent.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// May name a span that never arrived.
    pub parent_span_id: Option<String>,
    /// `turn`, `llm`, `tool`, …; any value.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Milliseconds, as sent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub duration_ms: Option<Number>,
    /// `ok`, `error`, `unset`, or whatever was sent.
    pub status: String,
    /// As sent.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub attributes: JsonText,
    /// As sent.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<serde_json::Value>))]
    pub events: JsonText,
    /// The whole span as it came, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub payload: Option<JsonText>,
}

impl Span {
    /// Attributes and events of a span as it came; `None` where that is no JSON object.
    #[must_use]
    pub fn contents(payload: &str) -> Option<(JsonText, JsonText)> {
        let raw: &RawValue = serde_json::from_str(payload).ok()?;
        let body = Body::of(raw)?;
        let attributes = body.given("attributes").filter(|raw| raw.get().starts_with('{')).map(JsonText::from_raw);
        let events = body.given("events").filter(|raw| raw.get().starts_with('[')).map(JsonText::from_raw);
        let none = || JsonText::parse("[]".to_owned()).unwrap_or_default();
        Some((attributes.unwrap_or_default(), events.unwrap_or_else(none)))
    }
}

/// The instrumentation that made a span: the name of its scope, from the span as it came; empty where nothing says so.
#[must_use]
pub fn instrumentation(payload: &str) -> String {
    let read = || -> Option<String> {
        let span: &RawValue = serde_json::from_str(payload).ok()?;
        let otel = Body::of(span)?.given("otel")?;
        let scope = Body::of(otel)?.given("scope")?;
        Some(scalar_text(Body::of(scope)?.given("name")?)?.into_owned())
    };
    read().unwrap_or_default()
}

/// The spans of a trace, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Its id.
    pub trace_id: String,
    /// By start, then by id.
    pub spans: Vec<Span>,
    /// There are more.
    pub truncated: bool,
}

impl Trace {
    /// Its answer: a tree (contract: reading §11.3).
    ///
    /// A span whose parent is not in the trace is a root, and so is one of a circle of spans that name each other.
    /// Written without recursion: a chain of spans may be as long as the trace.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut positions: HashMap<&str, usize> = HashMap::with_capacity(self.spans.len());
        for (at, span) in self.spans.iter().enumerate() {
            positions.entry(span.span_id.as_str()).or_insert(at);
        }
        let mut parents: Vec<Option<usize>> = self
            .spans
            .iter()
            .enumerate()
            .map(|(at, span)| positions.get(span.parent_span_id.as_deref()?).copied().filter(|parent| *parent != at))
            .collect();
        break_circles(&mut parents);
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.spans.len()];
        let mut roots = Vec::new();
        for (at, parent) in parents.iter().enumerate() {
            match parent.and_then(|parent| children.get_mut(parent)) {
                Some(siblings) => siblings.push(at),
                None => roots.push(at),
            }
        }
        let trace_id = JsonText::of(&self.trace_id);
        let mut text = format!(
            "{{\"trace_id\": {}, \"span_count\": {}, \"truncated\": {}, \"roots\": [",
            trace_id.as_str(),
            self.spans.len(),
            self.truncated
        );
        // Lists of spans that are still to be written, innermost last.
        let mut open = vec![roots.into_iter()];
        let mut is_first = true;
        while let Some(list) = open.last_mut() {
            let Some(at) = list.next() else {
                open.pop();
                text.push(']');
                if !open.is_empty() {
                    text.push('}');
                }
                is_first = false;
                continue;
            };
            if !is_first {
                text.push_str(", ");
            }
            let span = self.spans.get(at).map(JsonText::of).unwrap_or_default();
            text.push_str(span.as_str().strip_suffix('}').unwrap_or_default());
            text.push_str(", \"children\": [");
            open.push(children.get_mut(at).map(std::mem::take).unwrap_or_default().into_iter());
            is_first = true;
        }
        text.push('}');
        text
    }
}

/// Makes a root of one member of each circle of parents.
fn break_circles(parents: &mut [Option<usize>]) {
    // The walk on which each was met; 0 for none.
    let mut met = vec![0_usize; parents.len()];
    for start in 0..parents.len() {
        let mut at = start;
        loop {
            match met.get_mut(at) {
                Some(walk) if *walk == 0 => *walk = start + 1,
                Some(walk) if *walk == start + 1 => {
                    // This walk was here before.
                    if let Some(parent) = parents.get_mut(at) {
                        *parent = None;
                    }
                    break;
                }
                _ => break,
            }
            match parents.get(at).copied().flatten() {
                Some(parent) => at = parent,
                None => break,
            }
        }
    }
}

/// Which spans are wanted; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanFilter {
    /// Exact.
    pub kind: Option<String>,
    /// Exact.
    pub status: Option<String>,
    /// Exact.
    pub name: Option<String>,
    /// Our key of the conversation.
    pub conversation: Option<i64>,
    /// The sender's name for it, exact.
    pub conversation_id: Option<String>,
    /// Lower case.
    pub trace_id: Option<String>,
    /// Lower case.
    pub span_id: Option<String>,
    /// Lower case.
    pub parent_span_id: Option<String>,
    /// Slug of the conversation's environment.
    pub environment: Option<String>,
    /// Inclusive.
    pub started_at_after: Option<Timestamp>,
    /// Inclusive.
    pub started_at_before: Option<Timestamp>,
    /// Newest first when empty.
    pub ordering: SortKeys,
}

/// Every parameter that the list reads.
pub const SPAN_PARAMETERS: [&str; 15] = [
    "kind",
    "status",
    "name",
    "conversation",
    "conversation_id",
    "trace_id",
    "span_id",
    "parent_span_id",
    "environment",
    "started_at_after",
    "started_at_before",
    "ordering",
    "page",
    "page_size",
    // SDK 0.1.4 sends it; there is none in a list.
    "payload",
];

impl SpanFilter {
    /// Reads the parameters.
    ///
    /// # Errors
    /// Every parameter whose value cannot be read. The slug is checked against the agent's by the store.
    pub fn read(query: &Query) -> Result<Self, Refusal> {
        let mut errors = FieldErrors::default();
        let hex = |name: &str| query.owned(name).map(|id| id.to_ascii_lowercase());
        let filter = Self {
            kind: query.owned("kind"),
            status: query.owned("status"),
            name: query.owned("name"),
            conversation: query.key("conversation", &mut errors),
            conversation_id: query.owned("conversation_id"),
            trace_id: hex("trace_id"),
            span_id: hex("span_id"),
            parent_span_id: hex("parent_span_id"),
            environment: query.get("environment").and_then(normalise_slug),
            started_at_after: query.timestamp("started_at_after", &mut errors),
            started_at_before: query.timestamp("started_at_before", &mut errors),
            ordering: SortKeys::read(query, &["started_at", "ended_at", "duration_ms", "id"]),
        };
        errors.into_result()?;
        Ok(filter)
    }
}

/// A body of `POST /api/ingest/`, taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanBatch {
    /// Every block, in the order of the request; what is wrong with some of them stands in `problems`.
    pub blocks: Vec<SpanBlock>,
    /// Blocks that cannot be taken, by position.
    pub problems: Vec<BlockProblem>,
}

/// A block that cannot be taken, as it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BlockProblem {
    /// Position in the request, from 0.
    pub index: usize,
    /// As it was sent, whatever it is; null where it was not.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub conversation_id: JsonText,
    /// Messages by field.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::HashMap<String, Vec<String>>))]
    pub errors: FieldErrors,
}

/// What a refused batch is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchRefusal {
    /// How many blocks are wrong.
    pub detail: String,
    /// The first of them.
    pub conversations: Vec<BlockProblem>,
    /// There where not all of them are named.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// What was stored of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchStored {
    /// What was new.
    pub accepted: BatchCounts,
    /// Spans that were there before.
    pub duplicates: u64,
    /// The conversations of the batch, each once, in its order.
    pub conversations: Vec<ConversationKey>,
}

/// How much a batch held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchCounts {
    /// Blocks.
    pub conversations: u64,
    /// Spans that were not there before.
    pub spans: u64,
}

impl BatchCounts {
    /// Adds another's.
    pub fn add(&mut self, other: Self) {
        self.conversations += other.conversations;
        self.spans += other.spans;
    }
}

/// A conversation by both of its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConversationKey {
    /// The sender's.
    pub conversation_id: String,
    /// Ours.
    pub id: ConversationId,
}

impl SpanBatch {
    /// Takes a body apart that went through [`crate::json::repair`].
    ///
    /// # Errors
    /// What is wrong with the body as a whole. What is wrong with single blocks stands in [`SpanBatch::problems`].
    pub fn read(body: &Body<'_>) -> Result<Self, Refusal> {
        let Some(raw) = body.given("conversations") else {
            return Err(Refusal::bare("conversations", texts::REQUIRED));
        };
        let entries: Vec<&RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| Refusal::field("conversations", texts::NOT_LIST))?;
        let mut batch = Self::default();
        for (index, entry) in entries.into_iter().enumerate() {
            let mut block = SpanBlock::default();
            let Some(mut fields) = Body::of(entry) else {
                batch.refuse(index, None, Refusal::field("non_field_errors", "Expected an object."));
                batch.blocks.push(block);
                continue;
            };
            block.read(&mut fields);
            let echo = fields.raw("conversation_id");
            if let Err(refusal) = fields.finish() {
                batch.refuse(index, echo, refusal);
            }
            batch.blocks.push(block);
        }
        Ok(batch)
    }

    fn refuse(&mut self, index: usize, echo: Option<&RawValue>, refusal: Refusal) {
        let conversation_id = echo.map_or_else(JsonText::null, JsonText::from_raw);
        if let Refusal::Fields(errors) = refusal {
            self.problems.push(BlockProblem { index, conversation_id, errors });
        }
    }

    /// Adds a problem that only the store can see.
    pub fn add_problem(&mut self, index: usize, field: &'static str, message: String) {
        if let Some(problem) = self.problems.iter_mut().find(|problem| problem.index == index) {
            problem.errors.add(field, message);
            return;
        }
        let Some(block) = self.blocks.get(index) else { return };
        let conversation_id = JsonText::of(&block.conversation_id);
        let mut errors = FieldErrors::default();
        errors.add(field, message);
        self.problems.push(BlockProblem { index, conversation_id, errors });
    }

    /// The answer to a batch with problems.
    #[must_use]
    pub fn refusal(mut self) -> BatchRefusal {
        let (bad, all) = (self.problems.len(), self.blocks.len());
        self.problems.sort_by_key(|problem| problem.index);
        let truncated = bad > BLOCKS_NAMED;
        self.problems.truncate(BLOCKS_NAMED);
        let detail = format!(
            "{bad} of {all} conversation blocks failed validation. Nothing was written; resend without the blocks listed here."
        );
        BatchRefusal { detail, conversations: self.problems, truncated }
    }
}

/// What a block may hold.
const BLOCK_FIELDS: [&str; 10] = [
    "conversation_id",
    "customer_id",
    "customer_ip_address",
    "device",
    "source",
    "language",
    "name",
    "environment",
    "metadata",
    "spans",
];

impl SpanBlock {
    fn read(&mut self, body: &mut Body<'_>) {
        body.refuse_unknown(&BLOCK_FIELDS);
        self.conversation_id = body.required_text("conversation_id", SHORT);
        let address = body.given("customer_ip_address").and_then(scalar_text);
        self.fields = BlockFields {
            name: body.text("name", SHORT),
            customer_id: body.text("customer_id", SHORT),
            customer_ip_address: address.and_then(|text| parse_address(&text)),
            device: body.text("device", SHORT),
            source: body.text("source", SHORT),
            language: body.text("language", SHORT),
            environment: body.text("environment", SHORT),
            metadata: read_metadata(body),
        };
        let Some(raw) = body.given("spans") else { return body.refuse("spans", texts::REQUIRED) };
        let Ok(entries) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
            return body.refuse("spans", texts::NOT_LIST);
        };
        self.spans = Vec::with_capacity(entries.len());
        let mut problems = 0;
        for (index, entry) in entries.into_iter().enumerate() {
            match NewSpan::read(entry) {
                Ok(span) => self.spans.push(span),
                Err(problem) => {
                    problems += 1;
                    if problems <= SPAN_PROBLEMS_NAMED {
                        body.refuse("spans", format!("Span {}: {problem}", index + 1));
                    }
                }
            }
        }
    }
}

/// An object, or its text: older builds of the SDK sent it so.
fn read_metadata(body: &mut Body<'_>) -> Option<JsonText> {
    let raw = body.given("metadata")?;
    if !raw.get().starts_with('"') {
        return body.object("metadata");
    }
    let read = scalar_text(raw).and_then(|text| inner_json(&text)).filter(|text| text.as_str().starts_with('{'));
    if read.is_none() {
        body.refuse("metadata", texts::NOT_OBJECT);
    }
    read
}

/// JSON that was sent as a text within JSON; `None` where it is none, or nests too deep.
fn inner_json(text: &str) -> Option<JsonText> {
    let repaired = repair(text.as_bytes()).ok()?;
    JsonText::parse(String::from_utf8(repaired.into_owned()).ok()?.trim().to_owned()).ok()
}

impl NewSpan {
    /// Reads a span of a request.
    ///
    /// # Errors
    /// A sentence that says what keeps it from being stored.
    pub fn read(raw: &RawValue) -> Result<Self, String> {
        let body = Body::of(raw).ok_or("expected an object.")?;
        let events = events(&body);
        for (number, event) in events.iter().enumerate() {
            if Body::of(event).is_some_and(|event| matches!(time(&event, "timestamp"), Some(None))) {
                return Err(format!("events[{number}].timestamp has wrong format."));
            }
        }
        Self::of(&body, &events, raw)
    }

    /// Reads a span as it lies in the store; `None` where it cannot be read.
    #[must_use]
    pub fn stored(payload: &str) -> Option<Self> {
        let raw: &RawValue = serde_json::from_str(payload).ok()?;
        let body = Body::of(raw)?;
        Self::of(&body, &events(&body), raw).ok()
    }

    fn of(body: &Body<'_>, events: &[&RawValue], raw: &RawValue) -> Result<Self, String> {
        let text = |name: &str| body.given(name).and_then(scalar_text);
        let span_id = body.given("span_id").ok_or("span_id is required.")?;
        let span_id = scalar_text(span_id).filter(|_| span_id.get().starts_with('"'));
        let span_id = span_id.ok_or("span_id must be a string.")?;
        if span_id.trim().is_empty() {
            return Err("span_id may not be blank.".to_owned());
        }
        if span_id.chars().count() > SPAN_ID_CHARS {
            return Err(format!("span_id has more than {SPAN_ID_CHARS} characters."));
        }
        let read = |name: &str| {
            time(body, name).map(|read| read.ok_or_else(|| format!("{name} has wrong format."))).transpose()
        };
        let (started_at, ended_at) = (read("started_at")?, read("ended_at")?);
        let name = text("name").unwrap_or_default().into_owned();
        let kind = text("kind").unwrap_or(Cow::Borrowed("unknown")).into_owned();
        let status = text("status").unwrap_or(Cow::Borrowed("unset")).into_owned();
        let duration_ms = body.given("duration_ms").and_then(|raw| serde_json::from_str::<Number>(raw.get()).ok());
        let attributes = Attributes::of(body.given("attributes"));
        let tells = match kind.as_str() {
            "turn" => Tells::Turn(Turn::read(&attributes, events, &status, duration_ms.as_ref())),
            "tool" | "task" => Tells::Tool(ToolRun::read(&attributes, &name)),
            "llm" => Tells::Llm(LlmCall::read(&attributes)),
            "button" => {
                let label = |key: &str| attributes.text(key).unwrap_or_default().into_owned();
                let click = NewClick {
                    button_event: label("agentsight.button.event"),
                    label: label("agentsight.button.label"),
                    value: label("agentsight.button.value"),
                };
                Tells::Click(click, attributes.document("agentsight.metadata"))
            }
            "conversation" => Tells::Visit,
            _ => Tells::Nothing,
        };
        let turn_id = attributes.text("agentsight.turn.id").filter(|id| !id.is_empty());
        Ok(Self {
            trace_id: text("trace_id").unwrap_or_default().to_ascii_lowercase(),
            parent_span_id: text("parent_span_id").filter(|id| !id.is_empty()).map(|id| id.to_ascii_lowercase()),
            turn_id: turn_id.map(|id| id.to_ascii_lowercase()),
            span_id: span_id.to_ascii_lowercase(),
            kind,
            name,
            started_at,
            ended_at,
            duration_ms,
            status,
            tells,
            dialogue: None,
            payload: JsonText::from_raw(raw),
        })
    }
}

/// A time: `None` where there is none, and none within where it cannot be read.
fn time(body: &Body<'_>, name: &str) -> Option<Option<Timestamp>> {
    body.given(name).map(|raw| scalar_text(raw).and_then(|text| text.parse().ok()))
}

/// The events of a span: what is no list is as good as absent.
fn events<'a>(body: &Body<'a>) -> Vec<&'a RawValue> {
    body.given("events").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// Attributes of a span or an event: what cannot be read is as good as absent.
struct Attributes<'a>(Option<Body<'a>>);

impl<'a> Attributes<'a> {
    fn of(raw: Option<&'a RawValue>) -> Self {
        Self(raw.and_then(Body::of))
    }

    fn given(&self, key: &str) -> Option<&'a RawValue> {
        self.0.as_ref()?.given(key)
    }

    fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        self.given(key).and_then(scalar_text)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        match self.given(key)?.get() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    fn count(&self, key: &str) -> i64 {
        self.given(key)
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .and_then(|value| whole(&value))
            .unwrap_or(0)
    }

    /// An object that was sent as a text.
    fn document(&self, key: &str) -> JsonText {
        let document = self.text(key).and_then(|text| inner_json(&text));
        document.filter(|document| document.as_str().starts_with('{')).unwrap_or_default()
    }
}

impl Turn {
    fn read(attributes: &Attributes<'_>, events: &[&RawValue], status: &str, duration: Option<&Number>) -> Self {
        let complete = attributes.flag("agentsight.turn.complete").unwrap_or(status != "error");
        let reason = attributes.text("agentsight.turn.incomplete_reason").filter(|_| !complete);
        let mut messages: Vec<TurnMessage> = events.iter().copied().filter_map(TurnMessage::read).collect();
        let is_exchange = messages.iter().any(|message| message.sender == Sender::EndUser);
        let answer = messages.iter_mut().rev().find(|message| message.sender == Sender::Agent);
        if let (true, true, Some(answer), Some(duration)) = (complete, is_exchange, answer, duration) {
            answer.add_latency(duration);
        }
        Self { complete, incomplete_reason: reason.map(Cow::into_owned), messages }
    }
}

impl TurnMessage {
    /// `None` for an event that is no message, or one without a sender or a content.
    fn read(raw: &RawValue) -> Option<Self> {
        let event = Body::of(raw)?;
        if event.given("name").and_then(scalar_text)? != "agentsight.message" {
            return None;
        }
        let attributes = Attributes::of(event.given("attributes"));
        Some(Self {
            sender: attributes.text("agentsight.message.sender")?.parse().ok()?,
            content: attributes.text("agentsight.message.content")?.into_owned(),
            timestamp: time(&event, "timestamp").flatten(),
            metadata: attributes.document("agentsight.message.metadata"),
        })
    }

    /// How long the exchange took, unless the application says so itself (contract: ingest-v1 §5.3).
    fn add_latency(&mut self, duration: &Number) {
        const KEY: &str = "latency_ms";
        if self.metadata.to_value().get(KEY).is_some() {
            return;
        }
        let given = self.metadata.as_str().trim_end().trim_end_matches('}').trim_end();
        let comma = if given.ends_with('{') { "" } else { ", " };
        if let Ok(with) = JsonText::parse(format!("{given}{comma}\"{KEY}\": {duration}}}")) {
            self.metadata = with;
        }
    }
}

impl ToolRun {
    fn read(attributes: &Attributes<'_>, span_name: &str) -> Self {
        let text = |key: &str| attributes.text(key).unwrap_or_default().into_owned();
        let name = ["agentsight.tool.name", "agentsight.entity.name"].iter().find_map(|key| attributes.text(key));
        let name = name.filter(|name| !name.is_empty()).unwrap_or(Cow::Borrowed(span_name));
        Self {
            name: name.into_owned(),
            arguments: attributes.text("agentsight.tool.arguments").map(|text| as_object(&text)).unwrap_or_default(),
            response: text("agentsight.tool.response"),
            error: text("agentsight.tool.error"),
        }
    }
}

/// Arguments as the object that a reader is promised (contract: ingest-v1 §5.4).
fn as_object(text: &str) -> JsonText {
    match inner_json(text) {
        Some(document) if document.as_str().starts_with('{') => document,
        Some(value) => JsonText::parse(format!("{{\"value\": {}}}", value.as_str())).unwrap_or_default(),
        None => JsonText::of(&serde_json::json!({ "raw": text })),
    }
}

impl LlmCall {
    fn read(attributes: &Attributes<'_>) -> Self {
        let count = |key: &str| attributes.count(key);
        let mut counts = TokenCounts {
            prompt_tokens: count("gen_ai.usage.input_tokens"),
            completion_tokens: count("gen_ai.usage.output_tokens"),
            embedding_tokens: count("agentsight.llm.embedding_tokens"),
            cache_read_tokens: count("agentsight.llm.cache_read_tokens"),
            cache_write_tokens: count("agentsight.llm.cache_write_tokens"),
            reasoning_tokens: count("agentsight.llm.reasoning_tokens"),
            audio_input_tokens: count("agentsight.llm.audio_input_tokens"),
            audio_output_tokens: count("agentsight.llm.audio_output_tokens"),
            total_tokens: 0,
        };
        counts.sum_up();
        let dollars =
            attributes.given("agentsight.llm.cost_usd").and_then(|raw| serde_json::from_str::<f64>(raw.get()).ok());
        Self {
            model: attributes.text("gen_ai.request.model").filter(|model| !model.is_empty()).map(Cow::into_owned),
            counts,
            reported_cost: dollars.map_or(0, crate::usage::units_of_dollars),
            is_reported: attributes.flag("agentsight.llm.usage_reported").unwrap_or(true),
        }
    }
}
