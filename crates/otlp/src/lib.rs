//! OpenTelemetry spans of any instrumentation, and events that come as log records, as conversations.
//!
//! [`read`] takes an export request apart, in protobuf or JSON. Every span becomes a
//! [`NewSpan`](agentsight_model::span::NewSpan): its archive, written as SDK 0.1.x writes it, and what it tells, which one of
//! the adapters in `dialect` finds in its attributes and events. What none of them knows is archived and visible.
//!
//! | File | Holds |
//! |---|---|
//! | `json.rs` | OTLP/JSON as the protobuf message that it stands for |
//! | `attributes.rs` | attributes as JSON, and reading them |
//! | `span.rs` | one span: its archive, and which adapter reads it |
//! | `logs.rs` | events that came as log records, as one more span |
//! | `twice.rs` | calls of a model that two instrumentations saw |
//! | `dialect/` | one adapter per instrumentation |
//! | `messages.rs` | messages in the forms in which models are called |
//!
//! No I/O, and nothing of HTTP or of the store.

mod attributes;
mod dialect;
mod json;
mod logs;
mod messages;
mod span;
mod twice;

use std::borrow::Cow;
use std::collections::HashMap;

use agentsight_model::span::{BlockFields, TraceSpans};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;

/// The services of OTLP over gRPC, as they are generated.
pub use opentelemetry_proto::tonic::collector::{logs::v1 as logs_service, trace::v1 as trace_service};

/// What an export request is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records, of which events of generative AI are kept.
    Logs,
}

/// The forms in which OTLP comes over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

/// An export request that cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub String);

/// What an export request holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Export {
    /// Its spans by trace, each trace as one part of a conversation.
    pub traces: Vec<TraceSpans>,
    /// Spans without an id, which cannot be stored, or records that tell of no conversation.
    pub rejected: u64,
}

/// Reads an export request.
///
/// # Errors
/// A body that is not the message that it should be.
pub fn read(signal: Signal, body: &[u8], encoding: Encoding) -> Result<Export, Unreadable> {
    Ok(match signal {
        Signal::Traces => of_traces(decode(body, encoding, &json::TRACES)?),
        Signal::Logs => of_logs(decode(body, encoding, &json::LOGS)?),
    })
}

fn decode<T: Message + Default>(
    body: &[u8],
    encoding: Encoding,
    shape: &'static json::Message,
) -> Result<T, Unreadable> {
    let body = match encoding {
        Encoding::Protobuf => Cow::Borrowed(body),
        Encoding::Json => Cow::Owned(of_json(body, shape).map_err(Unreadable)?),
    };
    T::decode(&*body).map_err(|e| Unreadable(format!("The body is no OTLP message: {e}")))
}

/// Half of a pair of surrogates, as a cut text ends in, is repaired like elsewhere: once there is one.
fn of_json(body: &[u8], shape: &'static json::Message) -> Result<Vec<u8>, String> {
    json::to_protobuf(shape, body).or_else(|problem| match agentsight_model::json::repair(body) {
        Ok(Cow::Owned(repaired)) => json::to_protobuf(shape, &repaired),
        _ => Err(problem),
    })
}

/// What an export of spans holds that was decoded already.
#[must_use]
pub fn of_traces(request: ExportTraceServiceRequest) -> Export {
    let (mut seen, mut rejected) = (Vec::new(), 0);
    for resource_spans in request.resource_spans {
        let resource =
            resource_spans.resource.map(|resource| attributes::to_json(resource.attributes)).unwrap_or_default();
        for scope_spans in resource_spans.scope_spans {
            let scope = span::scope(scope_spans.scope.as_ref(), &scope_spans.schema_url);
            for span in scope_spans.spans {
                match span::read(span, &resource, &scope) {
                    Some(read) => seen.push(read),
                    None => rejected += 1,
                }
            }
        }
    }
    twice::count_once(&mut seen);
    by_trace(seen, rejected)
}

/// What an export of log records holds that was decoded already.
#[must_use]
pub fn of_logs(request: ExportLogsServiceRequest) -> Export {
    let (seen, rejected) = logs::read(request.resource_logs);
    by_trace(seen, rejected)
}

/// Puts together what is of one trace.
fn by_trace(seen: Vec<span::Read>, rejected: u64) -> Export {
    let mut export = Export { traces: Vec::new(), rejected };
    let mut positions: HashMap<(String, Option<String>), usize> = HashMap::new();
    // What a trace is called by any of its spans.
    let mut names: HashMap<String, String> = HashMap::new();
    for read in &seen {
        if let Some(name) = &read.conversation {
            names.entry(read.span.trace_id.clone()).or_insert_with(|| name.clone());
        }
    }
    for span::Read { span, conversation, fields, .. } in seen {
        let name = conversation.or_else(|| names.get(&span.trace_id).cloned());
        let key = (span.trace_id.clone(), name.clone());
        let at = *positions.entry(key).or_insert_with(|| {
            export.traces.push(TraceSpans {
                trace_id: span.trace_id.clone(),
                conversation_id: name,
                fields: BlockFields::default(),
                spans: Vec::new(),
            });
            export.traces.len() - 1
        });
        if let Some(trace) = export.traces.get_mut(at) {
            merge(&mut trace.fields, fields);
            trace.spans.push(span);
        }
    }
    export
}

/// The first span that says something of the conversation counts.
fn merge(fields: &mut BlockFields, more: BlockFields) {
    fields.customer_id = fields.customer_id.take().or(more.customer_id);
    fields.environment = fields.environment.take().or(more.environment);
    fields.metadata = fields.metadata.take().or(more.metadata);
    fields.name = fields.name.take().or(more.name);
}

impl Signal {
    /// Why some of an export were not stored.
    fn rejection(self) -> &'static str {
        match self {
            Self::Traces => "Spans without a span_id cannot be stored.",
            Self::Logs => {
                "Only events of generative AI (gen_ai.*) that belong to a trace or name a conversation are stored; other log records are not."
            }
        }
    }
}

/// The answer to an export of spans that was stored.
#[must_use]
pub fn traces_stored(rejected: u64) -> ExportTraceServiceResponse {
    let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
        rejected_spans: i64::try_from(rejected).unwrap_or(i64::MAX),
        error_message: Signal::Traces.rejection().to_owned(),
    });
    ExportTraceServiceResponse { partial_success }
}

/// The answer to an export of log records that was stored.
#[must_use]
pub fn logs_stored(rejected: u64) -> ExportLogsServiceResponse {
    let partial_success = (rejected > 0).then(|| ExportLogsPartialSuccess {
        rejected_log_records: i64::try_from(rejected).unwrap_or(i64::MAX),
        error_message: Signal::Logs.rejection().to_owned(),
    });
    ExportLogsServiceResponse { partial_success }
}

/// The same as a body.
#[must_use]
pub fn stored(signal: Signal, rejected: u64, encoding: Encoding) -> Vec<u8> {
    let field = match (signal, encoding) {
        (Signal::Traces, Encoding::Protobuf) => return traces_stored(rejected).encode_to_vec(),
        (Signal::Logs, Encoding::Protobuf) => return logs_stored(rejected).encode_to_vec(),
        (Signal::Traces, Encoding::Json) => "rejectedSpans",
        (Signal::Logs, Encoding::Json) => "rejectedLogRecords",
    };
    if rejected == 0 {
        return b"{}".to_vec();
    }
    let partial = serde_json::json!({ field: rejected.to_string(), "errorMessage": signal.rejection() });
    serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
}

/// The body of a refusal: `google.rpc.Status`, of which nobody reads more than the message.
#[must_use]
pub fn refused(message: &str, encoding: Encoding) -> Vec<u8> {
    const MESSAGE: u32 = 2;
    match encoding {
        Encoding::Protobuf => {
            let mut body = Vec::new();
            prost::encoding::string::encode(MESSAGE, &message.to_owned(), &mut body);
            body
        }
        Encoding::Json => serde_json::json!({ "message": message, "detail": message }).to_string().into_bytes(),
    }
}

/// Bytes of a request as it came.
#[must_use]
pub fn size<T: Message>(request: &T) -> usize {
    request.encoded_len()
}
