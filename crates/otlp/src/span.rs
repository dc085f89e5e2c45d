//! One span: its archive, and which adapter reads it.

use std::collections::BTreeMap;

use agentsight_model::json::JsonText;
use agentsight_model::span::{BlockFields, NewSpan, Tells};
use agentsight_model::time::Timestamp;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Map, Value, json};

use crate::attributes::{Attributes, to_json, without_nul};
use crate::dialect;

/// A span as it was read, with what it says of its conversation.
pub(crate) struct Read {
    pub(crate) span: NewSpan,
    pub(crate) conversation: Option<String>,
    pub(crate) fields: BlockFields,
    /// The name of the instrumentation.
    pub(crate) scope: String,
}

/// An event of a span.
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) at: Option<Timestamp>,
    pub(crate) attributes: Map<String, Value>,
}

/// The instrumentation, as it is archived.
pub(crate) fn scope(scope: Option<&InstrumentationScope>, schema_url: &str) -> Value {
    scope.map_or(Value::Null, |scope| json!({ "name": scope.name, "version": scope.version, "schema_url": schema_url }))
}

fn name_of(scope: &Value) -> String {
    scope.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Reads a span; `None` where it has no id.
pub(crate) fn read(span: Span, resource: &Map<String, Value>, scope: &Value) -> Option<Read> {
    let span_id = id(&span.span_id)?;
    let trace_id = id(&span.trace_id).unwrap_or_default();
    let (started_at, ended_at) = (micros(span.start_time_unix_nano), micros(span.end_time_unix_nano));
    let nanos =
        span.end_time_unix_nano.checked_sub(span.start_time_unix_nano).filter(|_| span.start_time_unix_nano > 0);
    // Three places, as SDK 0.1.x sends it.
    let duration_ms = nanos.and_then(|nanos| serde_json::Number::from_f64((nanos as f64 / 1_000.0).round() / 1_000.0));
    let status = match span.status.as_ref().map_or(0, |status| status.code) {
        1 => "ok",
        2 => "error",
        _ => "unset",
    };
    let status_text = span.status.map(|status| status.message).filter(|text| !text.is_empty());
    let span_kind =
        SpanKind::try_from(span.kind).map_or("UNSPECIFIED", |kind| kind.as_str_name()).trim_start_matches("SPAN_KIND_");
    let links: Vec<Value> = span
        .links
        .into_iter()
        .map(|link| json!({ "trace_id": hex::encode(link.trace_id), "span_id": hex::encode(link.span_id), "attributes": to_json(link.attributes) }))
        .collect();
    let events: Vec<Event> = span
        .events
        .into_iter()
        .map(|event| Event {
            name: without_nul(event.name),
            at: micros(event.time_unix_nano),
            attributes: to_json(event.attributes),
        })
        .collect();
    let attributes = to_json(span.attributes);
    let name = without_nul(span.name);
    let parent_span_id = id(&span.parent_span_id);
    let view = Attributes(&attributes);
    let found = dialect::read(&dialect::Seen {
        name: &name,
        attributes: view,
        events: &events,
        is_error: status == "error",
        error: status_text.as_deref(),
    });
    let otel = json!({
        "span_kind": span_kind, "trace_flags": span.flags, "trace_state": span.trace_state, "status_description": status_text,
        "links": links, "resource": resource, "scope": scope,
        "start_time_unix_nano": span.start_time_unix_nano.to_string(), "end_time_unix_nano": span.end_time_unix_nano.to_string(),
        "dropped": { "attributes": span.dropped_attributes_count, "events": span.dropped_events_count, "links": span.dropped_links_count },
    });
    let payload = JsonText::of(&json!({
        "span_id": span_id, "trace_id": trace_id, "parent_span_id": parent_span_id, "kind": found.kind, "name": name,
        "started_at": started_at.map(|at| at.to_string()), "ended_at": ended_at.map(|at| at.to_string()),
        "duration_ms": duration_ms, "status": status, "attributes": attributes, "events": archived(&events), "otel": otel,
    }));
    let conversation = dialect::conversation(view);
    let fields = dialect::fields(view, Attributes(resource));
    // What SDK 0.1.x made is read as what it is, whichever way it came.
    if found.is_own
        && let Some(raw) = payload.stored().and_then(|text| serde_json::from_str(text).ok())
        && let Ok(span) = NewSpan::read(raw)
    {
        return Some(Read { span, conversation, fields, scope: name_of(scope) });
    }
    let span = NewSpan {
        span_id,
        trace_id,
        parent_span_id,
        kind: found.kind,
        name,
        started_at,
        ended_at,
        duration_ms,
        status: status.to_owned(),
        turn_id: None,
        tells: found.tells.unwrap_or(Tells::Nothing),
        dialogue: found.dialogue,
        payload,
    };
    Some(Read { span, conversation, fields, scope: name_of(scope) })
}

/// Events as they are archived.
pub(crate) fn archived(events: &[Event]) -> Vec<Value> {
    events
        .iter()
        .map(|event| json!({ "name": event.name, "timestamp": event.at.map(|at| at.to_string()), "attributes": event.attributes }))
        .collect()
}

/// Bytes of an id as text; none for none, and for one that is all zeros.
pub(crate) fn id(bytes: &[u8]) -> Option<String> {
    /// Longer ones are none of OpenTelemetry's.
    const LONGEST: usize = 32;
    let is_one = bytes.iter().any(|byte| *byte != 0) && bytes.len() <= LONGEST;
    is_one.then(|| hex::encode(bytes))
}

pub(crate) fn micros(nanos: u64) -> Option<Timestamp> {
    (nanos > 0).then(|| Timestamp(i64::try_from(nanos / 1_000).unwrap_or(i64::MAX)))
}

/// Attributes of the form `prefix.N.rest`, by their number and rest.
pub(crate) fn numbered<'a>(attributes: Attributes<'a>, prefix: &str) -> BTreeMap<u32, BTreeMap<&'a str, &'a Value>> {
    let mut found: BTreeMap<u32, BTreeMap<&str, &Value>> = BTreeMap::new();
    for (key, value) in attributes.0 {
        let Some((number, rest)) = key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')?.split_once('.'))
        else {
            continue;
        };
        if let Ok(number) = number.parse() {
            found.entry(number).or_default().insert(rest, value);
        }
    }
    found
}
