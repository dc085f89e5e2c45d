//! Clicks (contract: reading §9.3).

use agentsight_model::button::{BUTTON_PARAMETERS, ButtonCount, ButtonFilter};
use axum::extract::State;
use axum::http::{HeaderMap, Uri};

use crate::App;
use crate::answer::ok;
use crate::auth::Reader;
use crate::docs::{Refused, schemas};
use crate::error::{Detail, Result};
use crate::reading::pages::{extent, page_of};
use crate::reading::{Warnings, query};
use crate::urls::Base;

/// Clicks that match, newest first, those of conversations in the trash left out.
#[utoipa::path(get, path = "/api/buttons/", tag = "reading", params(schemas::ButtonQuery, schemas::BarePageQuery),
    responses((status = 200, description = "A page; with paginate=false the bare rows", body = schemas::ButtonList),
        (status = 404, description = "No such page", body = Detail<'static>), Refused))]
pub(crate) async fn list(caller: Reader, base: Base, State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result {
    let query = query(&uri);
    let warnings = Warnings::look(&query, &BUTTON_PARAMETERS, &headers)?;
    let filter = ButtonFilter::read(&query)?;
    let extent = extent(&query)?;
    let found = app.store.list_buttons(caller.agent, filter, extent).await?;
    Ok(warnings.onto(page_of(found, extent, &base, &uri, &query)))
}

/// How often each button was clicked, most clicked first.
#[utoipa::path(get, path = "/api/buttons/stats/", tag = "reading", params(("event" = Option<String>, Query, description = "One `button_event` alone")),
    responses((status = 200, body = Vec<ButtonCount>), Refused))]
pub(crate) async fn stats(caller: Reader, State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result {
    let query = query(&uri);
    let warnings = Warnings::look(&query, &["event"], &headers)?;
    let event = query.get("event").map(str::to_owned);
    Ok(warnings.onto(ok(&app.store.button_stats(caller.agent, event).await?)))
}
