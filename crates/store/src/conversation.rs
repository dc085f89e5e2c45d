//! Conversations: their rows, and assembling them whole.

use std::collections::HashMap;

use agentsight_model::conversation::{Conversation, ConversationRow, GeoLocation, Lookup};
use agentsight_model::ids::{AgentId, ConversationId, ConversationRef, EnvironmentId, MessageId};
use agentsight_model::time::Timestamp;
use agentsight_model::track::Target;

use crate::engine::{Param, Reader, Row, Tx, params};
use crate::error::{Error, Missing, Result};
use crate::feedback::{own_feedback, own_feedback_columns};
use crate::message::{self, Message};
use crate::{Store, ticket, usage};

/// Rows that a fetch reads where it is asked for; a larger conversation is read on a thread for long work.
macro_rules! read_now_rows {
    () => {
        256
    };
}

macro_rules! head_columns {
    () => {
        "c.id, c.conversation_id, c.name, c.customer_id, c.customer_ip_address, c.device, c.source, c.language, c.environment, c.environment_id,
         c.is_marked, c.is_deleted, c.is_used, c.started_at, c.ended_at, c.deleted_at, c.metadata, c.city, c.country, c.timezone_name,
         c.message_count, c.action_log_count, c.button_count, c.attachment_count, c.conversation_feedback_count, c.message_feedback_count,
         c.ticket_count, c.usage_count
         from conversations c"
    };
}

/// A conversation's own row, and how much hangs on it.
pub(crate) struct Head {
    pub(crate) row: ConversationRow,
    action_logs: i64,
    buttons: i64,
    attachments: i64,
    conversation_feedbacks: i64,
    message_feedbacks: i64,
    tickets: i64,
    usages: i64,
}

impl Head {
    /// Too much to read where it is asked for.
    pub(crate) fn is_large(&self) -> bool {
        i64::try_from(self.row.message_count).unwrap_or(i64::MAX).saturating_add(self.action_logs) > read_now_rows!()
    }
}

fn head(agent: AgentId, row: &Row<'_>) -> Result<Head> {
    let ip = row.opt_string(4)?;
    let (city, country, zone) = (row.opt_string(17)?, row.opt_string(18)?, row.opt_string(19)?);
    let located = city.is_some() || country.is_some() || zone.is_some();
    let geo_location = match &ip {
        Some(ip) if located => Some(GeoLocation { ip_address: ip.clone(), city, country, timezone_name: zone }),
        _ => None,
    };
    let (conversation_feedbacks, message_feedbacks) = (row.int(24)?, row.int(25)?);
    Ok(Head {
        row: ConversationRow {
            id: ConversationId(row.int(0)?),
            agent,
            conversation_id: row.string(1)?,
            name: row.opt_string(2)?,
            customer_id: row.opt_string(3)?,
            customer_ip_address: ip,
            device: row.opt_string(5)?,
            source: row.opt_string(6)?,
            language: row.opt_string(7)?,
            environment: row.string(8)?,
            environment_id: EnvironmentId(row.int(9)?),
            is_marked: row.flag(10)?,
            is_deleted: row.flag(11)?,
            is_used: row.flag(12)?,
            started_at: row.timestamp(13)?,
            ended_at: row.timestamp(14)?,
            deleted_at: row.opt_timestamp(15)?,
            metadata: row.json(16)?,
            geo_location,
            message_count: count(row.int(20)?),
            feedback_count: count(conversation_feedbacks + message_feedbacks),
            tickets: None,
        },
        action_logs: row.int(21)?,
        buttons: row.int(22)?,
        attachments: row.int(23)?,
        conversation_feedbacks,
        message_feedbacks,
        tickets: row.int(26)?,
        usages: row.int(27)?,
    })
}

pub(crate) fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

const HEAD_BY_ID: &str = concat!("select ", head_columns!(), " where c.agent_id = ?1 and c.id = ?2");
const HEAD_BY_NAME: &str = concat!("select ", head_columns!(), " where c.agent_id = ?1 and c.conversation_id = ?2");
const HEADS: &str =
    concat!("select ", head_columns!(), " where c.agent_id = ?1 and c.id in (select value from rarray(?2))");

pub(crate) fn find_head(reader: &Reader<'_>, agent: AgentId, which: &ConversationRef) -> Result<Option<Head>> {
    match which {
        ConversationRef::Id(id) => reader.one(HEAD_BY_ID, params![agent, *id], |row| head(agent, row)),
        ConversationRef::Named(name) => reader.one(HEAD_BY_NAME, params![agent, name], |row| head(agent, row)),
    }
}

/// The heads of these conversations, in the order of `ids`.
pub(crate) fn heads(reader: &Reader<'_>, agent: AgentId, ids: &[i64]) -> Result<Vec<Head>> {
    if let [id] = ids {
        return Ok(find_head(reader, agent, &ConversationId(*id).into())?.into_iter().collect());
    }
    let mut found: HashMap<i64, Head> = HashMap::with_capacity(ids.len());
    reader.each(HEADS, &[agent.into(), Param::Ints(ids)], |row| {
        let head = head(agent, row)?;
        found.insert(head.row.id.0, head);
        Ok(())
    })?;
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// One conversation is asked for by itself, many by a list, or one together with its own row, unless it is large: the
/// same statement otherwise.
struct OfConversations {
    one: &'static str,
    many: &'static str,
    of_id: &'static str,
    of_name: &'static str,
}

macro_rules! of_small {
    ($column:literal) => {
        concat!(
            "(select id from conversations where agent_id = ?1 and ",
            $column,
            " = ?2 and message_count + action_log_count <= ",
            read_now_rows!(),
            ") "
        )
    };
}

macro_rules! of_conversations {
    ($name:ident: $before:expr, $column:literal, $after:literal) => {
        static $name: OfConversations = OfConversations {
            one: concat!($before, $column, " = ?2 ", $after),
            many: concat!($before, $column, " in (select value from rarray(?2)) ", $after),
            of_id: concat!($before, $column, " = ", of_small!("id"), $after),
            of_name: concat!($before, $column, " = ", of_small!("conversation_id"), $after),
        };
    };
}
of_conversations!(MESSAGES: "select conversation, id, timestamp, sender, content, action_name, metadata from messages where agent_id = ?1 and ",
    "conversation", "order by conversation, timestamp, id");
of_conversations!(ACTION_LOGS: "select conversation, message, id, action, started_at, ended_at, duration_ms, tools_used, response, error_message, metadata
    from action_logs where agent_id = ?1 and ", "conversation", "order by conversation, id");
of_conversations!(BUTTONS: "select conversation, message, id, button_event, label, value, metadata from buttons where agent_id = ?1 and ",
    "conversation", "order by conversation, id");
of_conversations!(ATTACHMENTS: "select conversation, message, id, filename, mime_type, size_bytes from attachments where agent_id = ?1 and ",
    "conversation", "order by conversation, id");
// The sum keeps a server that has no statistics yet from the index of lists, which would have all feedback of the agent read.
of_conversations!(FEEDBACKS: concat!("select ", own_feedback_columns!(), " where f.agent_id = ?1 and "), "f.conversation", "order by f.created_at + 0, f.id");
of_conversations!(USAGES: concat!("select ", usage::summed_columns!(), " where agent_id = ?1 and "), "conversation", "order by conversation, id");

/// What a whole conversation is made of, in the order in which it is read: what hangs on messages after them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Messages,
    Logs,
    Buttons,
    Files,
    Feedbacks,
    Usages,
}

impl Part {
    /// What a fetch reads.
    const ALL: [Self; 6] = [Self::Messages, Self::Logs, Self::Buttons, Self::Files, Self::Feedbacks, Self::Usages];
    /// What a list reads: it does not tell what was used.
    pub(crate) const OF_LISTS: [Self; 5] = [Self::Messages, Self::Logs, Self::Buttons, Self::Files, Self::Feedbacks];

    fn statement(self) -> &'static OfConversations {
        match self {
            Self::Messages => &MESSAGES,
            Self::Logs => &ACTION_LOGS,
            Self::Buttons => &BUTTONS,
            Self::Files => &ATTACHMENTS,
            Self::Feedbacks => &FEEDBACKS,
            Self::Usages => &USAGES,
        }
    }

    /// Whether anything of it hangs on a conversation.
    fn hangs_on(self, head: &Head) -> bool {
        match self {
            Self::Messages => true,
            Self::Logs => head.action_logs > 0,
            Self::Buttons => head.buttons > 0,
            Self::Files => head.attachments > 0,
            Self::Feedbacks => head.conversation_feedbacks > 0 || head.message_feedbacks > 0,
            Self::Usages => head.usages > 0,
        }
    }
}

/// Conversations that are being put together from their rows.
struct Assembly {
    agent: AgentId,
    whole: Vec<Conversation>,
    have_tickets: bool,
    used: usage::Summed,
    /// Where the search for a part's message goes on.
    after: (Part, usize),
}

impl Assembly {
    fn new(agent: AgentId, heads: Vec<Head>) -> Self {
        let have_tickets = heads.iter().any(|head| head.tickets > 0);
        let whole = heads.into_iter().map(|head| {
            let messages = Vec::with_capacity(usize::try_from(head.row.message_count).unwrap_or(0));
            head.row.with_transcript(messages, Vec::new())
        });
        Self { agent, whole: whole.collect(), have_tickets, used: usage::Summed::default(), after: (Part::Messages, 0) }
    }

    fn take(&mut self, part: Part, row: &Row<'_>) -> Result<()> {
        match part {
            Part::Usages => return self.used.add(row),
            Part::Feedbacks => return attach_feedback(self.agent, row, &mut self.whole),
            Part::Messages | Part::Logs | Part::Buttons | Part::Files => {}
        }
        let Some(conversation) = find_conversation(&mut self.whole, row.int(0)?) else { return Ok(()) };
        if part == Part::Messages {
            conversation.messages.push(message::message(row, 0)?);
            return Ok(());
        }
        if self.after.0 != part {
            self.after = (part, 0);
        }
        let Some(message) = row.opt_int(1)? else { return Ok(()) };
        let Some(message) = find_message(&mut conversation.messages, message, &mut self.after.1) else { return Ok(()) };
        match part {
            Part::Logs => message.action_logs.push(message::action_log(row, 1)?),
            Part::Buttons => message.button = Some(message::button(row, 2)?),
            Part::Files => message.attachments.push(message::attachment(row, 1)?),
            Part::Messages | Part::Feedbacks | Part::Usages => {}
        }
        Ok(())
    }

    /// The conversations, with their tickets, and what all of them used.
    fn finish(mut self, reader: &Reader<'_>) -> Result<(Vec<Conversation>, usage::Summed)> {
        if self.have_tickets {
            let ids: Vec<i64> = self.whole.iter().map(|conversation| conversation.id.0).collect();
            let mut found = ticket::of_conversations(reader, self.agent, &ids)?;
            for conversation in &mut self.whole {
                conversation.tickets = found.remove(&conversation.id.0);
            }
        }
        Ok((self.whole, self.used))
    }

    /// The one conversation that this was begun with, as a fetch answers it.
    fn finish_one(self, reader: &Reader<'_>) -> Result<Conversation> {
        let (mut whole, used) = self.finish(reader)?;
        let mut one = whole.pop().ok_or(Error::NotFound(Missing::Row))?;
        one.tickets.get_or_insert_default();
        one.token_usage = Some(used.finish());
        Ok(one)
    }
}

/// Puts conversations together, in a number of statements that does not depend on how many they are.
pub(crate) fn assemble(reader: &Reader<'_>, agent: AgentId, heads: Vec<Head>) -> Result<Vec<Conversation>> {
    let ids: Vec<i64> = heads.iter().map(|head| head.row.id.0).collect();
    let parts: Vec<Part> =
        Part::OF_LISTS.into_iter().filter(|part| heads.iter().any(|head| part.hangs_on(head))).collect();
    let statements: Vec<&str> = parts.iter().map(|part| part.statement().many).collect();
    gather(reader, &parts, &statements, Param::Ints(&ids), Assembly::new(agent, heads))?
        .finish(reader)
        .map(|(whole, _)| whole)
}

/// Reads parts into an assembly.
fn gather(
    reader: &Reader<'_>,
    parts: &[Part],
    statements: &[&str],
    scope: Param<'_>,
    mut assembly: Assembly,
) -> Result<Assembly> {
    reader.each_part(statements, &[assembly.agent.into(), scope], &mut |at, row| match parts.get(at) {
        Some(part) => assembly.take(*part, row),
        None => Ok(()),
    })?;
    Ok(assembly)
}

/// A page has a hundred conversations at most.
fn find_conversation(whole: &mut [Conversation], id: i64) -> Option<&mut Conversation> {
    whole.iter_mut().find(|conversation| conversation.id.0 == id)
}

/// What hangs on messages comes in about their order: the search goes on where the last one ended.
fn find_message<'m>(messages: &'m mut [Message], id: i64, after: &mut usize) -> Option<&'m mut Message> {
    let (before, from) = messages.split_at_mut_checked(*after)?;
    let (base, found) = match from.iter().position(|message| message.id.0 == id) {
        Some(at) => (before.len(), from.get_mut(at).map(|message| (at, message))),
        None => (0, before.iter_mut().enumerate().find(|(_, message)| message.id.0 == id)),
    };
    let (at, message) = found?;
    *after = base + at;
    Some(message)
}

/// Feedback on a conversation goes into its list, a vote onto its message.
fn attach_feedback(agent: AgentId, row: &Row<'_>, whole: &mut [Conversation]) -> Result<()> {
    let mut feedback = own_feedback(agent, row)?;
    let Some(conversation) = feedback.conversation.and_then(|id| find_conversation(whole, id.0)) else {
        return Ok(());
    };
    // Its environment is derived from the conversation (contract: managing §2).
    feedback.conversation_id = Some(conversation.conversation_id.clone());
    feedback.environment = Some(conversation.environment.clone());
    feedback.environment_id = Some(conversation.environment_id);
    match feedback.message {
        None => conversation.feedbacks.push(feedback),
        Some(id) => {
            if let Some(message) = find_message(&mut conversation.messages, id.0, &mut 0) {
                message.feedback = Some(feedback);
            }
        }
    }
    Ok(())
}

/// What a write must know of the conversation that it goes to.
pub(crate) struct Known {
    pub(crate) id: ConversationId,
    pub(crate) conversation_id: String,
    pub(crate) environment_id: EnvironmentId,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Timestamp,
    /// While it waits to be indexed for search (see `search`).
    pub(crate) unindexed_since: Option<Timestamp>,
}

macro_rules! known_by {
    ($column:literal) => {
        concat!("select id, conversation_id, environment_id, started_at, ended_at, unindexed_since from conversations where agent_id = ?1 and ", $column, " = ?2")
    };
}

/// From [`known_by`], whose columns begin at `from`.
fn known(row: &Row<'_>, from: usize) -> Result<Known> {
    Ok(Known {
        id: ConversationId(row.int(from)?),
        conversation_id: row.string(from + 1)?,
        environment_id: EnvironmentId(row.int(from + 2)?),
        started_at: row.timestamp(from + 3)?,
        ended_at: row.timestamp(from + 4)?,
        unindexed_since: row.opt_timestamp(from + 5)?,
    })
}

pub(crate) fn known_by_id(reader: &Reader<'_>, agent: AgentId, id: ConversationId) -> Result<Option<Known>> {
    reader.one(known_by!("id"), params![agent, id], |row| known(row, 0))
}

fn known_by_name(reader: &Reader<'_>, agent: AgentId, name: &str) -> Result<Option<Known>> {
    reader.one(known_by!("conversation_id"), params![agent, name], |row| known(row, 0))
}

/// The key of a conversation by the sender's name, in the trash or not: one, or none.
pub(crate) fn id_of(reader: &Reader<'_>, agent: AgentId, name: &str) -> Result<Vec<i64>> {
    const BY_NAME: &str = "select id from conversations where agent_id = ?1 and conversation_id = ?2";
    reader.all(BY_NAME, params![agent, name], |row| row.int(0))
}

macro_rules! lock_by {
    ($column:literal) => {
        concat!("select id from conversations where agent_id = ?1 and ", $column, " = ?2")
    };
}

/// Keeps other nodes from a conversation until the commit.
pub(crate) fn lock_by_id(tx: &Tx<'_>, agent: AgentId, id: ConversationId) -> Result<()> {
    tx.lock(lock_by!("id"), params![agent, id])
}

/// The same by the sender's name for it.
pub(crate) fn lock_by_name(tx: &Tx<'_>, agent: AgentId, name: &str) -> Result<()> {
    tx.lock(lock_by!("conversation_id"), params![agent, name])
}

/// Keeps other nodes from the conversation of a message until the commit; `None` where there is no such message.
pub(crate) fn lock_by_message(tx: &Tx<'_>, agent: AgentId, message: MessageId) -> Result<Option<ConversationId>> {
    const CONVERSATION_OF: &str = "select conversation from messages where agent_id = ?1 and id = ?2";
    let found = tx.one(CONVERSATION_OF, params![agent, message], |row| row.int(0).map(ConversationId))?;
    if let Some(id) = found {
        lock_by_id(tx, agent, id)?;
    }
    Ok(found)
}

/// By what an earlier request with the same body is known (contract: tracking-v0 §9).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Earlier {
    pub(crate) timestamp: Timestamp,
    pub(crate) receipt: Option<i64>,
    pub(crate) since: Timestamp,
}

// The message of an earlier request has the same timestamp, so that it lies where the new one would: no
// index is needed to find it.
macro_rules! known_with_earlier_by {
    ($column:literal) => {
        concat!(
            "select c.id, c.conversation_id, c.environment_id, c.started_at, c.ended_at, c.unindexed_since,
                (select m.id from messages m where m.agent_id = ?1 and m.conversation = c.id and m.timestamp = ?3 and m.receipt = ?4
                    and m.received_at >= ?5 order by m.id limit 1)
             from conversations c where c.agent_id = ?1 and c.",
            $column,
            " = ?2"
        )
    };
}

/// The conversation that an event goes to, and the message that the same event left there before.
pub(crate) type Destination = (Known, Option<MessageId>);

/// From [`known_with_earlier_by`], whose columns begin at `from`.
pub(crate) fn destination(row: &Row<'_>, from: usize) -> Result<Destination> {
    Ok((known(row, from)?, row.opt_int(from + 6)?.map(MessageId)))
}

/// Finds the conversation that an event goes to, as [`find_target`] does, and the message that the same
/// event left there before. The conversation is ours until the commit, so that no other node stores the
/// event meanwhile.
pub(crate) fn find_to_append<'t>(
    tx: &Tx<'_>,
    agent: AgentId,
    target: &'t Target,
    earlier: &Earlier,
) -> Result<(Option<&'t str>, Option<Destination>)> {
    let (at, receipt, since) = (earlier.timestamp, earlier.receipt, earlier.since);
    match tx.ahead().take(agent, target, earlier) {
        Some(Some(found)) => return Ok((None, Some(found))),
        Some(None) => return Ok((target.name.as_deref(), None)),
        None => {}
    }
    if let Some(id) = target.id {
        lock_by_id(tx, agent, id)?;
        let found =
            tx.one(known_with_earlier_by!("id"), params![agent, id, at, receipt, since], |row| destination(row, 0))?;
        if found.is_some() {
            return Ok((None, found));
        }
    }
    let Some(name) = &target.name else { return Err(Error::NotFound(Missing::Conversation)) };
    lock_by_name(tx, agent, name)?;
    let found = tx.one(known_with_earlier_by!("conversation_id"), params![agent, name, at, receipt, since], |row| {
        destination(row, 0)
    })?;
    Ok((Some(name), found))
}

/// Finds the conversation that a body named (contract: tracking-v0 §2), and the name under which it
/// may be made where there is none.
///
/// # Errors
/// [`Missing::Conversation`] where an integer leads nowhere and no name stands beside it.
pub(crate) fn find_target<'t>(
    reader: &Reader<'_>,
    agent: AgentId,
    target: &'t Target,
) -> Result<(Option<&'t str>, Option<Known>)> {
    if let Some(id) = target.id
        && let Some(known) = known_by_id(reader, agent, id)?
    {
        return Ok((None, Some(known)));
    }
    match &target.name {
        Some(name) => Ok((Some(name), known_by_name(reader, agent, name)?)),
        None => Err(Error::NotFound(Missing::Conversation)),
    }
}

/// A fetch that stops where the conversation is large.
pub(crate) enum Fetched {
    Whole(Box<Conversation>),
    Large,
}

impl Store {
    /// One whole conversation: by our integer or by the sender's string, in the trash or not.
    ///
    /// `tickets` and `token_usage` are always present. File links are empty: whoever serves them makes them.
    ///
    /// # Errors
    /// [`Missing::Row`] when the agent has no such conversation.
    pub async fn fetch_conversation(&self, agent: AgentId, which: ConversationRef) -> Result<Conversation> {
        let wanted = which.clone();
        let read = move |reader: &Reader<'_>| {
            fetch_unless_large(reader, agent, &wanted, &Part::ALL)?.ok_or(Error::NotFound(Missing::Row))
        };
        match self.engine.read_now(read).await? {
            Fetched::Whole(conversation) => Ok(*conversation),
            Fetched::Large => {
                let read = move |reader: &Reader<'_>| {
                    let head = find_head(reader, agent, &which)?.ok_or(Error::NotFound(Missing::Row))?;
                    fetch(reader, agent, head, &Part::ALL)
                };
                self.engine.read(read).await
            }
        }
    }

    /// Our integer for a sender's string. Conversations in the trash are not found.
    ///
    /// # Errors
    /// [`Missing::Conversation`]
    pub async fn lookup(&self, agent: AgentId, name: &str) -> Result<Lookup> {
        const BY_NAME: &str =
            "select id from conversations where agent_id = ?1 and conversation_id = ?2 and is_deleted = 0";
        let conversation_id = name.to_owned();
        let read = move |reader: &Reader<'_>| {
            let id = reader.one(BY_NAME, params![agent, &conversation_id], |row| row.int(0))?;
            let id = ConversationId(id.ok_or(Error::NotFound(Missing::Conversation))?);
            Ok(Lookup { id, conversation_id: conversation_id.clone() })
        };
        self.engine.read_now(read).await
    }
}

/// One conversation with these of its parts, where there is one.
pub(crate) fn fetch_unless_large(
    reader: &Reader<'_>,
    agent: AgentId,
    which: &ConversationRef,
    parts: &[Part],
) -> Result<Option<Fetched>> {
    if reader.is_far() {
        return fetch_at_once(reader, agent, which, parts);
    }
    match find_head(reader, agent, which)? {
        None => Ok(None),
        Some(head) if head.is_large() => Ok(Some(Fetched::Large)),
        Some(head) => Ok(Some(Fetched::Whole(Box::new(fetch(reader, agent, head, parts)?)))),
    }
}

fn fetch(reader: &Reader<'_>, agent: AgentId, head: Head, parts: &[Part]) -> Result<Conversation> {
    let id = Param::from(head.row.id);
    let parts: Vec<Part> = parts.iter().copied().filter(|part| part.hangs_on(&head)).collect();
    let statements: Vec<&str> = parts.iter().map(|part| part.statement().one).collect();
    gather(reader, &parts, &statements, id, Assembly::new(agent, vec![head]))?.finish_one(reader)
}

/// The same in one round trip, with questions for parts that may not be there: its own row would tell, in a round trip of
/// its own.
fn fetch_at_once(
    reader: &Reader<'_>,
    agent: AgentId,
    which: &ConversationRef,
    parts: &[Part],
) -> Result<Option<Fetched>> {
    let (own, key, of): (_, _, fn(&OfConversations) -> &'static str) = match which {
        ConversationRef::Id(id) => (HEAD_BY_ID, Param::from(*id), |of| of.of_id),
        ConversationRef::Named(name) => (HEAD_BY_NAME, Param::from(name), |of| of.of_name),
    };
    let statements: Vec<&str> = std::iter::once(own).chain(parts.iter().map(|part| of(part.statement()))).collect();
    let mut found: Option<(bool, Assembly)> = None;
    reader.each_part(&statements, &[agent.into(), key], &mut |at, row| {
        match (at.checked_sub(1).and_then(|at| parts.get(at)), &mut found) {
            (None, _) => {
                let head = head(agent, row)?;
                found = Some((head.is_large(), Assembly::new(agent, vec![head])));
            }
            (Some(part), Some((_, assembly))) => assembly.take(*part, row)?,
            (Some(_), None) => {}
        }
        Ok(())
    })?;
    found
        .map(|(is_large, assembly)| match is_large {
            true => Ok(Fetched::Large),
            false => assembly.finish_one(reader).map(|whole| Fetched::Whole(Box::new(whole))),
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SQLite would do for a statement, in its words.
    fn plan(connection: &rusqlite::Connection, sql: &str) -> String {
        let mut statement = connection.prepare(&format!("explain query plan {sql}")).unwrap();
        let steps = statement.query_map([rusqlite::types::Null; 2], |row| row.get::<_, String>(3)).unwrap();
        steps.map(|step| step.unwrap()).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn parts_of_a_conversation_are_found_by_their_conversation() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        rusqlite::vtab::array::load_module(&connection).unwrap();
        crate::schema::migrate(std::path::Path::new("test"), &connection, crate::schema::Absent::Make, Timestamp(0))
            .unwrap();
        let of = Part::ALL.map(Part::statement);
        for sql in of.iter().flat_map(|of| [of.one, of.many, of.of_id, of.of_name]) {
            let plan = plan(&connection, sql);
            assert!(plan.contains("(agent_id=? AND conversation=?)"), "{sql}\n{plan}");
        }
    }
}
