//! Whether the server lives, and whether it can do its work.

use std::collections::BTreeMap;

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
    /// Each part that does not work, `database` or `attachments`, with a sentence.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    failing: BTreeMap<&'static str, String>,
    /// Version of the program.
    version: &'static str,
}

/// `GET /healthz`: the process answers, and nothing of it has ended that only a new start brings back.
#[utoipa::path(get, path = "/healthz", tag = "operation",
    responses((status = 200, body = Health), (status = 503, description = "Only a new start helps", body = Health)), security(()))]
pub(crate) async fn alive(State(app): State<App>) -> Response {
    let ended = app.store.has_failed().then(|| ("database", "the thread that writes has failed".to_owned()));
    answer(ended.into_iter().collect())
}

/// `GET /readyz`: a read and a durable write of the database work, and the storage of attachments answers.
#[utoipa::path(get, path = "/readyz", tag = "operation",
    responses((status = 200, body = Health), (status = 503, description = "Something does not work", body = Health)), security(()))]
pub(crate) async fn ready(State(app): State<App>) -> Response {
    let health = app.store.health().await;
    let parts = [("database", health.database), ("attachments", health.attachments)];
    let failing = parts.into_iter().filter_map(|(name, state)| Some((name, state.err()?.to_string())));
    answer(failing.collect())
}

fn answer(failing: BTreeMap<&'static str, String>) -> Response {
    let (status, word) =
        if failing.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failing") };
    let detail = (!failing.is_empty()).then(|| failing.values().cloned().collect::<Vec<_>>().join("; "));
    json(status, &Health { status: word, detail, failing, version: env!("CARGO_PKG_VERSION") })
}
