//! Feedback of all kinds: recording, reading, changing.

use agentsight_model::feedback::{Feedback, FeedbackKind, Sentiment};
use agentsight_model::ids::{FeedbackId, MessageId};
use reqwest::Method;
use serde::Serialize;

use crate::document::Document;
use crate::list::List;
use crate::manage::NewFeedback;
use crate::transport::Repeat;
use crate::{AgentSight, Error, Result};

const FEEDBACKS: &str = "/api/feedbacks/";

impl AgentSight {
    /// Records a vote on a message. There is one: a later vote changes it, and what that does not say stays.
    ///
    /// # Errors
    /// [`Error::Validation`] for a message that is not there, or an overlong text.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let agentsight = agentsight::AgentSight::from_env()?;
    /// use agentsight::{Sentiment, Vote};
    ///
    /// agentsight.vote(105, Vote::new(Sentiment::Negative).topic("style").reason("too_bold")).await?;
    /// agentsight.vote(105, Sentiment::Positive).await?; // the topic stays
    /// # Ok(()) }
    /// ```
    pub async fn vote(&self, message: impl Into<MessageId>, vote: impl Into<Vote>) -> Result<Feedback> {
        let body = VoteBody { kind: FeedbackKind::Message, message: message.into(), vote: vote.into() };
        // The same vote once more changes nothing.
        self.answer(self.write(Method::POST, FEEDBACKS, &body, Repeat::Tracked)?).await
    }

    /// Records what somebody thinks of the agent as a whole. Each call is a feedback of its own.
    ///
    /// # Errors
    /// [`Error::Validation`] for an overlong comment or an unknown environment.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let agentsight = agentsight::AgentSight::from_env()?;
    /// use agentsight::{NewFeedback, Sentiment};
    ///
    /// agentsight.submit_agent_feedback(NewFeedback::new(Sentiment::Positive).environment("development")).await?;
    /// # Ok(()) }
    /// ```
    pub async fn submit_agent_feedback(&self, feedback: impl Into<NewFeedback>) -> Result<Feedback> {
        let feedback = feedback.into();
        let body = AgentBody {
            kind: FeedbackKind::Agent,
            sentiment: feedback.sentiment,
            comment: feedback.comment.as_deref(),
            environment: feedback.environment.as_deref(),
            metadata: feedback.metadata.as_ref(),
        };
        self.answer(self.write(Method::POST, FEEDBACKS, &body, Repeat::Unseen)?).await
    }

    /// One piece of feedback, with the ticket that came of it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn fetch_feedback(&self, feedback: impl Into<FeedbackId>) -> Result<Feedback> {
        self.answer(self.get(&path(feedback.into()), &[])?).await
    }

    /// The list of feedback, newest first.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let agentsight = agentsight::AgentSight::from_env()?;
    /// use agentsight::{Sentiment, TicketStatus};
    ///
    /// let mut bad = agentsight.fetch_feedbacks().sentiment(Sentiment::Negative).has_comment(true).stream();
    /// while let Some(feedback) = bad.next().await {
    ///     println!("{:?}", feedback?.comment);
    /// }
    /// let page = agentsight.fetch_feedbacks().include_tickets(true).ticket_status(TicketStatus::Open).send_counted().await?;
    /// println!("{:?} open tickets", page.counts.open_tickets);
    /// # Ok(()) }
    /// ```
    pub fn fetch_feedbacks(&self) -> List<Self, Feedback> {
        List::new(self.clone(), FEEDBACKS)
    }

    /// Changes what a piece of feedback says.
    ///
    /// # Errors
    /// [`Error::Input`] when nothing is to be changed, [`Error::Validation`] for what its kind does not have,
    /// [`Error::NotFound`] when there is none.
    pub async fn update_feedback(&self, feedback: impl Into<FeedbackId>, update: FeedbackUpdate) -> Result<Feedback> {
        if update == FeedbackUpdate::default() {
            return Err(Error::Input("nothing to update".to_owned()));
        }
        self.answer(self.write(Method::PATCH, &path(feedback.into()), &update, Repeat::Unseen)?).await
    }

    /// Deletes a piece of feedback for good.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn delete_feedback(&self, feedback: impl Into<FeedbackId>) -> Result<()> {
        self.send(self.remove(&path(feedback.into()))?).await.map(drop)
    }
}

fn path(id: FeedbackId) -> String {
    format!("{FEEDBACKS}{id}/")
}

/// A vote on a message; a bare [`Sentiment`] is one too.
#[derive(Clone, Debug, Serialize)]
pub struct Vote {
    sentiment: Sentiment,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Document>,
}

impl Vote {
    /// A vote without a word.
    #[must_use]
    pub fn new(sentiment: Sentiment) -> Self {
        Self { sentiment, comment: None, topic: None, reason: None, metadata: None }
    }

    /// What was said, at most 5 000 characters.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(Some(comment.into()));
        self
    }

    /// No comment, where an earlier vote had one.
    #[must_use]
    pub fn clear_comment(mut self) -> Self {
        self.comment = Some(None);
        self
    }

    /// A word of your own for what it is about, at most 50 characters.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(Some(topic.into()));
        self
    }

    /// No topic, where an earlier vote had one.
    #[must_use]
    pub fn clear_topic(mut self) -> Self {
        self.topic = Some(None);
        self
    }

    /// A word of your own for why, at most 50 characters.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(Some(reason.into()));
        self
    }

    /// No reason, where an earlier vote had one.
    #[must_use]
    pub fn clear_reason(mut self) -> Self {
        self.reason = Some(None);
        self
    }

    /// Data of your own, anything that becomes a JSON object.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Serialize) -> Self {
        self.metadata = Some(Document::of("metadata", &metadata));
        self
    }
}

impl From<Sentiment> for Vote {
    fn from(sentiment: Sentiment) -> Self {
        Self::new(sentiment)
    }
}

/// What [`AgentSight::update_feedback`] changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FeedbackUpdate {
    #[serde(skip_serializing_if = "Option::is_none")]
    sentiment: Option<Sentiment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Option<String>>,
}

impl FeedbackUpdate {
    /// Nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How it was meant.
    #[must_use]
    pub fn sentiment(mut self, sentiment: Sentiment) -> Self {
        self.sentiment = Some(sentiment);
        self
    }

    /// Another comment.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(Some(comment.into()));
        self
    }

    /// No comment.
    #[must_use]
    pub fn clear_comment(mut self) -> Self {
        self.comment = Some(None);
        self
    }

    /// Another environment, of feedback on the agent.
    #[must_use]
    pub fn environment(mut self, slug: impl Into<String>) -> Self {
        self.environment = Some(slug.into());
        self
    }

    /// Another topic, of a vote.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(Some(topic.into()));
        self
    }

    /// No topic.
    #[must_use]
    pub fn clear_topic(mut self) -> Self {
        self.topic = Some(None);
        self
    }

    /// Another reason, of a vote.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(Some(reason.into()));
        self
    }

    /// No reason.
    #[must_use]
    pub fn clear_reason(mut self) -> Self {
        self.reason = Some(None);
        self
    }
}

#[derive(Serialize)]
struct VoteBody {
    kind: FeedbackKind,
    message: MessageId,
    #[serde(flatten)]
    vote: Vote,
}

#[derive(Serialize)]
struct AgentBody<'a> {
    kind: FeedbackKind,
    sentiment: Sentiment,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Document>,
}
