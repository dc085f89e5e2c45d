//! Feedback on conversations, and votes on messages.

use agentsight_model::feedback::{Feedback, FeedbackKind, FeedbackSource};
use agentsight_model::ids::{AgentId, ConversationId, EnvironmentId, FeedbackId, MessageId};
use agentsight_model::track::NewFeedback;

use crate::engine::{Row, Table, Tx, params};
use crate::error::{Error, Missing, Result};
use crate::ids::Kind;
use crate::{Store, conversation};

static FEEDBACKS: Table = Table {
    name: "feedbacks",
    columns: &[
        "agent_id",
        "id",
        "kind",
        "conversation",
        "environment_id",
        "sentiment",
        "comment",
        "source",
        "metadata",
        "created_at",
    ],
    on_conflict: "",
};

/// Columns that [`feedback`] reads, from `feedbacks f` joined to its conversation and environment.
macro_rules! feedback_columns {
    () => {
        "f.id, f.kind, f.conversation, f.message, f.user_id, f.environment_id, f.sentiment, f.category, f.comment,
         f.topic, f.reason, f.source, f.metadata, f.created_at, c.conversation_id, e.slug
         from feedbacks f
         left join conversations c on c.agent_id = f.agent_id and c.id = f.conversation
         left join environments e on e.agent_id = f.agent_id and e.id = f.environment_id"
    };
}
pub(crate) use feedback_columns;

/// The same without what a conversation that was read before tells of it.
macro_rules! own_feedback_columns {
    () => {
        "f.id, f.kind, f.conversation, f.message, f.user_id, f.environment_id, f.sentiment, f.category, f.comment,
         f.topic, f.reason, f.source, f.metadata, f.created_at from feedbacks f"
    };
}
pub(crate) use own_feedback_columns;

/// From [`feedback_columns`].
pub(crate) fn feedback(agent: AgentId, row: &Row<'_>) -> Result<Feedback> {
    let mut feedback = own_feedback(agent, row)?;
    feedback.conversation_id = row.opt_string(14)?;
    feedback.environment = row.opt_string(15)?;
    Ok(feedback)
}

/// From [`own_feedback_columns`]: without the names of its conversation and environment.
pub(crate) fn own_feedback(agent: AgentId, row: &Row<'_>) -> Result<Feedback> {
    Ok(Feedback {
        id: FeedbackId(row.int(0)?),
        kind: row.parsed(1)?,
        agent,
        conversation: row.opt_int(2)?.map(ConversationId),
        conversation_id: None,
        message: row.opt_int(3)?.map(MessageId),
        user: row.opt_int(4)?,
        environment: None,
        environment_id: row.opt_int(5)?.map(EnvironmentId),
        sentiment: row.parsed(6)?,
        category: row.opt_string(7)?,
        comment: row.opt_string(8)?,
        topic: row.opt_string(9)?,
        reason: row.opt_string(10)?,
        source: row.parsed(11)?,
        metadata: row.json(12)?,
        created_at: row.timestamp(13)?,
    })
}

impl Store {
    /// Records feedback on a conversation; each call is a new row.
    ///
    /// # Errors
    /// [`Missing::Conversation`]: feedback never makes one.
    pub async fn record_feedback(&self, agent: AgentId, source: FeedbackSource, new: NewFeedback) -> Result<Feedback> {
        let bytes = 256 + new.comment.as_deref().map_or(0, str::len) + new.metadata.as_str().len();
        let write = move |tx: &Tx<'_>| {
            let (_, conversation) = conversation::find_target(tx, agent, &new.target)?;
            let conversation = conversation.ok_or(Error::NotFound(Missing::Conversation))?;
            let id = tx.next_id(Kind::Feedback)?;
            tx.insert(
                &FEEDBACKS,
                params![
                    agent,
                    id,
                    FeedbackKind::Conversation.as_str(),
                    conversation.id,
                    conversation.environment_id,
                    new.sentiment.as_str(),
                    new.comment.as_deref(),
                    source.as_str(),
                    new.metadata.stored(),
                    new.created_at,
                ],
            )?;
            tx.execute(
                "update conversations set conversation_feedback_count = conversation_feedback_count + 1 where agent_id = ?1 and id = ?2",
                params![agent, conversation.id],
            )?;
            const BY_ID: &str = concat!("select ", feedback_columns!(), " where f.agent_id = ?1 and f.id = ?2");
            tx.one(BY_ID, params![agent, id], |row| feedback(agent, row))?.ok_or(Error::NotFound(Missing::Row))
        };
        self.engine.write(bytes, write).await
    }
}
