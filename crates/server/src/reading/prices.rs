//! What models cost here (contract: ingest-v1 §5.5). The book belongs to the installation and prices the usage of every
//! agent, so that keys, which belong to one, may only read it; `agentsight prices` edits it.

use agentsight_model::price::Rate;
use agentsight_model::refusal::{FieldErrors, texts};
use agentsight_store::{Error, Missing};
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde::Serialize;

use crate::App;
use crate::answer::ok;
use crate::auth::Reader;
use crate::docs::{Refused, schemas};
use crate::error::{Detail, Result};
use crate::reading::pages::{extent, page_of};
use crate::reading::{Warnings, query};
use crate::urls::Base;

/// The price that calls of a model are priced with.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct FoundPrice {
    /// Under which name the book has it: an exact id, or a beginning with `*` behind it.
    model: String,
    /// US dollars per million tokens, as decimal texts; null where there is none.
    usd_per_million: Rate,
}

/// Prices of the book, by model and then by time. They are read with any key and edited with `agentsight prices`.
#[utoipa::path(get, path = "/api/prices/", tag = "reading", params(schemas::BarePageQuery),
    responses((status = 200, description = "A page; with paginate=false the bare rows", body = schemas::PriceList), (status = 404, description = "No such page", body = Detail<'static>), Refused))]
pub(crate) async fn list(_: Reader, base: Base, State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result {
    let query = query(&uri);
    let warnings = Warnings::look(&query, &["page", "page_size", "paginate"], &headers)?;
    let extent = extent(&query)?;
    let found = app.store.list_prices(extent).await?;
    Ok(warnings.onto(page_of(found, extent, &base, &uri, &query)))
}

/// Which price calls of a model are priced with, whatever prefixes and dates its id carries.
#[utoipa::path(get, path = "/api/prices/lookup/", tag = "reading",
    params(("model" = String, Query, description = "The model's id, as a call names it"),
        ("at" = Option<String>, Query, description = "When the call was; now when absent")),
    responses((status = 200, body = FoundPrice), (status = 404, description = "No price is known", body = Detail<'static>), Refused))]
pub(crate) async fn lookup(_: Reader, State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result {
    let query = query(&uri);
    let warnings = Warnings::look(&query, &["model", "at"], &headers)?;
    let mut errors = FieldErrors::default();
    let at = query.timestamp("at", &mut errors).unwrap_or_else(|| app.store.clock().now());
    let model = query.get("model").unwrap_or_default().to_owned();
    if model.is_empty() {
        errors.add("model", texts::REQUIRED);
    }
    errors.into_result()?;
    let found = app.store.find_price(model, at).await?;
    let (model, usd_per_million) = found.ok_or(Error::NotFound(Missing::Row))?;
    Ok(warnings.onto(ok(&FoundPrice { model, usd_per_million })))
}
