//! The archive of spans (contract: reading §11).

use agentsight_model::ids::SpanId;
use agentsight_model::page::Paged;
use agentsight_model::span::{SPAN_PARAMETERS, Span, SpanFilter};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};

use crate::App;
use crate::answer::{json_text, ok};
use crate::auth::Reader;
use crate::docs::{Refused, schemas};
use crate::error::{Detail, Result};
use crate::reading::pages::{extent, flag, page_of};
use crate::reading::{RowId, Warnings, query};
use crate::urls::Base;

/// Spans that match, newest first, without their payload.
#[utoipa::path(get, path = "/api/spans/", tag = "reading", params(schemas::SpanQuery),
    responses((status = 200, body = Paged<Span>), (status = 404, description = "No such page", body = Detail<'static>), Refused))]
pub(crate) async fn list(caller: Reader, base: Base, State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result {
    let mut query = query(&uri);
    let warnings = Warnings::look(&query, &SPAN_PARAMETERS, &headers)?;
    // There is no list without pages here.
    query.0.retain(|(name, _)| name != "paginate");
    let (filter, extent) = (SpanFilter::read(&query)?, extent(&query)?);
    let found = app.store.list_spans(caller.agent, filter, extent).await?;
    Ok(warnings.onto(page_of(found, extent, &base, &uri, &query)))
}

/// One span by its integer; with `payload=true` also as it came.
#[utoipa::path(get, path = "/api/spans/{id}/", tag = "reading", params(("id" = i64, Path), ("payload" = Option<bool>, Query)),
    responses((status = 200, body = Span), (status = 404, description = "No such span", body = Detail<'static>), Refused))]
pub(crate) async fn fetch(caller: Reader, id: RowId, State(app): State<App>, uri: Uri) -> Result {
    let payload = flag(&query(&uri), "payload")?.unwrap_or(false);
    Ok(ok(&app.store.fetch_span(caller.agent, SpanId(id.0), payload).await?))
}

/// The spans of a trace as a tree.
#[utoipa::path(get, path = "/api/traces/{trace_id}/", tag = "reading", params(("trace_id" = String, Path)),
    responses((status = 200, body = schemas::TraceTree), (status = 404, description = "No such trace", body = Detail<'static>), Refused))]
pub(crate) async fn trace(caller: Reader, Path(trace_id): Path<String>, State(app): State<App>) -> Result {
    let trace_id = trace_id.to_ascii_lowercase().replace('\0', "");
    let trace = app.store.fetch_trace(caller.agent, trace_id).await?;
    Ok(json_text(trace.to_json()))
}
