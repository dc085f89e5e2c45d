//! The writes of generation 0.0.x (contract: tracking-v0). Each handler takes a body apart and asks the store once.

pub(crate) mod otlp;
pub(crate) mod spans;

use agentsight_model::action::ActionLog;
use agentsight_model::attachment::AttachmentsStored;
use agentsight_model::button::Button;
use agentsight_model::conversation::ConversationRow;
use agentsight_model::feedback::{Feedback, FeedbackSource};
use agentsight_model::ids::AgentId;
use agentsight_model::message::Message;
use agentsight_model::refusal::Refusal;
use agentsight_model::track::{NewConversation, NewEvent, NewFeedback, Receipt, files_of_json};
use agentsight_store::{Appended, Stored};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use crate::App;
use crate::answer::{json, stored};
use crate::auth::Writer;
use crate::body::{Upload, json_body, read_fields, upload};
use crate::docs::{BadRequest, schemas};
use crate::error::{ApiError, Detail, Result};
use crate::files::Links;
use crate::urls::Base;

/// Gets or makes a conversation by its `conversation_id`. An existing one keeps what it has; only empty fields are filled.
#[utoipa::path(post, path = "/api/conversations/", tag = "tracking", request_body = schemas::ConversationIn,
    responses((status = 201, description = "Made", body = ConversationRow), (status = 200, description = "It existed", body = ConversationRow), BadRequest))]
pub(crate) async fn conversation(caller: Writer, State(app): State<App>, request: Request) -> Result {
    let bytes = json_body(&app, request).await?;
    let now = app.store.clock().now();
    let new = read_fields(&bytes, |body| NewConversation::read(body, now))?;
    Ok(stored(&app.store.upsert_conversation(caller.agent, new).await?))
}

/// Appends a message, making its conversation where it is new.
#[utoipa::path(post, path = "/api/track/", tag = "tracking", request_body = schemas::MessageIn,
    responses((status = 201, description = "Stored", body = Message), (status = 200, description = "The same body came before", body = Message), BadRequest))]
pub(crate) async fn message(caller: Writer, base: Base, State(app): State<App>, request: Request) -> Result {
    let event = event(&app, request, b"track", NewEvent::message).await?;
    append(&app, caller.agent, &base, event).await
}

/// Records a run of a tool: an action log, and a message in the transcript.
#[utoipa::path(post, path = "/api/action_logs/", tag = "tracking", request_body = schemas::ActionIn,
    responses((status = 201, description = "Stored", body = ActionLog), (status = 200, description = "The same body came before", body = ActionLog), BadRequest))]
pub(crate) async fn action(caller: Writer, base: Base, State(app): State<App>, request: Request) -> Result {
    let event = event(&app, request, b"action_logs", NewEvent::action).await?;
    append(&app, caller.agent, &base, event).await
}

/// Records a click: a button, and a message in the transcript.
#[utoipa::path(post, path = "/api/buttons/", tag = "tracking", request_body = schemas::ClickIn,
    responses((status = 201, description = "Stored", body = Button), (status = 200, description = "The same body came before", body = Button), BadRequest))]
pub(crate) async fn click(caller: Writer, base: Base, State(app): State<App>, request: Request) -> Result {
    let event = event(&app, request, b"buttons", NewEvent::click).await?;
    append(&app, caller.agent, &base, event).await
}

/// Stores files, on a message of their own or on an existing one; all of a request, or none.
#[utoipa::path(post, path = "/api/attachments/", tag = "tracking",
    request_body(content((schemas::AttachmentsIn = "application/json"), (schemas::AttachmentsForm = "multipart/form-data"))),
    responses((status = 201, description = "Stored", body = AttachmentsStored), (status = 200, description = "The same request came before", body = AttachmentsStored),
        (status = 413, description = "Past one of the three limits, which it names", body = Detail<'static>), BadRequest))]
pub(crate) async fn attachments(caller: Writer, base: Base, State(app): State<App>, request: Request) -> Result {
    let _turn = app.uploads.acquire().await.map_err(|_| ApiError::Slow)?;
    let now = app.store.clock().now();
    let event = match upload(&app, request).await? {
        Upload::Json(bytes) => read_fields(&bytes, |body| {
            let files = files_of_json(&body, app.config.attachments)?;
            NewEvent::files(body, files, Receipt::of([b"attachments".as_slice(), &bytes]), now)
        })?,
        Upload::Form { fields, files, receipt } => {
            read_fields(fields.as_bytes(), |body| NewEvent::files(body, files, receipt, now))?
        }
    };
    append(&app, caller.agent, &base, event).await
}

/// Records what an end user thinks of a conversation. Never makes one.
#[utoipa::path(post, path = "/api/conversation-feedbacks/", tag = "tracking", request_body = schemas::FeedbackIn,
    responses((status = 201, description = "Stored", body = Feedback), (status = 404, description = "No such conversation", body = Detail<'static>), BadRequest))]
pub(crate) async fn feedback(caller: Writer, State(app): State<App>, request: Request) -> Result {
    let bytes = json_body(&app, request).await?;
    let now = app.store.clock().now();
    let new = read_fields(&bytes, |body| NewFeedback::read(body, now))?;
    let feedback = app.store.record_feedback(caller.agent, FeedbackSource::Customer, new).await?;
    Ok(json(StatusCode::CREATED, &feedback))
}

async fn event(
    app: &App,
    request: Request,
    route: &[u8],
    read: impl FnOnce(
        agentsight_model::body::Body<'_>,
        Receipt,
        agentsight_model::time::Timestamp,
    ) -> Result<NewEvent, Refusal>,
) -> Result<NewEvent> {
    let bytes = json_body(app, request).await?;
    let now = app.store.clock().now();
    read_fields(&bytes, |body| read(body, Receipt::of([route, &bytes]), now))
}

async fn append(app: &App, agent: AgentId, base: &Base, event: NewEvent) -> Result<Response> {
    let Stored { value, created } = app.store.append(agent, event).await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let links = Links::new(app, &base.0);
    Ok(match value {
        Appended::Message(mut message) => {
            links.fill_message(agent, &mut message);
            json(status, &message)
        }
        Appended::ActionLog(log) => json(status, &log),
        Appended::Button(button) => json(status, &button),
        Appended::Files(mut files) => {
            links.fill(agent, files.conversation, &mut files.attachments);
            json(status, &files)
        }
    })
}
