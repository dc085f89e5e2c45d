//! Which keys and values occur in metadata.

use agentsight_model::conversation::{MetadataKeys, MetadataValues};
use agentsight_model::refusal::{Refusal, texts};
use axum::extract::State;
use axum::http::Uri;

use crate::App;
use crate::answer::ok;
use crate::auth::Reader;
use crate::docs::Refused;
use crate::error::Result;
use crate::reading::query;

/// Keys in the metadata of recent conversations, nested ones as dot paths.
#[utoipa::path(get, path = "/api/conversations/metadata-keys/", tag = "reading", responses((status = 200, body = MetadataKeys), Refused))]
pub(crate) async fn keys(caller: Reader, State(app): State<App>) -> Result {
    Ok(ok(&app.store.metadata_keys(caller.agent).await?))
}

/// Values under one key in the metadata of recent conversations.
#[utoipa::path(get, path = "/api/conversations/metadata-values/", tag = "reading", params(("key" = String, Query)),
    responses((status = 200, body = MetadataValues), Refused))]
pub(crate) async fn values(caller: Reader, State(app): State<App>, uri: Uri) -> Result {
    let query = query(&uri);
    let key = query.get("key").ok_or_else(|| Refusal::field("key", texts::REQUIRED))?;
    Ok(ok(&app.store.metadata_values(caller.agent, key.to_owned()).await?))
}

/// Keys in the metadata of the messages of recent conversations.
#[utoipa::path(get, path = "/api/conversations/message-metadata-keys/", tag = "reading", responses((status = 200, body = MetadataKeys), Refused))]
pub(crate) async fn message_keys(caller: Reader, State(app): State<App>) -> Result {
    Ok(ok(&app.store.message_metadata_keys(caller.agent).await?))
}
