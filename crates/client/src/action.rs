//! Actions as definitions and their runs, clicks, and the metadata of messages.

use agentsight_model::action::{Action, ActionLog};
use agentsight_model::button::{ButtonCount, ButtonRow};
use agentsight_model::ids::{ActionId, MessageId};
use agentsight_model::message::Message;
use reqwest::Method;
use serde::Serialize;

use crate::document::Document;
use crate::list::List;
use crate::transport::Repeat;
use crate::{AgentSight, Error, Result};

const ACTIONS: &str = "/api/actions/";
const BUTTONS: &str = "/api/buttons/";

impl AgentSight {
    /// Defines an action before it runs; its runs attach to it by the name.
    ///
    /// # Errors
    /// [`Error::Validation`] where there is one of that name.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let agentsight = agentsight::AgentSight::from_env()?;
    /// use agentsight::NewAction;
    ///
    /// let action = agentsight.create_action(NewAction::new("lookup_order").display_name("Look up an order")).await?;
    /// for run in agentsight.fetch_action_logs(action.id).await? {
    ///     println!("{:?} ms", run.duration_ms);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn create_action(&self, new: impl Into<NewAction>) -> Result<Action> {
        self.answer(self.write(Method::POST, ACTIONS, &new.into(), Repeat::Unseen)?).await
    }

    /// One action.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn fetch_action(&self, action: impl Into<ActionId>) -> Result<Action> {
        self.answer(self.get(&path(action.into()), &[])?).await
    }

    /// The list of actions, by id.
    pub fn fetch_actions(&self) -> List<Self, Action> {
        List::new(self.clone(), ACTIONS)
    }

    /// Changes several fields of an action; those not named stay.
    ///
    /// # Errors
    /// [`Error::Input`] when nothing is to be changed, [`Error::Validation`] for a name that is taken,
    /// [`Error::NotFound`] when there is none.
    pub async fn update_action(&self, action: impl Into<ActionId>, update: ActionUpdate) -> Result<Action> {
        if update == ActionUpdate::default() {
            return Err(Error::Input("nothing to update".to_owned()));
        }
        self.answer(self.write(Method::PATCH, &path(action.into()), &update, Repeat::Unseen)?).await
    }

    /// Runs of an action, newest first, at most 10 000.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such action.
    pub async fn fetch_action_logs(&self, action: impl Into<ActionId>) -> Result<Vec<ActionLog>> {
        self.answer(self.get(&format!("{}logs/", path(action.into())), &[])?).await
    }

    /// The list of clicks, newest first.
    pub fn fetch_buttons(&self) -> List<Self, ButtonRow> {
        List::new(self.clone(), BUTTONS)
    }

    /// How often each button was clicked, most clicked first.
    ///
    /// # Errors
    /// None of its own.
    pub async fn fetch_button_stats(&self) -> Result<Vec<ButtonCount>> {
        self.answer(self.get(&format!("{BUTTONS}stats/"), &[])?).await
    }

    /// The same for one group of buttons.
    ///
    /// # Errors
    /// None of its own.
    pub async fn fetch_button_stats_of(&self, event: impl Into<String>) -> Result<Vec<ButtonCount>> {
        let query = [("event".to_owned(), event.into())];
        self.answer(self.get(&format!("{BUTTONS}stats/"), &query)?).await
    }

    /// One message with all that hangs on it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn fetch_message(&self, message: impl Into<MessageId>) -> Result<Message> {
        self.answer(self.get(&message_path(message.into()), &[])?).await
    }

    /// Replaces the metadata of a message by anything that becomes a JSON object.
    ///
    /// # Errors
    /// [`Error::Input`] for what is no object, [`Error::NotFound`] when there is no such message.
    ///
    /// ```no_run
    /// # async fn example() -> agentsight::Result<()> {
    /// # let agentsight = agentsight::AgentSight::from_env()?;
    /// use serde_json::json;
    ///
    /// agentsight.update_message_metadata(105, json!({ "draft": false, "score": 0.9 })).await?;
    /// # Ok(()) }
    /// ```
    pub async fn update_message_metadata(
        &self,
        message: impl Into<MessageId>,
        metadata: impl Serialize,
    ) -> Result<Message> {
        self.put_message_metadata(message.into(), Document::of("metadata", &metadata)).await
    }

    pub(crate) async fn put_message_metadata(&self, message: MessageId, metadata: Document) -> Result<Message> {
        // The same document once more changes nothing.
        let call = self.write(Method::PATCH, &message_path(message), &MetadataBody { metadata }, Repeat::Tracked)?;
        self.answer(call).await
    }
}

fn path(id: ActionId) -> String {
    format!("{ACTIONS}{id}/")
}

fn message_path(id: MessageId) -> String {
    format!("/api/track/{id}/")
}

#[derive(Serialize)]
struct MetadataBody {
    metadata: Document,
}

/// An action to be defined; a bare name is one too.
#[derive(Clone, Debug, Serialize)]
pub struct NewAction {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl NewAction {
    /// An action that runs under this name: exact, case-sensitive, unique per agent.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), display_name: None, description: None }
    }

    /// The label that people see; without this the name.
    #[must_use]
    pub fn display_name(mut self, label: impl Into<String>) -> Self {
        self.display_name = Some(label.into());
        self
    }

    /// What it does.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }
}

impl From<&str> for NewAction {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// What [`AgentSight::update_action`] changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ActionUpdate {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl ActionUpdate {
    /// Nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another name; the next run under the old one makes an action of its own.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Another label.
    #[must_use]
    pub fn display_name(mut self, label: impl Into<String>) -> Self {
        self.display_name = Some(label.into());
        self
    }

    /// Another description.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }
}
