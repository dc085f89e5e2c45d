//! Whether the server lives, and whether it can do its work.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::App;
use crate::answer::json;

/// Answer of both health routes.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Health {
    /// `ok`, or `failing`.
    status: &'static str,
    /// What does not work, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Version of the program.
    version: &'static str,
}

/// `GET /healthz`: the process answers.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, body = Health)), security(()))]
pub(crate) async fn alive() -> Response {
    json(StatusCode::OK, &Health { status: "ok", detail: None, version: env!("CARGO_PKG_VERSION") })
}

/// `GET /readyz`: a read and a durable write work.
#[utoipa::path(get, path = "/readyz", tag = "operation",
    responses((status = 200, body = Health), (status = 503, description = "Something does not work", body = Health)), security(()))]
pub(crate) async fn ready(State(app): State<App>) -> Response {
    let (status, word, detail) = match app.store.check().await {
        Ok(()) => (StatusCode::OK, "ok", None),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, "failing", Some(error.to_string())),
    };
    json(status, &Health { status: word, detail, version: env!("CARGO_PKG_VERSION") })
}
