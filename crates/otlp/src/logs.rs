//! Events of generative AI that come as log records, apart from the span in which they happened.
//!
//! The records of one span that come together are archived as one more span, of kind `event`, below theirs: so they are
//! known again when they are sent again, are found in their trace, and find their conversation as spans do. What was said
//! in them is read as it is from the events of a span, and told once where the span tells it too.

use std::collections::HashMap;

use agentsight_model::json::JsonText;
use agentsight_model::span::{NewSpan, Tells};
use agentsight_model::track::Receipt;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs};
use serde_json::{Map, Value, json};

use crate::attributes::{self, Attributes, to_json, without_nul};
use crate::dialect;
use crate::span::{self, Event, Read};

/// What the names of events begin with that are kept.
const KEPT: &str = "gen_ai.";

/// The records of a span that came together.
struct Group {
    trace_id: String,
    /// The span in which they happened.
    parent_span_id: Option<String>,
    conversation: Option<String>,
    events: Vec<Event>,
    resource: Map<String, Value>,
    scope: Value,
}

/// Reads records; with how many of them say nothing of a conversation.
pub(crate) fn read(logs: Vec<ResourceLogs>) -> (Vec<Read>, u64) {
    let mut groups: Vec<Group> = Vec::new();
    let mut positions: HashMap<(String, Option<String>, Option<String>), usize> = HashMap::new();
    let mut rejected = 0;
    for resource_logs in logs {
        let resource = resource_logs.resource.map(|resource| to_json(resource.attributes)).unwrap_or_default();
        for scope_logs in resource_logs.scope_logs {
            let scope = span::scope(scope_logs.scope.as_ref(), &scope_logs.schema_url);
            for record in scope_logs.log_records {
                let trace_id = span::id(&record.trace_id).unwrap_or_default();
                let parent_span_id = span::id(&record.span_id);
                let event = event(record);
                let conversation = dialect::conversation(Attributes(&event.attributes));
                if !event.name.starts_with(KEPT) || trace_id.is_empty() && conversation.is_none() {
                    rejected += 1;
                    continue;
                }
                let key = (trace_id.clone(), parent_span_id.clone(), conversation.clone());
                let at = *positions.entry(key).or_insert(groups.len());
                if at == groups.len() {
                    let (resource, scope) = (resource.clone(), scope.clone());
                    groups.push(Group { trace_id, parent_span_id, conversation, events: Vec::new(), resource, scope });
                }
                if let Some(group) = groups.get_mut(at) {
                    group.events.push(event);
                }
            }
        }
    }
    (groups.into_iter().map(Group::read).collect(), rejected)
}

/// A record as the event that it is: what its body holds stands among its attributes, as in the events of spans.
fn event(record: LogRecord) -> Event {
    let mut attributes = to_json(record.attributes);
    let named = |attributes: &Map<String, Value>| Attributes(attributes).first(&["event.name"]);
    let name = Some(record.event_name).filter(|name| !name.is_empty()).or_else(|| named(&attributes));
    match attributes::value(record.body, 0) {
        Value::Object(body) => attributes.extend(body),
        Value::Null => {}
        // Some write the body as text.
        body => match attributes::structure(&body) {
            Some(Value::Object(body)) => attributes.extend(body),
            _ => drop(attributes.entry("content").or_insert(body)),
        },
    }
    let at = span::micros(record.time_unix_nano).or_else(|| span::micros(record.observed_time_unix_nano));
    Event { name: without_nul(name.unwrap_or_default()), at, attributes }
}

impl Group {
    fn read(self) -> Read {
        let Self { trace_id, parent_span_id, conversation, events, resource, scope } = self;
        let dialogue = dialect::events(&events);
        let times = || events.iter().filter_map(|event| event.at);
        let ended_at = times().max();
        // One record may hold a question and its answer: the question comes first.
        let heard = dialogue.as_ref().map_or(0, |dialogue| dialogue.heard.len());
        let asked = ended_at.map(|at| at.plus_micros(-i64::try_from(heard).unwrap_or_default()));
        let started_at = times().min().into_iter().chain(asked).min();
        let name = events.first().map(|event| event.name.clone()).unwrap_or_default();
        let (mut fields, archived) = (Map::new(), span::archived(&events));
        events.iter().for_each(|event| fields.extend(event.attributes.clone()));
        let written = Value::from(archived.clone()).to_string();
        let parent = parent_span_id.as_deref().unwrap_or_default();
        let span_id = Receipt::of([trace_id.as_bytes(), parent.as_bytes(), written.as_bytes()]);
        let span_id = format!("{:016x}", span_id.0);
        let payload = JsonText::of(&json!({
            "span_id": span_id, "trace_id": trace_id, "parent_span_id": parent_span_id, "kind": dialect::EVENT, "name": name,
            "started_at": started_at.map(|at| at.to_string()), "ended_at": ended_at.map(|at| at.to_string()),
            "duration_ms": null, "status": "unset", "attributes": {}, "events": archived,
            "otel": { "resource": resource, "scope": scope },
        }));
        let span = NewSpan {
            span_id,
            trace_id,
            parent_span_id,
            kind: dialect::EVENT.to_owned(),
            name,
            started_at,
            ended_at,
            duration_ms: None,
            status: "unset".to_owned(),
            turn_id: None,
            tells: Tells::Nothing,
            dialogue,
            payload,
        };
        let fields = dialect::fields(Attributes(&fields), Attributes(&resource));
        Read { span, conversation, fields, scope: String::new() }
    }
}
