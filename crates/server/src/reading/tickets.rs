//! Tickets and their threads (contract: reading §8).

use agentsight_model::ids::TicketId;
use agentsight_model::ticket::{TICKET_PARAMETERS, Ticket, TicketFilter};
use axum::extract::State;
use axum::http::{HeaderMap, Uri};

use crate::App;
use crate::answer::ok;
use crate::auth::Reader;
use crate::docs::{Refused, schemas};
use crate::error::{Detail, Result};
use crate::reading::pages::{extent, page_of};
use crate::reading::{RowId, Warnings, query};
use crate::urls::Base;

/// Tickets that match, newest first, with their threads.
#[utoipa::path(get, path = "/api/tickets/", tag = "reading", params(schemas::TicketQuery, schemas::PageQuery),
    responses((status = 200, description = "A page; with paginate=false the bare rows", body = schemas::TicketList),
        (status = 404, description = "No such page", body = Detail<'static>), Refused))]
pub(crate) async fn list(caller: Reader, base: Base, State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result {
    let query = query(&uri);
    let warnings = Warnings::look(&query, &TICKET_PARAMETERS, &headers)?;
    let filter = TicketFilter::read(&query)?;
    let extent = extent(&query)?;
    let found = app.store.list_tickets(caller.agent, filter, extent).await?;
    Ok(warnings.onto(page_of(found, extent, &base, &uri, &query)))
}

/// One ticket with its thread.
#[utoipa::path(get, path = "/api/tickets/{id}/", tag = "reading", params(("id" = i64, Path)),
    responses((status = 200, body = Ticket), (status = 404, description = "No such ticket", body = Detail<'static>), Refused))]
pub(crate) async fn fetch(caller: Reader, id: RowId, State(app): State<App>) -> Result {
    Ok(ok(&app.store.fetch_ticket(caller.agent, TicketId(id.0)).await?))
}

/// The thread of a ticket, oldest first.
#[utoipa::path(get, path = "/api/tickets/{id}/comments/", tag = "reading", params(("id" = i64, Path), schemas::BarePageQuery),
    responses((status = 200, description = "A page; with paginate=false the bare rows", body = schemas::CommentList),
        (status = 404, description = "No such ticket, or no such page", body = Detail<'static>), Refused))]
pub(crate) async fn comments(
    caller: Reader,
    id: RowId,
    base: Base,
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
) -> Result {
    let query = query(&uri);
    let warnings = Warnings::look(&query, &["page", "page_size", "paginate"], &headers)?;
    let extent = extent(&query)?;
    let found = app.store.list_ticket_comments(caller.agent, TicketId(id.0), extent).await?;
    Ok(warnings.onto(page_of(found, extent, &base, &uri, &query)))
}
