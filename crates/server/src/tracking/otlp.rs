//! OpenTelemetry's own protocol: over HTTP at `POST /v1/traces`, in protobuf or JSON, and over gRPC on the same port.

use agentsight_model::limits::SPANS_BODY_BYTES;
use agentsight_otlp::service::trace_service_server::{SERVICE_NAME, TraceService, TraceServiceServer};
use agentsight_otlp::service::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use agentsight_otlp::{Encoding, Export, Unreadable};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use tonic::codec::CompressionEncoding;

use crate::App;
use crate::auth::Writer;
use crate::docs::{BadRequest, schemas};
use crate::error::{ApiError, Result};
use crate::tracking::spans::{apart, busy_is_throttled, room, spans_body};

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

/// The service of OTLP over gRPC, at its own path.
pub(crate) fn grpc(app: App) -> Router<App> {
    let service = TraceServiceServer::new(Grpc(app))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(SPANS_BODY_BYTES);
    Router::new().route_service(&format!("/{SERVICE_NAME}/{{method}}"), service)
}

struct Grpc(App);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let (metadata, _, message) = request.into_parts();
        let caller = Writer::of(&metadata.into_headers(), &self.0).await.map_err(|error| status(&error))?;
        let bytes = agentsight_otlp::size(&message);
        let _room = room(&self.0, bytes).map_err(|error| status(&error))?;
        let export =
            apart(bytes, move || Ok(agentsight_otlp::translate(message))).await.map_err(|error| status(&error))?;
        let Export { traces, rejected } = export;
        let stored = self.0.store.ingest_traces(caller.agent, traces).await.map_err(busy_is_throttled);
        stored.map_err(|error| status(&error))?;
        Ok(tonic::Response::new(agentsight_otlp::response(rejected)))
    }
}

/// What a failure is called over gRPC. Exporters come again after "unavailable", and after nothing else.
fn status(error: &ApiError) -> tonic::Status {
    match error {
        ApiError::Unauthorized(text) => tonic::Status::unauthenticated(*text),
        ApiError::Forbidden(text) => tonic::Status::permission_denied(*text),
        ApiError::Throttled { .. } | ApiError::Slow => {
            tonic::Status::unavailable("The server is busy, try again later.")
        }
        ApiError::Refused(refusal) => tonic::Status::invalid_argument(format!("{refusal:?}")),
        ApiError::Store(error) if error.may_pass() => {
            tracing::warn!(%error, "an export failed");
            tonic::Status::unavailable("The store is not available, try again later.")
        }
        other => {
            tracing::error!(error = ?other, "an export failed");
            tonic::Status::internal("The server failed to do this; its log says why.")
        }
    }
}
