//! OpenTelemetry's own protocol over HTTP: `POST /v1/traces`, in protobuf or JSON.

use agentsight_otlp::{Encoding, Export, Unreadable};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

use crate::App;
use crate::auth::Writer;
use crate::docs::{BadRequest, schemas};
use crate::error::{ApiError, Result};
use crate::tracking::spans::{apart, busy_is_throttled, spans_body};

/// Stores spans of any OpenTelemetry instrumentation, and the conversations that they tell of.
#[utoipa::path(post, path = "/v1/traces", tag = "tracking",
    request_body(content((schemas::OtlpTraces = "application/json"), (Vec<u8> = "application/x-protobuf"))),
    responses((status = 200, description = "Stored and readable; what was not is counted under `partialSuccess`", body = schemas::OtlpStored), BadRequest))]
pub(crate) async fn traces(caller: Writer, State(app): State<App>, request: Request) -> Result {
    let encoding = encoding(request.headers())?;
    let (bytes, _room) = spans_body(&app, request).await?;
    let export = match apart(bytes.len(), move || Ok(agentsight_otlp::read(&bytes, encoding))).await? {
        Ok(export) => export,
        Err(Unreadable(why)) => {
            return Ok(answer(StatusCode::BAD_REQUEST, agentsight_otlp::refused(&why, encoding), encoding));
        }
    };
    let Export { traces, rejected } = export;
    app.store.ingest_traces(caller.agent, traces).await.map_err(busy_is_throttled)?;
    Ok(answer(StatusCode::OK, agentsight_otlp::stored(rejected, encoding), encoding))
}

fn encoding(headers: &HeaderMap) -> Result<Encoding> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/x-protobuf" | "application/protobuf" => Ok(Encoding::Protobuf),
        "application/json" => Ok(Encoding::Json),
        _ => Err(ApiError::Unsupported("Content-Type must be application/x-protobuf or application/json.")),
    }
}

fn answer(status: StatusCode, body: Vec<u8>, encoding: Encoding) -> Response {
    let content_type = match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
