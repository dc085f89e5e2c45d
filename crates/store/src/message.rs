//! Messages and what hangs on them: action logs, clicks, files.

use std::ops::Range;

use crate::Store;
use crate::blob::{FileBytes, Part};
use crate::conversation::count;
use crate::engine::ColumnType::{Int, Text};
use crate::engine::{Batch, Query, Reader, Row, Table, Tx, damaged, params};
use crate::error::{Error, Missing, Result};
use crate::feedback::{feedback, feedback_columns};
use agentsight_model::action::ActionLog;
use agentsight_model::attachment::{Attachment, AttachmentType, ContentHash};
use agentsight_model::button::{Button, MessageButton};
use agentsight_model::conversation::{ConversationAttachments, MessageAttachments};
use agentsight_model::ids::{ActionId, ActionLogId, AgentId, AttachmentId, ButtonId, ConversationId, MessageId};
use agentsight_model::json::JsonText;
pub(crate) use agentsight_model::message::{Message, Sender};

macro_rules! insert_messages {
    ($rows:literal) => {
        concat!(
            "insert into messages (agent_id, conversation, timestamp, id, sender, content, action_name, metadata, receipt, received_at) ",
            $rows
        )
    };
}

pub(crate) static MESSAGES: Batch = Batch {
    one: insert_messages!("values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"),
    many: insert_messages!("select * from unnest(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"),
    types: &[Int, Int, Int, Int, Int, Text, Text, Text, Int, Int],
    key: 0,
};
pub(crate) static ACTIONS: Table = Table {
    name: "actions",
    columns: &["agent_id", "id", "name", "display_name", "description"],
    on_conflict: "on conflict (agent_id, name) do nothing",
};
pub(crate) static ACTION_LOGS: Table = Table {
    name: "action_logs",
    columns: &[
        "agent_id",
        "conversation",
        "id",
        "message",
        "action",
        "started_at",
        "ended_at",
        "duration_ms",
        "tools_used",
        "response",
        "error_message",
        "metadata",
    ],
    on_conflict: "",
};
pub(crate) static BUTTONS: Table = Table {
    name: "buttons",
    columns: &["agent_id", "conversation", "id", "message", "button_event", "label", "value", "metadata", "timestamp"],
    on_conflict: "",
};
pub(crate) static ATTACHMENTS: Table = Table {
    name: "attachments",
    columns: &[
        "agent_id",
        "conversation",
        "id",
        "message",
        "filename",
        "mime_type",
        "size_bytes",
        "hash",
        "receipt",
        "received_at",
    ],
    on_conflict: "",
};

/// How a sender is stored.
pub(crate) fn sender_code(sender: Sender) -> i64 {
    match sender {
        Sender::EndUser => 0,
        Sender::Agent => 1,
    }
}

pub(crate) fn sender(row: &Row<'_>, column: usize) -> Result<Sender> {
    match row.int(column)? {
        0 => Ok(Sender::EndUser),
        1 => Ok(Sender::Agent),
        _ => Err(damaged(column)),
    }
}

/// From `conversation, id, timestamp, sender, content, action_name, metadata`.
pub(crate) fn message(row: &Row<'_>, first: usize) -> Result<Message> {
    Ok(Message {
        id: MessageId(row.int(first + 1)?),
        conversation: ConversationId(row.int(first)?),
        timestamp: row.timestamp(first + 2)?,
        sender: sender(row, first + 3)?,
        content: row.string(first + 4)?,
        action_name: row.opt_string(first + 5)?,
        metadata: row.json(first + 6)?,
        attachments: Vec::new(),
        action_logs: Vec::new(),
        button: None,
        feedback: None,
    })
}

/// From `message, id, action, started_at, ended_at, duration_ms, tools_used, response, error_message, metadata`.
pub(crate) fn action_log(row: &Row<'_>, first: usize) -> Result<ActionLog> {
    let duration = row.opt_text(first + 5)?.map(serde_json::from_str::<serde_json::Number>);
    Ok(ActionLog {
        id: ActionLogId(row.int(first + 1)?),
        action: ActionId(row.int(first + 2)?),
        message: MessageId(row.int(first)?),
        started_at: row.opt_timestamp(first + 3)?,
        ended_at: row.opt_timestamp(first + 4)?,
        duration_ms: duration.transpose().map_err(|_| damaged(first + 5))?,
        tools_used: row.json(first + 6)?,
        response: row.opt_string(first + 7)?.unwrap_or_default(),
        error_message: row.opt_string(first + 8)?.unwrap_or_default(),
        metadata: row.json(first + 9)?,
    })
}

/// From `id, button_event, label, value, metadata`.
pub(crate) fn button(row: &Row<'_>, first: usize) -> Result<MessageButton> {
    Ok(MessageButton {
        id: ButtonId(row.int(first)?),
        button_event: row.string(first + 1)?,
        label: row.string(first + 2)?,
        value: row.string(first + 3)?,
        metadata: row.json(first + 4)?,
    })
}

/// From `message, id, filename, mime_type, size_bytes`.
pub(crate) fn attachment(row: &Row<'_>, first: usize) -> Result<Attachment> {
    let mime_type = row.string(first + 3)?;
    Ok(Attachment {
        id: AttachmentId(row.int(first + 1)?),
        message: MessageId(row.int(first)?),
        kind: AttachmentType::of_mime(&mime_type),
        filename: row.string(first + 2)?,
        mime_type,
        size_bytes: count(row.int(first + 4)?),
        file_url: String::new(),
    })
}

pub(crate) const OWN_LOGS: &str =
    "select message, id, action, started_at, ended_at, duration_ms, tools_used, response, error_message, metadata
    from action_logs where agent_id = ?1 and conversation = ?2 and message = ?3 order by id";
pub(crate) const OWN_BUTTON: &str = "select id, button_event, label, value, metadata, timestamp from buttons where agent_id = ?1 and conversation = ?2 and message = ?3";
pub(crate) const OWN_FILES: &str = "select message, id, filename, mime_type, size_bytes from attachments
    where agent_id = ?1 and conversation = ?2 and message = ?3 order by id";

/// One message with all that hangs on it.
pub(crate) fn find(reader: &Reader<'_>, agent: AgentId, id: MessageId) -> Result<Option<Message>> {
    const BY_ID: &str = "select conversation, id, timestamp, sender, content, action_name, metadata from messages where agent_id = ?1 and id = ?2";
    const VOTE: &str = concat!("select ", feedback_columns!(), " where f.agent_id = ?1 and f.message = ?2");
    let Some(mut found) = reader.one(BY_ID, params![agent, id], |row| message(row, 0))? else { return Ok(None) };
    let (own, vote) = (params![agent, found.conversation, id], params![agent, id]);
    let asked = [
        Query { sql: OWN_LOGS, params: own },
        Query { sql: OWN_BUTTON, params: own },
        Query { sql: OWN_FILES, params: own },
        Query { sql: VOTE, params: vote },
    ];
    reader.each_of(&asked, &mut |at, row| {
        match at {
            0 => found.action_logs.push(action_log(row, 0)?),
            1 => found.button = Some(button(row, 0)?),
            2 => found.attachments.push(attachment(row, 0)?),
            _ => found.feedback = Some(feedback(agent, row)?),
        }
        Ok(())
    })?;
    Ok(Some(found))
}

/// The click that a message shows, as it is answered to its POST.
pub(crate) fn click(reader: &Reader<'_>, agent: AgentId, message: &Message) -> Result<Option<Button>> {
    reader.one(OWN_BUTTON, params![agent, message.conversation, message.id], |row| {
        let shown = button(row, 0)?;
        Ok(Button {
            id: shown.id,
            conversation: message.conversation,
            message: Some(message.id),
            button_event: shown.button_event,
            label: shown.label,
            value: shown.value,
            metadata: shown.metadata,
            timestamp: row.timestamp(5)?,
        })
    })
}

/// A file to be served: its bytes, and what the sender said of it.
#[derive(Debug)]
pub struct StoredFile {
    /// The sender's name for it.
    pub filename: String,
    /// As given, or guessed.
    pub mime_type: String,
    /// How large it is.
    pub size_bytes: u64,
    /// Which of its bytes these are.
    pub range: Range<u64>,
    /// The bytes, as they come from where they are kept.
    pub bytes: FileBytes,
}

impl Store {
    /// One message with all that hangs on it.
    ///
    /// # Errors
    /// [`Missing::Row`]
    pub async fn fetch_message(&self, agent: AgentId, id: MessageId) -> Result<Message> {
        self.engine.read_now(move |reader| find(reader, agent, id)).await?.ok_or(Error::NotFound(Missing::Row))
    }

    /// Replaces the metadata of a message.
    ///
    /// # Errors
    /// [`Missing::Row`]
    pub async fn replace_message_metadata(&self, agent: AgentId, id: MessageId, metadata: JsonText) -> Result<Message> {
        let bytes = 256 + metadata.as_str().len();
        let metadata = self.redacted(bytes, metadata).await?;
        let write = move |tx: &Tx<'_>| {
            crate::conversation::lock_by_message(tx, agent, id)?.ok_or(Error::NotFound(Missing::Row))?;
            tx.execute(
                "update messages set metadata = ?3 where agent_id = ?1 and id = ?2",
                params![agent, id, metadata.stored()],
            )?;
            find(tx, agent, id)?.ok_or(Error::NotFound(Missing::Row))
        };
        self.engine.write(bytes, write).await
    }

    /// The files of a conversation, grouped by message and flat.
    ///
    /// # Errors
    /// [`Missing::Row`] when the agent has no such conversation.
    pub async fn conversation_attachments(
        &self,
        agent: AgentId,
        id: ConversationId,
    ) -> Result<ConversationAttachments> {
        const FILES: &str = "select m.id, m.timestamp, m.sender, a.message, a.id, a.filename, a.mime_type, a.size_bytes from attachments a
            join messages m on m.agent_id = a.agent_id and m.id = a.message
            where a.agent_id = ?1 and a.conversation = ?2 order by m.timestamp, m.id, a.id";
        let read = move |reader: &Reader<'_>| {
            let known = crate::conversation::known_by_id(reader, agent, id)?.ok_or(Error::NotFound(Missing::Row))?;
            let mut messages: Vec<MessageAttachments> = Vec::new();
            let mut attachments = Vec::new();
            reader.each(FILES, params![agent, id], |row| {
                let file = attachment(row, 3)?;
                attachments.push(file.clone());
                match messages.last_mut().filter(|last| last.id == file.message) {
                    Some(last) => last.attachments.push(file),
                    None => messages.push(MessageAttachments {
                        message_id: file.message,
                        id: file.message,
                        sender: sender(row, 2)?,
                        timestamp: row.timestamp(1)?,
                        attachments: vec![file],
                    }),
                }
                Ok(())
            })?;
            let total = attachments.len() as u64;
            Ok(ConversationAttachments {
                conversation_id: known.conversation_id,
                conversation: id,
                total_attachments: total,
                attachment_count: total,
                messages,
                attachments,
            })
        };
        self.engine.read(read).await
    }

    /// A file with its bytes, or with a part of them, to be read as they come.
    ///
    /// # Errors
    /// [`Missing::Row`]; [`Error::OutOfRange`] where the file has nothing of the part; [`Error::Blob`] where
    /// the bytes cannot be read now, [`Error::Lost`] where they are not there.
    pub async fn fetch_file(
        &self,
        agent: AgentId,
        conversation: ConversationId,
        id: AttachmentId,
        part: Part,
    ) -> Result<StoredFile> {
        const BY_ID: &str = "select filename, mime_type, hash, size_bytes from attachments
            where agent_id = ?1 and conversation = ?2 and id = ?3";
        let read = move |reader: &Reader<'_>| {
            reader.one(BY_ID, params![agent, conversation, id], |row| {
                let hash: [u8; 32] = row.blob(2)?.try_into().map_err(|_| damaged(2))?;
                Ok((row.string(0)?, row.string(1)?, ContentHash(hash), count(row.int(3)?)))
            })
        };
        let found = self.engine.read_now(read).await?;
        let (filename, mime_type, hash, size_bytes) = found.ok_or(Error::NotFound(Missing::Row))?;
        let range = part.of(size_bytes).ok_or(Error::OutOfRange { size: size_bytes })?;
        let bytes = self.shared.blobs.get(hash, size_bytes, range.clone()).await?;
        Ok(StoredFile { filename, mime_type, size_bytes, range, bytes })
    }
}
