//! Every failure as status and body (contract: README §3), and the one place that logs it.

use std::borrow::Cow;

use agentsight_model::refusal::Refusal;
use agentsight_store::{Error, Missing};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::answer::json;
use crate::request_id;

/// Result of a handler.
pub(crate) type Result<T = Response, E = ApiError> = std::result::Result<T, E>;

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// 401, with one of the contract's texts.
    Unauthorized(&'static str),
    /// 403.
    Forbidden(&'static str),
    /// 404 `Not found.`
    NotFound,
    /// 429; the seconds are also in the header.
    Throttled { seconds: u64 },
    /// 500: our own failure, already logged.
    Failed,
    /// 408: the body did not arrive in time.
    Slow,
    /// 413 with a text that names the limit.
    TooLarge(String),
    /// 415.
    Unsupported(&'static str),
    /// 400 in one of its shapes.
    Refused(Refusal),
    /// Whatever the store says.
    Store(Error),
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => Self::Refused(refusal),
            other => Self::Store(other),
        }
    }
}

/// `{"detail": "…"}`
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Detail<'a> {
    /// What is wrong, in a sentence.
    #[schema(value_type = String)]
    pub(crate) detail: Cow<'a, str>,
}

pub(crate) fn detail(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Response {
    json(status, &Detail { detail: text.into() })
}

/// 500.
const FAILED: &str = "The server failed to do this; its log says why.";

/// 403 of a read key on a write route, and of what no key may do.
pub(crate) const NO_PERMISSION: &str = "You do not have permission to perform this action.";

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorized(text) => {
                let mut response = detail(StatusCode::UNAUTHORIZED, text);
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Api-Key"));
                response
            }
            Self::Forbidden(text) => detail(StatusCode::FORBIDDEN, text),
            Self::NotFound => detail(StatusCode::NOT_FOUND, "Not found."),
            Self::Throttled { seconds } => {
                let text = format!("Request was throttled. Expected available in {seconds} seconds.");
                retry_after(detail(StatusCode::TOO_MANY_REQUESTS, text), seconds)
            }
            Self::Failed => detail(StatusCode::INTERNAL_SERVER_ERROR, FAILED),
            Self::Slow => detail(StatusCode::REQUEST_TIMEOUT, "The request body did not arrive in time."),
            Self::TooLarge(text) => detail(StatusCode::PAYLOAD_TOO_LARGE, text),
            Self::Unsupported(text) => detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, text),
            Self::Refused(refusal) => refused(refusal),
            Self::Store(error) => stored(&error),
        }
    }
}

fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Fields(errors) => json(StatusCode::BAD_REQUEST, &errors),
        Refusal::Bare(field, text) => json(StatusCode::BAD_REQUEST, &serde_json::json!({ field: text })),
        Refusal::Batch(batch) => json(StatusCode::BAD_REQUEST, &batch),
        Refusal::Detail(text) => detail(StatusCode::BAD_REQUEST, text),
        Refusal::Error(text) => json(StatusCode::BAD_REQUEST, &serde_json::json!({ "error": text })),
        Refusal::Forbidden => detail(StatusCode::FORBIDDEN, NO_PERMISSION),
        Refusal::TooLarge(text) => detail(StatusCode::PAYLOAD_TOO_LARGE, text),
    }
}

fn stored(error: &Error) -> Response {
    match error {
        Error::NotFound(missing) => detail(StatusCode::NOT_FOUND, missing_text(missing)),
        Error::Busy { retry_after: wait } => {
            tracing::warn!(id = request_id::current(), "the write queue is full");
            retry_after(
                detail(StatusCode::SERVICE_UNAVAILABLE, "The server is busy, try again later."),
                wait.as_secs().max(1),
            )
        }
        Error::TooSlow { limit } => {
            tracing::warn!(id = request_id::current(), "a query took longer than {} s", limit.as_secs());
            let text = format!("The query took longer than {} seconds; narrow it with a filter.", limit.as_secs());
            retry_after(detail(StatusCode::SERVICE_UNAVAILABLE, text), 5)
        }
        Error::Unavailable { .. } => {
            tracing::error!(id = request_id::current(), %error, "a request failed");
            retry_after(detail(StatusCode::SERVICE_UNAVAILABLE, "The database is not available, try again later."), 2)
        }
        Error::Contended => {
            tracing::warn!(id = request_id::current(), %error, "a request failed");
            retry_after(detail(StatusCode::SERVICE_UNAVAILABLE, "The server is busy, try again later."), 1)
        }
        Error::Full => {
            tracing::error!(id = request_id::current(), "no space left for the store");
            detail(StatusCode::INSUFFICIENT_STORAGE, "The server has no space left; nothing was stored.")
        }
        Error::Blob(_) => {
            tracing::error!(id = request_id::current(), %error, "a request failed");
            let text = "The attachment storage is not available, try again later.";
            retry_after(detail(StatusCode::SERVICE_UNAVAILABLE, text), 5)
        }
        Error::OutOfRange { size } => {
            let mut response = detail(StatusCode::RANGE_NOT_SATISFIABLE, format!("The file has {size} bytes."));
            if let Ok(range) = HeaderValue::from_str(&format!("bytes */{size}")) {
                response.headers_mut().insert(header::CONTENT_RANGE, range);
            }
            response
        }
        Error::Closed => retry_after(detail(StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down."), 2),
        Error::Refused(refusal) => refused(refusal.clone()),
        Error::Damaged { .. } | Error::Lost { .. } | Error::Open(_) | Error::Engine(_) | Error::Index(_) => {
            tracing::error!(id = request_id::current(), %error, "a request failed");
            detail(StatusCode::INTERNAL_SERVER_ERROR, FAILED)
        }
    }
}

/// What was not there, in a sentence.
pub(crate) fn missing_text(missing: &Missing) -> Cow<'static, str> {
    match missing {
        Missing::Row => "Not found.".into(),
        Missing::Conversation => "Conversation not found.".into(),
        Missing::UndeletedConversation => "Conversation not found or already deleted.".into(),
        Missing::Message(id) => format!("Message {id} not found").into(),
        Missing::Page => "Invalid page.".into(),
    }
}

fn retry_after(mut response: Response, seconds: u64) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
