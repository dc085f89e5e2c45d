//! One vocabulary for everything that can go wrong below the routes.

use std::fmt;
use std::time::Duration;

use agentsight_model::attachment::ContentHash;
use agentsight_model::refusal::Refusal;

/// Result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such row. Also what another agent's row looks like from outside.
    #[error("{0} not found")]
    NotFound(Missing),
    /// Something in the request cannot be taken; nothing of it was stored.
    #[error("request refused")]
    Refused(Refusal),
    /// The write queue stayed full until the sender's deadline; nothing was stored.
    #[error("the write queue is full, try again in {} s", retry_after.as_secs())]
    Busy {
        /// When trying again makes sense.
        retry_after: Duration,
    },
    /// The database cannot be reached, or was lost before it said what became of a write.
    #[error("the database is not available: {why}")]
    Unavailable {
        /// What was seen of it.
        why: String,
    },
    /// Another node wrote the same rows at the same time, again and again; nothing was stored.
    #[error("other nodes were writing the same rows, try again")]
    Contended,
    /// A read took longer than reads may.
    #[error("the query took longer than {} s", limit.as_secs())]
    TooSlow {
        /// The limit in force.
        limit: Duration,
    },
    /// The disk, or the space given to us on it, is full; nothing was stored.
    #[error("no space left for the database or its attachments")]
    Full,
    /// The store is closing.
    #[error("the store is shutting down")]
    Closed,
    /// What lies in the store is not what was put there.
    #[error("stored {table} column {column} cannot be read")]
    Damaged {
        /// Statement or table.
        table: &'static str,
        /// Position of the column in it.
        column: usize,
    },
    /// The store cannot be opened; the text says why and what would help.
    #[error("{0}")]
    Open(String),
    /// The engine failed.
    #[error("storage engine failed: {0}")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The embedded engine's search index cannot be believed; the same is found without it.
    #[error("the search index failed: {0}")]
    Index(String),
    /// The storage of attachments failed, or is not available; nothing was stored.
    #[error("attachment storage failed: {0}")]
    Blob(String),
    /// A row names a file that is not there.
    #[error("the bytes of attachment {hash} are missing from the attachment storage")]
    Lost {
        /// What they would be found by.
        hash: ContentHash,
    },
    /// None of the bytes that were asked for are in the file.
    #[error("the file has only {size} bytes")]
    OutOfRange {
        /// All that there are.
        size: u64,
    },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What was not there. Its text is the `detail` of the contract's 404.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Any row by its key.
    Row,
    /// A conversation that a body named.
    Conversation,
    /// A conversation that was to be deleted.
    UndeletedConversation,
    /// A message that a body named.
    Message(i64),
    /// A page past the end.
    Page,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row => f.write_str("row"),
            Self::Conversation | Self::UndeletedConversation => f.write_str("conversation"),
            Self::Message(id) => write!(f, "message {id}"),
            Self::Page => f.write_str("page"),
        }
    }
}

impl Error {
    /// Whether the same request may succeed a moment later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Busy { .. }
                | Self::Unavailable { .. }
                | Self::Contended
                | Self::Closed
                | Self::Blob(_)
                | Self::TooSlow { .. }
        )
    }
}
