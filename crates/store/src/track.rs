//! What every door writes: conversations got or made, events appended (contract: tracking-v0).

use std::time::{Duration, Instant};

use agentsight_model::action::ActionLog;
use agentsight_model::attachment::{Attachment, AttachmentType, AttachmentsStored, ContentHash};
use agentsight_model::button::Button;
use agentsight_model::conversation::ConversationRow;
use agentsight_model::ids::{
    ActionId, ActionLogId, AgentId, AttachmentId, ButtonId, ConversationId, ConversationRef, MessageId,
};
use agentsight_model::json::JsonText;
use agentsight_model::message::{
    ATTACHMENTS_CONTENT, Message, Sender, TOKEN_USAGE_ACTION, action_content, click_content,
};
use agentsight_model::time::Timestamp;
use agentsight_model::track::{Event, NewAction, NewClick, NewConversation, NewEvent, NewFile, Target};

use crate::agent::{EnvironmentKey, environment_for};
use crate::ahead::Errand;
use crate::conversation::{self, Earlier, Head, Known, find_head, find_to_append};
use crate::engine::ColumnType::{Int, Text};
use crate::engine::{Batch, Table, Tx, params};
use crate::error::{Error, Missing, Result};
use crate::geo::Place;
use crate::ids::Kind;
use crate::message::{ACTION_LOGS, ACTIONS, ATTACHMENTS, BUTTONS, MESSAGES, sender_code};
use crate::{Store, blob, counters, message, metadata, search, usage};

/// A body that comes again within this time is the same request (contract: tracking-v0 §9).
const RESEND_WINDOW: i64 = 10 * Timestamp::MINUTE;
/// What a queued write weighs beside its texts.
pub(crate) const WRITE_OVERHEAD_BYTES: usize = 512;
/// How often the files of a request are kept anew, where keeping them takes long.
const KEEPING_ROUNDS: usize = 3;

static CONVERSATIONS: Table = Table {
    name: "conversations",
    columns: &[
        "agent_id",
        "id",
        "conversation_id",
        "environment_id",
        "environment",
        "name",
        "customer_id",
        "customer_ip_address",
        "device",
        "source",
        "language",
        "metadata",
        "started_at",
        "ended_at",
        "is_marked",
        "is_used",
        "is_deleted",
        "city",
        "country",
        "timezone_name",
        "message_count",
        "action_log_count",
        "button_count",
        "attachment_count",
        "conversation_feedback_count",
        "message_feedback_count",
        "ticket_count",
        "usage_count",
        "unindexed_since",
    ],
    on_conflict: "on conflict (agent_id, conversation_id) do nothing",
};

/// What a write answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<T> {
    /// The row, as it is now.
    pub value: T,
    /// False where it was there before: an existing conversation, a request that came again.
    pub created: bool,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Appended {
    /// A message.
    Message(Box<Message>),
    /// A run of an action, on its own message.
    ActionLog(Box<ActionLog>),
    /// A click, on its own message.
    Button(Box<Button>),
    /// Files, on a message of their own or on an existing one.
    Files(AttachmentsStored),
}

/// Files whose bytes are kept, until their rows are written.
#[derive(Default)]
struct KeptFiles {
    hashes: Vec<ContentHash>,
    /// Before the first of them was looked for.
    since: Option<Instant>,
}

impl KeptFiles {
    /// Refuses a row that comes so late that its file may have been taken for an orphan.
    fn check(&self) -> Result<()> {
        match self.since {
            Some(since) if since.elapsed() > blob::KEPT_FOR => Err(Error::Busy { retry_after: Duration::from_secs(1) }),
            _ => Ok(()),
        }
    }
}

impl Store {
    /// Gets or makes a conversation. An existing one keeps what it has; only empty columns are filled.
    ///
    /// # Errors
    /// An environment that the agent does not have.
    pub async fn upsert_conversation(&self, agent: AgentId, new: NewConversation) -> Result<Stored<ConversationRow>> {
        let place = new.customer_ip_address.and_then(|address| self.shared.geo.locate(address)).unwrap_or_default();
        let bytes = WRITE_OVERHEAD_BYTES + new.metadata.as_ref().map_or(0, |text| text.as_str().len());
        let new = self.redacted(bytes, new).await?;
        self.engine.write(bytes, move |tx| upsert(tx, agent, &new, &place)).await
    }

    /// Appends one event to a conversation, making the conversation when its name is new.
    ///
    /// Durable when it returns. An event whose receipt is known keeps its first ids and is not stored again.
    ///
    /// # Errors
    /// [`Missing::Conversation`], [`Missing::Message`]; nothing is stored then.
    pub async fn append(&self, agent: AgentId, event: NewEvent) -> Result<Stored<Appended>> {
        let now = self.clock().now();
        let mut bytes = WRITE_OVERHEAD_BYTES + event.metadata.as_str().len();
        let mut kept = KeptFiles::default();
        match &event.what {
            Event::Message { content, .. } => bytes += content.len(),
            Event::Action(action) => {
                bytes += action.response.len() + action.error_message.len() + action.tools_used.as_str().len();
            }
            Event::Click(_) => {}
            Event::Files { files, .. } => kept = self.keep(files).await?,
        }
        let event = self.redacted(bytes, event).await?;
        let earlier = Earlier {
            timestamp: event.timestamp,
            receipt: event.receipt.map(|receipt| receipt.0),
            since: now.plus_micros(-RESEND_WINDOW),
        };
        let errand = Errand { agent, target: event.target.clone(), earlier };
        let write = move |tx: &Tx<'_>| {
            kept.check()?;
            append(tx, agent, &event, &earlier, &kept.hashes, now)
        };
        self.engine.write_to(errand, bytes, write).await
    }

    /// Keeps the bytes of files, so that rows may name them.
    async fn keep(&self, files: &[NewFile]) -> Result<KeptFiles> {
        let hashes: Vec<_> = files.iter().map(|file| ContentHash::of(&file.bytes)).collect();
        for _ in 0..KEEPING_ROUNDS {
            let since = Instant::now();
            for (file, hash) in files.iter().zip(&hashes) {
                self.shared.blobs.put(*hash, file.bytes.clone()).await?;
            }
            if since.elapsed() < blob::KEPT_FOR / 2 {
                return Ok(KeptFiles { hashes, since: Some(since) });
            }
            // The first of them may have been set aside by now. They are there, so another round is short.
        }
        Err(Error::Blob("keeping the files took too long".to_owned()))
    }
}

fn upsert(tx: &Tx<'_>, agent: AgentId, new: &NewConversation, place: &Place) -> Result<Stored<ConversationRow>> {
    let (head, created) = find_or_make(tx, agent, new, place)?;
    if created {
        return Ok(Stored { value: head.row, created });
    }
    fill(tx, agent, &head.row, new, place)?;
    let which = ConversationRef::Id(head.row.id);
    let head = find_head(tx, agent, &which)?.ok_or(Error::NotFound(Missing::Row))?;
    Ok(Stored { value: head.row, created })
}

/// The conversation of that name, and whether it was made by this.
pub(crate) fn find_or_make(tx: &Tx<'_>, agent: AgentId, new: &NewConversation, place: &Place) -> Result<(Head, bool)> {
    let which = ConversationRef::Named(new.conversation_id.clone());
    conversation::lock_by_name(tx, agent, &new.conversation_id)?;
    let environment = environment_for(tx, agent, new.environment.as_deref())?;
    if let Some(existing) = find_head(tx, agent, &which)? {
        return Ok((existing, false));
    }
    let id = ConversationId(tx.next_id(Kind::Conversation)?);
    insert_conversation(tx, agent, id, &environment, new, place)?;
    conversation::lock_by_name(tx, agent, &new.conversation_id)?;
    let head = find_head(tx, agent, &which)?.ok_or(Error::NotFound(Missing::Row))?;
    // Another node may have been quicker.
    let created = head.row.id == id;
    if created {
        settle_new(tx, agent, id, &new.metadata.clone().unwrap_or_default())?;
    }
    Ok((head, created))
}

/// What follows once a conversation is certainly ours: its metadata, the agent's total, the search index.
fn settle_new(tx: &Tx<'_>, agent: AgentId, id: ConversationId, metadata: &JsonText) -> Result<()> {
    metadata::replace(tx, agent, id, &JsonText::EMPTY, metadata)?;
    tx.add_to_total(agent, counters::CONVERSATIONS, 1);
    search::leave_new(tx, agent, id)
}

/// Leaves the row as it is where another node has made the conversation meanwhile.
fn insert_conversation(
    tx: &Tx<'_>,
    agent: AgentId,
    id: ConversationId,
    environment: &EnvironmentKey,
    new: &NewConversation,
    place: &Place,
) -> Result<()> {
    let address = new.customer_ip_address.map(|ip| ip.to_string());
    tx.ahead().note_made(agent, &new.conversation_id);
    tx.insert(
        &CONVERSATIONS,
        params![
            agent,
            id,
            &new.conversation_id,
            environment.id,
            &environment.slug,
            new.name.as_deref(),
            new.customer_id.as_deref(),
            address.as_deref(),
            new.device.as_deref(),
            new.source.as_deref(),
            new.language.as_deref(),
            new.metadata.as_ref().and_then(JsonText::stored),
            new.timestamp,
            new.timestamp,
            false,
            new.is_used.unwrap_or(false),
            false,
            place.city.as_deref(),
            place.country.as_deref(),
            place.timezone_name.as_deref(),
            0_i64,
            0_i64,
            0_i64,
            0_i64,
            0_i64,
            0_i64,
            0_i64,
            0_i64,
            search::NEVER_INDEXED,
        ],
    )
}

/// Fills what an existing conversation lacks; leaves the rest.
fn fill(tx: &Tx<'_>, agent: AgentId, row: &ConversationRow, new: &NewConversation, place: &Place) -> Result<()> {
    let lacks = |has: &Option<String>, given: &Option<String>| has.is_none() && given.is_some();
    let texts = lacks(&row.name, &new.name) || lacks(&row.customer_id, &new.customer_id);
    let address = new.customer_ip_address.filter(|_| row.customer_ip_address.is_none()).map(|ip| ip.to_string());
    let metadata = new.metadata.as_ref().filter(|given| row.metadata.is_empty() && !given.is_empty());
    let becomes_used = new.is_used == Some(true) && !row.is_used;
    let others =
        lacks(&row.device, &new.device) || lacks(&row.source, &new.source) || lacks(&row.language, &new.language);
    if !(texts || others || becomes_used || address.is_some() || metadata.is_some()) {
        return Ok(());
    }
    tx.execute(
        "update conversations set name = coalesce(name, ?3), customer_id = coalesce(customer_id, ?4), device = coalesce(device, ?5),
            source = coalesce(source, ?6), language = coalesce(language, ?7), metadata = coalesce(?8, metadata),
            customer_ip_address = coalesce(customer_ip_address, ?9), is_used = ?10 where agent_id = ?1 and id = ?2",
        params![
            agent,
            row.id,
            new.name.as_deref(),
            new.customer_id.as_deref(),
            new.device.as_deref(),
            new.source.as_deref(),
            new.language.as_deref(),
            metadata.and_then(|given| given.stored()),
            address.as_deref(),
            row.is_used || becomes_used,
        ],
    )?;
    if address.is_some() {
        tx.execute(
            "update conversations set city = ?3, country = ?4, timezone_name = ?5 where agent_id = ?1 and id = ?2",
            params![agent, row.id, place.city.as_deref(), place.country.as_deref(), place.timezone_name.as_deref()],
        )?;
    }
    if let Some(metadata) = metadata {
        metadata::replace(tx, agent, row.id, &row.metadata, metadata)?;
    }
    if texts {
        search::leave_texts(tx, agent, row.id)?;
    }
    Ok(())
}

/// How much an event adds to its conversation.
#[derive(Default)]
pub(crate) struct Growth {
    pub(crate) messages: i64,
    pub(crate) action_logs: i64,
    pub(crate) buttons: i64,
    pub(crate) attachments: i64,
    pub(crate) usages: i64,
}

impl Growth {
    pub(crate) fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.action_logs += other.action_logs;
        self.buttons += other.buttons;
        self.attachments += other.attachments;
        self.usages += other.usages;
    }
}

fn append(
    tx: &Tx<'_>,
    agent: AgentId,
    event: &NewEvent,
    earlier: &Earlier,
    hashes: &[ContentHash],
    now: Timestamp,
) -> Result<Stored<Appended>> {
    if let Event::Files { message: Some(message), files, .. } = &event.what {
        return append_files_to(tx, agent, event, *message, files, hashes, now);
    }
    let (known, first) = match find_to_append(tx, agent, &event.target, earlier)? {
        (_, Some(found)) => {
            if tx.ahead().claim(agent, found.0.id, event.timestamp) {
                settle_new(tx, agent, found.0.id, &JsonText::EMPTY)?;
            }
            found
        }
        (Some(name), None) => {
            let id = insert_bare(tx, agent, name, event.timestamp)?;
            // Where another node made it first, the same event may have come with it.
            let found = find_to_append(tx, agent, &event.target, earlier)?.1;
            let found = found.ok_or(Error::NotFound(Missing::Conversation))?;
            if found.0.id == id {
                settle_new(tx, agent, id, &JsonText::EMPTY)?;
            }
            found
        }
        (None, None) => return Err(Error::NotFound(Missing::Conversation)),
    };
    if let Some(first) = first {
        return resent(tx, agent, &known, event, first);
    }
    let (value, growth) = match &event.what {
        Event::Message { sender, content } => {
            let message = insert_message(tx, agent, &known, event, *sender, content, None, now)?;
            (Appended::Message(Box::new(message)), Growth { messages: 1, ..Growth::default() })
        }
        Event::Action(action) => append_action(tx, agent, &known, event, action, now)?,
        Event::Click(click) => append_click(tx, agent, &known, event, click, now)?,
        Event::Files { sender, files, .. } => {
            let message = insert_message(tx, agent, &known, event, *sender, ATTACHMENTS_CONTENT, None, now)?;
            let attachments = insert_files(tx, agent, known.id, message.id, files, hashes, None, now)?;
            let growth = Growth { messages: 1, attachments: attachments.len() as i64, ..Growth::default() };
            (files_stored(&known, message.id, attachments)?, growth)
        }
    };
    grow(tx, agent, &known, (event.timestamp, known.ended_at.max(event.timestamp)), now, &growth)?;
    Ok(Stored { value, created: true })
}

macro_rules! insert_bare {
    ($id:literal, $name:literal, $at:literal, $unindexed:literal, $from:literal) => {
        concat!(
            "insert into conversations (agent_id, id, conversation_id, environment_id, environment, started_at, ended_at, is_marked,
                is_used, is_deleted, message_count, action_log_count, button_count, attachment_count, conversation_feedback_count,
                message_feedback_count, ticket_count, usage_count, unindexed_since)
             select e.agent_id, ", $id, ", ", $name, ", e.id, e.slug, ", $at, ", ", $at, ", 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, ", $unindexed, " from ", $from,
            " e.slug = 'production' on conflict (agent_id, conversation_id) do nothing"
        )
    };
}

/// Conversations of which an event told nothing but the name.
static BARE: Batch = Batch {
    one: insert_bare!("?2", "?3", "?4", "?5", "environments e where e.agent_id = ?1 and"),
    many: insert_bare!(
        "b.id",
        "b.name",
        "b.at",
        "b.unindexed_since",
        "unnest(?1, ?2, ?3, ?4, ?5) b (agent, id, name, at, unindexed_since) join environments e on e.agent_id = b.agent and"
    ),
    types: &[Int, Int, Text, Int, Int],
    key: 0,
};

/// Makes the conversation of an event that names one nobody announced: production, used. Leaves what is there as it is
/// where another node has made it meanwhile.
pub(crate) fn insert_bare(tx: &Tx<'_>, agent: AgentId, name: &str, at: Timestamp) -> Result<ConversationId> {
    let id = ConversationId(tx.next_id(Kind::Conversation)?);
    tx.ahead().note_made(agent, name);
    tx.execute_batched(&BARE, params![agent, id, name, at, search::NEVER_INDEXED])?;
    Ok(id)
}

/// The first answer once more.
fn resent(tx: &Tx<'_>, agent: AgentId, known: &Known, event: &NewEvent, first: MessageId) -> Result<Stored<Appended>> {
    let message = message::find(tx, agent, first)?.ok_or(Error::NotFound(Missing::Message(first.0)))?;
    let lost = Error::NotFound(Missing::Message(first.0));
    let value = match &event.what {
        Event::Message { .. } => Appended::Message(Box::new(message)),
        Event::Action(_) => Appended::ActionLog(Box::new(message.action_logs.into_iter().next().ok_or(lost)?)),
        Event::Click(_) => Appended::Button(Box::new(message::click(tx, agent, &message)?.ok_or(lost)?)),
        Event::Files { .. } => files_stored(known, message.id, message.attachments)?,
    };
    Ok(Stored { value, created: false })
}

#[expect(clippy::too_many_arguments, reason = "the columns of a row")]
pub(crate) fn insert_message(
    tx: &Tx<'_>,
    agent: AgentId,
    known: &Known,
    event: &NewEvent,
    sender: Sender,
    content: &str,
    action_name: Option<&str>,
    now: Timestamp,
) -> Result<Message> {
    let id = MessageId(tx.next_id(Kind::Message)?);
    tx.execute_batched(
        &MESSAGES,
        params![
            agent,
            known.id,
            event.timestamp,
            id,
            sender_code(sender),
            content,
            action_name,
            event.metadata.stored(),
            event.receipt.map(|receipt| receipt.0),
            now,
        ],
    )?;
    Ok(Message {
        id,
        conversation: known.id,
        timestamp: event.timestamp,
        sender,
        content: content.to_owned(),
        action_name: action_name.map(str::to_owned),
        metadata: event.metadata.clone(),
        attachments: Vec::new(),
        action_logs: Vec::new(),
        button: None,
        feedback: None,
    })
}

pub(crate) fn append_action(
    tx: &Tx<'_>,
    agent: AgentId,
    known: &Known,
    event: &NewEvent,
    action: &NewAction,
    now: Timestamp,
) -> Result<(Appended, Growth)> {
    let name = action.action_name.as_str();
    let definition = find_or_create_action(tx, agent, name)?;
    let message = insert_message(tx, agent, known, event, Sender::Agent, &action_content(name), Some(name), now)?;
    let id = ActionLogId(tx.next_id(Kind::ActionLog)?);
    let duration = action.duration_ms.as_ref().map(ToString::to_string);
    let some = |text: &'_ str| (!text.is_empty()).then_some(text.to_owned());
    let (response, error) = (some(&action.response), some(&action.error_message));
    tx.insert(
        &ACTION_LOGS,
        params![
            agent,
            known.id,
            id,
            message.id,
            definition,
            action.started_at,
            action.ended_at,
            duration.as_deref(),
            action.tools_used.stored(),
            response.as_deref(),
            error.as_deref(),
            event.metadata.stored(),
        ],
    )?;
    let mut growth = Growth { messages: 1, action_logs: 1, ..Growth::default() };
    if name == TOKEN_USAGE_ACTION && usage::book_counters(tx, agent, known.id, event.timestamp, &event.metadata, now)? {
        growth.usages = 1;
    }
    let log = ActionLog {
        id,
        action: definition,
        message: message.id,
        started_at: Some(action.started_at),
        ended_at: Some(action.ended_at),
        duration_ms: action.duration_ms.clone(),
        tools_used: action.tools_used.clone(),
        response: action.response.clone(),
        error_message: action.error_message.clone(),
        metadata: event.metadata.clone(),
    };
    Ok((Appended::ActionLog(Box::new(log)), growth))
}

/// An existing definition keeps its labels.
fn find_or_create_action(tx: &Tx<'_>, agent: AgentId, name: &str) -> Result<ActionId> {
    const BY_NAME: &str = "select id from actions where agent_id = ?1 and name = ?2";
    let find = || tx.one(BY_NAME, params![agent, name], |row| row.int(0).map(ActionId));
    if let Some(id) = find()? {
        return Ok(id);
    }
    let id = ActionId(tx.next_id(Kind::Action)?);
    tx.insert(&ACTIONS, params![agent, id, name, name, ""])?;
    // Another node may have been quicker.
    find()?.ok_or(Error::NotFound(Missing::Row))
}

fn append_click(
    tx: &Tx<'_>,
    agent: AgentId,
    known: &Known,
    event: &NewEvent,
    click: &NewClick,
    now: Timestamp,
) -> Result<(Appended, Growth)> {
    let message = insert_message(tx, agent, known, event, Sender::EndUser, &click_content(&click.label), None, now)?;
    let id = ButtonId(tx.next_id(Kind::Button)?);
    tx.insert(
        &BUTTONS,
        params![
            agent,
            known.id,
            id,
            message.id,
            &click.button_event,
            &click.label,
            &click.value,
            event.metadata.stored(),
            event.timestamp
        ],
    )?;
    let button = Button {
        id,
        conversation: known.id,
        message: Some(message.id),
        button_event: click.button_event.clone(),
        label: click.label.clone(),
        value: click.value.clone(),
        metadata: event.metadata.clone(),
        timestamp: event.timestamp,
    };
    Ok((Appended::Button(Box::new(button)), Growth { messages: 1, buttons: 1, ..Growth::default() }))
}

/// Hangs files on an existing message, whose time and metadata stay, as do its conversation's times.
fn append_files_to(
    tx: &Tx<'_>,
    agent: AgentId,
    event: &NewEvent,
    message: MessageId,
    files: &[NewFile],
    hashes: &[ContentHash],
    now: Timestamp,
) -> Result<Stored<Appended>> {
    const SAME: &str = "select message, id, filename, mime_type, size_bytes from attachments
        where agent_id = ?1 and conversation = ?2 and message = ?3 and receipt = ?4 and received_at >= ?5 order by id";
    let missing = || Error::NotFound(Missing::Message(message.0));
    let conversation = conversation::lock_by_message(tx, agent, message)?.ok_or_else(missing)?;
    let known = conversation::known_by_id(tx, agent, conversation)?.ok_or_else(missing)?;
    if !names(&event.target, &known) {
        return Err(missing());
    }
    if let Some(receipt) = event.receipt {
        let earliest = now.plus_micros(-RESEND_WINDOW);
        let first =
            tx.all(SAME, params![agent, known.id, message, receipt.0, earliest], |row| message::attachment(row, 0))?;
        if !first.is_empty() {
            return Ok(Stored { value: files_stored(&known, message, first)?, created: false });
        }
    }
    let attachments =
        insert_files(tx, agent, known.id, message, files, hashes, event.receipt.map(|receipt| receipt.0), now)?;
    tx.execute(
        "update conversations set attachment_count = attachment_count + ?3, is_used = 1 where agent_id = ?1 and id = ?2",
        params![agent, known.id, attachments.len() as i64],
    )?;
    Ok(Stored { value: files_stored(&known, message, attachments)?, created: true })
}

/// Whether a target means this conversation, or none. The integer decides where it is given.
fn names(target: &Target, known: &Known) -> bool {
    match (target.id, &target.name) {
        (Some(id), _) => id == known.id,
        (None, Some(name)) => *name == known.conversation_id,
        (None, None) => true,
    }
}

#[expect(clippy::too_many_arguments, reason = "the columns of a row")]
fn insert_files(
    tx: &Tx<'_>,
    agent: AgentId,
    conversation: ConversationId,
    message: MessageId,
    files: &[NewFile],
    hashes: &[ContentHash],
    receipt: Option<i64>,
    now: Timestamp,
) -> Result<Vec<Attachment>> {
    let mut attachments = Vec::with_capacity(files.len());
    for (file, hash) in files.iter().zip(hashes) {
        let id = AttachmentId(tx.next_id(Kind::Attachment)?);
        let size = file.bytes.len() as u64;
        tx.insert(
            &ATTACHMENTS,
            params![
                agent,
                conversation,
                id,
                message,
                &file.filename,
                &file.mime_type,
                size as i64,
                hash.0.as_slice(),
                receipt,
                now
            ],
        )?;
        attachments.push(Attachment {
            id,
            message,
            kind: AttachmentType::of_mime(&file.mime_type),
            filename: file.filename.clone(),
            mime_type: file.mime_type.clone(),
            size_bytes: size,
            file_url: String::new(),
        });
    }
    Ok(attachments)
}

fn files_stored(known: &Known, message: MessageId, attachments: Vec<Attachment>) -> Result<Appended> {
    let id = attachments.first().map(|first| first.id).ok_or(Error::NotFound(Missing::Message(message.0)))?;
    Ok(Appended::Files(AttachmentsStored {
        id,
        message,
        conversation: known.id,
        conversation_id: known.conversation_id.clone(),
        attachments,
    }))
}

static GROWN: Batch = Batch {
    one: "update conversations set is_used = 1, ended_at = ?3, message_count = message_count + ?4,
        action_log_count = action_log_count + ?5, button_count = button_count + ?6, attachment_count = attachment_count + ?7,
        usage_count = usage_count + ?8, unindexed_since = ?9 where agent_id = ?1 and id = ?2",
    many: "update conversations c set is_used = 1, ended_at = g.ended_at, message_count = message_count + g.messages,
        action_log_count = action_log_count + g.action_logs, button_count = button_count + g.buttons,
        attachment_count = attachment_count + g.attachments, usage_count = usage_count + g.usages, unindexed_since = g.unindexed_since
        from unnest(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
            g (agent, id, ended_at, messages, action_logs, buttons, attachments, usages, unindexed_since)
        where c.agent_id = g.agent and c.id = g.id",
    types: &[Int; 9],
    key: 2,
};

/// Sets when a conversation ended, moves its beginning back to `began` where that is earlier, counts what came, and
/// leaves it to be indexed for search.
pub(crate) fn grow(
    tx: &Tx<'_>,
    agent: AgentId,
    known: &Known,
    (began, ended): (Timestamp, Timestamp),
    now: Timestamp,
    growth: &Growth,
) -> Result<()> {
    tx.ahead().note_changed(agent, known.id);
    let unindexed_since = match growth.messages {
        0 => known.unindexed_since,
        _ => Some(search::leave_message(tx, agent, known, now)?),
    };
    tx.execute_batched(
        &GROWN,
        params![
            agent,
            known.id,
            ended,
            growth.messages,
            growth.action_logs,
            growth.buttons,
            growth.attachments,
            growth.usages,
            unindexed_since,
        ],
    )?;
    if began < known.started_at {
        // By itself, because it moves the row in the index of lists, which most messages need not touch.
        tx.execute(
            "update conversations set started_at = ?3 where agent_id = ?1 and id = ?2",
            params![agent, known.id, began],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_comes_long_after_its_file_is_refused() {
        let kept = |ago: Duration| KeptFiles { hashes: Vec::new(), since: Instant::now().checked_sub(ago) };

        assert!(KeptFiles::default().check().is_ok());
        assert!(kept(blob::KEPT_FOR / 2).check().is_ok());
        assert!(matches!(kept(blob::KEPT_FOR + Duration::from_secs(1)).check(), Err(Error::Busy { .. })));
    }
}
