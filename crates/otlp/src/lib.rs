//! OpenTelemetry spans of any instrumentation, as conversations.
//!
//! [`read`] takes an export request apart, in protobuf or JSON. Every span becomes a
//! [`NewSpan`](agentsight_model::span::NewSpan): its archive, written as SDK 0.1.x writes it, and what it tells, which one of
//! the adapters in `dialect` finds in its attributes and events. What none of them knows is archived and visible.
//!
//! | File | Holds |
//! |---|---|
//! | `attributes.rs` | attributes as JSON, and reading them |
//! | `span.rs` | one span: its archive, and which adapter reads it |
//! | `dialect/` | one adapter per instrumentation |
//! | `messages.rs` | messages in the forms in which models are called |
//!
//! No I/O, and nothing of HTTP or of the store.

mod attributes;
mod dialect;
mod messages;
mod span;

use std::collections::HashMap;

use agentsight_model::span::{BlockFields, TraceSpans};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;

/// The service of OTLP over gRPC, as it is generated.
pub use opentelemetry_proto::tonic::collector::trace::v1 as service;

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
    /// Spans without an id, which cannot be stored.
    pub rejected: u64,
}

/// Reads an export request.
///
/// # Errors
/// A body that is not the message that it should be.
pub fn read(body: &[u8], encoding: Encoding) -> Result<Export, Unreadable> {
    let request = match encoding {
        Encoding::Protobuf => ExportTraceServiceRequest::decode(body)
            .map_err(|e| Unreadable(format!("The body is no OTLP message: {e}")))?,
        Encoding::Json => serde_json::from_slice(body).map_err(|e| Unreadable(format!("JSON parse error - {e}")))?,
    };
    Ok(translate(request))
}

/// What an export request that was decoded already holds.
#[must_use]
pub fn translate(request: ExportTraceServiceRequest) -> Export {
    let mut export = Export::default();
    let mut positions: HashMap<(String, Option<String>), usize> = HashMap::new();
    // What a trace is called by any of its spans.
    let mut names: HashMap<String, String> = HashMap::new();
    let mut seen = Vec::new();
    for resource_spans in request.resource_spans {
        let resource =
            resource_spans.resource.map(|resource| attributes::to_json(resource.attributes)).unwrap_or_default();
        for scope_spans in resource_spans.scope_spans {
            let scope = span::scope(scope_spans.scope.as_ref(), &scope_spans.schema_url);
            for span in scope_spans.spans {
                match span::read(span, &resource, &scope) {
                    Some(read) => seen.push(read),
                    None => export.rejected += 1,
                }
            }
        }
    }
    for read in &seen {
        if let Some(name) = &read.conversation {
            names.entry(read.span.trace_id.clone()).or_insert_with(|| name.clone());
        }
    }
    for span::Read { span, conversation, fields } in seen {
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

/// The answer to an export request that was stored.
#[must_use]
pub fn response(rejected: u64) -> ExportTraceServiceResponse {
    let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
        rejected_spans: i64::try_from(rejected).unwrap_or(i64::MAX),
        error_message: "Spans without a span_id cannot be stored.".to_owned(),
    });
    ExportTraceServiceResponse { partial_success }
}

/// The same as a body.
#[must_use]
pub fn stored(rejected: u64, encoding: Encoding) -> Vec<u8> {
    let ExportTraceServiceResponse { partial_success } = response(rejected);
    match encoding {
        Encoding::Protobuf => ExportTraceServiceResponse { partial_success }.encode_to_vec(),
        Encoding::Json => match partial_success {
            None => b"{}".to_vec(),
            Some(partial) => serde_json::json!({ "partialSuccess": {
                "rejectedSpans": partial.rejected_spans.to_string(), "errorMessage": partial.error_message } })
            .to_string()
            .into_bytes(),
        },
    }
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
pub fn size(request: &ExportTraceServiceRequest) -> usize {
    request.encoded_len()
}
