//! OpenTelemetry's own protocol: over HTTP at `POST /v1/traces` and `/v1/logs`, in protobuf or JSON, and over gRPC on the
//! same port.

use agentsight_model::limits::SPANS_BODY_BYTES;
use agentsight_otlp::logs_service::logs_service_server::{self as logs_server, LogsService, LogsServiceServer};
use agentsight_otlp::logs_service::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use agentsight_otlp::trace_service::trace_service_server::{self as trace_server, TraceService, TraceServiceServer};
use agentsight_otlp::trace_service::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use agentsight_otlp::{Encoding, Export, Signal, Unreadable};
use agentsight_store::Error;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::Response;
use tonic::Code;
use tonic::codec::CompressionEncoding;

use crate::App;
use crate::auth::Writer;
use crate::docs::{BadRequest, schemas};
use crate::error::{ApiError, Result, missing_text};
use crate::request_id;
use crate::tracking::spans::{apart, busy_is_throttled, room, spans_body};

/// Stores spans of any OpenTelemetry instrumentation, and the conversations that they tell of.
#[utoipa::path(post, path = "/v1/traces", tag = "tracking",
    request_body(content((schemas::OtlpTraces = "application/json"), (Vec<u8> = "application/x-protobuf"))),
    responses((status = 200, description = "Stored and readable; what was not is counted under `partialSuccess`", body = schemas::OtlpStored), BadRequest))]
pub(crate) async fn traces(caller: Writer, State(app): State<App>, request: Request) -> Result {
    store(Signal::Traces, &caller, &app, request).await
}

/// Stores events of generative AI (`gen_ai.*`) that come as log records, beside the span of their `trace_id` and `span_id`,
/// in any order. Other log records are counted as rejected.
#[utoipa::path(post, path = "/v1/logs", tag = "tracking",
    request_body(content((schemas::OtlpLogs = "application/json"), (Vec<u8> = "application/x-protobuf"))),
    responses((status = 200, description = "Stored and readable; what was not is counted under `partialSuccess`", body = schemas::OtlpStored), BadRequest))]
pub(crate) async fn logs(caller: Writer, State(app): State<App>, request: Request) -> Result {
    store(Signal::Logs, &caller, &app, request).await
}

async fn store(signal: Signal, caller: &Writer, app: &App, request: Request) -> Result {
    let encoding = encoding(request.headers())?;
    let (bytes, _room) = spans_body(app, request).await?;
    let export = match apart(bytes.len(), move || Ok(agentsight_otlp::read(signal, &bytes, encoding))).await? {
        Ok(export) => export,
        Err(Unreadable(why)) => {
            return Ok(answer(StatusCode::BAD_REQUEST, agentsight_otlp::refused(&why, encoding), encoding));
        }
    };
    let Export { traces, rejected } = export;
    app.store.ingest_traces(caller.agent, traces).await.map_err(busy_is_throttled)?;
    Ok(answer(StatusCode::OK, agentsight_otlp::stored(signal, rejected, encoding), encoding))
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

/// The services of OTLP over gRPC, each at its own path.
pub(crate) fn grpc(app: App) -> Router<App> {
    let traces = TraceServiceServer::new(Grpc(app.clone()))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(SPANS_BODY_BYTES);
    let logs = LogsServiceServer::new(Grpc(app))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(SPANS_BODY_BYTES);
    Router::new()
        .route_service(&format!("/{}/{{method}}", trace_server::SERVICE_NAME), traces)
        .route_service(&format!("/{}/{{method}}", logs_server::SERVICE_NAME), logs)
        .layer(map_response(async |response: Response| final_code(response)))
}

/// What is too large is "out of range" to the service, after which exporters come again.
fn final_code(mut response: Response) -> Response {
    const STATUS: &str = "grpc-status";
    let is = |code: Code| HeaderValue::from(code as i32);
    if response.headers().get(STATUS) == Some(&is(Code::OutOfRange)) {
        response.headers_mut().insert(STATUS, is(Code::InvalidArgument));
    }
    response
}

struct Grpc(App);

impl Grpc {
    /// Stores a request; answers how much of it was rejected.
    async fn store<T: Send + 'static>(
        &self,
        request: tonic::Request<T>,
        size: fn(&T) -> usize,
        translate: fn(T) -> Export,
    ) -> Result<u64> {
        let (metadata, _, message) = request.into_parts();
        let caller = Writer::of(&metadata.into_headers(), &self.0).await?;
        let bytes = size(&message);
        let _room = room(&self.0, bytes)?;
        let Export { traces, rejected } = apart(bytes, move || Ok(translate(message))).await?;
        self.0.store.ingest_traces(caller.agent, traces).await.map_err(busy_is_throttled)?;
        Ok(rejected)
    }
}

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let stored = self.store(request, agentsight_otlp::size, agentsight_otlp::of_traces).await;
        let rejected = stored.map_err(|error| status(&error))?;
        Ok(tonic::Response::new(agentsight_otlp::traces_stored(rejected)))
    }
}

#[tonic::async_trait]
impl LogsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, tonic::Status> {
        let stored = self.store(request, agentsight_otlp::size, agentsight_otlp::of_logs).await;
        let rejected = stored.map_err(|error| status(&error))?;
        Ok(tonic::Response::new(agentsight_otlp::logs_stored(rejected)))
    }
}

/// What a failure is called over gRPC, in the words that it has over HTTP. Exporters come again after "unavailable" and what else
/// may pass (OTLP specification, "Failures"), some also after "resource exhausted"; none of it may stand for what will not pass.
fn status(error: &ApiError) -> tonic::Status {
    match error {
        ApiError::Unauthorized(text) => tonic::Status::unauthenticated(*text),
        ApiError::Forbidden(text) => tonic::Status::permission_denied(*text),
        ApiError::NotFound => tonic::Status::not_found("Not found."),
        ApiError::Throttled { .. } | ApiError::Slow => {
            tonic::Status::unavailable("The server is busy, try again later.")
        }
        ApiError::TooLarge(text) => tonic::Status::invalid_argument(text),
        ApiError::Unsupported(text) => tonic::Status::invalid_argument(*text),
        ApiError::Refused(refusal) => tonic::Status::invalid_argument(refusal.to_string()),
        ApiError::Store(Error::NotFound(missing)) => tonic::Status::not_found(missing_text(missing)),
        ApiError::Store(error) if error.may_pass() => {
            tracing::warn!(id = request_id::current(), %error, "an export failed");
            tonic::Status::unavailable("The store is not available, try again later.")
        }
        other => {
            tracing::error!(id = request_id::current(), error = ?other, "an export failed");
            tonic::Status::internal("The server failed to do this; its log says why.")
        }
    }
}

#[cfg(test)]
mod tests {
    use agentsight_model::refusal::Refusal;
    use agentsight_store::Missing;
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_exporter_comes_again_after_what_may_pass_and_is_told_the_rest_in_words() {
        for (error, code, text) in [
            (ApiError::Throttled { seconds: 1 }, Code::Unavailable, "The server is busy, try again later."),
            (
                Error::Busy { retry_after: Duration::from_secs(1) }.into(),
                Code::Unavailable,
                "The store is not available, try again later.",
            ),
            (ApiError::TooLarge("At most 3 bytes.".to_owned()), Code::InvalidArgument, "At most 3 bytes."),
            (ApiError::Unsupported("No."), Code::InvalidArgument, "No."),
            (Refusal::field("name", "Too long.").into(), Code::InvalidArgument, "name: Too long"),
            (Error::NotFound(Missing::Conversation).into(), Code::NotFound, "Conversation not found."),
            (ApiError::NotFound, Code::NotFound, "Not found."),
            (Error::Full.into(), Code::Internal, "The server failed to do this; its log says why."),
        ] {
            let status = status(&error);
            assert_eq!((status.code(), status.message()), (code, text), "{error:?}");
        }
    }
}
