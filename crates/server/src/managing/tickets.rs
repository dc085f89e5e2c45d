//! Tickets and their threads (contract: managing §4). What a key writes bears the key's label.

use agentsight_model::ids::TicketId;
use agentsight_model::manage::ticket::{NewTicket, TicketChange, read_comment};
use agentsight_model::ticket::{Ticket, TicketComment};
use axum::extract::{Request, State};
use axum::http::StatusCode;

use crate::App;
use crate::answer::{json, no_content, ok};
use crate::auth::Writer;
use crate::body::{json_body, read_fields};
use crate::docs::{BadRequest, schemas};
use crate::error::{Detail, Result};
use crate::reading::RowId;

/// Makes a ticket, anchored to a conversation and to the feedback that it comes of, or to neither.
#[utoipa::path(post, path = "/api/tickets/", tag = "managing", request_body = schemas::TicketIn,
    responses((status = 201, description = "Made", body = Ticket), BadRequest))]
pub(crate) async fn create(caller: Writer, State(app): State<App>, request: Request) -> Result {
    let new = read_fields(&json_body(&app, request).await?, NewTicket::read)?;
    let ticket = app.store.create_ticket(caller.agent, caller.identity.name, new).await?;
    Ok(json(StatusCode::CREATED, &ticket))
}

/// Changes the fields that are sent; null clears the priority. Environment and anchors never change.
#[utoipa::path(patch, path = "/api/tickets/{id}/", tag = "managing", params(("id" = i64, Path)), request_body = schemas::TicketChangeIn,
    responses((status = 200, body = Ticket), (status = 404, description = "No such ticket", body = Detail<'static>), BadRequest))]
pub(crate) async fn update(caller: Writer, id: RowId, State(app): State<App>, request: Request) -> Result {
    let change = read_fields(&json_body(&app, request).await?, TicketChange::read)?;
    Ok(ok(&app.store.update_ticket(caller.agent, TicketId(id.0), change).await?))
}

/// Deletes a ticket for good, and its thread.
#[utoipa::path(delete, path = "/api/tickets/{id}/", tag = "managing", params(("id" = i64, Path)),
    responses((status = 204, description = "Deleted"), (status = 404, description = "No such ticket", body = Detail<'static>), BadRequest))]
pub(crate) async fn delete(caller: Writer, id: RowId, State(app): State<App>) -> Result {
    app.store.delete_ticket(caller.agent, TicketId(id.0)).await?;
    Ok(no_content())
}

/// Adds a comment to a ticket's thread, in the role of the agent.
#[utoipa::path(post, path = "/api/tickets/{id}/comments/", tag = "managing", params(("id" = i64, Path)), request_body = schemas::CommentIn,
    responses((status = 201, description = "Said", body = TicketComment), (status = 404, description = "No such ticket", body = Detail<'static>), BadRequest))]
pub(crate) async fn comment(caller: Writer, id: RowId, State(app): State<App>, request: Request) -> Result {
    let body = read_fields(&json_body(&app, request).await?, read_comment)?;
    let comment = app.store.comment_ticket(caller.agent, TicketId(id.0), caller.identity.name, body).await?;
    Ok(json(StatusCode::CREATED, &comment))
}
