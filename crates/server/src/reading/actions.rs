//! Actions as definitions, and their runs (contract: reading §9).

use agentsight_model::action::{ACTION_PARAMETERS, Action, ActionFilter, ActionLog};
use agentsight_model::ids::ActionId;
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

/// Actions that match, by id.
#[utoipa::path(get, path = "/api/actions/", tag = "reading", params(schemas::ActionQuery, schemas::PageQuery),
    responses((status = 200, description = "A page; with paginate=false the bare rows", body = schemas::ActionList),
        (status = 404, description = "No such page", body = Detail<'static>), Refused))]
pub(crate) async fn list(caller: Reader, base: Base, State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result {
    let query = query(&uri);
    let warnings = Warnings::look(&query, &ACTION_PARAMETERS, &headers)?;
    let filter = ActionFilter::read(&query)?;
    let extent = extent(&query)?;
    let found = app.store.list_actions(caller.agent, filter, extent).await?;
    Ok(warnings.onto(page_of(found, extent, &base, &uri, &query)))
}

/// One action.
#[utoipa::path(get, path = "/api/actions/{id}/", tag = "reading", params(("id" = i64, Path)),
    responses((status = 200, body = Action), (status = 404, description = "No such action", body = Detail<'static>), Refused))]
pub(crate) async fn fetch(caller: Reader, id: RowId, State(app): State<App>) -> Result {
    Ok(ok(&app.store.fetch_action(caller.agent, ActionId(id.0)).await?))
}

/// Runs of an action, newest first and without pages, those of conversations in the trash left out. Where there are
/// more than 10 000 the others are cut off, with a `Warning`.
#[utoipa::path(get, path = "/api/actions/{id}/logs/", tag = "reading", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<ActionLog>), (status = 404, description = "No such action", body = Detail<'static>), Refused))]
pub(crate) async fn logs(caller: Reader, id: RowId, State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result {
    let mut warnings = Warnings::look(&query(&uri), &[], &headers)?;
    let (logs, cut) = app.store.list_action_logs(caller.agent, ActionId(id.0)).await?;
    if cut {
        warnings.add(&format!("only the newest {} runs are answered", logs.len()));
    }
    Ok(warnings.onto(ok(&logs)))
}
