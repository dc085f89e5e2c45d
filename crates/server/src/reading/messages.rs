//! Single messages.

use agentsight_model::ids::MessageId;
use agentsight_model::message::Message;
use axum::extract::State;

use crate::App;
use crate::answer::ok;
use crate::auth::Reader;
use crate::docs::Refused;
use crate::error::{Detail, Result};
use crate::files::Links;
use crate::reading::RowId;
use crate::urls::Base;

/// One message with all that hangs on it.
#[utoipa::path(get, path = "/api/track/{id}/", tag = "reading", params(("id" = i64, Path)),
    responses((status = 200, body = Message), (status = 404, description = "No such message", body = Detail<'static>), Refused))]
pub(crate) async fn fetch(caller: Reader, id: RowId, base: Base, State(app): State<App>) -> Result {
    let mut message = app.store.fetch_message(caller.agent, MessageId(id.0)).await?;
    Links::new(&app, &base.0).fill_message(caller.agent, &mut message);
    Ok(ok(&message))
}
