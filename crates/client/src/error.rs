//! What can go wrong, told apart by what a caller can do about it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use agentsight_model::message::Message;

/// Why a call did not give what was asked for.
///
/// The variants mirror the statuses of the API. A program usually asks for one of them, and treats
/// the rest alike:
///
/// ```no_run
/// # async fn example() -> agentsight::Result<()> {
/// use agentsight::{AgentSight, Error};
///
/// let agentsight = AgentSight::from_env()?;
/// match agentsight.fetch_conversation("conv-abc-123").await {
///     Ok(conversation) => println!("{} messages", conversation.messages.len()),
///     Err(Error::NotFound { .. }) => println!("no such conversation"),
///     Err(error) if error.is_retryable() => println!("later: {error}"),
///     Err(error) => return Err(error),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client cannot be made: no key, a key of another shape, an endpoint that is no address.
    #[error("{0}")]
    Config(String),
    /// What was given cannot be sent: metadata that is no JSON object, an update of nothing.
    #[error("{0}")]
    Input(String),
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There was no answer. Whether the server took the request is not known, unless it was never reached.
    #[error("no answer from {endpoint}: {reason}")]
    Network {
        /// Scheme, host and port that were asked.
        endpoint: String,
        /// How far the request came.
        failure: NetworkFailure,
        /// What the connection said.
        reason: String,
    },
    /// 400: something in the request is wrong.
    #[error("{detail}")]
    Validation {
        /// All of it in one line.
        detail: String,
        /// Messages by field; empty where the request as a whole is wrong.
        fields: BTreeMap<String, Vec<String>>,
    },
    /// 401: the key is unknown, inactive, expired or revoked.
    #[error("{detail}")]
    Unauthorized {
        /// What the server said.
        detail: String,
    },
    /// 403: the key has not the role for this, or the address of a file is too old.
    #[error("{detail}")]
    Forbidden {
        /// What the server said.
        detail: String,
    },
    /// 404: there is no such thing, or it is another agent's.
    #[error("{detail}")]
    NotFound {
        /// What the server said, or which conversation it does not have.
        detail: String,
    },
    /// 405: the server does not know this call.
    #[error("{detail}")]
    MethodNotAllowed {
        /// What the server said.
        detail: String,
    },
    /// 413: a limit on sizes or numbers was passed.
    #[error("{detail}")]
    TooLarge {
        /// What the server said: which limit.
        detail: String,
    },
    /// 429: too many requests.
    #[error("{detail}")]
    Throttled {
        /// What the server said.
        detail: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// 5xx: the server failed.
    #[error("server failed with status {status}: {detail}")]
    Server {
        /// The status.
        status: u16,
        /// What the server said.
        detail: String,
    },
    /// A status that this API does not use; a redirect, which is never followed, is one.
    #[error("unexpected status {status}: {body}")]
    Unexpected {
        /// The status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// The answer is not what the API says it is.
    #[error("answer cannot be read: {reason}")]
    Decode {
        /// Status of the answer.
        status: u16,
        /// What is wrong with it.
        reason: String,
    },
    /// The message is stored, its files are not. They can be sent again for the message:
    /// `track_attachments(Files::new(…).message(message.id))`.
    #[error("message {} is stored, but its files are not: {source}", message.id)]
    FilesNotStored {
        /// As stored.
        message: Box<Message>,
        /// Why its files are not.
        source: Box<Self>,
    },
}

/// How far a request came that got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkFailure {
    /// No connection: the server has not seen the request.
    NotConnected,
    /// No answer in time.
    TimedOut,
    /// The connection broke before the whole answer was there.
    Broken,
}

/// Characters of a body that is no JSON which an error keeps.
const BODY_CHARS: usize = 500;

impl Error {
    /// Status of the answer, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Config(_) | Self::Input(_) | Self::File { .. } | Self::Network { .. } => None,
            Self::Validation { .. } => Some(400),
            Self::Unauthorized { .. } => Some(401),
            Self::Forbidden { .. } => Some(403),
            Self::NotFound { .. } => Some(404),
            Self::MethodNotAllowed { .. } => Some(405),
            Self::TooLarge { .. } => Some(413),
            Self::Throttled { .. } => Some(429),
            Self::Server { status, .. } | Self::Unexpected { status, .. } | Self::Decode { status, .. } => {
                Some(*status)
            }
            Self::FilesNotStored { source, .. } => source.status(),
        }
    }

    /// True where the same call may succeed later: no answer, too many requests, 502, 503 or 504.
    ///
    /// The client has repeated it already where that was safe. For a managing write that got no
    /// answer, look first whether it was done.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Network { .. } | Self::Throttled { .. } => true,
            Self::Server { status, .. } => matches!(status, 502..=504),
            Self::FilesNotStored { source, .. } => source.is_retryable(),
            _ => false,
        }
    }

    /// The error that an answer with this status means.
    pub(crate) fn of_answer(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let said = Said::read(body);
        match status {
            400 => Self::Validation { detail: said.detail(), fields: said.fields },
            401 => Self::Unauthorized { detail: said.detail() },
            403 => Self::Forbidden { detail: said.detail() },
            404 => Self::NotFound { detail: said.detail() },
            405 => Self::MethodNotAllowed { detail: said.detail() },
            413 => Self::TooLarge { detail: said.detail() },
            429 => Self::Throttled { detail: said.detail(), retry_after },
            500..=599 => Self::Server { status, detail: said.detail() },
            _ => Self::Unexpected { status, body: beginning(body) },
        }
    }
}

/// What the body of a refusal says, in any of the shapes of the contract (README §3).
#[derive(Default)]
struct Said {
    whole: Option<String>,
    fields: BTreeMap<String, Vec<String>>,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        let Ok(serde_json::Value::Object(keys)) = serde_json::from_slice(body) else {
            return Self { whole: Some(beginning(body)), fields: BTreeMap::new() };
        };
        let mut said = Self::default();
        for (key, value) in keys {
            let texts = texts(value);
            if key == "detail" || key == "error" {
                said.whole.get_or_insert_with(|| texts.join(", "));
            } else {
                said.fields.insert(key, texts);
            }
        }
        said
    }

    fn detail(&self) -> String {
        match &self.whole {
            Some(whole) if !whole.is_empty() => whole.clone(),
            _ if self.fields.is_empty() => "the server gave no reason".to_owned(),
            _ => Fields(&self.fields).to_string(),
        }
    }
}

/// `name: message, message; other: message`
struct Fields<'a>(&'a BTreeMap<String, Vec<String>>);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (field, messages)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{field}: {}", messages.join(", "))?;
        }
        Ok(())
    }
}

fn texts(value: serde_json::Value) -> Vec<String> {
    let text = |value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    match value {
        serde_json::Value::Array(values) => values.into_iter().map(text).collect(),
        one => vec![text(one)],
    }
}

fn beginning(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(BODY_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_in_every_shape_of_the_contract() {
        for (body, meant) in [
            (r#"{"detail": "Not found."}"#, "Not found."),
            (r#"{"error": "No attachment files found"}"#, "No attachment files found"),
            (r#"{"group_by": "Must be one of: model, day."}"#, "group_by: Must be one of: model, day."),
            (r#"{"b": ["x", "y"], "a": ["z"]}"#, "a: z; b: x, y"),
            (r#"{"blocks": [{"index": 0}]}"#, r#"blocks: {"index":0}"#),
            ("<h1>Bad</h1>", "<h1>Bad</h1>"),
            ("{}", "the server gave no reason"),
        ] {
            assert_eq!(Error::of_answer(400, None, body.as_bytes()).to_string(), meant);
        }
    }

    #[test]
    fn every_status_has_its_error_and_every_error_its_status() {
        for status in [400, 401, 403, 404, 405, 413, 429, 500, 503, 301, 418] {
            assert_eq!(Error::of_answer(status, None, b"{}").status(), Some(status));
        }
        let retryable = |status| Error::of_answer(status, None, b"{}").is_retryable();
        assert_eq!([429, 502, 503, 504].map(retryable), [true; 4]);
        assert_eq!([400, 401, 403, 404, 405, 413, 500, 501, 302].map(retryable), [false; 9]);
    }
}
