//! Spans in: each is kept as it came, and what it tells becomes messages, action logs, clicks and token usage
//! (contract: ingest-v1 §5).
//!
//! A span and what is made of it are written in one transaction, so that the span's own row is the memory by which a
//! batch that comes again changes nothing.

use std::collections::{HashMap, HashSet};

use agentsight_model::agent::normalise_slug;
use agentsight_model::conversation::ConversationRow;
use agentsight_model::ids::{AgentId, ButtonId, ConversationId, ConversationRef, SpanId};
use agentsight_model::json::JsonText;
use agentsight_model::refusal::Refusal;
use agentsight_model::span::{
    BatchCounts, BatchStored, BlockFields, ConversationKey, LlmCall, NewSpan, SpanBatch, SpanBlock, Tells, ToolRun,
    TraceSpans, Turn, TurnMessage,
};
use agentsight_model::time::Timestamp;
use agentsight_model::track::{Event, NewAction, NewConversation, NewEvent, Receipt, Target};
use futures_util::future::join_all;

use crate::agent::{environment_for, environments};
use crate::conversation::{self, Head, Known};
use crate::dialogue::{self, Heard, NewLine};
use crate::engine::{Param, Query, Reader, Row, Tx, params};
use crate::error::{Error, Missing, Result};
use crate::geo::Place;
use crate::ids::Kind;
use crate::message::BUTTONS;
use crate::span::SPANS;
use crate::track::{Growth, WRITE_OVERHEAD_BYTES, append_action, find_or_make, grow, insert_message};
use crate::usage::{self, Calls, PricedRow, SeenCall};
use crate::{Store, counters, metadata, search};

impl Store {
    /// Stores a batch of spans and what they tell. Durable and readable when it returns.
    ///
    /// Each block is one transaction. A span that is there already is left alone; the fields of its block are applied
    /// again.
    ///
    /// # Errors
    /// [`Refusal::Batch`] where any block cannot be taken; nothing of the batch is stored then. Where one block fails
    /// otherwise, the others are kept, and the whole batch may be sent again.
    pub async fn ingest(&self, agent: AgentId, mut batch: SpanBatch) -> Result<BatchStored> {
        self.check_environments(agent, &mut batch).await?;
        if !batch.problems.is_empty() {
            return Err(Refusal::Batch(Box::new(batch.refusal())).into());
        }
        // An address may be redacted; what it is near is not.
        let place = |block: &SpanBlock| self.shared.geo.locate(block.fields.customer_ip_address?);
        let places: Vec<Place> = batch.blocks.iter().map(|block| place(block).unwrap_or_default()).collect();
        let batch = self.redacted(batch.blocks.iter().map(|block| payload_bytes(&block.spans)).sum(), batch).await?;
        let now = self.clock().now();
        let writes = batch.blocks.into_iter().zip(places).map(|(block, place)| {
            let bytes = block_bytes(&block);
            // They are queued in the order in which they are first polled: that of the batch.
            self.engine.write(bytes, move |tx| write_block(tx, agent, &block, &place, false, now))
        });
        gather(join_all(writes).await)
    }

    /// Stores the spans of traces, each where its conversation is: the one that it names, or the one that holds earlier
    /// spans of the same trace, or else one that is called like the trace.
    ///
    /// Durable and readable when it returns. Where a trace names its conversation only now, what came before goes there.
    ///
    /// # Errors
    /// Where one trace fails, the others are kept, and the whole export may be sent again.
    pub async fn ingest_traces(&self, agent: AgentId, traces: Vec<TraceSpans>) -> Result<BatchStored> {
        const EARLIER: &str = "select c.conversation_id from spans s join conversations c on c.agent_id = s.agent_id and c.id = s.conversation
            where s.agent_id = ?1 and s.trace_id = ?2 limit 1";
        let _turn = self.shared.traces.enter(agent, traces.iter().map(|trace| trace.trace_id.as_str())).await;
        let ids: Vec<String> = traces.iter().map(|trace| trace.trace_id.clone()).collect();
        let name_environments = traces.iter().any(|trace| trace.fields.environment.is_some());
        let read = move |reader: &Reader<'_>| {
            let asked: Vec<[Param<'_>; 2]> = ids.iter().map(|id| [agent.into(), Param::Text(id)]).collect();
            let queries: Vec<Query<'_>> = asked.iter().map(|params| Query { sql: EARLIER, params }).collect();
            let mut earlier: HashMap<usize, String> = HashMap::new();
            reader.each_of(&queries, &mut |at, row| {
                earlier.insert(at, row.string(0)?);
                Ok(())
            })?;
            let slugs = if name_environments { environments(reader, agent)? } else { Vec::new() };
            Ok((earlier, slugs.into_iter().map(|environment| environment.slug).collect()))
        };
        let (mut earlier, slugs): (_, HashSet<String>) = self.engine.read_now(read).await?;
        let traces = self.redacted(traces.iter().map(|trace| payload_bytes(&trace.spans)).sum(), traces).await?;
        let now = self.clock().now();
        let writes = traces.into_iter().enumerate().map(|(at, trace)| {
            let before = earlier.remove(&at).filter(|_| !trace.trace_id.is_empty());
            let alone = if trace.trace_id.is_empty() { UNTRACED.to_owned() } else { trace.trace_id };
            let name = trace.conversation_id.or_else(|| before.clone()).unwrap_or_else(|| alone.clone());
            // Only what was put there for want of a name.
            let continues = before.is_some();
            let adopts = before.filter(|before| *before == alone && *before != name);
            let mut fields = trace.fields;
            fields.environment =
                fields.environment.as_deref().and_then(normalise_slug).filter(|slug| slugs.contains(slug));
            let block = SpanBlock { conversation_id: name, fields, spans: trace.spans };
            let bytes = block_bytes(&block);
            self.engine.write(bytes, move |tx| {
                if let Some(before) = &adopts {
                    adopt(tx, agent, before, &block.conversation_id)?;
                }
                write_block(tx, agent, &block, &Place::default(), continues, now)
            })
        });
        gather(join_all(writes).await)
    }

    /// Finds blocks that name an environment which the agent does not have.
    async fn check_environments(&self, agent: AgentId, batch: &mut SpanBatch) -> Result<()> {
        let named = |block: &SpanBlock| block.fields.environment.as_deref().and_then(normalise_slug);
        if batch.blocks.iter().all(|block| named(block).is_none()) {
            return Ok(());
        }
        let known = self.engine.read_now(move |reader| environments(reader, agent)).await?;
        let known: HashSet<&str> = known.iter().map(|environment| environment.slug.as_str()).collect();
        let unknown: Vec<(usize, String)> = (0..)
            .zip(&batch.blocks)
            .filter(|(_, block)| named(block).is_some_and(|slug| !known.contains(slug.as_str())))
            .map(|(index, block)| (index, block.fields.environment.clone().unwrap_or_default()))
            .collect();
        for (index, given) in unknown {
            batch.add_problem(index, "environment", format!("Unknown environment: '{given}'."));
        }
        Ok(())
    }
}

/// Where spans go that belong to no trace and name no conversation.
const UNTRACED: &str = "untraced";

/// What a block weighs in the queue: its texts, and what is made of them.
fn block_bytes(block: &SpanBlock) -> usize {
    WRITE_OVERHEAD_BYTES * (1 + block.spans.len()) + 2 * payload_bytes(&block.spans)
}

fn payload_bytes(spans: &[NewSpan]) -> usize {
    spans.iter().map(|span| span.payload.as_str().len()).sum()
}

/// What a batch stored, or the first failure.
fn gather(all: Vec<Result<Written>>) -> Result<BatchStored> {
    let mut stored = BatchStored::default();
    let mut seen = HashSet::new();
    for written in all {
        let written = written?;
        stored.accepted.add(BatchCounts { conversations: 1, spans: written.spans });
        stored.duplicates += written.duplicates;
        if seen.insert(written.key.id) {
            stored.conversations.push(written.key);
        }
    }
    Ok(stored)
}

/// Lets a conversation that was called like its trace, for want of a name, become the one that is named now.
fn adopt(tx: &Tx<'_>, agent: AgentId, before: &str, name: &str) -> Result<()> {
    const RENAME: &str = "update conversations set conversation_id = ?3 where agent_id = ?1 and id = ?2";
    const DOUBLES: &str = "delete from spans where agent_id = ?1 and conversation = ?2
        and span_id in (select o.span_id from spans o where o.agent_id = ?1 and o.conversation = ?3)";
    const NOT_INDEXED: &str = "delete from search_pending where agent_id = ?1 and conversation = ?2";
    const ADD: &str = "update conversations set message_count = conversations.message_count + o.message_count,
            action_log_count = conversations.action_log_count + o.action_log_count,
            button_count = conversations.button_count + o.button_count, attachment_count = conversations.attachment_count + o.attachment_count,
            conversation_feedback_count = conversations.conversation_feedback_count + o.conversation_feedback_count,
            message_feedback_count = conversations.message_feedback_count + o.message_feedback_count,
            ticket_count = conversations.ticket_count + o.ticket_count, usage_count = conversations.usage_count + o.usage_count,
            started_at = case when o.started_at < conversations.started_at then o.started_at else conversations.started_at end,
            ended_at = case when o.ended_at > conversations.ended_at then o.ended_at else conversations.ended_at end,
            is_used = case when o.is_used = 1 then 1 else conversations.is_used end
        from conversations o where conversations.agent_id = ?1 and conversations.id = ?2 and o.agent_id = ?1 and o.id = ?3";
    const RETOLD: &str = "update conversations set message_count = message_count - ?3 where agent_id = ?1 and id = ?2";
    // In one order, so that nobody waits for somebody who waits for them.
    for name in [before.min(name), before.max(name)] {
        conversation::lock_by_name(tx, agent, name)?;
    }
    let find = |name: &str| conversation::find_head(tx, agent, &ConversationRef::Named(name.to_owned()));
    let Some(old) = find(before)? else { return Ok(()) };
    let Some(new) = find(name)? else {
        tx.execute(RENAME, params![agent, old.row.id, name])?;
        tx.ahead().note_changed(agent, old.row.id);
        tx.ahead().note_made(agent, name);
        return search::leave_texts(tx, agent, old.row.id);
    };
    // A span is known by its id within a conversation, so that one of the two would be taken for the other.
    let doubles = tx.execute_counted(DOUBLES, params![agent, old.row.id, new.row.id])?;
    tx.add_to_total(agent, counters::SPANS, -i64::try_from(doubles).unwrap_or_default());
    let retold = dialogue::forget_retold(tx, agent, [old.row.id, new.row.id])?;
    for table in ["spans", "messages", "action_logs", "buttons", "attachments", "feedbacks", "tickets", "token_usage"] {
        let sql = format!("update {table} set conversation = ?3 where agent_id = ?1 and conversation = ?2");
        tx.execute(&sql, params![agent, old.row.id, new.row.id])?;
    }
    usage::restate_conversation(tx, agent, new.row.id)?;
    tx.execute(ADD, params![agent, new.row.id, old.row.id])?;
    tx.execute(RETOLD, params![agent, new.row.id, retold])?;
    metadata::replace(tx, agent, old.row.id, &old.row.metadata, &JsonText::EMPTY)?;
    tx.execute(NOT_INDEXED, params![agent, old.row.id])?;
    tx.execute("delete from conversations where agent_id = ?1 and id = ?2", params![agent, old.row.id])?;
    tx.add_to_total(agent, counters::CONVERSATIONS, -1);
    if old.row.is_deleted {
        tx.add_to_total(agent, counters::DELETED, -1);
    }
    tx.ahead().note_changed(agent, old.row.id);
    tx.ahead().note_changed(agent, new.row.id);
    search::leave_everything(tx, agent, new.row.id)
}

/// What became of a block.
struct Written {
    key: ConversationKey,
    spans: u64,
    duplicates: u64,
}

/// Writes a block; of a trace that `continues`, an earlier export held other spans.
fn write_block(
    tx: &Tx<'_>,
    agent: AgentId,
    block: &SpanBlock,
    place: &Place,
    continues: bool,
    now: Timestamp,
) -> Result<Written> {
    let began = block.spans.iter().filter_map(|span| span.started_at).min().unwrap_or(now);
    let (head, created) = find_or_make(tx, agent, &announced(block, began), place)?;
    if !created {
        overwrite(tx, agent, &head.row, &block.fields, place)?;
    }
    let known = conversation::known_by_id(tx, agent, head.row.id)?.ok_or(Error::NotFound(Missing::Row))?;
    let spans = new_spans(tx, agent, &known, &block.spans, created)?;
    let written = Written {
        key: ConversationKey { conversation_id: known.conversation_id.clone(), id: known.id },
        spans: spans.len() as u64,
        duplicates: (block.spans.len() - spans.len()) as u64,
    };
    if !spans.is_empty() {
        let projection = Projection { tx, agent, known: &known, created, continues, now };
        projection.write(&spans, &head)?;
        tx.add_to_total(agent, counters::SPANS, spans.len() as i64);
    }
    Ok(written)
}

/// The conversation that a block announces, should it be new.
fn announced(block: &SpanBlock, began: Timestamp) -> NewConversation {
    let fields = block.fields.clone();
    NewConversation {
        conversation_id: block.conversation_id.clone(),
        name: fields.name,
        customer_id: fields.customer_id,
        customer_ip_address: fields.customer_ip_address,
        device: fields.device,
        source: fields.source,
        language: fields.language,
        environment: fields.environment,
        metadata: fields.metadata,
        is_used: Some(false),
        timestamp: began,
    }
}

/// Writes the fields that a block gives over those that are there (contract: ingest-v1 §5.1).
fn overwrite(tx: &Tx<'_>, agent: AgentId, row: &ConversationRow, given: &BlockFields, place: &Place) -> Result<()> {
    let address = given.customer_ip_address.map(|address| address.to_string());
    let differs = |has: &Option<String>, given: &Option<String>| given.is_some() && has != given;
    let texts = differs(&row.name, &given.name) || differs(&row.customer_id, &given.customer_id);
    let moves = differs(&row.customer_ip_address, &address);
    let metadata = given.metadata.as_ref().filter(|document| **document != row.metadata);
    let named = given.environment.as_deref().and_then(normalise_slug).filter(|slug| *slug != row.environment);
    let others = differs(&row.device, &given.device)
        || differs(&row.source, &given.source)
        || differs(&row.language, &given.language);
    if !(texts || moves || others || metadata.is_some() || named.is_some()) {
        return Ok(());
    }
    tx.ahead().note_changed(agent, row.id);
    let pick = |given: &Option<String>, has: &Option<String>| given.clone().or_else(|| has.clone());
    tx.execute(
        "update conversations set name = ?3, customer_id = ?4, device = ?5, source = ?6, language = ?7 where agent_id = ?1 and id = ?2",
        params![
            agent,
            row.id,
            pick(&given.name, &row.name).as_deref(),
            pick(&given.customer_id, &row.customer_id).as_deref(),
            pick(&given.device, &row.device).as_deref(),
            pick(&given.source, &row.source).as_deref(),
            pick(&given.language, &row.language).as_deref(),
        ],
    )?;
    if moves {
        tx.execute(
            "update conversations set customer_ip_address = ?3, city = ?4, country = ?5, timezone_name = ?6 where agent_id = ?1 and id = ?2",
            params![
                agent,
                row.id,
                address.as_deref(),
                place.city.as_deref(),
                place.country.as_deref(),
                place.timezone_name.as_deref(),
            ],
        )?;
    }
    if let Some(new) = metadata {
        metadata::replace(tx, agent, row.id, &row.metadata, new)?;
        tx.execute(
            "update conversations set metadata = ?3 where agent_id = ?1 and id = ?2",
            params![agent, row.id, new.stored()],
        )?;
    }
    if let Some(slug) = named {
        let environment = environment_for(tx, agent, Some(&slug))?;
        tx.execute(
            "update conversations set environment_id = ?3, environment = ?4 where agent_id = ?1 and id = ?2",
            params![agent, row.id, environment.id, &environment.slug],
        )?;
    }
    if texts {
        search::leave_texts(tx, agent, row.id)?;
    }
    Ok(())
}

/// The spans that are not there yet, each once.
fn new_spans<'b>(
    tx: &Tx<'_>,
    agent: AgentId,
    known: &Known,
    spans: &'b [NewSpan],
    created: bool,
) -> Result<Vec<&'b NewSpan>> {
    const IS_THERE: &str = "select span_id from spans where agent_id = ?1 and conversation = ?2 and span_id = ?3";
    let mut seen: HashSet<&str> = HashSet::with_capacity(spans.len());
    let mut spans: Vec<&NewSpan> = spans.iter().filter(|span| seen.insert(&span.span_id)).collect();
    if created {
        return Ok(spans);
    }
    let mut there: HashSet<String> = HashSet::new();
    let ids: Vec<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
    each_by_text(tx, agent, known.id, IS_THERE, &ids, |row| {
        there.insert(row.string(0)?);
        Ok(())
    })?;
    spans.retain(|span| !there.contains(&span.span_id));
    Ok(spans)
}

/// Asks the same of a conversation for each of some texts, all together.
fn each_by_text(
    tx: &Tx<'_>,
    agent: AgentId,
    conversation: ConversationId,
    sql: &'static str,
    texts: &[&str],
    mut each: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let asked: Vec<[Param<'_>; 3]> =
        texts.iter().map(|text| [agent.into(), conversation.into(), Param::Text(text)]).collect();
    let queries: Vec<Query<'_>> = asked.iter().map(|params| Query { sql, params }).collect();
    tx.each_of(&queries, &mut |_, row| each(row))
}

/// What is known of a turn.
#[derive(Clone)]
struct TurnState {
    complete: bool,
    incomplete_reason: Option<String>,
    started_at: Timestamp,
    ended_at: Timestamp,
}

/// One thing for the transcript, to be written in the order of its time.
enum Said<'s> {
    Message(&'s TurnMessage),
    /// What an instrumentation heard, and how it is known again.
    Heard(NewLine<'s>),
    Tool(ToolRun, Times),
}

/// When a span ran.
#[derive(Clone)]
struct Times {
    started_at: Timestamp,
    ended_at: Timestamp,
    duration_ms: Option<serde_json::Number>,
}

/// New spans of one conversation on their way into its rows.
struct Projection<'t, 'c> {
    tx: &'t Tx<'c>,
    agent: AgentId,
    known: &'t Known,
    /// The conversation is new, and nothing of it need be looked for.
    created: bool,
    /// Calls may have been seen by another instrumentation, in an earlier export of their trace.
    continues: bool,
    now: Timestamp,
}

impl Projection<'_, '_> {
    fn write(&self, spans: &[&NewSpan], head: &Head) -> Result<()> {
        let mut turns: HashMap<String, TurnState> = HashMap::new();
        for span in spans {
            if let Tells::Turn(turn) = &span.tells {
                turns.insert(span.span_id.clone(), self.state(span, turn));
            }
        }
        let mut said: Vec<(Timestamp, Said<'_>)> = Vec::new();
        if !self.created {
            self.settle_waiting(&turns, &mut said)?;
        }
        self.find_turns(spans, &mut turns)?;

        let mut growth = Growth::default();
        let mut calls = Calls::default();
        let mut used = false;
        for span in spans {
            let times = self.times(span);
            let turn = span.turn_id.as_ref().map(|id| turns.get(id));
            let mut settled = None;
            match &span.tells {
                Tells::Turn(turn) => {
                    settled = Some(turn.complete);
                    if turn.complete {
                        let at = |message: &TurnMessage| message.timestamp.unwrap_or(times.started_at);
                        said.extend(turn.messages.iter().map(|message| (at(message), Said::Message(message))));
                    }
                }
                Tells::Tool(run) => {
                    let shown = match turn {
                        None => Some(true),
                        Some(None) => Some(false),
                        Some(Some(turn)) => turn.complete.then_some(true),
                    };
                    settled = shown;
                    if shown == Some(true) {
                        said.push((times.started_at, Said::Tool(run.clone(), times.clone())));
                    }
                }
                Tells::Llm(call) if self.is_booked(span, call, &times)? => {}
                Tells::Llm(call) => self.count(span, call, &times, turn.flatten(), &mut calls),
                Tells::Click(click, data) => {
                    let id = ButtonId(self.tx.next_id(Kind::Button)?);
                    self.tx.insert(
                        &BUTTONS,
                        params![
                            self.agent,
                            self.known.id,
                            id,
                            None::<i64>,
                            &click.button_event,
                            &click.label,
                            &click.value,
                            data.stored(),
                            times.started_at
                        ],
                    )?;
                    growth.buttons += 1;
                }
                Tells::Visit | Tells::Nothing => {}
            }
            used |= span.tells != Tells::Visit;
            self.insert_span(span, &times, settled)?;
        }
        let heard: Vec<Heard<'_>> = spans
            .iter()
            .filter_map(|span| {
                let (times, dialogue) = (self.times(span), span.dialogue.as_ref()?);
                let (started_at, ended_at) = (times.started_at, times.ended_at);
                Some(Heard { trace_id: &span.trace_id, started_at, ended_at, dialogue })
            })
            .collect();
        if !heard.is_empty() {
            let lines = dialogue::compare(self.tx, self.agent, self.known.id, &heard)?;
            said.extend(lines.into_iter().map(|line| (line.at, Said::Heard(line))));
        }
        // Ids follow the transcript.
        said.sort_by_key(|(at, _)| *at);
        let said_last = said.last().map(|(at, _)| *at);
        let said_first = said.first().map(|(at, _)| *at);
        for (at, said) in said {
            growth.add(&self.say(at, said)?);
        }
        growth.usages += usage::book_calls(self.tx, self.agent, self.known.id, &calls, self.created)?;
        // Any span moves the beginning, so that it does not depend on the order in which they come.
        let began = spans.iter().map(|span| self.times(span).started_at).chain(said_first).min();
        let began = began.unwrap_or(self.known.started_at);
        let ended = match (said_last, head.row.message_count) {
            // What a silent conversation ended with counts no more.
            (Some(last), 0) => last,
            (Some(last), _) => self.known.ended_at.max(last),
            (None, 0) => {
                let last = spans.iter().map(|span| self.times(span).ended_at).max();
                last.map_or(self.known.ended_at, |last| self.known.ended_at.max(last))
            }
            (None, _) => self.known.ended_at,
        };
        if used {
            return grow(self.tx, self.agent, self.known, (began, ended), self.now, &growth);
        }
        self.tx.ahead().note_changed(self.agent, self.known.id);
        self.tx.execute(
            "update conversations set started_at = ?3, ended_at = ?4 where agent_id = ?1 and id = ?2",
            params![self.agent, self.known.id, self.known.started_at.min(began), ended],
        )
    }

    fn times(&self, span: &NewSpan) -> Times {
        let started_at = span.started_at.unwrap_or(self.now);
        Times { started_at, ended_at: span.ended_at.unwrap_or(started_at), duration_ms: span.duration_ms.clone() }
    }

    fn state(&self, span: &NewSpan, turn: &Turn) -> TurnState {
        let Times { started_at, ended_at, .. } = self.times(span);
        TurnState { complete: turn.complete, incomplete_reason: turn.incomplete_reason.clone(), started_at, ended_at }
    }

    /// Adds the turns that came before to those of this batch.
    fn find_turns(&self, spans: &[&NewSpan], turns: &mut HashMap<String, TurnState>) -> Result<()> {
        const STORED: &str = "select span_id, settled, incomplete_reason, started_at, ended_at from spans
            where agent_id = ?1 and conversation = ?2 and span_id = ?3 and kind = 'turn'";
        if self.created {
            return Ok(());
        }
        let mut wanted: Vec<&str> = spans.iter().filter_map(|span| span.turn_id.as_deref()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|id| !turns.contains_key(*id));
        each_by_text(self.tx, self.agent, self.known.id, STORED, &wanted, |row| {
            let state = TurnState {
                complete: row.opt_int(1)? == Some(1),
                incomplete_reason: row.opt_string(2)?,
                started_at: row.timestamp(3)?,
                ended_at: row.timestamp(4)?,
            };
            turns.insert(row.string(0)?, state);
            Ok(())
        })
    }

    /// What came before its turn: tools that wait for it, and calls whose times it says (contract: ingest-v1 §5.8).
    fn settle_waiting(&self, turns: &HashMap<String, TurnState>, said: &mut Vec<(Timestamp, Said<'_>)>) -> Result<()> {
        const WAITING: &str = "select turn_id, started_at, ended_at, payload from spans
            where agent_id = ?1 and conversation = ?2 and turn_id = ?3 and settled = 0";
        const SETTLE: &str = "update spans set settled = ?4
            where agent_id = ?1 and conversation = ?2 and turn_id = ?3 and settled = 0 and kind <> 'turn'";
        let ids: Vec<&str> = turns.keys().map(String::as_str).collect();
        let mut waited: HashSet<String> = HashSet::new();
        let mut booked: Vec<PricedRow> = Vec::new();
        let asked: Vec<[Param<'_>; 3]> =
            ids.iter().map(|id| [self.agent.into(), self.known.id.into(), Param::Text(id)]).collect();
        let of = |sql| asked.iter().map(move |params| Query { sql, params });
        let queries: Vec<Query<'_>> = of(WAITING).chain(of(usage::OF_TURN)).collect();
        self.tx.each_of(&queries, &mut |at, row| {
            if at >= ids.len() {
                booked.push(PricedRow::read(row)?);
                return Ok(());
            }
            let id = row.string(0)?;
            let is_shown = turns.get(&id).is_some_and(|turn| turn.complete);
            let span = NewSpan::stored(row.text(3)?);
            if let (true, Some(NewSpan { tells: Tells::Tool(run), duration_ms, .. })) = (is_shown, span) {
                let times = Times { started_at: row.timestamp(1)?, ended_at: row.timestamp(2)?, duration_ms };
                said.push((times.started_at, Said::Tool(run, times)));
            }
            waited.insert(id);
            Ok(())
        })?;
        for (id, turn) in turns {
            if waited.contains(id) {
                let settled = turn.complete.then_some(1_i64);
                self.tx.execute(SETTLE, params![self.agent, self.known.id, id, settled])?;
            }
        }
        for row in &booked {
            let Some(turn) = row.turn().and_then(|id| turns.get(id)) else { continue };
            let (times, reason) = ((turn.started_at, turn.ended_at), turn.incomplete_reason.as_deref());
            usage::note_turn(self.tx, self.agent, self.known.id, row, times, turn.complete, reason)?;
        }
        Ok(())
    }

    fn is_booked(&self, span: &NewSpan, call: &LlmCall, times: &Times) -> Result<bool> {
        if !self.continues || span.turn_id.is_some() || span.ended_at.is_none() {
            return Ok(false);
        }
        let (trace_id, payload) = (span.trace_id.as_str(), span.payload.as_str());
        let seen = SeenCall { trace_id, payload, call, spread: (times.started_at, times.ended_at) };
        usage::is_booked(self.tx, self.agent, self.known.id, &seen)
    }

    fn count(&self, span: &NewSpan, call: &LlmCall, times: &Times, turn: Option<&TurnState>, calls: &mut Calls) {
        let spread = turn.map_or((times.started_at, times.ended_at), |turn| (turn.started_at, turn.ended_at));
        let incomplete = turn.filter(|turn| !turn.complete).map(|turn| turn.incomplete_reason.clone());
        calls.add(span.turn_id.as_deref(), call, spread, turn.is_some(), incomplete);
    }

    fn insert_span(&self, span: &NewSpan, times: &Times, settled: Option<bool>) -> Result<()> {
        let id = SpanId(self.tx.next_id(Kind::Span)?);
        let duration = span.duration_ms.as_ref().map(ToString::to_string);
        let reason = match &span.tells {
            Tells::Turn(turn) => turn.incomplete_reason.as_deref(),
            _ => None,
        };
        self.tx.insert(
            &SPANS,
            params![
                self.agent,
                id,
                self.known.id,
                &span.span_id,
                &span.trace_id,
                span.parent_span_id.as_deref(),
                &span.kind,
                &span.name,
                &span.status,
                times.started_at,
                times.ended_at,
                duration.as_deref(),
                span.turn_id.as_deref(),
                settled.map(i64::from),
                reason,
                span.payload.as_str(),
            ],
        )
    }

    /// Writes a message, or the run of a tool with its own.
    fn say(&self, at: Timestamp, said: Said<'_>) -> Result<Growth> {
        let (tx, agent, known, now) = (self.tx, self.agent, self.known, self.now);
        let event = |metadata: JsonText, receipt: Option<Receipt>, what: Event| NewEvent {
            target: Target { id: Some(known.id), name: None },
            timestamp: at,
            metadata,
            receipt,
            what,
        };
        let message = |message: &TurnMessage, receipt: Option<Receipt>| {
            let what = Event::Message { sender: message.sender, content: String::new() };
            let event = event(message.metadata.clone(), receipt, what);
            insert_message(tx, agent, known, &event, message.sender, &message.content, None, now)?;
            Ok(Growth { messages: 1, ..Growth::default() })
        };
        match said {
            Said::Message(said) => message(said, None),
            Said::Heard(line) => message(line.message, Some(line.receipt)),
            Said::Tool(run, times) => {
                let action = NewAction {
                    action_name: run.name,
                    started_at: times.started_at,
                    ended_at: times.ended_at,
                    duration_ms: times.duration_ms,
                    tools_used: run.arguments,
                    response: run.response,
                    error_message: run.error,
                };
                let event = event(JsonText::EMPTY, None, Event::Action(action.clone()));
                append_action(tx, agent, known, &event, &action, now).map(|(_, growth)| growth)
            }
        }
    }
}
