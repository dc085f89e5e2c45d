//! One adapter per instrumentation. Each looks for its own attributes, and says nothing where it does not find them.

mod gen_ai;
mod langfuse;
mod openinference;
mod traceloop;
mod vercel;

use agentsight_model::json::JsonText;
use agentsight_model::limits::TEXT_CHARS;
use agentsight_model::span::{BlockFields, Dialogue, LlmCall, Tells, ToolRun};
use agentsight_model::track::Receipt;
use agentsight_model::usage::TokenCounts;
use serde_json::{Map, Value};

use crate::attributes::Attributes;
use crate::messages::Said;
use crate::span::Event;

/// What records of events are kept as.
pub(crate) const EVENT: &str = "event";

/// A span as an adapter sees it.
pub(crate) struct Seen<'a> {
    pub(crate) name: &'a str,
    pub(crate) attributes: Attributes<'a>,
    pub(crate) events: &'a [Event],
    pub(crate) is_error: bool,
    pub(crate) error: Option<&'a str>,
}

/// What an adapter found.
#[derive(Default)]
pub(crate) struct Found {
    /// `llm`, `tool`, `agent`, `chain`, …; `span` where nobody knows it.
    pub(crate) kind: String,
    pub(crate) tells: Option<Tells>,
    pub(crate) dialogue: Option<Dialogue>,
    /// It is a span of SDK 0.1.x.
    pub(crate) is_own: bool,
}

/// Asks every adapter; the first that knows the span counts. The more particular ones come first, because most
/// instrumentations also set some of the general attributes.
pub(crate) fn read(seen: &Seen<'_>) -> Found {
    if let Some(kind) = seen.attributes.text("agentsight.span.kind") {
        return Found { kind: kind.into_owned(), is_own: true, ..Found::default() };
    }
    let adapters = [vercel::read, openinference::read, langfuse::read, traceloop::read, gen_ai::read];
    adapters.iter().find_map(|read| read(seen)).unwrap_or_else(|| Found { kind: "span".to_owned(), ..Found::default() })
}

/// What was said in events that came without their span.
pub(crate) fn events(events: &[Event]) -> Option<Dialogue> {
    let nothing = Map::new();
    let seen = Seen { name: "", attributes: Attributes(&nothing), events, is_error: false, error: None };
    let (heard, said) = gen_ai::said(&seen);
    Found::default().saying(heard, said).dialogue
}

impl Found {
    pub(crate) fn of(kind: &str) -> Self {
        Self { kind: kind.to_owned(), ..Self::default() }
    }

    pub(crate) fn telling(self, tells: Tells) -> Self {
        Self { tells: Some(tells), ..self }
    }

    /// With what was said, where anything was.
    pub(crate) fn saying(self, heard: Said, said: Said) -> Self {
        let dialogue = (!heard.is_empty() || !said.is_empty()).then_some(Dialogue { heard, said });
        Self { dialogue, ..self }
    }
}

impl Seen<'_> {
    /// A run of a tool, failed where the span did.
    pub(crate) fn tool(&self, name: Option<String>, arguments: Option<&Value>, response: Option<&Value>) -> Tells {
        let name = name.unwrap_or_else(|| self.name.to_owned());
        // The status often says the same with a stack trace behind it.
        let error = self.exception().or_else(|| self.error.map(str::to_owned));
        Tells::Tool(ToolRun {
            name: fitting(name),
            arguments: arguments.map(arguments_of).unwrap_or_default(),
            response: response.map(answer).unwrap_or_default(),
            error: if self.is_error { error.unwrap_or_else(|| "error".to_owned()) } else { String::new() },
        })
    }

    fn exception(&self) -> Option<String> {
        let event = self.events.iter().find(|event| event.name == "exception")?;
        Attributes(&event.attributes).first(&["exception.message", "exception.type"])
    }
}

/// Arguments as an object (contract: ingest-v1 §5.4).
fn arguments_of(value: &Value) -> JsonText {
    match crate::attributes::structure(value) {
        Some(object @ Value::Object(_)) => JsonText::of(&object),
        Some(other) => JsonText::of(&serde_json::json!({ "value": other })),
        None => match value {
            Value::String(text) => JsonText::of(&serde_json::json!({ "raw": text })),
            Value::Null => JsonText::EMPTY,
            other => JsonText::of(&serde_json::json!({ "value": other })),
        },
    }
}

/// What a tool said, out of what frameworks put around it.
fn answer(response: &Value) -> String {
    of_langchain(response).or_else(|| of_llamaindex(response)).unwrap_or_else(|| plain(response))
}

/// What a tool said, out of LlamaIndex's account of its run: `{"blocks": [{"text": …}], "tool_name": …, "raw_output": …}`.
fn of_llamaindex(response: &Value) -> Option<String> {
    let whole = crate::attributes::structure(response)?;
    whole.get("tool_name")?;
    let blocks = whole.get("blocks")?.as_array()?.iter();
    let texts: Vec<&str> = blocks.filter_map(|block| block.get("text")?.as_str()).collect();
    Some(texts.join("\n"))
}

/// What a tool said, out of LangChain's message around it: `{"data": {"content": …}}`, or, written as its classes are,
/// `{"output": {"kwargs": {"content": …}}}`.
fn of_langchain(response: &Value) -> Option<String> {
    let whole = crate::attributes::structure(response)?;
    let message = whole.get("output").unwrap_or(&whole);
    let inner = message.get("data").or_else(|| message.get("kwargs"))?;
    let is_tool = inner.get("type").and_then(Value::as_str) == Some("tool");
    inner.get("content").filter(|_| is_tool).map(plain)
}

/// What a decorated function was called with: by name, or else by position.
pub(crate) fn called_with(value: &Value) -> Value {
    let of = |key: &str| value.get(key).filter(|inner| inner.as_object().is_none_or(|inner| !inner.is_empty()));
    // LangChain's inputs come with `kwargs` of its own.
    match of("inputs").or_else(|| of("kwargs")).or_else(|| of("args")) {
        // In JavaScript arguments have no names, and so most tools take one object.
        Some(Value::Array(items)) if matches!(items.as_slice(), [Value::Object(_)]) => {
            items.first().cloned().unwrap_or_default()
        }
        Some(given) => given.clone(),
        None => value.clone(),
    }
}

/// A text as it is, anything else as its JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Tokens as instrumentations report them: the input holds what was read from and written to caches.
pub(crate) fn call(model: Option<String>, mut counts: TokenCounts, is_embedding: bool) -> Tells {
    if is_embedding {
        counts.embedding_tokens = counts.prompt_tokens.max(counts.embedding_tokens);
        counts.prompt_tokens = 0;
    }
    let cached = counts.cache_read_tokens.saturating_add(counts.cache_write_tokens);
    if counts.prompt_tokens >= cached {
        counts.prompt_tokens -= cached;
    }
    counts.sum_up();
    let is_reported = counts.total_tokens > 0;
    Tells::Llm(LlmCall { model, counts, reported_cost: 0, is_reported })
}

/// What a span calls its conversation, by the names that instrumentations have for it; the more particular first.
pub(crate) fn conversation(attributes: Attributes<'_>) -> Option<String> {
    const KEYS: &[&str] = &[
        "agentsight.conversation.id",
        "gen_ai.conversation.id",
        "session.id",
        "langfuse.session.id",
        "traceloop.association.properties.conversation_id",
        "traceloop.association.properties.session_id",
        "traceloop.association.properties.thread_id",
        "traceloop.association.properties.chat_id",
        "ai.telemetry.metadata.conversationId",
        "ai.telemetry.metadata.sessionId",
        "ai.telemetry.metadata.threadId",
        "ai.telemetry.metadata.chatId",
        "langgraph.thread_id",
        "thread_id",
        "thread.id",
    ];
    let named = attributes.first(KEYS);
    // OpenInference keeps a chain's own metadata as JSON.
    let named = named.or_else(|| {
        let metadata = attributes.structure("metadata")?;
        let keys = ["conversation_id", "session_id", "thread_id"];
        keys.iter().find_map(|key| metadata.get(*key)?.as_str()).filter(|text| !text.is_empty()).map(str::to_owned)
    });
    named.map(fitting)
}

/// What a span says of its conversation beside its name.
pub(crate) fn fields(attributes: Attributes<'_>, resource: Attributes<'_>) -> BlockFields {
    let customer_id = attributes.first(&[
        "agentsight.conversation.customer_id",
        "user.id",
        "enduser.id",
        "langfuse.user.id",
        "traceloop.association.properties.user_id",
        "ai.telemetry.metadata.userId",
    ]);
    let environment = attributes
        .first(&["agentsight.conversation.environment", "langfuse.environment"])
        .or_else(|| resource.first(&["deployment.environment.name", "deployment.environment"]));
    BlockFields {
        customer_id: customer_id.map(fitting),
        environment: environment.map(fitting),
        ..BlockFields::default()
    }
}

/// A name that may be kept. One that is too long ends in a hash of the whole, so that two that begin alike stay two, and
/// the same is the same each time.
fn fitting(name: String) -> String {
    if name.chars().count() <= TEXT_CHARS {
        return name;
    }
    let end = format!("~{:016x}", Receipt::of([name.as_bytes()]).0);
    name.chars().take(TEXT_CHARS - end.len()).chain(end.chars()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_that_are_too_long_stay_distinct_and_the_same_each_time() {
        let long = |end: &str| fitting(format!("{}{end}", "\u{e9}".repeat(TEXT_CHARS)));
        assert_eq!(fitting("\u{e9}".repeat(TEXT_CHARS)), "\u{e9}".repeat(TEXT_CHARS));
        assert_eq!((long("a").chars().count(), long("a")), (TEXT_CHARS, long("a")));
        assert_ne!(long("a"), long("b"));
        // Its conversation is found by it, also after an upgrade.
        assert!(long("a").ends_with("\u{e9}~fca798723d5f52a4"), "{}", long("a"));
    }

    #[test]
    fn arguments_are_what_the_tool_was_given_whoever_wraps_them() {
        let given = json!({ "order": "A-9" });
        for wrapped in [
            json!({ "inputs": given, "kwargs": { "color": "green" } }),
            json!({ "args": [], "kwargs": given }),
            json!({ "args": [given], "kwargs": {} }),
            given.clone(),
        ] {
            assert_eq!(called_with(&wrapped), given);
        }
        assert_eq!(called_with(&json!({ "args": [1, 2], "kwargs": {} })), json!([1, 2]));
    }

    #[test]
    fn what_a_tool_said_comes_out_of_langchain_s_message() {
        let message = json!({ "content": "shipped", "type": "tool" });
        assert_eq!(of_langchain(&json!({ "type": "tool", "data": message })).as_deref(), Some("shipped"));
        assert_eq!(of_langchain(&json!({ "output": { "lc": 1, "kwargs": message } })).as_deref(), Some("shipped"));
        assert_eq!(of_langchain(&json!({ "data": { "content": "else" } })), None);
    }

    #[test]
    fn what_a_tool_said_comes_out_of_llamaindex_s_account() {
        let blocks =
            json!([{ "block_type": "text", "text": "shipped" }, { "block_type": "image" }, { "text": "today" }]);
        assert_eq!(answer(&json!({ "blocks": blocks, "tool_name": "lookup", "raw_output": 1 })), "shipped\ntoday");
        assert_eq!(answer(&json!({ "blocks": 1 })), r#"{"blocks":1}"#);
    }
}
