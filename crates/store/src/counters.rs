//! Exact totals per agent, kept with every write, so that an unfiltered list need not count.

use agentsight_model::ids::AgentId;

use crate::engine::{Reader, Tx, params};
use crate::error::Result;

/// Conversations, those in the trash included.
pub(crate) const CONVERSATIONS: &str = "conversations";
/// Conversations in the trash.
pub(crate) const DELETED: &str = "deleted_conversations";
/// Spans.
pub(crate) const SPANS: &str = "spans";

/// Feedback of all kinds.
pub(crate) const FEEDBACKS: &str = "feedbacks";
/// Tickets.
pub(crate) const TICKETS: &str = "tickets";

pub(crate) fn write(tx: &Tx<'_>, agent: i64, name: &str, by: i64) -> Result<()> {
    tx.execute(
        "insert into counters (agent_id, name, value) values (?1, ?2, ?3)
         on conflict (agent_id, name) do update set value = counters.value + excluded.value",
        params![agent, name, by],
    )
}

pub(crate) fn get(reader: &Reader<'_>, agent: AgentId, name: &str) -> Result<u64> {
    let value =
        reader.one("select value from counters where agent_id = ?1 and name = ?2", params![agent, name], |row| {
            row.int(0)
        })?;
    Ok(value.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}
