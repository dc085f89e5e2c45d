//! The archive of spans, as it is read: lists, one whole, a trace (contract: reading §11).

use agentsight_model::filter::not_available;
use agentsight_model::ids::{AgentId, ConversationId, SpanId};
use agentsight_model::limits::TRACE_SPANS;
use agentsight_model::refusal::Refusal;
use agentsight_model::span::{Span, SpanFilter, Trace};

use crate::conversation::count;
use crate::engine::{Reader, Row, Table, damaged, params};
use crate::error::{Error, Missing, Result};
use crate::paging::{self, Conditions, Extent, Found, Owned};
use crate::{Store, agent as agents, counters};

pub(crate) static SPANS: Table = Table {
    name: "spans",
    columns: &[
        "agent_id",
        "id",
        "conversation",
        "span_id",
        "trace_id",
        "parent_span_id",
        "kind",
        "name",
        "status",
        "started_at",
        "ended_at",
        "duration_ms",
        "turn_id",
        "settled",
        "incomplete_reason",
        "payload",
    ],
    on_conflict: "",
};

macro_rules! span_columns {
    () => {
        "s.id, s.conversation, c.conversation_id, s.trace_id, s.span_id, s.parent_span_id, s.kind, s.name, s.started_at, s.ended_at,
         s.duration_ms, s.status, s.payload from spans s join conversations c on c.agent_id = s.agent_id and c.id = s.conversation"
    };
}

/// From [`span_columns`].
fn span(row: &Row<'_>) -> Result<Span> {
    let duration = row.opt_text(10)?.map(serde_json::from_str::<serde_json::Number>);
    let (attributes, events) = Span::contents(row.text(12)?).ok_or_else(|| damaged(12))?;
    Ok(Span {
        id: SpanId(row.int(0)?),
        conversation: ConversationId(row.int(1)?),
        conversation_id: row.string(2)?,
        trace_id: row.string(3)?,
        span_id: row.string(4)?,
        parent_span_id: row.opt_string(5)?,
        kind: row.string(6)?,
        name: row.string(7)?,
        started_at: row.timestamp(8)?,
        ended_at: row.timestamp(9)?,
        duration_ms: duration.transpose().map_err(|_| damaged(10))?,
        status: row.string(11)?,
        attributes,
        events,
        payload: None,
    })
}

fn conditions(reader: &Reader<'_>, agent: AgentId, filter: &SpanFilter) -> Result<Conditions> {
    use Owned::{Int, Text};
    let mut all = Conditions::none();
    let texts = [
        ("s.kind", &filter.kind),
        ("s.status", &filter.status),
        ("s.name", &filter.name),
        ("s.trace_id", &filter.trace_id),
        ("s.span_id", &filter.span_id),
        ("s.parent_span_id", &filter.parent_span_id),
        ("c.conversation_id", &filter.conversation_id),
    ];
    for (column, value) in texts {
        if let Some(value) = value {
            all.add(&format!("{column} = {{}}"), [Text(value.clone())]);
        }
    }
    if let Some(id) = filter.conversation {
        all.add("s.conversation = {}", [Int(id)]);
    }
    if let Some(slug) = &filter.environment {
        let id = agents::find_environment(reader, agent, slug)?;
        let id = id.ok_or_else(|| Refusal::field("environment", not_available(slug)))?;
        all.add("c.environment_id = {}", [Int(id.0)]);
    }
    for (bound, at) in [(">=", filter.started_at_after), ("<=", filter.started_at_before)] {
        if let Some(at) = at {
            all.add(&format!("s.started_at {bound} {{}}"), [Int(at.0)]);
        }
    }
    Ok(all)
}

impl Store {
    /// Spans that match, newest first, without their payload.
    ///
    /// # Errors
    /// [`Missing::Page`], an environment that the agent does not have, a query that takes too long.
    pub async fn list_spans(&self, agent: AgentId, filter: SpanFilter, extent: Extent) -> Result<Found<Span>> {
        let read = move |reader: &Reader<'_>| {
            let conditions = conditions(reader, agent, &filter)?;
            let total = || {
                if conditions.plain {
                    return counters::get(reader, agent, counters::SPANS);
                }
                let sql = format!(
                    "select count(*) from spans s join conversations c on c.agent_id = s.agent_id and c.id = s.conversation where s.agent_id = ?1{}",
                    conditions.text
                );
                Ok(reader.one(&sql, &conditions.params(agent, &[]), |row| row.int(0))?.map_or(0, count))
            };
            let next = conditions.next();
            let order = paging::order_by(&filter.ordering, "started_at", |key| match key {
                // As sent it is a text.
                "duration_ms" => "s.ended_at - s.started_at".to_owned(),
                column => format!("s.{column}"),
            });
            let sql = format!(
                concat!("select ", span_columns!(), " where s.agent_id = ?1{} order by {} limit ?{} offset ?{}"),
                conditions.text,
                order,
                next,
                next + 1
            );
            let rows =
                |offset, limit| reader.all(&sql, &conditions.params(agent, &paging::bounds(offset, limit)), span);
            paging::page(extent, total, rows)
        };
        self.engine.read(read).await
    }

    /// One span, with its payload where that is wanted.
    ///
    /// # Errors
    /// [`Missing::Row`]
    pub async fn fetch_span(&self, agent: AgentId, id: SpanId, payload: bool) -> Result<Span> {
        const ONE: &str = concat!("select ", span_columns!(), " where s.agent_id = ?1 and s.id = ?2");
        let read = move |reader: &Reader<'_>| {
            let found = reader.one(ONE, params![agent, id], |row| {
                let payload = if payload { Some(row.json(12)?) } else { None };
                Ok(Span { payload, ..span(row)? })
            })?;
            found.ok_or(Error::NotFound(Missing::Row))
        };
        self.engine.read_now(read).await
    }

    /// The spans of a trace, the oldest [`TRACE_SPANS`] of them.
    ///
    /// # Errors
    /// [`Missing::Row`] where no span has that trace id.
    pub async fn fetch_trace(&self, agent: AgentId, trace_id: String) -> Result<Trace> {
        const ALL: &str = concat!(
            "select ",
            span_columns!(),
            " where s.agent_id = ?1 and s.trace_id = ?2 order by s.started_at, s.id limit ?3"
        );
        let read = move |reader: &Reader<'_>| {
            let most = TRACE_SPANS as i64 + 1;
            let mut spans = reader.all(ALL, params![agent, &trace_id, most], span)?;
            if spans.is_empty() {
                return Err(Error::NotFound(Missing::Row));
            }
            let truncated = spans.len() > TRACE_SPANS;
            spans.truncate(TRACE_SPANS);
            Ok(Trace { trace_id: trace_id.clone(), spans, truncated })
        };
        self.engine.read(read).await
    }
}
