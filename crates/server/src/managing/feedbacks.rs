//! Feedback on conversations, messages and the agent (contract: managing §3).

use agentsight_model::feedback::{Feedback, FeedbackSource};
use agentsight_model::ids::FeedbackId;
use agentsight_model::manage::feedback::{FeedbackChange, FeedbackPost};
use axum::extract::{Request, State};

use crate::App;
use crate::answer::{no_content, ok, stored};
use crate::auth::Writer;
use crate::body::{json_body, read_fields};
use crate::docs::{BadRequest, schemas};
use crate::error::{Detail, Result};
use crate::reading::RowId;

/// Records feedback. On a message there is one vote: a later one changes it, and what it does not send stays.
#[utoipa::path(post, path = "/api/feedbacks/", tag = "managing", request_body = schemas::FeedbackPostIn,
    responses((status = 201, description = "Recorded", body = Feedback), (status = 200, description = "The vote on this message was changed", body = Feedback), BadRequest))]
pub(crate) async fn create(caller: Writer, State(app): State<App>, request: Request) -> Result {
    let bytes = json_body(&app, request).await?;
    let now = app.store.clock().now();
    let post = read_fields(&bytes, |body| FeedbackPost::read(body, caller.agent, now))?;
    Ok(stored(&app.store.give_feedback(caller.agent, FeedbackSource::Customer, post).await?))
}

/// Changes the fields that are sent, as far as feedback of this kind has them; null clears.
#[utoipa::path(patch, path = "/api/feedbacks/{id}/", tag = "managing", params(("id" = i64, Path)), request_body = schemas::FeedbackChangeIn,
    responses((status = 200, body = Feedback), (status = 404, description = "No such feedback", body = Detail<'static>), BadRequest))]
pub(crate) async fn update(caller: Writer, id: RowId, State(app): State<App>, request: Request) -> Result {
    let change = read_fields(&json_body(&app, request).await?, FeedbackChange::read)?;
    Ok(ok(&app.store.update_feedback(caller.agent, FeedbackId(id.0), change).await?))
}

/// Deletes feedback for good. A ticket that came of it stays, without it.
#[utoipa::path(delete, path = "/api/feedbacks/{id}/", tag = "managing", params(("id" = i64, Path)),
    responses((status = 204, description = "Deleted"), (status = 404, description = "No such feedback", body = Detail<'static>), BadRequest))]
pub(crate) async fn delete(caller: Writer, id: RowId, State(app): State<App>) -> Result {
    app.store.delete_feedback(caller.agent, FeedbackId(id.0)).await?;
    Ok(no_content())
}
