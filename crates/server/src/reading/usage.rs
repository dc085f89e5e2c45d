//! Token usage: rows per turn and model, and what they sum up to (contract: reading §10).

use agentsight_model::usage::{Currency, GroupBy, SUMMARY_PARAMETERS, USAGE_PARAMETERS, UsageFilter, UsageGroups};
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

/// Rows of usage that match, newest first: one per turn and model.
#[utoipa::path(get, path = "/api/token-usage/", tag = "reading", params(schemas::UsageQuery, schemas::PageQuery),
    responses((status = 200, description = "A page; with paginate=false the bare rows", body = schemas::UsageList), (status = 404, description = "No such page", body = Detail<'static>), Refused))]
pub(crate) async fn list(caller: Reader, base: Base, State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result {
    let query = query(&uri);
    let warnings = Warnings::look(&query, USAGE_PARAMETERS, &headers)?;
    let (filter, extent) = (UsageFilter::read(&query)?, extent(&query)?);
    let found = app.store.list_usage(caller.agent, filter, extent).await?;
    Ok(warnings.onto(page_of(found, extent, &base, &uri, &query)))
}

/// Usage summed up by model, conversation or day, the dearest first.
#[utoipa::path(get, path = "/api/token-usage/summary/", tag = "reading", params(schemas::UsageQuery, schemas::SummaryQuery),
    responses((status = 200, body = UsageGroups), Refused))]
pub(crate) async fn summary(caller: Reader, State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result {
    let query = query(&uri);
    let warnings = Warnings::look(&query, SUMMARY_PARAMETERS, &headers)?;
    let (by, currency) = (GroupBy::read(&query)?, Currency::read(&query)?);
    let filter = UsageFilter::read(&query)?;
    let euros = match (currency, &app.rates) {
        (Currency::Eur, Some(rates)) => Some(rates.current().await),
        _ => None,
    };
    let results = app.store.sum_up_usage(caller.agent, filter, by, euros).await?;
    let answer = UsageGroups { group_by: by.as_str().to_owned(), currency: currency.as_str().to_owned(), results };
    Ok(warnings.onto(ok(&answer)))
}
