//! Cases for people to work on.

use serde::{Deserialize, Serialize};

use crate::ids::TicketId;
use crate::time::Timestamp;

/// A ticket as it stands on its conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConversationTicket {
    /// Our key.
    pub id: TicketId,
    /// What it is about.
    pub title: String,
    /// `backlog`, `open`, `in_progress`, `in_review`, `done` or `closed`.
    pub status: String,
    /// `low`, `medium`, `high`.
    pub priority: Option<String>,
    /// Free labels.
    pub tags: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it or its thread last changed.
    pub updated_at: Timestamp,
    /// The thread, oldest first.
    pub comments: Vec<TicketComment>,
}

/// One comment of a ticket's thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketComment {
    /// Our key.
    pub id: i64,
    /// Name of the key or person.
    pub author: String,
    /// `agent`, `dev` or `reporter`.
    pub role: String,
    /// What was said.
    pub body: String,
    /// When.
    pub created_at: Timestamp,
}
