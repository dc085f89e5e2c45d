//! Changing conversations (contract: managing §1).

use agentsight_model::ids::ConversationId;
use agentsight_model::manage::{ConversationUpdate, Deleted, Marked, Renamed, Updated, read_mark, read_rename};
use axum::extract::{Request, State};

use crate::App;
use crate::answer::ok;
use crate::auth::Writer;
use crate::body::{json_body, read_fields};
use crate::docs::{BadRequest, schemas};
use crate::error::{Detail, Result};
use crate::reading::RowId;

/// Puts a conversation on the list of favourites, or takes it off.
#[utoipa::path(post, path = "/api/conversations/{id}/mark/", tag = "managing", params(("id" = i64, Path)), request_body = schemas::MarkIn,
    responses((status = 200, body = Marked), (status = 404, description = "No such conversation", body = Detail<'static>), BadRequest))]
pub(crate) async fn mark(caller: Writer, id: RowId, State(app): State<App>, request: Request) -> Result {
    let is_marked = read_fields(&json_body(&app, request).await?, read_mark)?;
    Ok(ok(&app.store.mark_conversation(caller.agent, ConversationId(id.0), is_marked).await?))
}

/// Gives a conversation another display title.
#[utoipa::path(patch, path = "/api/conversations/{id}/rename/", tag = "managing", params(("id" = i64, Path)), request_body = schemas::RenameIn,
    responses((status = 200, body = Renamed), (status = 404, description = "No such conversation", body = Detail<'static>), BadRequest))]
pub(crate) async fn rename(caller: Writer, id: RowId, State(app): State<App>, request: Request) -> Result {
    let name = read_fields(&json_body(&app, request).await?, read_rename)?;
    Ok(ok(&app.store.rename_conversation(caller.agent, ConversationId(id.0), name).await?))
}

/// Changes the fields that are sent; `metadata` is replaced as a whole.
#[utoipa::path(patch, path = "/api/conversations/{id}/update/", tag = "managing", params(("id" = i64, Path)), request_body = schemas::UpdateIn,
    responses((status = 200, body = Updated), (status = 404, description = "No such conversation", body = Detail<'static>), BadRequest))]
pub(crate) async fn update(caller: Writer, id: RowId, State(app): State<App>, request: Request) -> Result {
    let update = read_fields(&json_body(&app, request).await?, ConversationUpdate::read)?;
    Ok(ok(&app.store.update_conversation(caller.agent, ConversationId(id.0), update).await?))
}

/// Puts a conversation in the trash: the same as `DELETE …/delete/`.
#[utoipa::path(delete, path = "/api/conversations/{id}/", tag = "managing", params(("id" = i64, Path)),
    responses((status = 200, body = Deleted), (status = 404, description = "No such conversation, or in the trash already", body = Detail<'static>), BadRequest))]
pub(crate) async fn delete_plain(caller: Writer, id: RowId, app: State<App>) -> Result {
    delete(caller, id, app).await
}

/// Puts a conversation in the trash: hidden from lists, still readable by id.
#[utoipa::path(delete, path = "/api/conversations/{id}/delete/", tag = "managing", params(("id" = i64, Path)),
    responses((status = 200, body = Deleted), (status = 404, description = "No such conversation, or in the trash already", body = Detail<'static>), BadRequest))]
pub(crate) async fn delete(caller: Writer, id: RowId, State(app): State<App>) -> Result {
    Ok(ok(&app.store.delete_conversation(caller.agent, ConversationId(id.0)).await?))
}
