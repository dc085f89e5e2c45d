#![doc = include_str!("../README.md")]

mod action;
mod config;
mod document;
mod error;
mod feedback;
mod fetch;
mod file;
mod list;
mod manage;
mod raw;
mod ticket;
mod track;
mod transport;

#[cfg(feature = "blocking")]
pub mod blocking;

use std::sync::Arc;

pub use agentsight_model as model;
pub use agentsight_model::action::{Action as ActionDefinition, ActionLog};
pub use agentsight_model::attachment::{Attachment, AttachmentType, AttachmentsStored};
pub use agentsight_model::button::{Button, ButtonCount, ButtonRow, MessageButton};
pub use agentsight_model::conversation::{
    Conversation, ConversationAttachments, ConversationRow, GeoLocation, MessageAttachments,
};
pub use agentsight_model::feedback::{Feedback, FeedbackCounts, FeedbackKind, FeedbackPage, FeedbackSource, Sentiment};
pub use agentsight_model::filter::OrderBy;
pub use agentsight_model::ids::{ActionId, ConversationId, ConversationRef, FeedbackId, MessageId, TicketId};
pub use agentsight_model::json::JsonText;
pub use agentsight_model::manage::{Deleted, Marked, Renamed, Updated};
pub use agentsight_model::message::{Message, Sender};
pub use agentsight_model::page::Paged;
pub use agentsight_model::ticket::{
    CommentRole, ConversationTicket, FeedbackTicket, Ticket, TicketComment, TicketConversation, TicketFeedback,
    TicketPriority, TicketStatus,
};
pub use agentsight_model::time::Timestamp;

pub use crate::action::{ActionUpdate, NewAction};
pub use crate::config::Builder;
pub use crate::error::{Error, NetworkFailure};
pub use crate::feedback::{FeedbackUpdate, Vote};
pub use crate::fetch::{Conversations, Rows};
pub use crate::file::{File, Files};
pub use crate::list::{List, Listed};
pub use crate::manage::{NewFeedback, Update};
pub use crate::raw::{RawAnswer, RawRequest};
pub use crate::ticket::{NewTicket, TicketUpdate};
pub use crate::track::{Action, Click, NewConversation, NewMessage, OneConversation, TokenUsage};

/// What every call gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The client: one agent's conversations, through one API key.
///
/// Clones are cheap and share their connections.
#[derive(Clone, Debug)]
pub struct AgentSight(Arc<transport::Shared>);

impl AgentSight {
    /// A client as the variables `AGENTSIGHT_API_KEY`, `AGENTSIGHT_API_ENDPOINT` and
    /// `AGENTSIGHT_ENVIRONMENT` say.
    ///
    /// # Errors
    /// [`Error::Config`] without a key, for a key of another shape or an endpoint that is no address.
    pub fn from_env() -> Result<Self> {
        Builder::from_env().build()
    }

    /// A client made by hand.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }
}
