//! Feedback on conversations and agents, and votes on messages (contract: managing §3, reading §7).

use std::collections::HashMap;

use agentsight_model::feedback::{Feedback, FeedbackCounts, FeedbackFilter, FeedbackKind, FeedbackSource, Sentiment};
use agentsight_model::filter::not_available;
use agentsight_model::ids::{AgentId, ConversationId, EnvironmentId, FeedbackId, MessageId};
use agentsight_model::json::JsonText;
use agentsight_model::manage::feedback::{AgentFeedback, FeedbackChange, FeedbackPost, Vote};
use agentsight_model::refusal::Refusal;
use agentsight_model::text::Needle;
use agentsight_model::ticket::TicketStatus;
use agentsight_model::time::Timestamp;
use agentsight_model::track::NewFeedback;

use crate::conversation::count;
use crate::engine::{Param, Reader, Row, Table, Tx, params};
use crate::error::{Error, Missing, Result};
use crate::ids::Kind;
use crate::paging::{self, Conditions, Extent, Found, Listing, Owned};
use crate::track::Stored;
use crate::{Store, agent as agents, conversation, counters, ticket};

static FEEDBACKS: Table = Table {
    name: "feedbacks",
    columns: &[
        "agent_id",
        "id",
        "kind",
        "conversation",
        "message",
        "environment_id",
        "sentiment",
        "comment",
        "topic",
        "reason",
        "source",
        "metadata",
        "created_at",
    ],
    on_conflict: "",
};

/// Columns that [`feedback`] reads, from `feedbacks f` joined to its conversation and environment. What is about a
/// conversation is in the conversation's environment.
macro_rules! feedback_columns {
    () => {
        "f.id, f.kind, f.conversation, f.message, f.user_id, coalesce(c.environment_id, f.environment_id), f.sentiment, f.category, f.comment,
         f.topic, f.reason, f.source, f.metadata, f.created_at, c.conversation_id, coalesce(c.environment, e.slug)
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
        ticket: None,
    })
}

fn find(reader: &Reader<'_>, agent: AgentId, id: FeedbackId) -> Result<Option<Feedback>> {
    const BY_ID: &str = concat!("select ", feedback_columns!(), " where f.agent_id = ?1 and f.id = ?2");
    reader.one(BY_ID, params![agent, id], |row| feedback(agent, row))
}

/// The conversation that a piece of feedback is about, if any; `None` where there is no such feedback.
pub(crate) fn conversation_of(
    reader: &Reader<'_>,
    agent: AgentId,
    id: FeedbackId,
) -> Result<Option<Option<ConversationId>>> {
    const ABOUT: &str = "select conversation from feedbacks where agent_id = ?1 and id = ?2";
    reader.one(ABOUT, params![agent, id], |row| Ok(row.opt_int(0)?.map(ConversationId)))
}

/// Keeps other nodes from a piece of feedback until the commit, and reads it. Its conversation, where it is to be
/// changed too, is locked before.
pub(crate) fn find_locked(tx: &Tx<'_>, agent: AgentId, id: FeedbackId) -> Result<Option<Feedback>> {
    tx.lock("select id from feedbacks where agent_id = ?1 and id = ?2", params![agent, id])?;
    find(tx, agent, id)
}

/// A row to be inserted.
struct NewRow<'a> {
    kind: FeedbackKind,
    conversation: Option<ConversationId>,
    message: Option<MessageId>,
    environment: Option<EnvironmentId>,
    sentiment: Sentiment,
    comment: Option<&'a str>,
    topic: Option<&'a str>,
    reason: Option<&'a str>,
    source: FeedbackSource,
    metadata: &'a JsonText,
    created_at: Timestamp,
}

fn insert(tx: &Tx<'_>, agent: AgentId, new: &NewRow<'_>) -> Result<Feedback> {
    let id = FeedbackId(tx.next_id(Kind::Feedback)?);
    tx.insert(
        &FEEDBACKS,
        params![
            agent,
            id,
            new.kind.as_str(),
            new.conversation,
            new.message,
            new.environment,
            new.sentiment.as_str(),
            new.comment,
            new.topic,
            new.reason,
            new.source.as_str(),
            new.metadata.stored(),
            new.created_at,
        ],
    )?;
    tx.add_to_total(agent, counters::FEEDBACKS, 1);
    if let Some(conversation) = new.conversation {
        count_on_conversation(tx, agent, conversation, new.kind, 1)?;
    }
    find(tx, agent, id)?.ok_or(Error::NotFound(Missing::Row))
}

/// Counts feedback on its conversation.
fn count_on_conversation(
    tx: &Tx<'_>,
    agent: AgentId,
    conversation: ConversationId,
    kind: FeedbackKind,
    by: i64,
) -> Result<()> {
    let sql = match kind {
        FeedbackKind::Message => {
            "update conversations set message_feedback_count = message_feedback_count + ?3 where agent_id = ?1 and id = ?2"
        }
        FeedbackKind::Conversation | FeedbackKind::Agent => {
            "update conversations set conversation_feedback_count = conversation_feedback_count + ?3 where agent_id = ?1 and id = ?2"
        }
    };
    tx.execute(sql, params![agent, conversation, by])
}

fn on_conversation(tx: &Tx<'_>, agent: AgentId, source: FeedbackSource, new: &NewFeedback) -> Result<Feedback> {
    let (_, conversation) = conversation::find_target(tx, agent, &new.target)?;
    let conversation = conversation.ok_or(Error::NotFound(Missing::Conversation))?;
    let row = NewRow {
        kind: FeedbackKind::Conversation,
        conversation: Some(conversation.id),
        message: None,
        environment: Some(conversation.environment_id),
        sentiment: new.sentiment,
        comment: new.comment.as_deref(),
        topic: None,
        reason: None,
        source,
        metadata: &new.metadata,
        created_at: new.created_at,
    };
    insert(tx, agent, &row)
}

fn on_agent(tx: &Tx<'_>, agent: AgentId, source: FeedbackSource, new: &AgentFeedback) -> Result<Feedback> {
    let environment =
        new.environment.as_deref().map(|slug| agents::environment_for(tx, agent, Some(slug))).transpose()?;
    let row = NewRow {
        kind: FeedbackKind::Agent,
        conversation: None,
        message: None,
        environment: environment.map(|environment| environment.id),
        sentiment: new.sentiment,
        comment: new.comment.as_deref(),
        topic: None,
        reason: None,
        source,
        metadata: &new.metadata,
        created_at: new.created_at,
    };
    insert(tx, agent, &row)
}

/// The first vote on a message makes its row, every later one changes it.
fn on_message(tx: &Tx<'_>, agent: AgentId, source: FeedbackSource, vote: &Vote) -> Result<Stored<Feedback>> {
    const VOTE: &str = "select id from feedbacks where agent_id = ?1 and message = ?2";
    let nowhere = || Error::from(Refusal::field("message", "Message not found."));
    // Whoever votes holds the conversation, so that two first votes are one after the other.
    let conversation = conversation::lock_by_message(tx, agent, vote.message)?.ok_or_else(nowhere)?;
    let earlier = tx.one(VOTE, params![agent, vote.message], |row| row.int(0).map(FeedbackId))?;
    let Some(id) = earlier else {
        let known = conversation::known_by_id(tx, agent, conversation)?.ok_or_else(nowhere)?;
        fn text(given: &Option<Option<String>>) -> Option<&str> {
            given.as_ref()?.as_deref()
        }
        let row = NewRow {
            kind: FeedbackKind::Message,
            conversation: Some(conversation),
            message: Some(vote.message),
            environment: Some(known.environment_id),
            sentiment: vote.sentiment,
            comment: text(&vote.comment),
            topic: text(&vote.topic),
            reason: text(&vote.reason),
            source,
            metadata: vote.metadata.as_ref().unwrap_or(&JsonText::EMPTY),
            created_at: vote.created_at,
        };
        return Ok(Stored { value: insert(tx, agent, &row)?, created: true });
    };
    let changes = Changes {
        sentiment: Some(vote.sentiment),
        comment: vote.comment.as_ref().map(Option::as_deref),
        topic: vote.topic.as_ref().map(Option::as_deref),
        reason: vote.reason.as_ref().map(Option::as_deref),
        environment: None,
        metadata: vote.metadata.as_ref(),
    };
    Ok(Stored { value: apply(tx, agent, id, &changes)?, created: false })
}

/// Columns to be changed, and to what.
#[derive(Default)]
struct Changes<'a> {
    sentiment: Option<Sentiment>,
    comment: Option<Option<&'a str>>,
    topic: Option<Option<&'a str>>,
    reason: Option<Option<&'a str>>,
    environment: Option<Option<EnvironmentId>>,
    metadata: Option<&'a JsonText>,
}

/// Changes a row in one statement that names what changes alone, so that others' changes stay.
fn apply(tx: &Tx<'_>, agent: AgentId, id: FeedbackId, changes: &Changes<'_>) -> Result<Feedback> {
    let given = [
        ("sentiment", changes.sentiment.map(|sentiment| Param::from(sentiment.as_str()))),
        ("comment", changes.comment.map(Param::from)),
        ("topic", changes.topic.map(Param::from)),
        ("reason", changes.reason.map(Param::from)),
        ("environment_id", changes.environment.map(Param::from)),
        ("metadata", changes.metadata.map(|metadata| Param::from(metadata.stored()))),
    ];
    let mut params = vec![Param::from(agent), Param::from(id)];
    let mut columns = Vec::new();
    for (column, value) in given {
        if let Some(value) = value {
            params.push(value);
            columns.push(format!("{column} = ?{}", params.len()));
        }
    }
    if !columns.is_empty() {
        let sql = format!("update feedbacks set {} where agent_id = ?1 and id = ?2", columns.join(", "));
        tx.execute(&sql, &params)?;
    }
    find(tx, agent, id)?.ok_or(Error::NotFound(Missing::Row))
}

const LIST: Listing = Listing { from: "feedbacks f", alias: "f", total: Some(counters::FEEDBACKS) };

/// Everything that a filter says, but for the state of tickets.
fn conditions(reader: &Reader<'_>, agent: AgentId, filter: &FeedbackFilter) -> Result<Conditions> {
    use Owned::{Int, Text};
    // Feedback on a conversation is in the environment in which the conversation is now.
    const IN_ENVIRONMENT: &str = "coalesce((select c.environment_id from conversations c
        where c.agent_id = f.agent_id and c.id = f.conversation), f.environment_id) = {}";
    let mut all = Conditions::none();
    let texts = [
        ("f.kind", filter.kind.map(|kind| kind.as_str().to_owned())),
        ("f.sentiment", filter.sentiment.map(|sentiment| sentiment.as_str().to_owned())),
        ("f.topic", filter.topic.clone()),
        ("f.reason", filter.reason.clone()),
        ("f.category", filter.category.clone()),
    ];
    for (column, value) in texts {
        if let Some(value) = value {
            all.add(&format!("{column} = {{}}"), [Text(value)]);
        }
    }
    for (column, value) in
        [("f.conversation", filter.conversation), ("f.message", filter.message), ("f.user_id", filter.user)]
    {
        if let Some(value) = value {
            all.add(&format!("{column} = {{}}"), [Int(value)]);
        }
    }
    if let Some(name) = &filter.conversation_id {
        all.only("f.conversation", conversation::id_of(reader, agent, name)?);
    }
    if let Some(wanted) = filter.agent {
        all.add("f.agent_id = {}", [Int(wanted)]);
    }
    for slug in &filter.environments {
        let id = agents::find_environment(reader, agent, slug)?;
        let id = id.ok_or_else(|| Refusal::field("environment", not_available(slug)))?;
        all.add(IN_ENVIRONMENT, [Int(id.0)]);
    }
    if let Some(flag) = filter.has_comment {
        all.add(if flag { "f.comment <> ''" } else { "coalesce(f.comment, '') = ''" }, []);
    }
    all.between("f.created_at", filter.created_at_after, filter.created_at_before);
    if filter.include_tickets {
        all.add("f.id in (select t.feedback from tickets t where t.agent_id = ?1 and t.feedback is not null)", []);
    }
    // All that are left have one.
    all.impossible |= filter.has_ticket == Some(false);
    with_texts(reader, agent, filter, &mut all)?;
    Ok(all)
}

/// Texts are compared here and not by the engines, whose ideas of case differ.
fn with_texts(reader: &Reader<'_>, agent: AgentId, filter: &FeedbackFilter, all: &mut Conditions) -> Result<()> {
    if all.impossible || (filter.comment_contains.is_none() && filter.search.is_empty()) {
        return Ok(());
    }
    let in_comment = filter.comment_contains.as_deref().map(Needle::new);
    let words: Vec<Needle> = filter.search.iter().map(|word| Needle::new(word)).collect();
    let sql = format!(
        "select f.id, f.comment, f.topic, f.reason, f.category, c.conversation_id from feedbacks f
         left join conversations c on c.agent_id = f.agent_id and c.id = f.conversation where f.agent_id = ?1{}",
        all.text
    );
    let mut ids = Vec::new();
    reader.each(&sql, &all.params(agent, &[]), |row| {
        let comment = row.opt_text(1)?;
        let mut found = in_comment.as_ref().is_none_or(|needle| comment.is_some_and(|text| needle.is_in(text)));
        if found && !words.is_empty() {
            let texts = [comment, row.opt_text(2)?, row.opt_text(3)?, row.opt_text(4)?, row.opt_text(5)?];
            found = words.iter().all(|word| texts.iter().flatten().any(|text| word.is_in(text)));
        }
        if found {
            ids.push(row.int(0)?);
        }
        Ok(())
    })?;
    all.only("f.id", ids);
    Ok(())
}

/// How many of the matching rows have a ticket in which state.
fn by_ticket_status(reader: &Reader<'_>, agent: AgentId, conditions: &Conditions) -> Result<FeedbackCounts> {
    let mut by_status: HashMap<TicketStatus, u64> = HashMap::new();
    if !conditions.impossible {
        let sql = format!(
            "select t.status, count(*) from feedbacks f join tickets t on t.agent_id = f.agent_id and t.feedback = f.id
             where f.agent_id = ?1{} group by t.status",
            conditions.text
        );
        reader.each(&sql, &conditions.params(agent, &[]), |row| {
            by_status.insert(row.parsed(0)?, count(row.int(1)?));
            Ok(())
        })?;
    }
    Ok(FeedbackCounts::by_status(|status| by_status.get(&status).copied().unwrap_or(0)))
}

/// A page of feedback, and how the matching rows are spread.
#[derive(Clone, Debug)]
pub struct FoundFeedback {
    /// The page.
    pub found: Found<Feedback>,
    /// Over all pages.
    pub counts: FeedbackCounts,
}

impl Store {
    /// Records feedback on a conversation; each call is a new row.
    ///
    /// # Errors
    /// [`Missing::Conversation`]: feedback never makes one.
    pub async fn record_feedback(&self, agent: AgentId, source: FeedbackSource, new: NewFeedback) -> Result<Feedback> {
        let bytes = 256 + new.comment.as_deref().map_or(0, str::len) + new.metadata.as_str().len();
        let new = self.redacted(bytes, new).await?;
        self.engine.write(bytes, move |tx| on_conversation(tx, agent, source, &new)).await
    }

    /// Records feedback of any kind. On a message there is one piece: the first makes it, later ones change it.
    ///
    /// # Errors
    /// A refusal that names the field where the conversation, message or environment is not the agent's.
    pub async fn give_feedback(
        &self,
        agent: AgentId,
        source: FeedbackSource,
        post: FeedbackPost,
    ) -> Result<Stored<Feedback>> {
        /// A comment and a document of the usual size.
        const BYTES: usize = 1_024;
        let post = self.redacted(BYTES, post).await?;
        let write = move |tx: &Tx<'_>| match &post {
            FeedbackPost::Message(vote) => on_message(tx, agent, source, vote),
            FeedbackPost::Agent(new) => Ok(Stored { value: on_agent(tx, agent, source, new)?, created: true }),
            FeedbackPost::Conversation(new) => match on_conversation(tx, agent, source, new) {
                Ok(value) => Ok(Stored { value, created: true }),
                Err(Error::NotFound(Missing::Conversation)) => {
                    let field = if new.target.name.is_some() { "conversation_id" } else { "conversation" };
                    Err(Refusal::field(field, "Conversation not found.").into())
                }
                Err(error) => Err(error),
            },
        };
        self.engine.write(BYTES, write).await
    }

    /// Changes what a piece of feedback says.
    ///
    /// # Errors
    /// [`Missing::Row`]; a refusal for what its kind does not have, or what never changes.
    pub async fn update_feedback(&self, agent: AgentId, id: FeedbackId, change: FeedbackChange) -> Result<Feedback> {
        const BYTES: usize = 512;
        let change = self.redacted(BYTES, change).await?;
        let write = move |tx: &Tx<'_>| {
            let stored = find_locked(tx, agent, id)?.ok_or(Error::NotFound(Missing::Row))?;
            change.check(&stored)?;
            let environment = match &change.environment {
                Some(Some(slug)) => Some(Some(agents::environment_for(tx, agent, Some(slug))?.id)),
                // Only where it is its own.
                Some(None) if stored.kind == FeedbackKind::Agent => Some(None),
                _ => None,
            };
            let changes = Changes {
                sentiment: change.sentiment,
                comment: change.comment.as_ref().map(Option::as_deref),
                topic: change.topic.as_ref().map(Option::as_deref),
                reason: change.reason.as_ref().map(Option::as_deref),
                environment,
                metadata: None,
            };
            apply(tx, agent, id, &changes)
        };
        self.engine.write(BYTES, write).await
    }

    /// Deletes a piece of feedback for good. A ticket that came of it stays, without it.
    ///
    /// # Errors
    /// [`Missing::Row`]
    pub async fn delete_feedback(&self, agent: AgentId, id: FeedbackId) -> Result<()> {
        let now = self.clock().now();
        let write = move |tx: &Tx<'_>| {
            let stored = find(tx, agent, id)?.ok_or(Error::NotFound(Missing::Row))?;
            if let Some(conversation) = stored.conversation {
                conversation::lock_by_id(tx, agent, conversation)?;
            }
            let gone =
                tx.execute_counted("delete from feedbacks where agent_id = ?1 and id = ?2", params![agent, id])?;
            if gone == 0 {
                // Another node was quicker.
                return Err(Error::NotFound(Missing::Row));
            }
            tx.add_to_total(agent, counters::FEEDBACKS, -1);
            if let Some(conversation) = stored.conversation {
                count_on_conversation(tx, agent, conversation, stored.kind, -1)?;
            }
            tx.execute(
                "update tickets set feedback = null, updated_at = ?3 where agent_id = ?1 and feedback = ?2",
                params![agent, id, now],
            )
        };
        self.engine.write(128, write).await
    }

    /// One piece of feedback, with the ticket that came of it or null.
    ///
    /// # Errors
    /// [`Missing::Row`]
    pub async fn fetch_feedback(&self, agent: AgentId, id: FeedbackId) -> Result<Feedback> {
        let read = move |reader: &Reader<'_>| {
            let mut found = find(reader, agent, id)?.ok_or(Error::NotFound(Missing::Row))?;
            found.ticket = Some(ticket::of_feedbacks(reader, agent, &[id.0])?.remove(&id.0).map(Box::new));
            Ok(found)
        };
        self.engine.read_now(read).await
    }

    /// Feedback that matches, newest first, with its tickets where the filter asks for them.
    ///
    /// # Errors
    /// [`Missing::Page`], an environment that the agent does not have, a query that takes too long.
    pub async fn list_feedbacks(
        &self,
        agent: AgentId,
        filter: FeedbackFilter,
        extent: Extent,
    ) -> Result<FoundFeedback> {
        const ROWS: &str = concat!(
            "select ",
            feedback_columns!(),
            " where f.agent_id = ?1 and f.id in (select value from rarray(?2))"
        );
        let read = move |reader: &Reader<'_>| {
            let mut conditions = conditions(reader, agent, &filter)?;
            let counts =
                if filter.include_tickets { Some(by_ticket_status(reader, agent, &conditions)?) } else { None };
            if !filter.ticket_status.is_empty() {
                let marks = vec!["{}"; filter.ticket_status.len()].join(", ");
                let status = filter.ticket_status.iter().map(|status| Owned::Text(status.as_str().to_owned()));
                let condition = format!(
                    "f.id in (select t.feedback from tickets t where t.agent_id = ?1 and t.feedback is not null and t.status in ({marks}))"
                );
                conditions.add(&condition, status);
            }
            let order = paging::order_by(&filter.ordering, "created_at", |key| match key {
                "category" => "f.category is null, f.category".to_owned(),
                column => format!("f.{column}"),
            });
            let found = LIST.page(reader, agent, &conditions, &order, extent)?;
            let rows = reader.all(ROWS, &[agent.into(), Param::Ints(&found.rows)], |row| feedback(agent, row))?;
            let mut rows = paging::in_order(&found.rows, rows, |feedback| feedback.id.0);
            if filter.include_tickets {
                let mut tickets = ticket::of_feedbacks(reader, agent, &found.rows)?;
                rows.iter_mut().for_each(|row| row.ticket = Some(tickets.remove(&row.id.0).map(Box::new)));
            }
            let counts = counts.unwrap_or(FeedbackCounts { all: found.count, ..FeedbackCounts::default() });
            Ok(FoundFeedback { found: Found { count: found.count, page: found.page, rows }, counts })
        };
        self.engine.read(read).await
    }
}
