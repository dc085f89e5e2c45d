//! Feedback of all kinds (contract: reading §7).

use agentsight_model::feedback::{FEEDBACK_PARAMETERS, Feedback, FeedbackFilter, FeedbackPage};
use agentsight_model::ids::FeedbackId;
use agentsight_model::page::Paged;
use agentsight_store::{Extent, FoundFeedback};
use axum::extract::State;
use axum::http::{HeaderMap, Uri};

use crate::App;
use crate::answer::ok;
use crate::auth::Reader;
use crate::docs::{Refused, schemas};
use crate::error::{Detail, Result};
use crate::reading::pages::{envelope, extent};
use crate::reading::{RowId, Warnings, query};
use crate::urls::Base;

/// Feedback that matches, newest first, and how much there is of it.
#[utoipa::path(get, path = "/api/feedbacks/", tag = "reading", params(schemas::FeedbackQuery, schemas::PageQuery),
    responses((status = 200, description = "A page; with paginate=false the bare rows", body = schemas::FeedbackList),
        (status = 403, description = "Feedback on the product itself", body = Detail<'static>),
        (status = 404, description = "No such page", body = Detail<'static>), Refused))]
pub(crate) async fn list(caller: Reader, base: Base, State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result {
    let query = query(&uri);
    let warnings = Warnings::look(&query, &FEEDBACK_PARAMETERS, &headers)?;
    let filter = FeedbackFilter::read(&query)?;
    let extent = extent(&query)?;
    let FoundFeedback { found, counts } = app.store.list_feedbacks(caller.agent, filter, extent).await?;
    let Extent::Page(page) = extent else { return Ok(warnings.onto(ok(&found.rows))) };
    let Paged { count, page_size, total_pages, current_page, next, previous, results } =
        envelope(found, page, &base, &uri, &query);
    let page = FeedbackPage { count, page_size, total_pages, current_page, next, previous, results, counts };
    Ok(warnings.onto(ok(&page)))
}

/// One piece of feedback, with the ticket that came of it or null.
#[utoipa::path(get, path = "/api/feedbacks/{id}/", tag = "reading", params(("id" = i64, Path)),
    responses((status = 200, body = Feedback), (status = 404, description = "No such feedback", body = Detail<'static>), Refused))]
pub(crate) async fn fetch(caller: Reader, id: RowId, State(app): State<App>) -> Result {
    Ok(ok(&app.store.fetch_feedback(caller.agent, FeedbackId(id.0)).await?))
}
