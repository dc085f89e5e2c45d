//! Clicks, as they are listed and counted (contract: reading §9.3). Those of conversations in the trash are left out.

use agentsight_model::button::{ButtonCount, ButtonFilter, ButtonRow};
use agentsight_model::ids::{AgentId, ButtonId, ConversationId, MessageId};
use agentsight_model::limits::UNPAGED_ROWS;

use crate::Store;
use crate::conversation::{self, count};
use crate::engine::{Reader, Row, params};
use crate::error::Result;
use crate::paging::{self, Conditions, Extent, Found, Listing, Owned};

/// Clicks that are not in the trash.
macro_rules! clicks {
    () => {
        "buttons b join conversations c on c.agent_id = b.agent_id and c.id = b.conversation and c.is_deleted = 0"
    };
}

const LIST: Listing = Listing { from: clicks!(), alias: "b", total: None };

/// From `id, conversation, conversation_id, message, button_event, label, value, metadata, timestamp`.
fn button(row: &Row<'_>) -> Result<ButtonRow> {
    Ok(ButtonRow {
        id: ButtonId(row.int(0)?),
        conversation: ConversationId(row.int(1)?),
        conversation_id: row.string(2)?,
        message: row.opt_int(3)?.map(MessageId),
        button_event: row.string(4)?,
        label: row.string(5)?,
        value: row.string(6)?,
        metadata: row.json(7)?,
        timestamp: row.timestamp(8)?,
    })
}

fn conditions(reader: &Reader<'_>, agent: AgentId, filter: &ButtonFilter) -> Result<Conditions> {
    let mut all = Conditions::none();
    if let Some(event) = &filter.button_event {
        all.add("b.button_event = {}", [Owned::Text(event.clone())]);
    }
    if let Some(id) = filter.conversation {
        all.add("b.conversation = {}", [Owned::Int(id)]);
    }
    if let Some(name) = &filter.conversation_id {
        all.only("b.conversation", conversation::id_of(reader, agent, name)?);
    }
    all.between("b.timestamp", filter.timestamp_after, filter.timestamp_before);
    Ok(all)
}

impl Store {
    /// Clicks that match, newest first.
    ///
    /// # Errors
    /// [`Missing::Page`](crate::Missing::Page), a query that takes too long.
    pub async fn list_buttons(&self, agent: AgentId, filter: ButtonFilter, extent: Extent) -> Result<Found<ButtonRow>> {
        let read = move |reader: &Reader<'_>| {
            let conditions = conditions(reader, agent, &filter)?;
            let next = conditions.next();
            let sql = format!(
                concat!(
                    "select b.id, b.conversation, c.conversation_id, b.message, b.button_event, b.label, b.value, b.metadata, b.timestamp from ",
                    clicks!(),
                    " where b.agent_id = ?1{} order by b.timestamp desc, b.id desc limit ?{} offset ?{}"
                ),
                conditions.text,
                next,
                next + 1
            );
            let rows = |offset, limit| {
                if conditions.impossible {
                    return Ok(Vec::new());
                }
                reader.all(&sql, &conditions.params(agent, &paging::bounds(offset, limit)), button)
            };
            paging::page(extent, || LIST.count(reader, agent, &conditions), rows)
        };
        self.engine.read(read).await
    }

    /// How often each button was clicked, of one event or of all, most clicked first.
    ///
    /// # Errors
    /// A query that takes too long.
    pub async fn button_stats(&self, agent: AgentId, event: Option<String>) -> Result<Vec<ButtonCount>> {
        const ALL: &str = concat!(
            "select b.button_event, b.value, b.label, count(*) from ",
            clicks!(),
            " where b.agent_id = ?1 group by b.button_event, b.value, b.label order by 4 desc, 1, 2, 3 limit ?2"
        );
        const OF_ONE: &str = concat!(
            "select b.button_event, b.value, b.label, count(*) from ",
            clicks!(),
            " where b.agent_id = ?1 and b.button_event = ?3 group by b.button_event, b.value, b.label order by 4 desc, 1, 2, 3 limit ?2"
        );
        let most = UNPAGED_ROWS as i64;
        let read = move |reader: &Reader<'_>| {
            let counted = |row: &Row<'_>| {
                Ok(ButtonCount {
                    button_event: row.string(0)?,
                    value: row.string(1)?,
                    label: row.string(2)?,
                    count: count(row.int(3)?),
                })
            };
            match &event {
                None => reader.all(ALL, params![agent, most], counted),
                Some(event) => reader.all(OF_ONE, params![agent, most, event], counted),
            }
        };
        self.engine.read(read).await
    }
}
