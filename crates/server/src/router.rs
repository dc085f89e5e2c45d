//! Every route, grouped by who calls it.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, patch, post};

use crate::error::detail;
use crate::{App, docs, files, health, managing, metrics, reading, tracking};

pub(crate) fn router(app: App) -> Router {
    Router::new()
        // Tracking: SDK 0.0.x
        .route("/api/conversations/", get(reading::conversations::list).post(tracking::conversation))
        .route("/api/track/", post(tracking::message))
        .route("/api/action_logs/", post(tracking::action))
        .route("/api/buttons/", get(reading::buttons::list).post(tracking::click))
        .route("/api/attachments/", post(tracking::attachments))
        .route("/api/conversation-feedbacks/", post(tracking::feedback))
        // Tracking: SDK 0.1.x
        .route("/api/ingest/", post(tracking::spans::ingest))
        // Tracking: OpenTelemetry
        .route("/v1/traces", post(tracking::otlp::traces))
        .route("/v1/logs", post(tracking::otlp::logs))
        // Spans too, at the path to which Langfuse's SDKs export.
        .route("/api/public/otel/v1/traces/", post(tracking::otlp::traces))
        // Reading
        .route("/api/me/", get(reading::me::show))
        .route("/api/conversations/lookup/", get(reading::conversations::lookup))
        .route("/api/conversations/metadata-keys/", get(reading::metadata::keys))
        .route("/api/conversations/metadata-values/", get(reading::metadata::values))
        .route("/api/conversations/message-metadata-keys/", get(reading::metadata::message_keys))
        .route(
            "/api/conversations/{id}/",
            get(reading::conversations::fetch).delete(managing::conversations::delete_plain),
        )
        .route("/api/conversations/{id}/attachments/", get(reading::conversations::attachments))
        .route("/api/track/{id}/", get(reading::messages::fetch).patch(managing::messages::update))
        .route("/api/spans/", get(reading::spans::list))
        .route("/api/spans/{id}/", get(reading::spans::fetch))
        .route("/api/traces/{trace_id}/", get(reading::spans::trace))
        .route("/api/token-usage/", get(reading::usage::list))
        .route("/api/token-usage/summary/", get(reading::usage::summary))
        .route("/api/prices/", get(reading::prices::list))
        .route("/api/prices/lookup/", get(reading::prices::lookup))
        // Managing
        .route("/api/conversations/{id}/mark/", post(managing::conversations::mark))
        .route("/api/conversations/{id}/rename/", patch(managing::conversations::rename))
        .route("/api/conversations/{id}/update/", patch(managing::conversations::update))
        .route("/api/conversations/{id}/delete/", delete(managing::conversations::delete))
        // Reading and managing
        .route("/api/feedbacks/", get(reading::feedbacks::list).post(managing::feedbacks::create))
        .route(
            "/api/feedbacks/{id}/",
            get(reading::feedbacks::fetch).patch(managing::feedbacks::update).delete(managing::feedbacks::delete),
        )
        .route("/api/tickets/", get(reading::tickets::list).post(managing::tickets::create))
        .route(
            "/api/tickets/{id}/",
            get(reading::tickets::fetch).patch(managing::tickets::update).delete(managing::tickets::delete),
        )
        .route("/api/tickets/{id}/comments/", get(reading::tickets::comments).post(managing::tickets::comment))
        .route("/api/actions/", get(reading::actions::list).post(managing::actions::create))
        .route("/api/actions/{id}/", get(reading::actions::fetch).patch(managing::actions::update))
        .route("/api/actions/{id}/logs/", get(reading::actions::logs))
        .route("/api/buttons/stats/", get(reading::buttons::stats))
        // Files, by signed links
        .route("/files/{agent}/{conversation}/{id}", get(files::download))
        // Operation and documentation
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::show))
        .merge(tracking::otlp::grpc(app.clone()))
        .merge(docs::routes())
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .with_state(app)
}

async fn unknown() -> Response {
    detail(StatusCode::NOT_FOUND, "Not found.")
}

async fn not_allowed(request: Request) -> Response {
    detail(StatusCode::METHOD_NOT_ALLOWED, format!("Method \"{}\" not allowed.", request.method()))
}
