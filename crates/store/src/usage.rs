//! Token usage: what SDK 0.0.x's counters add, and what a conversation sums up to.

use std::collections::{BTreeMap, BTreeSet};

use agentsight_model::ids::{AgentId, ConversationId};
use agentsight_model::json::JsonText;
use agentsight_model::time::Timestamp;
use agentsight_model::usage::{ModelUsage, PostedCounters, TokenCounts, UsageSummary};

use crate::agent::counts_are_cumulative;
use crate::engine::{Reader, Row, Table, Tx, params};
use crate::error::Result;
use crate::ids::Kind;

static TOKEN_USAGE: Table = Table {
    name: "token_usage",
    columns: &[
        "agent_id",
        "conversation",
        "id",
        "prompt_tokens",
        "completion_tokens",
        "embedding_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "audio_input_tokens",
        "audio_output_tokens",
        "total_tokens",
        "cost_usd",
        "cost_usd_reported",
        "cost_source",
        "calls",
        "unreported_calls",
        "incomplete",
        "started_at",
        "ended_at",
    ],
    on_conflict: "",
};
static TOKEN_COUNTERS: Table = Table {
    name: "token_counters",
    columns: &["agent_id", "id", "prompt", "completion", "embedding", "total", "seen_at"],
    on_conflict: "",
};

/// A process that was silent this long has ended; its counters are forgotten.
const COUNTERS_KEPT: i64 = Timestamp::DAY;

/// Books the counters of a `token_usage` action; true when that made a usage row.
pub(crate) fn book_counters(
    tx: &Tx<'_>,
    agent: AgentId,
    conversation: ConversationId,
    at: Timestamp,
    metadata: &JsonText,
    now: Timestamp,
) -> Result<bool> {
    if metadata.is_empty() {
        return Ok(false);
    }
    let Some(posted) = PostedCounters::from_metadata(&metadata.to_value()) else { return Ok(false) };
    let earlier = if counts_are_cumulative(tx, agent)? {
        continue_counters(tx, agent, &posted, now)?
    } else {
        PostedCounters::ZERO
    };
    let counts = posted.since(&earlier);
    if counts == TokenCounts::default() {
        return Ok(false);
    }
    let id = tx.next_id(Kind::TokenUsage)?;
    tx.insert(
        &TOKEN_USAGE,
        params![
            agent,
            conversation,
            id,
            counts.prompt_tokens,
            counts.completion_tokens,
            counts.embedding_tokens,
            0_i64,
            0_i64,
            0_i64,
            0_i64,
            0_i64,
            counts.total_tokens,
            0_i64,
            0_i64,
            "unpriced",
            1_i64,
            0_i64,
            false,
            at,
            at,
        ],
    )?;
    Ok(true)
}

/// Finds the process whose counters these continue, moves it on, and answers where it stood.
fn continue_counters(tx: &Tx<'_>, agent: AgentId, posted: &PostedCounters, now: Timestamp) -> Result<PostedCounters> {
    // Other nodes may hear of the same process.
    tx.lock("select id from agents where id = ?1", params![agent])?;
    let oldest = now.plus_micros(-COUNTERS_KEPT);
    tx.execute("delete from token_counters where agent_id = ?1 and seen_at < ?2", params![agent, oldest])?;
    let known = tx.all(
        "select id, prompt, completion, embedding, total from token_counters where agent_id = ?1",
        params![agent],
        |row| {
            Ok((
                row.int(0)?,
                PostedCounters {
                    prompt: row.int(1)?,
                    completion: row.int(2)?,
                    embedding: row.int(3)?,
                    total: row.int(4)?,
                },
            ))
        },
    )?;
    let best =
        known.into_iter().filter(|(_, earlier)| posted.continues(earlier)).max_by_key(|(_, earlier)| earlier.total);
    match best {
        Some((id, earlier)) => {
            tx.execute(
                "update token_counters set prompt = ?3, completion = ?4, embedding = ?5, total = ?6, seen_at = ?7 where agent_id = ?1 and id = ?2",
                params![agent, id, posted.prompt, posted.completion, posted.embedding, posted.total, now],
            )?;
            Ok(earlier)
        }
        None => {
            let id = tx.next_id(Kind::TokenCounter)?;
            tx.insert(
                &TOKEN_COUNTERS,
                params![agent, id, posted.prompt, posted.completion, posted.embedding, posted.total, now],
            )?;
            Ok(PostedCounters::ZERO)
        }
    }
}

/// What a conversation used, over all its rows; `None` when it has none.
pub(crate) fn summary(
    reader: &Reader<'_>,
    agent: AgentId,
    conversation: ConversationId,
) -> Result<Option<UsageSummary>> {
    const ROWS: &str = "select model, cost_source, cost_usd, prompt_tokens, completion_tokens, embedding_tokens, cache_read_tokens, cache_write_tokens,
        reasoning_tokens, audio_input_tokens, audio_output_tokens, total_tokens from token_usage where agent_id = ?1 and conversation = ?2 order by id";
    let mut models: BTreeMap<(Option<String>, String), (TokenCounts, i64)> = BTreeMap::new();
    let mut totals = TokenCounts::default();
    let mut cost = 0_i64;
    reader.each(ROWS, params![agent, conversation], |row| {
        let counts = counts(row, 3)?;
        let entry = models.entry((row.opt_string(0)?, row.string(1)?)).or_default();
        entry.0.add(&counts);
        entry.1 = entry.1.saturating_add(row.int(2)?);
        totals.add(&counts);
        cost = cost.saturating_add(row.int(2)?);
        Ok(())
    })?;
    if models.is_empty() {
        return Ok(None);
    }
    let sources: BTreeSet<&String> = models.keys().map(|(_, source)| source).collect();
    Ok(Some(UsageSummary {
        totals,
        cost_usd: dollars(cost),
        cost_sources: sources.into_iter().cloned().collect(),
        models: models
            .into_iter()
            .map(|((model, cost_source), (counts, cost))| ModelUsage {
                model,
                cost_source,
                cost_usd: dollars(cost),
                counts,
            })
            .collect(),
    }))
}

fn counts(row: &Row<'_>, first: usize) -> Result<TokenCounts> {
    Ok(TokenCounts {
        prompt_tokens: row.int(first)?,
        completion_tokens: row.int(first + 1)?,
        embedding_tokens: row.int(first + 2)?,
        cache_read_tokens: row.int(first + 3)?,
        cache_write_tokens: row.int(first + 4)?,
        reasoning_tokens: row.int(first + 5)?,
        audio_input_tokens: row.int(first + 6)?,
        audio_output_tokens: row.int(first + 7)?,
        total_tokens: row.int(first + 8)?,
    })
}

/// Units of 0.00000001 dollars as a decimal text.
fn dollars(units: i64) -> String {
    const UNIT: u64 = 100_000_000;
    let sign = if units < 0 { "-" } else { "" };
    let units = units.unsigned_abs();
    format!("{sign}{}.{:08}", units / UNIT, units % UNIT)
}

#[cfg(test)]
mod tests {
    #[test]
    fn costs_have_eight_places() {
        assert_eq!(super::dollars(5_610), "0.00005610");
        assert_eq!(super::dollars(123_456_789_012), "1234.56789012");
    }
}
