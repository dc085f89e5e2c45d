//! Who a key is.

use agentsight_model::agent::Me;
use axum::extract::State;

use crate::App;
use crate::answer::ok;
use crate::auth::Reader;
use crate::docs::Refused;
use crate::error::Result;

/// The agent, the role and the environments of the key.
#[utoipa::path(get, path = "/api/me/", tag = "reading", responses((status = 200, body = Me), Refused))]
pub(crate) async fn show(caller: Reader, State(app): State<App>) -> Result {
    Ok(ok(&app.store.me(&caller.identity).await?))
}
