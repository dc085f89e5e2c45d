//! Whether the server lives, and whether it can do its work.

use std::collections::BTreeMap;

use agentsight_model::refusal::Refusal;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use futures_util::future::OptionFuture;
use serde::Serialize;

use crate::App;
use crate::answer::json;
use crate::docs::BadRequest;
use crate::error::Result;
use crate::reading::query;

const DATABASE: &str = "database";
const ATTACHMENTS: &str = "attachments";
/// What a server needs, by the names under which it is asked for.
const PARTS: [&str; 2] = [DATABASE, ATTACHMENTS];

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
    let ended = app.store.has_failed().then(|| (DATABASE, "the thread that writes has failed".to_owned()));
    answer(ended.into_iter().collect())
}

/// `GET /readyz`: a read and a durable write of the database work, and the storage of attachments answers.
///
/// With `?parts=database` only that is asked: while the storage of attachments is away, everything else still works.
#[utoipa::path(get, path = "/readyz", tag = "operation",
    params(("parts" = Option<String>, Query, description = "The parts that must work, `database` and `attachments`, with commas between them; without it both")),
    responses((status = 200, body = Health), BadRequest, (status = 503, description = "Something does not work", body = Health)), security(()))]
pub(crate) async fn ready(State(app): State<App>, uri: Uri) -> Result {
    let asked = parts(&uri)?;
    let database: OptionFuture<_> = asked.contains(&DATABASE).then(|| app.store.check()).into();
    let attachments: OptionFuture<_> = asked.contains(&ATTACHMENTS).then(|| app.store.check_attachments()).into();
    let (database, attachments) = futures_util::join!(database, attachments);
    let states = [(DATABASE, database), (ATTACHMENTS, attachments)];
    let failing = states.into_iter().filter_map(|(name, state)| Some((name, state?.err()?.to_string())));
    Ok(answer(failing.collect()))
}

/// The parts that are asked for.
fn parts(uri: &Uri) -> Result<Vec<&'static str>> {
    let query = query(uri);
    let Some(given) = query.get("parts") else { return Ok(PARTS.to_vec()) };
    let known = |name: &str| PARTS.into_iter().find(|part| *part == name).ok_or_else(|| name.to_owned());
    given.split(',').map(|name| known(name.trim())).collect::<Result<_, _>>().map_err(|unknown| {
        let text = format!("There is no part \"{unknown}\". The parts are: {}.", PARTS.join(", "));
        Refusal::field("parts", text).into()
    })
}

fn answer(failing: BTreeMap<&'static str, String>) -> Response {
    let (status, word) =
        if failing.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failing") };
    let detail = (!failing.is_empty()).then(|| failing.values().cloned().collect::<Vec<_>>().join("; "));
    json(status, &Health { status: word, detail, failing, version: env!("CARGO_PKG_VERSION") })
}
