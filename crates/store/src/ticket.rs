//! Tickets and their threads (contract: managing §4, reading §8).

use std::collections::{HashMap, HashSet};

use agentsight_model::feedback::FeedbackKind;
use agentsight_model::ids::{AgentId, ConversationId, EnvironmentId, FeedbackId, TicketId};
use agentsight_model::manage::ticket::{NewTicket, TicketChange, no_such_key};
use agentsight_model::refusal::Refusal;
use agentsight_model::text::Needle;
use agentsight_model::ticket::{
    CommentRole, ConversationTicket, FeedbackTicket, Ticket, TicketComment, TicketConversation, TicketFeedback,
    TicketFilter, TicketPriority, TicketStatus,
};
use agentsight_model::time::Timestamp;

use crate::conversation::count;
use crate::engine::{Param, Reader, Row, Table, Tx, damaged, params};
use crate::error::{Error, Missing, Result};
use crate::ids::Kind;
use crate::paging::{self, Conditions, Extent, Found, Listing, Owned};
use crate::{Store, agent as agents, conversation, counters, feedback};

static TICKETS: Table = Table {
    name: "tickets",
    columns: &[
        "agent_id",
        "id",
        "title",
        "status",
        "priority",
        "tags",
        "environment_id",
        "conversation",
        "feedback",
        "author",
        "created_at",
        "updated_at",
    ],
    on_conflict: "",
};
static TICKET_COMMENTS: Table = Table {
    name: "ticket_comments",
    columns: &["agent_id", "ticket", "id", "author", "role", "body", "created_at"],
    on_conflict: "",
};

/// Columns that [`ticket`] reads.
macro_rules! ticket_columns {
    () => {
        "t.id, t.title, t.status, t.priority, t.tags, t.environment_id, e.slug, t.created_at, t.updated_at,
         c.id, c.conversation_id, c.name, c.environment, c.environment_id, f.id, f.kind, f.sentiment, f.comment, f.created_at
         from tickets t
         join environments e on e.agent_id = t.agent_id and e.id = t.environment_id
         left join conversations c on c.agent_id = t.agent_id and c.id = t.conversation
         left join feedbacks f on f.agent_id = t.agent_id and f.id = t.feedback"
    };
}

/// From [`ticket_columns`], without its thread.
fn ticket(agent: AgentId, row: &Row<'_>) -> Result<Ticket> {
    let conversation = match row.opt_int(9)? {
        None => None,
        Some(id) => Some(TicketConversation {
            id: ConversationId(id),
            conversation_id: row.string(10)?,
            name: row.opt_string(11)?,
            environment: row.string(12)?,
            environment_id: EnvironmentId(row.int(13)?),
        }),
    };
    let feedback = match row.opt_int(14)? {
        None => None,
        Some(id) => Some(TicketFeedback {
            id: FeedbackId(id),
            kind: row.parsed::<FeedbackKind>(15)?,
            sentiment: row.parsed(16)?,
            comment: row.opt_string(17)?,
            created_at: row.timestamp(18)?,
        }),
    };
    Ok(Ticket {
        id: TicketId(row.int(0)?),
        agent,
        title: row.string(1)?,
        status: row.parsed(2)?,
        priority: priority(row, 3)?,
        tags: tags(row, 4)?,
        environment: row.string(6)?,
        environment_id: EnvironmentId(row.int(5)?),
        conversation,
        feedback,
        comments: Vec::new(),
        comments_count: 0,
        created_at: row.timestamp(7)?,
        updated_at: row.timestamp(8)?,
    })
}

fn priority(row: &Row<'_>, column: usize) -> Result<Option<TicketPriority>> {
    if row.opt_text(column)?.is_none() { Ok(None) } else { row.parsed(column).map(Some) }
}

/// Labels lie there as a JSON list; nothing stands for none.
fn tags(row: &Row<'_>, column: usize) -> Result<Vec<String>> {
    row.opt_text(column)?.map_or(Ok(Vec::new()), |text| serde_json::from_str(text).map_err(|_| damaged(column)))
}

fn stored_tags(tags: &[String]) -> Option<String> {
    // A list of texts can always be written.
    if tags.is_empty() { None } else { serde_json::to_string(tags).ok() }
}

/// From `id, author, role, body, created_at`.
fn comment(row: &Row<'_>, first: usize) -> Result<TicketComment> {
    Ok(TicketComment {
        id: row.int(first)?,
        author: row.string(first + 1)?,
        role: row.parsed(first + 2)?,
        body: row.string(first + 3)?,
        created_at: row.timestamp(first + 4)?,
    })
}

/// Threads of these tickets, oldest comment first.
fn threads(reader: &Reader<'_>, agent: AgentId, tickets: &[i64]) -> Result<HashMap<i64, Vec<TicketComment>>> {
    const COMMENTS: &str = "select ticket, id, author, role, body, created_at from ticket_comments
        where agent_id = ?1 and ticket in (select value from rarray(?2)) order by ticket, created_at, id";
    let mut threads: HashMap<i64, Vec<TicketComment>> = HashMap::new();
    reader.each(COMMENTS, &[agent.into(), Param::Ints(tickets)], |row| {
        threads.entry(row.int(0)?).or_default().push(comment(row, 1)?);
        Ok(())
    })?;
    Ok(threads)
}

/// Tickets with their threads, each with the row that it hangs on, from a statement that selects that, then `id,
/// title, status, priority, tags, created_at, updated_at`.
fn hanging_on(
    reader: &Reader<'_>,
    agent: AgentId,
    sql: &str,
    anchors: &[i64],
) -> Result<Vec<(i64, ConversationTicket)>> {
    let mut tickets = reader.all(sql, &[agent.into(), Param::Ints(anchors)], |row| {
        let ticket = ConversationTicket {
            id: TicketId(row.int(1)?),
            title: row.string(2)?,
            status: row.parsed(3)?,
            priority: priority(row, 4)?,
            tags: tags(row, 5)?,
            created_at: row.timestamp(6)?,
            updated_at: row.timestamp(7)?,
            comments: Vec::new(),
        };
        Ok((row.int(0)?, ticket))
    })?;
    let ids: Vec<i64> = tickets.iter().map(|(_, ticket)| ticket.id.0).collect();
    if !ids.is_empty() {
        let mut threads = threads(reader, agent, &ids)?;
        for (_, ticket) in &mut tickets {
            ticket.comments = threads.remove(&ticket.id.0).unwrap_or_default();
        }
    }
    Ok(tickets)
}

/// Tickets of these conversations, newest first, each with its thread, by conversation.
pub(crate) fn of_conversations(
    reader: &Reader<'_>,
    agent: AgentId,
    conversations: &[i64],
) -> Result<HashMap<i64, Vec<ConversationTicket>>> {
    const TICKETS: &str = "select conversation, id, title, status, priority, tags, created_at, updated_at from tickets
        where agent_id = ?1 and conversation in (select value from rarray(?2)) order by created_at desc, id desc";
    let mut by_conversation: HashMap<i64, Vec<ConversationTicket>> = HashMap::new();
    for (conversation, ticket) in hanging_on(reader, agent, TICKETS, conversations)? {
        by_conversation.entry(conversation).or_default().push(ticket);
    }
    Ok(by_conversation)
}

/// The ticket of each of these pieces of feedback that has one, by feedback.
pub(crate) fn of_feedbacks(
    reader: &Reader<'_>,
    agent: AgentId,
    feedbacks: &[i64],
) -> Result<HashMap<i64, FeedbackTicket>> {
    const TICKETS: &str = "select feedback, id, title, status, priority, tags, created_at, updated_at from tickets
        where agent_id = ?1 and feedback in (select value from rarray(?2))";
    let tickets = hanging_on(reader, agent, TICKETS, feedbacks)?;
    Ok(tickets.into_iter().map(|(feedback, ticket)| (feedback, ticket.into())).collect())
}

/// These tickets with their threads, in this order.
fn with_threads(reader: &Reader<'_>, agent: AgentId, ids: &[i64]) -> Result<Vec<Ticket>> {
    const ROWS: &str =
        concat!("select ", ticket_columns!(), " where t.agent_id = ?1 and t.id in (select value from rarray(?2))");
    let rows = reader.all(ROWS, &[agent.into(), Param::Ints(ids)], |row| ticket(agent, row))?;
    let mut rows = paging::in_order(ids, rows, |ticket| ticket.id.0);
    let mut threads = threads(reader, agent, ids)?;
    for row in &mut rows {
        row.comments = threads.remove(&row.id.0).unwrap_or_default();
        row.comments_count = row.comments.len() as u64;
    }
    Ok(rows)
}

fn find(reader: &Reader<'_>, agent: AgentId, id: TicketId) -> Result<Ticket> {
    with_threads(reader, agent, &[id.0])?.pop().ok_or(Error::NotFound(Missing::Row))
}

/// The conversation that a ticket is anchored to; the ticket is there.
fn anchor(reader: &Reader<'_>, agent: AgentId, id: TicketId) -> Result<Option<ConversationId>> {
    const ANCHOR: &str = "select conversation from tickets where agent_id = ?1 and id = ?2";
    let found = reader.one(ANCHOR, params![agent, id], |row| row.opt_int(0))?;
    Ok(found.ok_or(Error::NotFound(Missing::Row))?.map(ConversationId))
}

/// Keeps other nodes from a ticket until the commit; it is there.
fn lock(tx: &Tx<'_>, agent: AgentId, id: TicketId) -> Result<()> {
    tx.lock("select id from tickets where agent_id = ?1 and id = ?2", params![agent, id])?;
    anchor(tx, agent, id).map(drop)
}

fn count_on_conversation(tx: &Tx<'_>, agent: AgentId, conversation: ConversationId, by: i64) -> Result<()> {
    tx.execute(
        "update conversations set ticket_count = ticket_count + ?3 where agent_id = ?1 and id = ?2",
        params![agent, conversation, by],
    )
}

fn create(tx: &Tx<'_>, agent: AgentId, author: Option<&str>, new: &NewTicket, now: Timestamp) -> Result<Ticket> {
    const OF_FEEDBACK: &str = "select id from tickets where agent_id = ?1 and feedback = ?2";
    let refuse = |field, key| Error::from(Refusal::field(field, no_such_key(key)));
    let environment = agents::environment_for(tx, agent, new.environment.as_deref())?;
    let of_feedback = match new.feedback {
        Some(id) => feedback::conversation_of(tx, agent, id)?.ok_or_else(|| refuse("feedback_id", id.0))?,
        None => None,
    };
    let conversation = new.conversation.or(of_feedback);
    if let Some(id) = conversation {
        conversation::lock_by_id(tx, agent, id)?;
        if conversation::known_by_id(tx, agent, id)?.is_none() {
            return Err(refuse("conversation_id", id.0));
        }
    }
    if let Some(id) = new.feedback {
        // It may have been deleted, or have become a ticket, until it was ours.
        feedback::find_locked(tx, agent, id)?.ok_or_else(|| refuse("feedback_id", id.0))?;
        if tx.one(OF_FEEDBACK, params![agent, id], |row| row.int(0))?.is_some() {
            return Err(Refusal::field("feedback_id", "This feedback has a ticket already.").into());
        }
    }
    let id = TicketId(tx.next_id(Kind::Ticket)?);
    let author = author_for(tx, agent, author)?;
    tx.insert(
        &TICKETS,
        params![
            agent,
            id,
            &new.title,
            new.status.as_str(),
            new.priority.map(TicketPriority::as_str),
            stored_tags(&new.tags).as_deref(),
            environment.id,
            conversation,
            new.feedback,
            &author,
            now,
            now,
        ],
    )?;
    tx.add_to_total(agent, counters::TICKETS, 1);
    if let Some(conversation) = conversation {
        count_on_conversation(tx, agent, conversation, 1)?;
    }
    find(tx, agent, id)
}

/// The label of the key that writes, or the agent's name where it has none.
fn author_for(reader: &Reader<'_>, agent: AgentId, label: Option<&str>) -> Result<String> {
    match label.filter(|label| !label.trim().is_empty()) {
        Some(label) => Ok(label.to_owned()),
        None => {
            let name = reader.one("select name from agents where id = ?1", params![agent], |row| row.string(0))?;
            name.ok_or(Error::NotFound(Missing::Row))
        }
    }
}

fn change(tx: &Tx<'_>, agent: AgentId, id: TicketId, change: &TicketChange, now: Timestamp) -> Result<Ticket> {
    lock(tx, agent, id)?;
    let tags = change.tags.as_deref().map(stored_tags);
    let given = [
        ("title", change.title.as_deref().map(Param::from)),
        ("status", change.status.map(|status| Param::from(status.as_str()))),
        ("priority", change.priority.map(|priority| Param::from(priority.map(TicketPriority::as_str)))),
        ("tags", tags.as_ref().map(|tags| Param::from(tags.as_deref()))),
    ];
    let mut params = vec![Param::from(agent), Param::from(id), Param::from(now)];
    let mut columns = vec!["updated_at = ?3".to_owned()];
    for (column, value) in given {
        if let Some(value) = value {
            params.push(value);
            columns.push(format!("{column} = ?{}", params.len()));
        }
    }
    let sql = format!("update tickets set {} where agent_id = ?1 and id = ?2", columns.join(", "));
    tx.execute(&sql, &params)?;
    find(tx, agent, id)
}

const LIST: Listing = Listing { from: "tickets t", alias: "t", total: Some(counters::TICKETS) };

fn conditions(reader: &Reader<'_>, agent: AgentId, filter: &TicketFilter) -> Result<Conditions> {
    use Owned::{Int, Text};
    let mut all = Conditions::none();
    if !filter.status.is_empty() {
        let marks = vec!["{}"; filter.status.len()].join(", ");
        let status = filter.status.iter().map(|status| Text(status.as_str().to_owned()));
        all.add(&format!("t.status in ({marks})"), status);
    }
    if let Some(priority) = filter.priority {
        all.add("t.priority = {}", [Text(priority.as_str().to_owned())]);
    }
    if let Some(id) = filter.conversation {
        all.add("t.conversation = {}", [Int(id)]);
    }
    if let Some(name) = &filter.conversation_id {
        all.only("t.conversation", conversation::id_of(reader, agent, name)?);
    }
    for (column, flag) in [("t.conversation", filter.has_conversation), ("t.feedback", filter.has_feedback)] {
        if let Some(flag) = flag {
            all.add(&format!("{column} is {}null", if flag { "not " } else { "" }), []);
        }
    }
    all.between("t.created_at", filter.created_at_after, filter.created_at_before);
    all.between("t.updated_at", filter.updated_at_after, filter.updated_at_before);
    if !all.impossible && (!filter.tags.is_empty() || !filter.search.is_empty()) {
        let ids = with_texts(reader, agent, filter, &all)?;
        all.only("t.id", ids);
    }
    Ok(all)
}

/// Ids of those that match so far and hold the texts: case and lists are nothing that the engines agree on.
fn with_texts(reader: &Reader<'_>, agent: AgentId, filter: &TicketFilter, so_far: &Conditions) -> Result<Vec<i64>> {
    let words: Vec<Needle> = filter.search.iter().map(|word| Needle::new(word)).collect();
    let wanted: HashSet<&str> = filter.tags.iter().map(String::as_str).collect();
    let sql = format!("select t.id, t.title, t.tags from tickets t where t.agent_id = ?1{}", so_far.text);
    let mut ids = Vec::new();
    reader.each(&sql, &so_far.params(agent, &[]), |row| {
        let title = row.text(1)?;
        let labelled = wanted.is_empty() || tags(row, 2)?.iter().any(|tag| wanted.contains(tag.as_str()));
        if labelled && words.iter().all(|word| word.is_in(title)) {
            ids.push(row.int(0)?);
        }
        Ok(())
    })?;
    Ok(ids)
}

/// What a sort key is ordered by: priorities from low to high with none below them, states as on a board.
fn sort_column(key: &str) -> String {
    let places = |words: &[&str]| {
        let places = words.iter().enumerate().map(|(place, word)| format!("when '{word}' then {}", place + 1));
        places.collect::<Vec<_>>().join(" ")
    };
    match key {
        "priority" => {
            let words: Vec<&str> = TicketPriority::ALL.iter().map(|word| word.as_str()).collect();
            format!("case t.priority {} else 0 end", places(&words))
        }
        "status" => {
            let words: Vec<&str> = TicketStatus::ALL.iter().map(|word| word.as_str()).collect();
            format!("case t.status {} else 0 end", places(&words))
        }
        column => format!("t.{column}"),
    }
}

/// What a ticket weighs in the queue.
const TICKET_BYTES: usize = 1_024;

impl Store {
    /// Makes a ticket in the name of a key, by its label.
    ///
    /// # Errors
    /// A refusal that names the field where the conversation, feedback or environment is not the agent's, or the
    /// feedback has a ticket already.
    pub async fn create_ticket(&self, agent: AgentId, author: Option<String>, new: NewTicket) -> Result<Ticket> {
        let (now, new) = (self.clock().now(), self.redacted(TICKET_BYTES, new).await?);
        self.engine.write(TICKET_BYTES, move |tx| create(tx, agent, author.as_deref(), &new, now)).await
    }

    /// Changes the fields that a change holds.
    ///
    /// # Errors
    /// [`Missing::Row`]
    pub async fn update_ticket(&self, agent: AgentId, id: TicketId, new: TicketChange) -> Result<Ticket> {
        let (now, new) = (self.clock().now(), self.redacted(TICKET_BYTES, new).await?);
        self.engine.write(TICKET_BYTES, move |tx| change(tx, agent, id, &new, now)).await
    }

    /// Deletes a ticket for good, and its thread.
    ///
    /// # Errors
    /// [`Missing::Row`]
    pub async fn delete_ticket(&self, agent: AgentId, id: TicketId) -> Result<()> {
        let write = move |tx: &Tx<'_>| {
            let conversation = anchor(tx, agent, id)?;
            if let Some(conversation) = conversation {
                conversation::lock_by_id(tx, agent, conversation)?;
            }
            let gone = tx.execute_counted("delete from tickets where agent_id = ?1 and id = ?2", params![agent, id])?;
            if gone == 0 {
                // Another node was quicker.
                return Err(Error::NotFound(Missing::Row));
            }
            tx.add_to_total(agent, counters::TICKETS, -1);
            if let Some(conversation) = conversation {
                count_on_conversation(tx, agent, conversation, -1)?;
            }
            tx.execute("delete from ticket_comments where agent_id = ?1 and ticket = ?2", params![agent, id])
        };
        self.engine.write(128, write).await
    }

    /// Adds a comment to a ticket's thread in the name of a key, by its label.
    ///
    /// # Errors
    /// [`Missing::Row`]
    pub async fn comment_ticket(
        &self,
        agent: AgentId,
        id: TicketId,
        author: Option<String>,
        body: String,
    ) -> Result<TicketComment> {
        let now = self.clock().now();
        let bytes = 256 + body.len();
        let body = self.redacted(bytes, body).await?;
        let write = move |tx: &Tx<'_>| {
            lock(tx, agent, id)?;
            let author = author_for(tx, agent, author.as_deref())?;
            let comment = tx.next_id(Kind::TicketComment)?;
            let role = CommentRole::Agent;
            tx.insert(&TICKET_COMMENTS, params![agent, id, comment, &author, role.as_str(), &body, now])?;
            tx.execute("update tickets set updated_at = ?3 where agent_id = ?1 and id = ?2", params![agent, id, now])?;
            Ok(TicketComment { id: comment, author, role, body: body.clone(), created_at: now })
        };
        self.engine.write(bytes, write).await
    }

    /// One ticket with its thread.
    ///
    /// # Errors
    /// [`Missing::Row`]
    pub async fn fetch_ticket(&self, agent: AgentId, id: TicketId) -> Result<Ticket> {
        self.engine.read_now(move |reader| find(reader, agent, id)).await
    }

    /// Tickets that match, newest first, with their threads.
    ///
    /// # Errors
    /// [`Missing::Page`], a query that takes too long.
    pub async fn list_tickets(&self, agent: AgentId, filter: TicketFilter, extent: Extent) -> Result<Found<Ticket>> {
        let read = move |reader: &Reader<'_>| {
            let conditions = conditions(reader, agent, &filter)?;
            let order = paging::order_by(&filter.ordering, "created_at", sort_column);
            let found = LIST.page(reader, agent, &conditions, &order, extent)?;
            Ok(Found { count: found.count, page: found.page, rows: with_threads(reader, agent, &found.rows)? })
        };
        self.engine.read(read).await
    }

    /// The thread of a ticket, oldest first.
    ///
    /// # Errors
    /// [`Missing::Row`] when there is no such ticket, [`Missing::Page`].
    pub async fn list_ticket_comments(
        &self,
        agent: AgentId,
        id: TicketId,
        extent: Extent,
    ) -> Result<Found<TicketComment>> {
        const COUNT: &str = "select count(*) from ticket_comments where agent_id = ?1 and ticket = ?2";
        const ROWS: &str = "select id, author, role, body, created_at from ticket_comments
            where agent_id = ?1 and ticket = ?2 order by created_at, id limit ?3 offset ?4";
        let read = move |reader: &Reader<'_>| {
            anchor(reader, agent, id)?;
            let total = || Ok(reader.one(COUNT, params![agent, id], |row| row.int(0))?.map_or(0, count));
            let rows = |offset, limit| {
                let [limit, offset] = paging::bounds(offset, limit);
                reader.all(ROWS, params![agent, id, limit, offset], |row| comment(row, 0))
            };
            paging::page(extent, total, rows)
        };
        self.engine.read(read).await
    }
}
