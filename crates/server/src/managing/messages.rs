//! Metadata of messages (contract: managing §2). Nothing else of a message ever changes.

use agentsight_model::ids::MessageId;
use agentsight_model::manage::read_metadata;
use agentsight_model::message::Message;
use axum::extract::{Request, State};

use crate::App;
use crate::answer::ok;
use crate::auth::Writer;
use crate::body::{json_body, read_fields};
use crate::docs::{BadRequest, schemas};
use crate::error::{Detail, Result};
use crate::files::Links;
use crate::reading::RowId;
use crate::urls::Base;

/// Replaces the metadata of a message.
#[utoipa::path(patch, path = "/api/track/{id}/", tag = "managing", params(("id" = i64, Path)), request_body = schemas::MessageMetadataIn,
    responses((status = 200, body = Message), (status = 404, description = "No such message", body = Detail<'static>), BadRequest))]
pub(crate) async fn update(caller: Writer, id: RowId, base: Base, State(app): State<App>, request: Request) -> Result {
    let metadata = read_fields(&json_body(&app, request).await?, read_metadata)?;
    let mut message = app.store.replace_message_metadata(caller.agent, MessageId(id.0), metadata).await?;
    Links::new(&app, &base.0).fill_message(caller.agent, &mut message);
    Ok(ok(&message))
}
