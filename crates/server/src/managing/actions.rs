//! Actions as definitions (contract: managing §5). They are never deleted.

use agentsight_model::action::Action;
use agentsight_model::ids::ActionId;
use agentsight_model::manage::action::{ActionChange, NewActionDefinition};
use axum::extract::{Request, State};
use axum::http::StatusCode;

use crate::App;
use crate::answer::{json, ok};
use crate::auth::Writer;
use crate::body::{json_body, read_fields};
use crate::docs::{BadRequest, schemas};
use crate::error::{Detail, Result};
use crate::reading::RowId;

/// Defines an action before it runs; its first run attaches to it and leaves its labels alone.
#[utoipa::path(post, path = "/api/actions/", tag = "managing", request_body = schemas::ActionDefinitionIn,
    responses((status = 201, description = "Defined", body = Action), BadRequest))]
pub(crate) async fn create(caller: Writer, State(app): State<App>, request: Request) -> Result {
    let new = read_fields(&json_body(&app, request).await?, NewActionDefinition::read)?;
    Ok(json(StatusCode::CREATED, &app.store.create_action(caller.agent, new).await?))
}

/// Changes the fields that are sent. Messages keep the name under which they were written.
#[utoipa::path(patch, path = "/api/actions/{id}/", tag = "managing", params(("id" = i64, Path)), request_body = schemas::ActionChangeIn,
    responses((status = 200, body = Action), (status = 404, description = "No such action", body = Detail<'static>), BadRequest))]
pub(crate) async fn update(caller: Writer, id: RowId, State(app): State<App>, request: Request) -> Result {
    let change = read_fields(&json_body(&app, request).await?, ActionChange::read)?;
    Ok(ok(&app.store.update_action(caller.agent, ActionId(id.0), change).await?))
}
