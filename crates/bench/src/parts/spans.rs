//! Spans a second through both doors, each durable and readable when it is answered.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ingest::POOL;
use super::{Bench, read_back};
use crate::dataset::{Action, Conversation, Dataset};
use crate::error::{Context, Result};
use crate::http::write_post;
use crate::load::{self, Measured, Source};
use crate::report::spread;
use crate::server;
use crate::server::Place;
use crate::stats::Spread;

/// Stands for the number of a conversation, in 12 digits, in everything that is made of the pool beforehand.
const NUMBER: &str = "@@@@@@@@@@@@";
/// Spans of a conversation: five exchanges, two tool calls, and what the exchanges hang on.
const SPANS: u64 = 8;
/// Conversations of a batch.
const BATCH: u64 = 64;

#[derive(Clone, Copy, Debug)]
enum Door {
    /// `POST /api/ingest/`, as SDK 0.1.x sends.
    Ingest,
    /// `POST /v1/traces`, as exporters of OpenTelemetry send, with the GenAI conventions.
    Traces,
}

/// A text around the places of its conversation's number.
type Pieces = Vec<String>;

/// The spans of one conversation, each ready to be sent.
struct Prepared {
    head: Pieces,
    spans: Vec<Pieces>,
    tail: &'static str,
}

impl Door {
    fn path(self) -> &'static str {
        match self {
            Self::Ingest => "/api/ingest/",
            Self::Traces => "/v1/traces",
        }
    }

    /// What stands around the conversations of a request.
    fn frame(self) -> (&'static str, &'static str) {
        match self {
            Self::Ingest => ("{\"sdk\":{\"name\":\"bench\",\"version\":\"1\"},\"conversations\":[", "]}"),
            Self::Traces => ("{\"resourceSpans\":[", "]}"),
        }
    }

    fn prepare(self, conversation: &Conversation) -> Prepared {
        let spans = self.spans(conversation).iter().map(|span| pieces(&span.to_string())).collect();
        let (head, tail) = match self {
            Self::Ingest => (format!("{{\"conversation_id\":\"spans-{NUMBER}\",\"spans\":["), "]}"),
            Self::Traces => {
                let service = json!({ "key": "service.name", "value": { "stringValue": "bench" } });
                let resource = json!({ "attributes": [service] });
                (format!("{{\"resource\":{resource},\"scopeSpans\":[{{\"spans\":["), "]}]}")
            }
        };
        Prepared { head: pieces(&head), spans, tail }
    }

    fn spans(self, conversation: &Conversation) -> Vec<Value> {
        let exchanges = conversation.messages.chunks_exact(2).enumerate();
        let mut spans: Vec<Value> = exchanges
            .filter_map(|(at, pair)| match pair {
                [asked, answered] => Some(self.exchange(at, asked.at_us, &asked.content, &answered.content)),
                _ => None,
            })
            .collect();
        for (at, action) in conversation.actions.iter().enumerate() {
            spans.push(self.tool(at, action));
        }
        let begun = conversation.messages.first().map_or(0, |message| message.at_us);
        spans.push(self.span(
            0xf0,
            begun,
            9_000_000,
            "conversation",
            "span",
            &json!({ "agent.version": "1" }),
            &json!([]),
        ));
        spans
    }

    fn exchange(self, at: usize, at_us: i64, asked: &str, answered: &str) -> Value {
        match self {
            Self::Ingest => {
                let said = |sender: &str, content: &str, at_us: i64| {
                    json!({ "name": "agentsight.message", "timestamp": iso(at_us),
                        "attributes": { "agentsight.message.sender": sender, "agentsight.message.content": content } })
                };
                let events = json!([said("end_user", asked, at_us), said("agent", answered, at_us + 900_000)]);
                self.span(at, at_us, 1_000_000, "ask", "turn", &json!({ "agentsight.turn.complete": true }), &events)
            }
            Self::Traces => {
                let said = |role: &str, content: &str| {
                    json!([{ "role": role, "parts": [{ "type": "text", "content": content }] }]).to_string()
                };
                let attributes = json!({ "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini",
                    "gen_ai.usage.input_tokens": 142, "gen_ai.usage.output_tokens": 58,
                    "gen_ai.input.messages": said("user", asked), "gen_ai.output.messages": said("assistant", answered) });
                self.span(at, at_us, 1_000_000, "chat gpt-4o-mini", "llm", &attributes, &json!([]))
            }
        }
    }

    fn tool(self, at: usize, action: &Action) -> Value {
        let Action { name, response, .. } = action;
        let arguments = json!({ "query": action.query }).to_string();
        let attributes = match self {
            Self::Ingest => {
                // Within the exchange that it comes after.
                json!({ "agentsight.turn.id": span_id(action.after as usize / 2), "agentsight.tool.name": name,
                    "agentsight.tool.arguments": arguments, "agentsight.tool.response": response })
            }
            Self::Traces => json!({ "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name,
                "gen_ai.tool.call.arguments": arguments, "gen_ai.tool.call.result": response }),
        };
        self.span(0xe0 + at, action.at_us, 200_000, name, "tool", &attributes, &json!([]))
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a span")]
    fn span(
        self,
        at: usize,
        at_us: i64,
        took_us: i64,
        name: &str,
        kind: &str,
        attributes: &Value,
        events: &Value,
    ) -> Value {
        let (trace, id) = (format!("{:0>20}{NUMBER}", "5e"), span_id(at));
        match self {
            Self::Ingest => {
                json!({ "span_id": id, "trace_id": trace, "kind": kind, "name": name, "started_at": iso(at_us),
                "ended_at": iso(at_us + took_us), "status": "ok", "attributes": attributes, "events": events })
            }
            Self::Traces => {
                let mut given: Vec<Value> =
                    attributes.as_object().into_iter().flatten().map(|(key, value)| attribute(key, value)).collect();
                given.push(attribute("gen_ai.conversation.id", &json!(format!("spans-{NUMBER}"))));
                json!({ "traceId": trace, "spanId": id, "name": name, "kind": 1, "startTimeUnixNano": nanos(at_us),
                    "endTimeUnixNano": nanos(at_us + took_us), "attributes": given, "status": {} })
            }
        }
    }
}

/// Never of zeros alone, which stand for no span.
fn span_id(at: usize) -> String {
    format!("{:04x}{NUMBER}", at + 1)
}

fn attribute(key: &str, value: &Value) -> Value {
    match value {
        Value::Number(number) => json!({ "key": key, "value": { "intValue": number.to_string() } }),
        Value::String(text) => json!({ "key": key, "value": { "stringValue": text } }),
        other => json!({ "key": key, "value": { "stringValue": other.to_string() } }),
    }
}

fn iso(at_us: i64) -> String {
    jiff::Timestamp::from_microsecond(at_us).unwrap_or_default().to_string()
}

fn nanos(at_us: i64) -> String {
    (i128::from(at_us) * 1_000).to_string()
}

fn pieces(text: &str) -> Pieces {
    text.split(NUMBER).map(str::to_owned).collect()
}

fn push(out: &mut String, pieces: &Pieces, number: &str) {
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 {
            out.push_str(number);
        }
        out.push_str(piece);
    }
}

impl Prepared {
    fn push(&self, out: &mut String, number: &str, spans: std::ops::Range<usize>) {
        push(out, &self.head, number);
        for (at, span) in self.spans.get(spans).unwrap_or_default().iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            push(out, span, number);
        }
        out.push_str(self.tail);
    }
}

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    bench.report.section("Spans");
    bench.report.say(
        "`POST /api/ingest/` and `POST /v1/traces` (JSON), conversations of 10 messages in 8 spans, a new store; every answer \
         is durable, and its conversation readable. One span a request, or 64 conversations.",
    );
    let mut rows = Vec::new();
    for door in [Door::Ingest, Door::Traces] {
        let pool: Arc<Vec<Prepared>> = Arc::new(
            (0..POOL).map(|index| door.prepare(&Dataset { conversations: POOL }.conversation(index))).collect(),
        );
        for (at, (batched, clients)) in [(false, 1), (false, 16), (true, 1), (true, 16)].into_iter().enumerate() {
            let folder = bench.scratch.join(format!("spans-{door:?}-{at}"));
            let data = folder.join("data");
            std::fs::create_dir_all(&data).context(data.display())?;
            let place = Place { data: &data, database: None, log: &folder.join("server.log") };
            let process = server::start(&bench.options.server, place).await?;
            let mut ours: Vec<Measured> = Vec::new();
            for run in 0..bench.options.runs {
                let sources =
                    (0..clients).map(|client| source(door, Arc::clone(&pool), batched, run, client)).collect();
                ours.push(load::run(&process, sources, bench.options.run).await?);
                server::settle(&process).await?;
                // Ten messages and two tool calls, or fewer where spans came one by one and time was up.
                let expected = if batched { 12..=12 } else { 1..=12 };
                for client in 0..clients {
                    let id = format!("spans-{}", number(run, client, 0));
                    read_back(&process, &id, expected.clone()).await?;
                }
            }
            process.stop().await?;
            let spans = if batched { BATCH * SPANS } else { 1 } as f64;
            rows.push(vec![
                door.path().to_owned(),
                format!("{spans}"),
                clients.to_string(),
                spread(Spread::of(ours.iter().map(|run| run.rate * spans))),
                spread(Spread::of(ours.iter().map(|run| run.rate))),
                spread(Spread::of(ours.iter().map(|run| run.p50_us / 1e3))),
                spread(Spread::of(ours.iter().map(|run| run.p99_us / 1e3))),
                spread(Spread::of(ours.iter().map(|run| run.cpu_ms * 1e3 / spans))),
            ]);
        }
    }
    let header = ["door", "spans a request", "clients", "spans/s", "requests/s", "p50 ms", "p99 ms", "CPU µs/span"];
    bench.report.table(&header, &rows);
    Ok(())
}

/// The number of a client's `nth` conversation: 12 hexadecimal digits.
fn number(run: u32, client: u64, nth: u64) -> String {
    format!("{:02x}{:02x}{nth:08x}", run % 256, client % 256)
}

fn source(door: Door, pool: Arc<Vec<Prepared>>, batched: bool, run: u32, client: u64) -> Source {
    let (mut nth, mut span) = (0_u64, 0_usize);
    let mut body = String::new();
    // Clients start apart, so that they do not all send the same text at once.
    let prepared = move |nth: u64| (nth + client * 61) % POOL;
    Box::new(move |request| {
        let (begin, end) = door.frame();
        body.clear();
        body.push_str(begin);
        if batched {
            for at in 0..BATCH {
                if at > 0 {
                    body.push(',');
                }
                if let Some(conversation) = pool.get(prepared(nth) as usize) {
                    conversation.push(&mut body, &number(run, client, nth), 0..SPANS as usize);
                }
                nth += 1;
            }
        } else {
            if let Some(conversation) = pool.get(prepared(nth) as usize) {
                conversation.push(&mut body, &number(run, client, nth), span..span + 1);
            }
            span += 1;
            if span as u64 == SPANS {
                (nth, span) = (nth + 1, 0);
            }
        }
        body.push_str(end);
        write_post(request, format_args!("{}", door.path()), &body);
    })
}
