//! Tickets, as far as conversations show them.

use std::collections::HashMap;

use agentsight_model::ids::{AgentId, TicketId};
use agentsight_model::ticket::{ConversationTicket, TicketComment};

use crate::engine::{Reader, params};
use crate::error::Result;

/// Tickets of these conversations, newest first, each with its thread, by conversation.
pub(crate) fn of_conversations(
    reader: &Reader<'_>,
    agent: AgentId,
    conversations: &[i64],
) -> Result<HashMap<i64, Vec<ConversationTicket>>> {
    const TICKETS: &str = "select conversation, id, title, status, priority, tags, created_at, updated_at from tickets
        where agent_id = ?1 and conversation in (select value from rarray(?2)) order by created_at desc, id desc";
    const COMMENTS: &str = "select id, author, role, body, created_at from ticket_comments where agent_id = ?1 and ticket = ?2 order by created_at, id";
    let tickets = reader.all(TICKETS, &[agent.into(), crate::engine::Param::Ints(conversations)], |row| {
        let tags = row.opt_text(5)?.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let ticket = ConversationTicket {
            id: TicketId(row.int(1)?),
            title: row.string(2)?,
            status: row.string(3)?,
            priority: row.opt_string(4)?,
            tags,
            created_at: row.timestamp(6)?,
            updated_at: row.timestamp(7)?,
            comments: Vec::new(),
        };
        Ok((row.int(0)?, ticket))
    })?;
    let mut by_conversation: HashMap<i64, Vec<ConversationTicket>> = HashMap::new();
    for (conversation, mut ticket) in tickets {
        ticket.comments = reader.all(COMMENTS, params![agent, ticket.id.0], |row| {
            Ok(TicketComment {
                id: row.int(0)?,
                author: row.string(1)?,
                role: row.string(2)?,
                body: row.string(3)?,
                created_at: row.timestamp(4)?,
            })
        })?;
        by_conversation.entry(conversation).or_default().push(ticket);
    }
    Ok(by_conversation)
}
