//! Changing what is there: titles, marks, feedback, the trash.

use agentsight_model::feedback::{Feedback, Sentiment};
use agentsight_model::ids::{ConversationId, ConversationRef};
use agentsight_model::manage::{Deleted, Marked, Renamed, Updated};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use crate::document::Document;
use crate::track::id_and_name;
use crate::transport::Repeat;
use crate::{AgentSight, Error, Result};

/// Writes here are repeated only when the server was not reached; a name is looked up first, which
/// is one request more.
impl AgentSight {
    /// Gives a conversation another title, 1 to 255 characters.
    ///
    /// # Errors
    /// [`Error::Validation`] for a blank or overlong title, [`Error::NotFound`] when there is no
    /// such conversation.
    pub async fn rename_conversation(
        &self,
        conversation: impl Into<ConversationRef>,
        name: impl Into<String>,
    ) -> Result<Renamed> {
        let id = self.resolve(conversation.into()).await?;
        let body = json!({ "name": name.into() });
        self.answer(self.write(Method::PATCH, &path(id, "rename"), &body, Repeat::Unseen)?).await
    }

    /// Puts a conversation on the list of favourites, or takes it off.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such conversation.
    pub async fn mark_conversation(&self, conversation: impl Into<ConversationRef>, is_marked: bool) -> Result<Marked> {
        let id = self.resolve(conversation.into()).await?;
        let body = json!({ "is_marked": is_marked });
        self.answer(self.write(Method::POST, &path(id, "mark"), &body, Repeat::Unseen)?).await
    }

    /// Changes several fields of a conversation at once; those not named stay.
    ///
    /// # Errors
    /// [`Error::Input`] when nothing is to be changed, [`Error::Validation`] for a value that the
    /// server does not take, [`Error::NotFound`] when there is no such conversation.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let agentsight = agentsight::AgentSight::from_env()?;
    /// use agentsight::Update;
    ///
    /// let update = Update::new().customer_id("c-204").clear_device();
    /// let updated = agentsight.update_conversation("order-chat-7781", update).await?;
    /// assert_eq!(updated.updated_fields, ["customer_id", "device"]);
    /// # Ok(()) }
    /// ```
    pub async fn update_conversation(
        &self,
        conversation: impl Into<ConversationRef>,
        update: Update,
    ) -> Result<Updated> {
        if update.is_empty() {
            return Err(Error::Input("nothing to update".to_owned()));
        }
        let id = self.resolve(conversation.into()).await?;
        self.answer(self.write(Method::PATCH, &path(id, "update"), &update, Repeat::Unseen)?).await
    }

    /// Puts a conversation into the trash. It is still there for whoever asks by integer.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such conversation, or it is in the trash already.
    pub async fn delete_conversation(&self, conversation: impl Into<ConversationRef>) -> Result<Deleted> {
        let id = self.resolve(conversation.into()).await?;
        self.answer(self.remove(&path(id, "delete"))?).await
    }

    /// Records what the end user thinks of a conversation. Each call is a feedback of its own.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such conversation, [`Error::Validation`] for a comment
    /// of more than 5 000 characters, [`Error::Input`] for an environment.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let agentsight = agentsight::AgentSight::from_env()?;
    /// use agentsight::{NewFeedback, Sentiment};
    ///
    /// agentsight.submit_feedback("order-chat-7781", Sentiment::Positive).await?;
    /// let feedback = NewFeedback::new(Sentiment::Negative).comment("Too slow.");
    /// agentsight.submit_feedback("order-chat-7781", feedback).await?;
    /// # Ok(()) }
    /// ```
    pub async fn submit_feedback(
        &self,
        conversation: impl Into<ConversationRef>,
        feedback: impl Into<NewFeedback>,
    ) -> Result<Feedback> {
        // This route takes a name as it is.
        let (conversation, feedback) = (conversation.into(), feedback.into());
        if feedback.environment.is_some() {
            return Err(Error::Input("the environment of feedback on a conversation is the conversation's".to_owned()));
        }
        let (id, name) = id_and_name(&conversation);
        let body = FeedbackBody {
            sentiment: feedback.sentiment,
            conversation_id: name,
            conversation: id,
            comment: feedback.comment.as_deref(),
            metadata: feedback.metadata.as_ref(),
        };
        self.answer(self.write(Method::POST, "/api/conversation-feedbacks/", &body, Repeat::Unseen)?).await
    }
}

fn path(id: ConversationId, verb: &str) -> String {
    format!("/api/conversations/{id}/{verb}/")
}

/// What [`AgentSight::update_conversation`] changes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Update {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_marked: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Document>,
}

impl Update {
    /// Nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn is_empty(&self) -> bool {
        let Self { name, is_marked, customer_id, device, language, metadata } = self;
        name.is_none()
            && is_marked.is_none()
            && customer_id.is_none()
            && device.is_none()
            && language.is_none()
            && metadata.is_none()
    }

    /// Another title.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// On the list of favourites, or off it.
    #[must_use]
    pub fn is_marked(mut self, flag: bool) -> Self {
        self.is_marked = Some(flag);
        self
    }

    /// Another end user.
    #[must_use]
    pub fn customer_id(mut self, id: impl Into<String>) -> Self {
        self.customer_id = Some(Some(id.into()));
        self
    }

    /// No end user.
    #[must_use]
    pub fn clear_customer_id(mut self) -> Self {
        self.customer_id = Some(None);
        self
    }

    /// Another device.
    #[must_use]
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.device = Some(Some(device.into()));
        self
    }

    /// No device.
    #[must_use]
    pub fn clear_device(mut self) -> Self {
        self.device = Some(None);
        self
    }

    /// Another language.
    #[must_use]
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.language = Some(Some(language.into()));
        self
    }

    /// No language.
    #[must_use]
    pub fn clear_language(mut self) -> Self {
        self.language = Some(None);
        self
    }

    /// Other metadata: anything that becomes a JSON object. It replaces the whole document.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Serialize) -> Self {
        self.metadata = Some(Document::of("metadata", &metadata));
        self
    }
}

/// Feedback to be recorded; a bare [`Sentiment`] is one too.
#[derive(Clone, Debug)]
pub struct NewFeedback {
    pub(crate) sentiment: Sentiment,
    pub(crate) comment: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) metadata: Option<Document>,
}

impl NewFeedback {
    /// Feedback without a word.
    #[must_use]
    pub fn new(sentiment: Sentiment) -> Self {
        Self { sentiment, comment: None, environment: None, metadata: None }
    }

    /// What the end user says, at most 5 000 characters.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into()).filter(|comment| !comment.is_empty());
        self
    }

    /// Slug of the environment that feedback on the agent is about; a conversation has its own.
    #[must_use]
    pub fn environment(mut self, slug: impl Into<String>) -> Self {
        self.environment = Some(slug.into());
        self
    }

    /// Data of your own, anything that becomes a JSON object.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Serialize) -> Self {
        self.metadata = Some(Document::of("metadata", &metadata));
        self
    }
}

impl From<Sentiment> for NewFeedback {
    fn from(sentiment: Sentiment) -> Self {
        Self::new(sentiment)
    }
}

#[derive(Serialize)]
struct FeedbackBody<'a> {
    sentiment: Sentiment,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<ConversationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Document>,
}
