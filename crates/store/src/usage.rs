//! Token usage: what SDK 0.0.x's counters add, and what a conversation sums up to.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use agentsight_model::currency::{self, EuroRates};
use agentsight_model::filter::not_available;
use agentsight_model::ids::{AgentId, ConversationId, UsageId};
use agentsight_model::json::JsonText;
use agentsight_model::limits::{CALL_COST, TEXT_CHARS};
use agentsight_model::price::Book;
use agentsight_model::refusal::Refusal;
use agentsight_model::span::{LlmCall, instrumentation};
use agentsight_model::time::Timestamp;
use agentsight_model::usage::{
    AllCounts, GroupBy, GroupKey, ModelUsage, PostedCounters, TokenCounts, Usage, UsageFilter, UsageGroup, UsageSummary,
};

use crate::agent::counts_are_cumulative;
use crate::conversation;
use crate::engine::{Param, Query, Reader, Row, Table, Tx, params};
use crate::error::Result;
use crate::ids::Kind;
use crate::paging::{self, Conditions, Extent, Found, Owned};
use crate::{Store, agent as agents, price};

static TOKEN_USAGE: Table = Table {
    name: "token_usage",
    columns: &[
        "agent_id",
        "conversation",
        "id",
        "turn_id",
        "model",
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
        "incomplete_reason",
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

/// The columns of [`PricedRow`].
macro_rules! priced {
    () => {
        "prompt_tokens, completion_tokens, embedding_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
        audio_input_tokens, audio_output_tokens, total_tokens, cost_usd_reported, calls, unreported_calls, incomplete,
        incomplete_reason, started_at, ended_at, id, model, turn_id, cost_source, cost_usd"
    };
}

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
    let metadata = metadata.to_value();
    let Some(posted) = PostedCounters::from_metadata(&metadata) else { return Ok(false) };
    let earlier = if counts_are_cumulative(tx, agent)? {
        continue_counters(tx, agent, &posted, now)?
    } else {
        PostedCounters::ZERO
    };
    let counts = posted.since(&earlier);
    if counts == TokenCounts::default() {
        return Ok(false);
    }
    let row = UsageRow {
        counts,
        reported_cost: 0,
        calls: 1,
        unreported_calls: 0,
        incomplete: false,
        incomplete_reason: None,
        started_at: at,
        ended_at: at,
        is_settled: false,
    };
    // The SDK names none; whoever posts counters by hand may.
    let model = metadata.get("model").and_then(|model| model.as_str()).map(str::trim);
    let model = model.filter(|model| !model.is_empty() && model.chars().count() <= TEXT_CHARS);
    row.insert(tx, agent, conversation, None, model)?;
    Ok(true)
}

/// The key of a row: its turn, and its model. A model that is not known is the empty text, so that it is equal to itself.
type TurnAndModel = (String, String);

/// What a row of usage holds beside its key.
#[derive(Clone, Debug, PartialEq)]
struct UsageRow {
    counts: TokenCounts,
    reported_cost: i64,
    calls: i64,
    unreported_calls: i64,
    incomplete: bool,
    incomplete_reason: Option<String>,
    started_at: Timestamp,
    ended_at: Timestamp,
    /// The times are those of the turn, and not of its calls.
    is_settled: bool,
}

impl UsageRow {
    /// One call. `spread` is the time of its turn where that is known (`is_settled`), else its own; `incomplete` holds the
    /// reason of a turn that was not completed.
    fn of(
        call: &LlmCall,
        (started_at, ended_at): (Timestamp, Timestamp),
        is_settled: bool,
        incomplete: Option<Option<String>>,
    ) -> Self {
        Self {
            counts: call.counts,
            reported_cost: call.reported_cost,
            calls: 1,
            unreported_calls: i64::from(!call.is_reported),
            incomplete: incomplete.is_some(),
            incomplete_reason: incomplete.flatten(),
            started_at,
            ended_at,
            is_settled,
        }
    }

    /// Adds calls of the same turn and model.
    fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.reported_cost = self.reported_cost.saturating_add(other.reported_cost);
        self.calls += other.calls;
        self.unreported_calls += other.unreported_calls;
        if other.is_settled {
            self.started_at = other.started_at;
            self.ended_at = other.ended_at;
            self.incomplete = other.incomplete;
            self.incomplete_reason.clone_from(&other.incomplete_reason);
        } else {
            self.started_at = self.started_at.min(other.started_at);
            self.ended_at = self.ended_at.max(other.ended_at);
        }
    }

    /// Where the cost comes from, and what it is: ours where the book has a rate of the model at that time, else the
    /// sender's, else none, which is not 0 but unknown. It is at most what so many calls may cost.
    fn cost(&self, model: Option<&str>, book: &Book) -> (&'static str, i64) {
        // What was never reported is not free.
        let is_silent = self.counts.total_tokens == 0 && self.unreported_calls >= self.calls;
        let model = model.filter(|model| !model.is_empty() && !is_silent);
        match model.and_then(|model| book.cost(model, &self.counts, self.started_at)) {
            Some(cost) => ("backend", cost.min(CALL_COST.saturating_mul(self.calls))),
            None if self.reported_cost > 0 => ("reported", self.reported_cost),
            None => ("unpriced", 0),
        }
    }

    fn insert(
        &self,
        tx: &Tx<'_>,
        agent: AgentId,
        conversation: ConversationId,
        turn: Option<&str>,
        model: Option<&str>,
    ) -> Result<()> {
        let id = UsageId(tx.next_id(Kind::TokenUsage)?);
        let (cost_source, cost) = match model {
            Some(model) => self.cost(Some(model), &*price::book(tx)?),
            None => self.cost(None, &Book::default()),
        };
        tx.insert(
            &TOKEN_USAGE,
            params![
                agent,
                conversation,
                id,
                turn,
                model,
                self.counts.prompt_tokens,
                self.counts.completion_tokens,
                self.counts.embedding_tokens,
                self.counts.cache_read_tokens,
                self.counts.cache_write_tokens,
                self.counts.reasoning_tokens,
                self.counts.audio_input_tokens,
                self.counts.audio_output_tokens,
                self.counts.total_tokens,
                cost,
                self.reported_cost,
                cost_source,
                self.calls,
                self.unreported_calls,
                self.incomplete,
                self.incomplete_reason.as_deref(),
                self.started_at,
                self.ended_at,
            ],
        )
    }

    fn update(
        &self,
        tx: &Tx<'_>,
        agent: AgentId,
        conversation: ConversationId,
        id: i64,
        model: Option<&str>,
    ) -> Result<()> {
        let (cost_source, cost) = self.cost(model, &*price::book(tx)?);
        tx.execute(
            "update token_usage set prompt_tokens = ?4, completion_tokens = ?5, embedding_tokens = ?6, cache_read_tokens = ?7,
                cache_write_tokens = ?8, reasoning_tokens = ?9, audio_input_tokens = ?10, audio_output_tokens = ?11,
                total_tokens = ?12, cost_usd = ?13, cost_usd_reported = ?14, cost_source = ?15, calls = ?16,
                unreported_calls = ?17, incomplete = ?18, incomplete_reason = ?19, started_at = ?20, ended_at = ?21
             where agent_id = ?1 and conversation = ?2 and id = ?3",
            params![
                agent,
                conversation,
                id,
                self.counts.prompt_tokens,
                self.counts.completion_tokens,
                self.counts.embedding_tokens,
                self.counts.cache_read_tokens,
                self.counts.cache_write_tokens,
                self.counts.reasoning_tokens,
                self.counts.audio_input_tokens,
                self.counts.audio_output_tokens,
                self.counts.total_tokens,
                cost,
                self.reported_cost,
                cost_source,
                self.calls,
                self.unreported_calls,
                self.incomplete,
                self.incomplete_reason.as_deref(),
                self.started_at,
                self.ended_at,
            ],
        )
    }
}

/// Calls of models, to be booked together: one row per turn and model, and one per call outside a turn.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    in_turns: BTreeMap<TurnAndModel, UsageRow>,
    alone: Vec<(Option<String>, UsageRow)>,
}

impl Calls {
    /// Adds a call, of a turn or outside one.
    pub(crate) fn add(
        &mut self,
        turn: Option<&str>,
        call: &LlmCall,
        spread: (Timestamp, Timestamp),
        is_settled: bool,
        incomplete: Option<Option<String>>,
    ) {
        let row = UsageRow::of(call, spread, is_settled, incomplete);
        let Some(turn) = turn else { return self.alone.push((call.model.clone(), row)) };
        match self.in_turns.entry((turn.to_owned(), call.model.clone().unwrap_or_default())) {
            Entry::Vacant(entry) => drop(entry.insert(row)),
            Entry::Occupied(mut entry) => entry.get_mut().add(&row),
        }
    }
}

/// A call outside of turns, as the span that tells it.
pub(crate) struct SeenCall<'s> {
    pub(crate) trace_id: &'s str,
    pub(crate) payload: &'s str,
    pub(crate) call: &'s LlmCall,
    pub(crate) spread: (Timestamp, Timestamp),
}

/// Whether a call was booked already, because another instrumentation saw it in an earlier export. The one that counts is the
/// outer of both, or the one that knows the tokens where the other does not (`otlp/src/twice.rs`, for those of one export):
/// where that is this one, it takes the other's place.
pub(crate) fn is_booked(
    tx: &Tx<'_>,
    agent: AgentId,
    conversation: ConversationId,
    seen: &SeenCall<'_>,
) -> Result<bool> {
    const AT_ONCE: &str = concat!(
        "select ",
        priced!(),
        " from token_usage where agent_id = ?1 and conversation = ?2 and turn_id is null and started_at <= ?3 and ended_at >= ?4"
    );
    const SPANS: &str = "select payload from spans
        where agent_id = ?1 and trace_id = ?2 and conversation = ?3 and started_at = ?4 and ended_at = ?5";
    const REPLACE: &str = "delete from token_usage where agent_id = ?1 and conversation = ?2 and id = ?3";
    let SeenCall { trace_id, payload, call, spread: (started_at, ended_at) } = *seen;
    let scope = instrumentation(payload);
    let rows = tx.all(AT_ONCE, params![agent, conversation, ended_at, started_at], PricedRow::read)?;
    for PricedRow { id, row, model, .. } in rows {
        let is_within = started_at >= row.started_at && ended_at <= row.ended_at;
        let is_around = started_at <= row.started_at && ended_at >= row.ended_at;
        let models = (model.as_deref().filter(|model| !model.is_empty()), call.model.as_deref());
        if !(is_within || is_around) || matches!(models, (Some(one), Some(other)) if one != other) {
            continue;
        }
        let times = params![agent, trace_id, conversation, row.started_at, row.ended_at];
        let scopes = tx.all(SPANS, times, |span| Ok(instrumentation(span.text(0)?)))?;
        if scopes.iter().all(|other| *other == scope) {
            continue;
        }
        let counts = match (call.is_reported, row.unreported_calls == 0) {
            (true, false) => true,
            (false, true) => false,
            _ => !is_within,
        };
        if counts {
            tx.execute(REPLACE, params![agent, conversation, id])?;
            let row = UsageRow::of(call, seen.spread, false, None);
            row.insert(tx, agent, conversation, None, Some(call.model.as_deref().unwrap_or_default()))?;
        }
        return Ok(true);
    }
    Ok(false)
}

/// Books calls; answers how many rows were made.
pub(crate) fn book_calls(
    tx: &Tx<'_>,
    agent: AgentId,
    conversation: ConversationId,
    calls: &Calls,
    is_new: bool,
) -> Result<i64> {
    const STORED: &str = concat!(
        "select ",
        priced!(),
        " from token_usage where agent_id = ?1 and conversation = ?2 and turn_id = ?3 and model = ?4"
    );
    let mut made = 0;
    for (model, row) in &calls.alone {
        row.insert(tx, agent, conversation, None, Some(model.as_deref().unwrap_or_default()))?;
        made += 1;
    }
    let keys: Vec<&TurnAndModel> = calls.in_turns.keys().collect();
    let mut stored: HashMap<usize, (i64, UsageRow)> = HashMap::new();
    if !is_new {
        let asked: Vec<[Param<'_>; 4]> =
            keys.iter().map(|(turn, model)| [agent.into(), conversation.into(), turn.into(), model.into()]).collect();
        let queries: Vec<Query<'_>> = asked.iter().map(|params| Query { sql: STORED, params }).collect();
        tx.each_of(&queries, &mut |at, row| {
            let PricedRow { id, row, .. } = PricedRow::read(row)?;
            stored.insert(at, (id, row));
            Ok(())
        })?;
    }
    for (at, ((turn, model), row)) in calls.in_turns.iter().enumerate() {
        if let Some((id, mut sum)) = stored.remove(&at) {
            sum.add(row);
            sum.update(tx, agent, conversation, id, Some(model))?;
        } else {
            row.insert(tx, agent, conversation, Some(turn), Some(model))?;
            made += 1;
        }
    }
    Ok(made)
}

/// The same for other rooms.
pub(crate) const PRICED: &str = priced!();

/// A stored row of usage with all that its cost follows from, and the cost that it has.
pub(crate) struct PricedRow {
    pub(crate) id: i64,
    row: UsageRow,
    model: Option<String>,
    turn: Option<String>,
    pub(crate) cost_source: String,
    pub(crate) cost_usd: i64,
}

impl PricedRow {
    /// How many columns it has.
    pub(crate) const WIDTH: usize = 21;

    /// From [`PRICED`], which begin the row.
    pub(crate) fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.int(16)?,
            row: UsageRow {
                counts: counts(row, 0)?,
                reported_cost: row.int(9)?,
                calls: row.int(10)?,
                unreported_calls: row.int(11)?,
                incomplete: row.flag(12)?,
                incomplete_reason: row.opt_string(13)?,
                started_at: row.timestamp(14)?,
                ended_at: row.timestamp(15)?,
                is_settled: false,
            },
            model: row.opt_string(17)?,
            turn: row.opt_string(18)?,
            cost_source: row.string(19)?,
            cost_usd: row.int(20)?,
        })
    }

    /// What the row costs by a book, and by whose word.
    pub(crate) fn cost(&self, book: &Book) -> (&'static str, i64) {
        self.row.cost(self.model.as_deref(), book)
    }

    /// Gives the row another cost, where everything that this follows from is still as it was read.
    pub(crate) fn restate(
        &self,
        tx: &Tx<'_>,
        agent: AgentId,
        conversation: ConversationId,
        source: &str,
        cost: i64,
    ) -> Result<()> {
        let UsageRow { counts, reported_cost, calls, unreported_calls, started_at, .. } = &self.row;
        tx.execute(
            "update token_usage set cost_source = ?4, cost_usd = ?5
             where agent_id = ?1 and conversation = ?2 and id = ?3 and prompt_tokens = ?6 and completion_tokens = ?7
                and embedding_tokens = ?8 and cache_read_tokens = ?9 and cache_write_tokens = ?10 and total_tokens = ?11
                and cost_usd_reported = ?12 and calls = ?13 and unreported_calls = ?14 and started_at = ?15",
            params![
                agent,
                conversation,
                self.id,
                source,
                cost,
                counts.prompt_tokens,
                counts.completion_tokens,
                counts.embedding_tokens,
                counts.cache_read_tokens,
                counts.cache_write_tokens,
                counts.total_tokens,
                *reported_cost,
                *calls,
                *unreported_calls,
                *started_at,
            ],
        )
    }

    /// The turn that it is of; none for calls outside one.
    pub(crate) fn turn(&self) -> Option<&str> {
        self.turn.as_deref()
    }
}

/// What is booked on a turn.
pub(crate) const OF_TURN: &str =
    concat!("select ", priced!(), " from token_usage where agent_id = ?1 and conversation = ?2 and turn_id = ?3");

/// Gives a row that came before its turn the turn's times, and whether it was completed; its price is the one of then.
pub(crate) fn note_turn(
    tx: &Tx<'_>,
    agent: AgentId,
    conversation: ConversationId,
    booked: &PricedRow,
    (started_at, ended_at): (Timestamp, Timestamp),
    complete: bool,
    incomplete_reason: Option<&str>,
) -> Result<()> {
    let incomplete_reason = incomplete_reason.map(str::to_owned);
    let row = UsageRow { started_at, ended_at, incomplete: !complete, incomplete_reason, ..booked.row.clone() };
    if row == booked.row {
        return Ok(());
    }
    row.update(tx, agent, conversation, booked.id, booked.model.as_deref())
}

/// Prices all usage of a conversation anew, after it was given another key: whoever restates history may have gone by.
pub(crate) fn restate_conversation(tx: &Tx<'_>, agent: AgentId, conversation: ConversationId) -> Result<()> {
    const ALL: &str = concat!("select ", priced!(), " from token_usage where agent_id = ?1 and conversation = ?2");
    let book = price::book(tx)?;
    for row in tx.all(ALL, params![agent, conversation], PricedRow::read)? {
        let (source, cost) = row.cost(&book);
        if (source, cost) != (row.cost_source.as_str(), row.cost_usd) {
            row.restate(tx, agent, conversation, source, cost)?;
        }
    }
    Ok(())
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

/// What [`Summed`] reads.
macro_rules! summed_columns {
    () => {
        "model, cost_source, cost_usd, prompt_tokens, completion_tokens, embedding_tokens, cache_read_tokens, cache_write_tokens,
         reasoning_tokens, audio_input_tokens, audio_output_tokens, total_tokens from token_usage"
    };
}
pub(crate) use summed_columns;

/// What a conversation used, summed over its rows.
#[derive(Default)]
pub(crate) struct Summed {
    models: BTreeMap<(Option<String>, String), (TokenCounts, i64)>,
    totals: TokenCounts,
    cost: i64,
}

impl Summed {
    /// Adds a row of [`summed_columns`].
    pub(crate) fn add(&mut self, row: &Row<'_>) -> Result<()> {
        let counts = counts(row, 3)?;
        let model = row.opt_string(0)?.filter(|model| !model.is_empty());
        let entry = self.models.entry((model, row.string(1)?)).or_default();
        entry.0.add(&counts);
        entry.1 = entry.1.saturating_add(row.int(2)?);
        self.totals.add(&counts);
        self.cost = self.cost.saturating_add(row.int(2)?);
        Ok(())
    }

    /// `None` where there was no row.
    pub(crate) fn finish(self) -> Option<UsageSummary> {
        let Self { models, totals, cost } = self;
        if models.is_empty() {
            return None;
        }
        let sources: BTreeSet<&String> = models.keys().map(|(_, source)| source).collect();
        Some(UsageSummary {
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
        })
    }
}

const FROM: &str = "from token_usage u join conversations c on c.agent_id = u.agent_id and c.id = u.conversation where u.agent_id = ?1";

fn conditions(reader: &Reader<'_>, agent: AgentId, filter: &UsageFilter) -> Result<Conditions> {
    use Owned::{Int, Text};
    let mut all = Conditions::none();
    let texts = [
        ("u.model", &filter.model),
        ("c.conversation_id", &filter.conversation_id),
        ("u.turn_id", &filter.turn_id),
        ("u.cost_source", &filter.cost_source),
    ];
    for (column, value) in texts {
        if let Some(value) = value {
            all.add(&format!("{column} = {{}}"), [Text(value.clone())]);
        }
    }
    if let Some(id) = filter.conversation {
        all.add("u.conversation = {}", [Int(id)]);
    }
    if let Some(flag) = filter.incomplete {
        all.add("u.incomplete = {}", [Int(flag.into())]);
    }
    if let Some(slug) = &filter.environment {
        let id = agents::find_environment(reader, agent, slug)?;
        let id = id.ok_or_else(|| Refusal::field("environment", not_available(slug)))?;
        all.add("c.environment_id = {}", [Int(id.0)]);
    }
    for (bound, at) in [(">=", filter.started_at_after), ("<=", filter.started_at_before)] {
        if let Some(at) = at {
            all.add(&format!("u.started_at {bound} {{}}"), [Int(at.0)]);
        }
    }
    Ok(all)
}

/// From the columns of [`Store::list_usage`].
fn usage_row(row: &Row<'_>) -> Result<Usage> {
    Ok(Usage {
        id: UsageId(row.int(0)?),
        conversation: ConversationId(row.int(1)?),
        conversation_id: row.string(2)?,
        environment: row.string(3)?,
        turn_id: row.opt_string(4)?,
        model: row.opt_string(5)?.filter(|model| !model.is_empty()),
        counts: AllCounts(counts(row, 6)?),
        cost_usd: dollars(row.int(15)?),
        cost_usd_reported: dollars(row.int(16)?),
        cost_source: row.string(17)?,
        calls: row.int(18)?,
        unreported_calls: row.int(19)?,
        incomplete: row.flag(20)?,
        incomplete_reason: row.opt_string(21)?,
        started_at: row.timestamp(22)?,
        ended_at: row.timestamp(23)?,
    })
}

impl Store {
    /// Rows of usage that match, newest first.
    ///
    /// # Errors
    /// [`Missing::Page`](crate::Missing), an environment that the agent does not have, a query that takes too long.
    pub async fn list_usage(&self, agent: AgentId, filter: UsageFilter, extent: Extent) -> Result<Found<Usage>> {
        const COLUMNS: &str = "u.id, u.conversation, c.conversation_id, c.environment, u.turn_id, u.model, u.prompt_tokens, u.completion_tokens,
            u.embedding_tokens, u.cache_read_tokens, u.cache_write_tokens, u.reasoning_tokens, u.audio_input_tokens,
            u.audio_output_tokens, u.total_tokens, u.cost_usd, u.cost_usd_reported, u.cost_source, u.calls, u.unreported_calls,
            u.incomplete, u.incomplete_reason, u.started_at, u.ended_at";
        let read = move |reader: &Reader<'_>| {
            let conditions = conditions(reader, agent, &filter)?;
            let total = || {
                let sql = format!("select count(*) {FROM}{}", conditions.text);
                Ok(reader.one(&sql, &conditions.params(agent, &[]), |row| row.int(0))?.map_or(0, conversation::count))
            };
            let next = conditions.next();
            let order = paging::order_by(&filter.ordering, "started_at", |key| format!("u.{key}"));
            let sql = format!(
                "select {COLUMNS} {FROM}{} order by {order} limit ?{next} offset ?{}",
                conditions.text,
                next + 1
            );
            let rows =
                |offset, limit| reader.all(&sql, &conditions.params(agent, &paging::bounds(offset, limit)), usage_row);
            paging::page(extent, total, rows)
        };
        self.engine.read(read).await
    }

    /// Usage summed up by model, conversation or day, the dearest first; with rates in euros too, each row by the rate of
    /// its day. A group with a day that has no rate has no euros.
    ///
    /// # Errors
    /// An environment that the agent does not have, a query that takes too long.
    pub async fn sum_up_usage(
        &self,
        agent: AgentId,
        filter: UsageFilter,
        by: GroupBy,
        euros: Option<Arc<EuroRates>>,
    ) -> Result<Vec<UsageGroup>> {
        let read = move |reader: &Reader<'_>| {
            let conditions = conditions(reader, agent, &filter)?;
            let day = format!("u.started_at / {}", Timestamp::DAY);
            let key = match by {
                GroupBy::Model => "coalesce(u.model, '')",
                GroupBy::Conversation => "u.conversation",
                GroupBy::Day => &day,
            };
            let mut euros_of = match &euros {
                Some(rates) => sum_up_euros(reader, agent, &conditions, (key, &day), by, rates)?,
                None => HashMap::new(),
            };
            // A sum of integers is an integer on one engine and a decimal on the other.
            let sums: Vec<String> = SUMMED.iter().map(|column| format!("cast(sum(u.{column}) as bigint)")).collect();
            let sql = format!(
                "select {key}, count(*), {}, count(*) filter (where u.cost_source = 'unpriced')
                    {FROM}{} group by {key} order by sum(u.cost_usd) desc, sum(u.total_tokens) desc, 1",
                sums.join(", "),
                conditions.text
            );
            reader.all(&sql, &conditions.params(agent, &[]), |row| {
                let group = group_key(row, by)?;
                let (rows, unpriced_rows) = (row.int(1)?, row.int(10)?);
                Ok(UsageGroup {
                    // Of what nobody knows in dollars, nobody knows it in euros either.
                    cost_eur: euros_of.remove(&group).flatten().filter(|_| unpriced_rows < rows),
                    group,
                    calls: row.int(2)?,
                    rows,
                    prompt_tokens: row.int(3)?,
                    completion_tokens: row.int(4)?,
                    embedding_tokens: row.int(5)?,
                    cache_read_tokens: row.int(6)?,
                    cache_write_tokens: row.int(7)?,
                    total_tokens: row.int(8)?,
                    cost_usd: row.int(9)? as f64 / 1e8,
                    unpriced_rows,
                })
            })
        };
        self.engine.read(read).await
    }
}

/// The group that a row of a summary is of: its first column.
fn group_key(row: &Row<'_>, by: GroupBy) -> Result<Option<GroupKey>> {
    Ok(match by {
        GroupBy::Model => row.opt_string(0)?.filter(|model| !model.is_empty()).map(GroupKey::Text),
        GroupBy::Conversation => Some(GroupKey::Number(row.int(0)?)),
        GroupBy::Day => Some(GroupKey::Text(Timestamp(row.int(0)?.saturating_mul(Timestamp::DAY)).date())),
    })
}

/// Costs of each group in euros; nothing for a group with a day that has no rate, for part of a cost is none.
fn sum_up_euros(
    reader: &Reader<'_>,
    agent: AgentId,
    conditions: &Conditions,
    (key, day): (&str, &str),
    by: GroupBy,
    rates: &EuroRates,
) -> Result<HashMap<Option<GroupKey>, Option<f64>>> {
    let sql =
        format!("select {key}, {day}, cast(sum(u.cost_usd) as bigint) {FROM}{} group by {key}, {day}", conditions.text);
    let mut sums: HashMap<Option<GroupKey>, Option<i128>> = HashMap::new();
    reader.each(&sql, &conditions.params(agent, &[]), |row| {
        let cost = row.int(2)?;
        let amount = rates.on(row.int(1)?).map(|rate| rate.convert(cost));
        let sum = sums.entry(group_key(row, by)?).or_insert(Some(0));
        *sum = sum.zip(amount).and_then(|(sum, amount)| sum.checked_add(amount));
        Ok(())
    })?;
    Ok(sums.into_iter().map(|(group, sum)| (group, sum.map(|sum| currency::rounded(sum) as f64 / 1e8))).collect())
}

/// Columns of a summary, in its order.
const SUMMED: [&str; 8] = [
    "calls",
    "prompt_tokens",
    "completion_tokens",
    "embedding_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "total_tokens",
    "cost_usd",
];

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
