//! Conversations: lists, one whole, its files, and looking up its integer.

use agentsight_model::conversation::{Conversation, ConversationAttachments, Lookup};
use agentsight_model::filter::{CONVERSATION_PARAMETERS, ConversationFilter};
use agentsight_model::ids::ConversationId;
use agentsight_model::refusal::{Refusal, texts};
use axum::extract::State;
use axum::http::{HeaderMap, Uri};

use crate::App;
use crate::answer::ok;
use crate::auth::Reader;
use crate::docs::{Refused, schemas};
use crate::error::{Detail, Result};
use crate::files::Links;
use crate::reading::pages::{extent, flag, page_of};
use crate::reading::{RowId, Warnings, query};
use crate::urls::Base;

/// Conversations that match, newest first: whole with their transcripts, or lean with `full=false`.
#[utoipa::path(get, path = "/api/conversations/", tag = "reading", params(schemas::ConversationQuery),
    responses((status = 200, description = "A page; with full=false its rows have no transcript", body = schemas::ConversationList),
        (status = 404, description = "No such page", body = Detail<'static>), Refused))]
pub(crate) async fn list(caller: Reader, base: Base, State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result {
    let query = query(&uri);
    let mut warnings = Warnings::look(&query, &CONVERSATION_PARAMETERS, &headers)?;
    if query.get("metadata_key").is_some() != query.raw("metadata_value").is_some() {
        warnings.add("metadata_key and metadata_value go together; ignored");
    }
    let filter = ConversationFilter::read(&query)?;
    let full = flag(&query, "full")?.unwrap_or(true);
    let extent = extent(&query)?;
    let response = if full {
        let mut found = app.store.list_conversations(caller.agent, filter, extent).await?;
        let links = Links::new(&app, &base.0);
        found.rows.iter_mut().for_each(|conversation| links.fill_conversation(conversation));
        page_of(found, extent, &base, &uri, &query)
    } else {
        page_of(app.store.list_conversation_rows(caller.agent, filter, extent).await?, extent, &base, &uri, &query)
    };
    Ok(warnings.onto(response))
}

/// One whole conversation by its integer, in the trash or not.
#[utoipa::path(get, path = "/api/conversations/{id}/", tag = "reading", params(("id" = i64, Path)),
    responses((status = 200, body = Conversation), (status = 404, description = "No such conversation", body = Detail<'static>), Refused))]
pub(crate) async fn fetch(caller: Reader, id: RowId, base: Base, State(app): State<App>) -> Result {
    let mut conversation = app.store.fetch_conversation(caller.agent, ConversationId(id.0).into()).await?;
    Links::new(&app, &base.0).fill_conversation(&mut conversation);
    Ok(ok(&conversation))
}

/// The files of a conversation, grouped by message and flat.
#[utoipa::path(get, path = "/api/conversations/{id}/attachments/", tag = "reading", params(("id" = i64, Path)),
    responses((status = 200, body = ConversationAttachments), (status = 404, description = "No such conversation", body = Detail<'static>), Refused))]
pub(crate) async fn attachments(caller: Reader, id: RowId, base: Base, State(app): State<App>) -> Result {
    let id = ConversationId(id.0);
    let mut answer = app.store.conversation_attachments(caller.agent, id).await?;
    let links = Links::new(&app, &base.0);
    links.fill(caller.agent, id, &mut answer.attachments);
    answer.messages.iter_mut().for_each(|message| links.fill(caller.agent, id, &mut message.attachments));
    Ok(ok(&answer))
}

/// The integer of a conversation by its `conversation_id`. Those in the trash are not found.
#[utoipa::path(get, path = "/api/conversations/lookup/", tag = "reading", params(("conversation_id" = String, Query)),
    responses((status = 200, body = Lookup), (status = 404, description = "No such conversation", body = Detail<'static>), Refused))]
pub(crate) async fn lookup(caller: Reader, State(app): State<App>, uri: Uri) -> Result {
    let query = query(&uri);
    let name = query.get("conversation_id").ok_or_else(|| Refusal::field("conversation_id", texts::REQUIRED))?;
    Ok(ok(&app.store.lookup(caller.agent, name).await?))
}
