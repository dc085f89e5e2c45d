//! `/openapi.json`, written from the handlers, and an explorer at `/docs`.

use std::sync::LazyLock;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use serde::Serialize;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::answer::ok;
use crate::error::Detail;
use crate::{App, files, health, managing, metrics, reading, tracking};

#[derive(OpenApi)]
#[openapi(
    info(title = "AgentSight", description = "The database and API for what AI agents and chatbots say and do. Every path also answers without its last slash.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
    paths(
        tracking::conversation, tracking::message, tracking::action, tracking::click, tracking::attachments, tracking::feedback,
        tracking::spans::ingest, tracking::otlp::traces, tracking::otlp::logs,
        reading::me::show, reading::conversations::list, reading::conversations::fetch, reading::conversations::attachments,
        reading::conversations::lookup, reading::metadata::keys, reading::metadata::values, reading::metadata::message_keys,
        reading::messages::fetch, reading::spans::list, reading::spans::fetch, reading::spans::trace,
        reading::usage::list, reading::usage::summary, reading::prices::list, reading::prices::lookup,
        reading::feedbacks::list, reading::feedbacks::fetch, reading::tickets::list, reading::tickets::fetch, reading::tickets::comments,
        reading::actions::list, reading::actions::fetch, reading::actions::logs, reading::buttons::list, reading::buttons::stats,
        managing::conversations::mark, managing::conversations::rename, managing::conversations::update,
        managing::conversations::delete, managing::conversations::delete_plain, managing::messages::update,
        managing::feedbacks::create, managing::feedbacks::update, managing::feedbacks::delete,
        managing::tickets::create, managing::tickets::update, managing::tickets::delete, managing::tickets::comment,
        managing::actions::create, managing::actions::update,
        files::download, health::alive, health::ready, metrics::show,
    ),
    components(schemas(agentsight_model::conversation::ConversationRow)),
    modifiers(&ApiKeyScheme),
    security(("ApiKey" = [])),
    tags(
        (name = "tracking", description = "What bots write"),
        (name = "reading", description = "What everybody reads"),
        (name = "managing", description = "Changing what is there"),
        (name = "files", description = "Attachments, by signed links"),
        (name = "operation", description = "For whoever runs the server"),
    )
)]
struct Document;

struct ApiKeyScheme;

impl Modify for ApiKeyScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let value =
            ApiKeyValue::with_description("Authorization", "`Api-Key ags_…`, as `agentsight key create` prints it");
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("ApiKey", SecurityScheme::ApiKey(ApiKey::Header(value)));
    }
}

/// The description of the API.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Writing it takes a while; nobody asks for it at most starts.
static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(openapi);

pub(crate) fn routes() -> Router<App> {
    let explorer = utoipa_swagger_ui::SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json"));
    Router::new()
        .route("/", get(async || Redirect::temporary("/docs")))
        .route("/openapi.json", get(async || ok(&*DOCUMENT)))
        .merge(Router::<App>::from(explorer))
}

/// Refusals that every route may answer.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the document only")]
pub(crate) enum Refused {
    /// A parameter or field that cannot be taken, by its name.
    #[response(status = 400)]
    Parameter(#[to_schema] FieldMessages),
    /// No key, or none that is valid.
    #[response(status = 401)]
    Key(#[to_schema] Detail<'static>),
    /// The operator's limit of requests; `Retry-After` says when to try again.
    #[response(status = 429)]
    Throttled(#[to_schema] Detail<'static>),
    /// Too much to do in the time that a query may take, or shutting down.
    #[response(status = 503)]
    Busy(#[to_schema] Detail<'static>),
}

/// Refusals that every write may answer.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "read by the document only")]
pub(crate) enum BadRequest {
    /// A field that cannot be taken, by its name; nothing was stored.
    #[response(status = 400)]
    Field(#[to_schema] FieldMessages),
    /// No key, or none that is valid.
    #[response(status = 401)]
    Key(#[to_schema] Detail<'static>),
    /// A key that may only read.
    #[response(status = 403)]
    Role(#[to_schema] Detail<'static>),
    /// What the body names is not there.
    #[response(status = 404)]
    Missing(#[to_schema] Detail<'static>),
    /// The body did not arrive in time.
    #[response(status = 408)]
    Slow(#[to_schema] Detail<'static>),
    /// The body is too large.
    #[response(status = 413)]
    TooLarge(#[to_schema] Detail<'static>),
    /// A `Content-Encoding` that this route does not take.
    #[response(status = 415)]
    Unsupported(#[to_schema] Detail<'static>),
    /// The operator's limit of requests; `Retry-After` says when to try again.
    #[response(status = 429)]
    Throttled(#[to_schema] Detail<'static>),
    /// The write queue is full, the storage of attachments is not available, or the server is shutting down;
    /// nothing was stored.
    #[response(status = 503)]
    Busy(#[to_schema] Detail<'static>),
    /// No space left; nothing was stored.
    #[response(status = 507)]
    Full(#[to_schema] Detail<'static>),
}

/// Messages by field: `{"sender": ["\"bot\" is not a valid choice."]}`; about the whole body under `detail` or `error`, as a text.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(value_type = std::collections::HashMap<String, serde_json::Value>)]
pub(crate) struct FieldMessages(std::collections::HashMap<String, serde_json::Value>);

/// Bodies and parameters as callers write them. The handlers read them more leniently.
#[expect(dead_code, reason = "read by the document only")]
pub(crate) mod schemas {
    use agentsight_model::action::Action;
    use agentsight_model::button::ButtonRow;
    use agentsight_model::conversation::{Conversation, ConversationRow};
    use agentsight_model::feedback::{Feedback, FeedbackPage};
    use agentsight_model::page::Paged;
    use agentsight_model::price::Price;
    use agentsight_model::ticket::{Ticket, TicketComment};
    use agentsight_model::usage::Usage;
    use utoipa::openapi::schema::AnyOfBuilder;
    use utoipa::openapi::{RefOr, Schema};
    use utoipa::{IntoParams, PartialSchema, ToSchema};

    /// What a list answers: a page of whole conversations, or of rows without transcripts with
    /// `full=false`; with `paginate=false` the bare rows.
    pub(crate) struct ConversationList;

    impl PartialSchema for ConversationList {
        fn schema() -> RefOr<Schema> {
            // A whole conversation has every key of a row: "one of" would be wrong.
            let shapes = AnyOfBuilder::new()
                .item(Paged::<Conversation>::schema())
                .item(Paged::<ConversationRow>::schema())
                .item(Vec::<Conversation>::schema())
                .item(Vec::<ConversationRow>::schema());
            Schema::from(shapes.build()).into()
        }
    }

    impl ToSchema for ConversationList {
        fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
            schemas.push((Conversation::name().into_owned(), Conversation::schema()));
            schemas.push((ConversationRow::name().into_owned(), ConversationRow::schema()));
            Conversation::schemas(schemas);
            ConversationRow::schemas(schemas);
        }
    }

    /// What a list answers: a page, or with `paginate=false` the bare rows.
    macro_rules! lists {
        ($($list:ident: $page:ty, $row:ty;)*) => {$(
            pub(crate) struct $list;

            impl PartialSchema for $list {
                fn schema() -> RefOr<Schema> {
                    let shapes = AnyOfBuilder::new().item(<$page>::schema()).item(Vec::<$row>::schema());
                    Schema::from(shapes.build()).into()
                }
            }

            impl ToSchema for $list {
                fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                    schemas.push((<$row>::name().into_owned(), <$row>::schema()));
                    <$page>::schemas(schemas);
                    <$row>::schemas(schemas);
                }
            }
        )*};
    }

    lists! {
        FeedbackList: FeedbackPage, Feedback;
        TicketList: Paged<Ticket>, Ticket;
        CommentList: Paged<TicketComment>, TicketComment;
        ActionList: Paged<Action>, Action;
        ButtonList: Paged<ButtonRow>, ButtonRow;
        PriceList: Paged<Price>, Price;
        UsageList: Paged<Usage>, Usage;
    }

    /// Feedback of one of three kinds.
    #[derive(ToSchema)]
    pub(crate) struct FeedbackPostIn {
        /// `conversation`, `agent` or `message`
        kind: String,
        /// `positive`, `neutral` or `negative`
        sentiment: String,
        /// At most 5 000 characters.
        comment: Option<String>,
        /// Kind `conversation`: the sender's name for it; this or `conversation` is needed.
        conversation_id: Option<String>,
        /// Kind `conversation`: our integer.
        conversation: Option<i64>,
        /// Kind `agent`: the key's own agent.
        agent: Option<i64>,
        /// Kind `agent`: slug of an environment.
        environment: Option<String>,
        /// Kind `message`: our integer of the message.
        message: Option<i64>,
        /// Kind `message`: a word of your own, at most 50 characters.
        topic: Option<String>,
        /// Kind `message`: a word of your own, at most 50 characters.
        reason: Option<String>,
        #[schema(value_type = Option<Object>)]
        metadata: Option<serde_json::Value>,
    }

    /// Fields to change; null clears.
    #[derive(ToSchema)]
    pub(crate) struct FeedbackChangeIn {
        /// `positive`, `neutral` or `negative`
        sentiment: Option<String>,
        comment: Option<String>,
        /// Kind `agent` only.
        environment: Option<String>,
        /// Kind `message` only.
        topic: Option<String>,
        /// Kind `message` only.
        reason: Option<String>,
    }

    /// A ticket.
    #[derive(ToSchema)]
    pub(crate) struct TicketIn {
        /// 1–255 characters, trimmed.
        title: String,
        /// `backlog`, `open` (when absent), `in_progress`, `in_review`, `done` or `closed`
        status: Option<String>,
        /// `low`, `medium` or `high`
        priority: Option<String>,
        tags: Option<Vec<String>>,
        /// Slug of the environment in which the problem was seen; `production` when absent.
        environment: Option<String>,
        /// Our integer of the conversation; unlike the filter of that name.
        conversation_id: Option<i64>,
        /// Feedback that has no ticket yet; its conversation is the ticket's where none is given.
        feedback_id: Option<i64>,
    }

    /// Fields to change.
    #[derive(ToSchema)]
    pub(crate) struct TicketChangeIn {
        title: Option<String>,
        /// `backlog`, `open`, `in_progress`, `in_review`, `done` or `closed`
        status: Option<String>,
        /// `low`, `medium` or `high`; null clears.
        priority: Option<String>,
        tags: Option<Vec<String>>,
    }

    /// A comment.
    #[derive(ToSchema)]
    pub(crate) struct CommentIn {
        body: String,
    }

    /// An action.
    #[derive(ToSchema)]
    pub(crate) struct ActionDefinitionIn {
        /// 1–255 characters, unique per agent, case-sensitive.
        name: String,
        /// The name when absent.
        display_name: Option<String>,
        description: Option<String>,
    }

    /// Fields to change.
    #[derive(ToSchema)]
    pub(crate) struct ActionChangeIn {
        name: Option<String>,
        display_name: Option<String>,
        description: Option<String>,
    }

    /// The whole new document.
    #[derive(ToSchema)]
    pub(crate) struct MessageMetadataIn {
        #[schema(value_type = Object)]
        metadata: serde_json::Value,
    }

    /// Filters of the list of feedback; all that are given must hold.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    pub(crate) struct FeedbackQuery {
        /// `conversation`, `agent` or `message`
        kind: Option<String>,
        /// `positive`, `neutral` or `negative`
        sentiment: Option<String>,
        /// Our integer of the conversation.
        conversation: Option<i64>,
        /// The sender's name for it, exact; votes on its messages included.
        conversation_id: Option<String>,
        /// Our integer of the message.
        message: Option<i64>,
        topic: Option<String>,
        reason: Option<String>,
        category: Option<String>,
        /// The key's own agent.
        agent: Option<i64>,
        /// A signed-in person.
        user: Option<i64>,
        /// Slug of an environment; `prod` and `dev` are read as written out.
        environment: Option<String>,
        /// The same as `environment`.
        env: Option<String>,
        has_comment: Option<bool>,
        /// Substring, case ignored, in any script.
        comment_contains: Option<String>,
        /// Inclusive.
        created_at_after: Option<String>,
        /// Inclusive.
        created_at_before: Option<String>,
        /// Only feedback that became a ticket, and with it.
        include_tickets: Option<bool>,
        /// With `include_tickets` only.
        has_ticket: Option<bool>,
        /// With `include_tickets` only; may be repeated: any of them.
        ticket_status: Option<Vec<String>>,
        /// Words that must each occur in the comment, topic, reason, category or the conversation's name.
        search: Option<String>,
    }

    /// Filters of the list of tickets; all that are given must hold.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    pub(crate) struct TicketQuery {
        /// May be repeated: any of them.
        status: Option<Vec<String>>,
        /// `low`, `medium` or `high`
        priority: Option<String>,
        /// Our integer of the conversation.
        conversation: Option<i64>,
        /// The sender's name for it, exact.
        conversation_id: Option<String>,
        has_conversation: Option<bool>,
        has_feedback: Option<bool>,
        /// With commas between them: any of them.
        tags: Option<String>,
        /// Inclusive.
        created_at_after: Option<String>,
        /// Inclusive.
        created_at_before: Option<String>,
        /// Inclusive.
        updated_at_after: Option<String>,
        /// Inclusive.
        updated_at_before: Option<String>,
        /// Words that must each occur in the title, case ignored.
        search: Option<String>,
    }

    /// Filters of the list of actions; all that are given must hold.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    pub(crate) struct ActionQuery {
        /// Exact.
        name: Option<String>,
        /// Substring, case ignored.
        #[param(rename = "name__icontains")]
        name_contains: Option<String>,
        /// Substring, case ignored.
        display_name: Option<String>,
        /// Words that must each occur in the name, the label or the description.
        search: Option<String>,
    }

    /// Filters of the list of clicks; all that are given must hold.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    pub(crate) struct ButtonQuery {
        /// Exact.
        button_event: Option<String>,
        /// Our integer of the conversation.
        conversation: Option<i64>,
        /// The sender's name for it, exact.
        conversation_id: Option<String>,
        /// Inclusive.
        timestamp_after: Option<String>,
        /// Inclusive.
        timestamp_before: Option<String>,
    }

    /// What a list of one order takes.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    pub(crate) struct BarePageQuery {
        /// 1-based, or `last`.
        page: Option<String>,
        /// 1 to 100.
        page_size: Option<u32>,
        /// `false`: all rows, bare, up to 10 000.
        paginate: Option<bool>,
    }

    /// A conversation to get or make.
    #[derive(ToSchema)]
    pub(crate) struct ConversationIn {
        /// 1–255 characters.
        conversation_id: String,
        customer_id: Option<String>,
        /// Anything that is no IPv4 or IPv6 address is stored as null.
        customer_ip_address: Option<String>,
        device: Option<String>,
        source: Option<String>,
        language: Option<String>,
        name: Option<String>,
        /// Slug of one of the agent's environments; `production` when absent.
        environment: Option<String>,
        #[schema(value_type = Option<Object>)]
        metadata: Option<serde_json::Value>,
        /// False for a widget that was only loaded.
        is_used: Option<bool>,
        /// ISO 8601; now when absent.
        timestamp: Option<String>,
    }

    /// A message.
    #[derive(ToSchema)]
    pub(crate) struct MessageIn {
        content: String,
        /// `end_user` or `agent`
        sender: String,
        /// The sender's name for the conversation; this or `conversation` is needed.
        conversation_id: Option<String>,
        /// Our integer; wins where both are given.
        conversation: Option<i64>,
        #[schema(value_type = Option<Object>)]
        metadata: Option<serde_json::Value>,
        timestamp: Option<String>,
    }

    /// A run of a tool.
    #[derive(ToSchema)]
    pub(crate) struct ActionIn {
        action_name: String,
        conversation_id: Option<String>,
        conversation: Option<i64>,
        started_at: Option<String>,
        ended_at: Option<String>,
        duration_ms: Option<f64>,
        #[schema(value_type = Option<Object>)]
        tools_used: Option<serde_json::Value>,
        response: Option<String>,
        error_msg: Option<String>,
        #[schema(value_type = Option<Object>)]
        metadata: Option<serde_json::Value>,
        timestamp: Option<String>,
    }

    /// A click.
    #[derive(ToSchema)]
    pub(crate) struct ClickIn {
        button_event: String,
        label: String,
        value: String,
        conversation_id: Option<String>,
        conversation: Option<i64>,
        #[schema(value_type = Option<Object>)]
        metadata: Option<serde_json::Value>,
        timestamp: Option<String>,
    }

    /// Files in base64.
    #[derive(ToSchema)]
    pub(crate) struct AttachmentsIn {
        attachments: Vec<FileIn>,
        /// The message that they belong to; a new one is made where there is none.
        message: Option<i64>,
        conversation: Option<i64>,
        conversation_id: Option<String>,
        /// `end_user` (default) or `agent`
        sender: Option<String>,
        #[schema(value_type = Option<Object>)]
        metadata: Option<serde_json::Value>,
        timestamp: Option<String>,
    }

    /// A file in base64.
    #[derive(ToSchema)]
    pub(crate) struct FileIn {
        filename: Option<String>,
        mime_type: Option<String>,
        /// Base64, standard or URL-safe, a `data:` prefix allowed.
        data: String,
    }

    /// Files as parts of a form; every part with a file name is a file.
    #[derive(ToSchema)]
    pub(crate) struct AttachmentsForm {
        conversation: Option<String>,
        conversation_id: Option<String>,
        message: Option<String>,
        sender: Option<String>,
        /// JSON text
        metadata: Option<String>,
        timestamp: Option<String>,
        #[schema(value_type = String, format = Binary)]
        attachment_0: Vec<u8>,
    }

    /// Feedback on a conversation.
    #[derive(ToSchema)]
    pub(crate) struct FeedbackIn {
        conversation_id: Option<String>,
        conversation: Option<i64>,
        /// `positive`, `neutral` or `negative`
        sentiment: String,
        /// At most 5 000 characters.
        comment: Option<String>,
        #[schema(value_type = Option<Object>)]
        metadata: Option<serde_json::Value>,
    }

    /// A favourite, or not.
    #[derive(ToSchema)]
    pub(crate) struct MarkIn {
        is_marked: bool,
    }

    /// A display title.
    #[derive(ToSchema)]
    pub(crate) struct RenameIn {
        /// 1–255 characters, trimmed.
        name: String,
    }

    /// Fields to change; null clears.
    #[derive(ToSchema)]
    pub(crate) struct UpdateIn {
        name: Option<String>,
        is_marked: Option<bool>,
        customer_id: Option<String>,
        device: Option<String>,
        language: Option<String>,
        #[schema(value_type = Option<Object>)]
        metadata: Option<serde_json::Value>,
    }

    /// What every list takes.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    pub(crate) struct PageQuery {
        /// 1-based, or `last`.
        page: Option<String>,
        /// 1 to 100.
        page_size: Option<u32>,
        /// `false`: all rows, bare, up to 10 000.
        paginate: Option<bool>,
        /// Sort keys with commas between them, each with a `-` before it to turn it around.
        ordering: Option<String>,
    }

    /// Filters of the list of spans; all that are given must hold.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    pub(crate) struct SpanQuery {
        /// Exact: `turn`, `llm`, `tool`, …
        kind: Option<String>,
        /// `ok`, `error`, `unset`
        status: Option<String>,
        /// Exact.
        name: Option<String>,
        /// Our integer of the conversation.
        conversation: Option<i64>,
        /// The sender's name of the conversation, exact.
        conversation_id: Option<String>,
        trace_id: Option<String>,
        span_id: Option<String>,
        parent_span_id: Option<String>,
        /// Slug of the conversation's environment.
        environment: Option<String>,
        /// Inclusive.
        started_at_after: Option<String>,
        /// Inclusive.
        started_at_before: Option<String>,
        /// `started_at`, `ended_at`, `duration_ms`, `id`
        ordering: Option<String>,
        /// 1-based, or `last`.
        page: Option<String>,
        /// 1 to 100.
        page_size: Option<u32>,
    }

    /// Filters of token usage; all that are given must hold.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    pub(crate) struct UsageQuery {
        /// Exact.
        model: Option<String>,
        /// Our integer of the conversation.
        conversation: Option<i64>,
        /// The sender's name of the conversation, exact.
        conversation_id: Option<String>,
        turn_id: Option<String>,
        /// Slug of the conversation's environment.
        environment: Option<String>,
        /// `backend`, `reported` or `unpriced`
        cost_source: Option<String>,
        incomplete: Option<bool>,
        /// Inclusive.
        started_at_after: Option<String>,
        /// Inclusive.
        started_at_before: Option<String>,
    }

    /// How usage is summed up.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    pub(crate) struct SummaryQuery {
        /// `model`, `conversation` or `day`; by model when absent.
        group_by: Option<String>,
        /// `usd` or `eur`; dollars are always there, euros where the operator's file has a rate for every day of the group.
        currency: Option<String>,
    }

    /// `ExportTraceServiceRequest` of OTLP, in its JSON form.
    #[derive(ToSchema)]
    #[schema(as = OtlpTraces)]
    pub(crate) struct OtlpTraces {
        #[schema(rename = "resourceSpans")]
        resource_spans: Option<Vec<serde_json::Value>>,
    }

    /// `ExportLogsServiceRequest` of OTLP, in its JSON form.
    #[derive(ToSchema)]
    #[schema(as = OtlpLogs)]
    pub(crate) struct OtlpLogs {
        #[schema(rename = "resourceLogs")]
        resource_logs: Option<Vec<serde_json::Value>>,
    }

    /// `ExportTraceServiceResponse` or `ExportLogsServiceResponse` of OTLP.
    #[derive(ToSchema)]
    #[schema(as = OtlpStored)]
    pub(crate) struct OtlpStored {
        /// Spans or log records that were not stored, and why; absent where all were.
        #[schema(rename = "partialSuccess")]
        partial_success: Option<serde_json::Value>,
    }

    /// Spans of a trace, each within its parent.
    #[derive(ToSchema)]
    #[schema(as = TraceTree)]
    pub(crate) struct TraceTree {
        trace_id: String,
        /// Spans in the tree.
        span_count: u64,
        /// There are more than a tree shows.
        truncated: bool,
        /// Each a whole span, with its `children` beside its own keys.
        roots: Vec<serde_json::Value>,
    }

    /// A batch of spans.
    #[derive(ToSchema)]
    #[schema(as = Spans)]
    pub(crate) struct SpansIn {
        /// Name and version of the sender.
        sdk: Option<serde_json::Value>,
        conversations: Vec<SpanBlockIn>,
    }

    /// Spans of one conversation, and what is said of it: what is given replaces what is there.
    #[derive(ToSchema)]
    #[schema(as = SpanBlock)]
    pub(crate) struct SpanBlockIn {
        #[schema(min_length = 1, max_length = 255)]
        conversation_id: String,
        spans: Vec<SpanIn>,
        #[schema(max_length = 255)]
        name: Option<String>,
        #[schema(max_length = 255)]
        customer_id: Option<String>,
        customer_ip_address: Option<String>,
        #[schema(max_length = 255)]
        device: Option<String>,
        #[schema(max_length = 255)]
        source: Option<String>,
        #[schema(max_length = 255)]
        language: Option<String>,
        /// Slug of an environment; `prod` and `dev` are read as written out.
        environment: Option<String>,
        /// `{}` clears it.
        metadata: Option<serde_json::Map<String, serde_json::Value>>,
    }

    /// One span, with whatever else it holds.
    #[derive(ToSchema)]
    #[schema(as = NewSpan)]
    pub(crate) struct SpanIn {
        #[schema(min_length = 1, max_length = 64)]
        span_id: String,
        trace_id: Option<String>,
        parent_span_id: Option<String>,
        /// `turn`, `llm`, `tool`, `task`, `button`, `attachment`, `conversation`, or any other
        kind: Option<String>,
        name: Option<String>,
        started_at: Option<String>,
        ended_at: Option<String>,
        duration_ms: Option<f64>,
        /// `ok`, `error`, `unset`
        status: Option<String>,
        attributes: Option<serde_json::Map<String, serde_json::Value>>,
        events: Option<Vec<serde_json::Value>>,
    }

    /// Filters of a list; all that are given must hold.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    pub(crate) struct ConversationQuery {
        /// The sender's name, exact.
        conversation_id: Option<String>,
        /// Exact.
        customer_id: Option<String>,
        /// Substring, case ignored.
        #[param(rename = "customer_id__icontains")]
        customer_id_contains: Option<String>,
        /// The same address, however it is spelled.
        customer_ip_address: Option<String>,
        /// Substring of the display title, case ignored.
        name: Option<String>,
        device: Option<String>,
        language: Option<String>,
        /// Slug of an environment; `prod` and `dev` are read as written out.
        environment: Option<String>,
        /// The same as `environment`.
        env: Option<String>,
        is_marked: Option<bool>,
        /// Adds conversations in the trash.
        include_deleted: Option<bool>,
        /// Only conversations with tickets, and with them.
        include_tickets: Option<bool>,
        has_messages: Option<bool>,
        has_action: Option<bool>,
        /// Substring of the name of an action that ran, case ignored: the name that it has now, or the one that its message
        /// shows.
        action_name: Option<String>,
        has_feedback: Option<bool>,
        /// `positive`, `neutral` or `negative`
        feedback_sentiment: Option<String>,
        /// `customer` or `platform`
        feedback_source: Option<String>,
        /// Substring of a message, case ignored, in any script.
        message_contains: Option<String>,
        /// Words that must each occur in the name, an id or a message.
        search: Option<String>,
        /// `key:value` pairs, separated by commas.
        metadata: Option<String>,
        /// With `metadata_value`: one pair, for values that hold commas or colons.
        metadata_key: Option<String>,
        metadata_value: Option<String>,
        /// Inclusive.
        started_at_after: Option<String>,
        /// Inclusive.
        started_at_before: Option<String>,
        /// `started_at`, `ended_at`, `id`, `customer_id`, `is_marked`, `language`; a minus sign before for descending.
        ordering: Option<String>,
        /// From 1, or `last`.
        page: Option<String>,
        /// 10 when absent, at most 100.
        page_size: Option<u32>,
        /// False for rows without transcripts.
        full: Option<bool>,
        /// False for every row in a bare array, at most 10 000.
        paginate: Option<bool>,
    }
}
