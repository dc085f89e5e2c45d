//! Tickets and their threads.

use agentsight_model::ids::{ConversationId, ConversationRef, FeedbackId, TicketId};
use agentsight_model::ticket::{Ticket, TicketComment, TicketPriority, TicketStatus};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use crate::list::List;
use crate::transport::Repeat;
use crate::{AgentSight, Error, Result};

const TICKETS: &str = "/api/tickets/";

/// Tickets and comments bear the label of the API key. None of these writes is repeated once the server may have
/// seen it: each would be another ticket.
impl AgentSight {
    /// Files a ticket.
    ///
    /// # Errors
    /// [`Error::Validation`] for a value that the server does not take, or feedback that has a ticket already;
    /// [`Error::NotFound`] for a conversation that is named and not there.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let agentsight = agentsight::AgentSight::from_env()?;
    /// use agentsight::{NewTicket, TicketPriority, TicketStatus, TicketUpdate};
    ///
    /// let new = NewTicket::new("Courier ETA was wrong").priority(TicketPriority::High).conversation("order-chat-7781");
    /// let ticket = agentsight.create_ticket(new).await?;
    /// agentsight.comment_ticket(ticket.id, "Reproduced on three runs.").await?;
    /// agentsight.update_ticket(ticket.id, TicketUpdate::new().status(TicketStatus::Done)).await?;
    /// # Ok(()) }
    /// ```
    pub async fn create_ticket(&self, new: impl Into<NewTicket>) -> Result<Ticket> {
        let new = new.into();
        // This route takes the integer alone.
        let conversation = match new.conversation {
            Some(conversation) => Some(self.resolve(conversation).await?),
            None => None,
        };
        let body = TicketBody {
            title: &new.title,
            status: new.status,
            priority: new.priority,
            tags: &new.tags,
            environment: new.environment.as_deref(),
            conversation_id: conversation,
            feedback_id: new.feedback,
        };
        self.answer(self.write(Method::POST, TICKETS, &body, Repeat::Unseen)?).await
    }

    /// One ticket with its thread.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn fetch_ticket(&self, ticket: impl Into<TicketId>) -> Result<Ticket> {
        self.answer(self.get(&path(ticket.into()), &[])?).await
    }

    /// The list of tickets, newest first, with their threads.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let agentsight = agentsight::AgentSight::from_env()?;
    /// use agentsight::TicketStatus;
    ///
    /// let page = agentsight.fetch_tickets().status(TicketStatus::Open).tags(&["checkout"]).send().await?;
    /// println!("{} of {}", page.results.len(), page.count);
    /// # Ok(()) }
    /// ```
    pub fn fetch_tickets(&self) -> List<Self, Ticket> {
        List::new(self.clone(), TICKETS)
    }

    /// Changes several fields of a ticket; those not named stay.
    ///
    /// # Errors
    /// [`Error::Input`] when nothing is to be changed, [`Error::Validation`] for a value that the server does not
    /// take, [`Error::NotFound`] when there is none.
    pub async fn update_ticket(&self, ticket: impl Into<TicketId>, update: TicketUpdate) -> Result<Ticket> {
        if update == TicketUpdate::default() {
            return Err(Error::Input("nothing to update".to_owned()));
        }
        self.answer(self.write(Method::PATCH, &path(ticket.into()), &update, Repeat::Unseen)?).await
    }

    /// Deletes a ticket for good, and its thread.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn delete_ticket(&self, ticket: impl Into<TicketId>) -> Result<()> {
        self.send(self.remove(&path(ticket.into()))?).await.map(drop)
    }

    /// Adds a comment to a ticket's thread.
    ///
    /// # Errors
    /// [`Error::Validation`] for a blank comment, [`Error::NotFound`] when there is no such ticket.
    pub async fn comment_ticket(&self, ticket: impl Into<TicketId>, body: impl Into<String>) -> Result<TicketComment> {
        let path = format!("{}comments/", path(ticket.into()));
        self.answer(self.write(Method::POST, &path, &json!({ "body": body.into() }), Repeat::Unseen)?).await
    }

    /// The thread of a ticket, oldest first; a ticket holds the same.
    pub fn fetch_ticket_comments(&self, ticket: impl Into<TicketId>) -> List<Self, TicketComment> {
        List::new(self.clone(), comments_path(ticket.into()))
    }
}

fn path(id: TicketId) -> String {
    format!("{TICKETS}{id}/")
}

pub(crate) fn comments_path(id: TicketId) -> String {
    format!("{}comments/", path(id))
}

/// A ticket to be filed; a bare title is one too.
#[derive(Clone, Debug)]
pub struct NewTicket {
    title: String,
    status: Option<TicketStatus>,
    priority: Option<TicketPriority>,
    tags: Vec<String>,
    environment: Option<String>,
    conversation: Option<ConversationRef>,
    feedback: Option<FeedbackId>,
}

impl NewTicket {
    /// An open ticket with this title, 1 to 255 characters.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            status: None,
            priority: None,
            tags: Vec::new(),
            environment: None,
            conversation: None,
            feedback: None,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn status(mut self, status: TicketStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// How pressing it is.
    #[must_use]
    pub fn priority(mut self, priority: TicketPriority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// One more label.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Slug of the environment in which the problem was seen, for good; without this production.
    #[must_use]
    pub fn environment(mut self, slug: impl Into<String>) -> Self {
        self.environment = Some(slug.into());
        self
    }

    /// The conversation that it is about; a name costs one request.
    #[must_use]
    pub fn conversation(mut self, conversation: impl Into<ConversationRef>) -> Self {
        self.conversation = Some(conversation.into());
        self
    }

    /// The feedback that it comes of, whose conversation it takes where none is given.
    #[must_use]
    pub fn feedback(mut self, feedback: impl Into<FeedbackId>) -> Self {
        self.feedback = Some(feedback.into());
        self
    }
}

impl From<&str> for NewTicket {
    fn from(title: &str) -> Self {
        Self::new(title)
    }
}

#[derive(Serialize)]
struct TicketBody<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<TicketStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<TicketPriority>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<ConversationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback_id: Option<FeedbackId>,
}

/// What [`AgentSight::update_ticket`] changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TicketUpdate {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<TicketStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<Option<TicketPriority>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
}

impl TicketUpdate {
    /// Nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another title.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Where it stands.
    #[must_use]
    pub fn status(mut self, status: TicketStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// How pressing it is.
    #[must_use]
    pub fn priority(mut self, priority: TicketPriority) -> Self {
        self.priority = Some(Some(priority));
        self
    }

    /// No priority.
    #[must_use]
    pub fn clear_priority(mut self) -> Self {
        self.priority = Some(None);
        self
    }

    /// All labels.
    #[must_use]
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }
}
