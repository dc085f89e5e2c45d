//! Spans, and what becomes of them.

use agentsight_model::body::Body;
use agentsight_model::refusal::Refusal;
use agentsight_model::span::{BatchStored, SpanBatch, SpanFilter};
use agentsight_model::usage::{GroupBy, UsageFilter};
use agentsight_store::{Error, Extent, Missing};
use serde_json::{Value, json};

use crate::world::{Bot, World, conversation, json as as_json, missing, page};

/// The batch of a body, as a door reads it.
fn batch(body: &Value) -> SpanBatch {
    SpanBatch::read(&Body::parse(body.to_string().as_bytes()).unwrap()).unwrap()
}

fn one_block(conversation: &str, spans: &[Value]) -> Value {
    json!({ "conversations": [{ "conversation_id": conversation, "spans": spans }] })
}

/// `2026-03-02T09:15:SS.mmm`, so many milliseconds after the world began.
fn when(milliseconds: i64) -> String {
    crate::world::at(0).plus_micros(milliseconds * 1_000).to_string()
}

fn span(id: &str, kind: &str, from: i64, to: i64, mut attributes: Value) -> Value {
    attributes["agentsight.span.kind"] = json!(kind);
    json!({ "span_id": id, "trace_id": "5e10711800eca7c1021db9cea659992b", "parent_span_id": null, "kind": kind, "name": kind,
        "started_at": when(from), "ended_at": when(to), "duration_ms": (to - from) as f64 + 0.5, "status": "ok",
        "attributes": attributes, "events": [] })
}

fn said(sender: &str, content: &str, at: i64) -> Value {
    json!({ "name": "agentsight.message", "timestamp": when(at),
        "attributes": { "agentsight.message.sender": sender, "agentsight.message.content": content } })
}

fn turn(id: &str, from: i64, to: i64, complete: bool, messages: &[Value]) -> Value {
    let mut turn =
        span(id, "turn", from, to, json!({ "agentsight.turn.id": id, "agentsight.turn.complete": complete }));
    if !complete {
        turn["attributes"]["agentsight.turn.incomplete_reason"] = json!("error");
    }
    turn["events"] = json!(messages);
    turn
}

fn tool(id: &str, turn: Option<&str>, from: i64, name: &str) -> Value {
    let mut attributes = json!({ "agentsight.tool.name": name, "agentsight.tool.arguments": "{\"order\": \"A-9\"}",
        "agentsight.tool.response": "{'state': 'shipped'}" });
    if let Some(turn) = turn {
        attributes["agentsight.turn.id"] = json!(turn);
    }
    span(id, "tool", from, from + 1, attributes)
}

fn llm(id: &str, turn: Option<&str>, from: i64, model: &str, tokens: i64) -> Value {
    let mut attributes = json!({ "gen_ai.system": "openai", "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": tokens, "gen_ai.usage.output_tokens": 7, "agentsight.llm.cache_read_tokens": 3,
        "agentsight.llm.reasoning_tokens": 2 });
    if let Some(turn) = turn {
        attributes["agentsight.turn.id"] = json!(turn);
    }
    span(id, "llm", from, from + 2, attributes)
}

impl Bot {
    async fn ingests(&self, body: &Value) -> BatchStored {
        self.store.ingest(self.agent, batch(body)).await.unwrap()
    }

    /// Sender, content and metadata of each message, in the order of the transcript.
    async fn transcript(&self, conversation: &str) -> Vec<Value> {
        let whole = self.fetch(conversation).await;
        let messages = whole["messages"].as_array().unwrap();
        messages.iter().map(|m| json!([m["sender"], m["content"], m["metadata"]])).collect()
    }

    async fn usage(&self) -> Vec<Value> {
        let found = self.store.list_usage(self.agent, UsageFilter::default(), Extent::Everything).await.unwrap();
        found.rows.iter().map(as_json).collect()
    }

    async fn spans(&self, filter: SpanFilter) -> Vec<String> {
        let found = self.store.list_spans(self.agent, filter, Extent::Page(page(1, 100))).await.unwrap();
        assert_eq!(found.count, found.rows.len() as u64);
        found.rows.into_iter().map(|span| span.span_id).collect()
    }
}

fn exchange() -> Vec<Value> {
    let mut user = said("end_user", "hi", 0);
    user["attributes"]["agentsight.message.metadata"] = json!("{\"locale\": \"hr\"}");
    vec![
        tool("aa01", Some("aa00"), 1, "lookup"),
        llm("aa02", Some("aa00"), 2, "gpt-4o-mini", 11),
        turn("aa00", 0, 4, true, &[user, said("agent", "hello", 3)]),
    ]
}

pub(crate) async fn an_exchange_becomes_a_transcript(world: World) {
    let bot = world.bot("helpdesk").await;

    let stored = bot.ingests(&one_block("wa-1", &exchange())).await;

    assert_eq!(
        as_json(&stored),
        json!({"accepted": {"conversations": 1, "spans": 3}, "duplicates": 0, "conversations": [{"conversation_id": "wa-1", "id": 1}]})
    );
    assert_eq!(
        bot.transcript("wa-1").await,
        [
            json!(["end_user", "hi", {"locale": "hr"}]),
            json!(["agent", "Action lookup performed", {}]),
            json!(["agent", "hello", {"latency_ms": 4.5}]),
        ]
    );
    let whole = bot.fetch("wa-1").await;
    let log = &whole["messages"][1]["action_logs"][0];
    assert_eq!(
        [&log["duration_ms"], &log["tools_used"], &log["response"], &log["error_message"]],
        [&json!(1.5), &json!({"order": "A-9"}), &json!("{'state': 'shipped'}"), &json!("")]
    );
    assert_eq!(
        [&whole["is_used"], &whole["environment"], &whole["message_count"]],
        [&json!(true), &json!("production"), &json!(3)]
    );
    assert_eq!([&whole["started_at"], &whole["ended_at"]], [&json!(when(0)), &json!(when(3))]);
    let usage = bot.usage().await;
    assert_eq!(usage.len(), 1);
    assert_eq!(
        [
            "turn_id",
            "model",
            "prompt_tokens",
            "completion_tokens",
            "cache_read_tokens",
            "reasoning_tokens",
            "total_tokens",
            "calls"
        ]
        .map(|key| usage[0][key].clone()),
        [json!("aa00"), json!("gpt-4o-mini"), json!(11), json!(7), json!(3), json!(2), json!(21), json!(1)]
    );
    assert_eq!([&usage[0]["started_at"], &usage[0]["ended_at"]], [&json!(when(0)), &json!(when(4))]);
    assert_eq!(whole["token_usage"]["totals"]["total_tokens"], json!(21));
}

pub(crate) async fn a_batch_that_comes_again_changes_nothing(world: World) {
    let bot = world.bot("helpdesk").await;
    let body = one_block("wa-1", &exchange());
    bot.ingests(&body).await;
    let before = (bot.fetch("wa-1").await, bot.usage().await);

    for _ in 0..2 {
        let again = bot.ingests(&body).await;
        assert_eq!((again.accepted.spans, again.duplicates), (0, 3));
    }
    let twice_in_one = [exchange(), exchange()].concat();
    assert_eq!(bot.ingests(&one_block("wa-1", &twice_in_one)).await.duplicates, 6);

    assert_eq!((bot.fetch("wa-1").await, bot.usage().await), before);
    // The same ids in another conversation are other spans.
    assert_eq!(bot.ingests(&one_block("wa-2", &exchange())).await.accepted.spans, 3);
}

pub(crate) async fn children_wait_for_their_turn(world: World) {
    let bot = world.bot("helpdesk").await;
    let spans = exchange();

    bot.ingests(&one_block("wa-1", &spans[..2])).await;
    assert_eq!(bot.transcript("wa-1").await.len(), 0);
    assert_eq!(bot.usage().await[0]["ended_at"], json!(when(4)), "the spread of its calls");

    bot.ingests(&one_block("wa-1", &spans[2..])).await;
    assert_eq!(bot.transcript("wa-1").await.len(), 3);
    assert_eq!(bot.usage().await[0]["started_at"], json!(when(0)), "the turn's times");

    // One that outlives its turn is shown at once.
    bot.ingests(&one_block("wa-1", &[tool("aa03", Some("aa00"), 9, "refund")])).await;
    assert_eq!(bot.transcript("wa-1").await[3][1], json!("Action refund performed"));
    // One whose turn never comes stays in the archive; one that has none is shown.
    bot.ingests(&one_block("wa-1", &[tool("aa04", Some("ffff"), 10, "lost"), tool("aa05", None, 11, "alone")])).await;
    let transcript = bot.transcript("wa-1").await;
    assert_eq!((transcript.len(), &transcript[4][1]), (5, &json!("Action alone performed")));
    assert_eq!(bot.spans(SpanFilter::default()).await, ["aa05", "aa04", "aa03", "aa02", "aa01", "aa00"]);
}

pub(crate) async fn a_turn_that_broke_off_shows_nothing_and_is_counted(world: World) {
    let bot = world.bot("helpdesk").await;
    let broken = turn("aa00", 0, 4, false, &[said("end_user", "hi", 0)]);

    // Before its children, with them, and after them.
    bot.ingests(&one_block("wa-1", std::slice::from_ref(&broken))).await;
    bot.ingests(&one_block("wa-1", &exchange()[..2])).await;
    bot.ingests(&one_block("wa-2", &[exchange().remove(0), exchange().remove(1), broken.clone()])).await;
    bot.ingests(&one_block("wa-3", &exchange()[..2])).await;
    bot.ingests(&one_block("wa-3", &[broken])).await;

    for name in ["wa-1", "wa-2", "wa-3"] {
        assert_eq!(bot.transcript(name).await, [] as [Value; 0], "{name}");
        assert_eq!(
            bot.fields(name, ["is_used", "message_count", "ended_at"]).await,
            [json!(true), json!(0), json!(when(4))]
        );
    }
    let usage = bot.usage().await;
    assert_eq!(usage.len(), 3);
    for row in usage {
        assert_eq!([&row["incomplete"], &row["incomplete_reason"]], [&json!(true), &json!("error")], "{row}");
        assert_eq!([&row["started_at"], &row["ended_at"]], [&json!(when(0)), &json!(when(4))]);
    }
}

pub(crate) async fn a_visit_is_no_use_and_fields_are_replaced(world: World) {
    let bot = world.bot("helpdesk").await;
    let visit = |id: &str, at: i64| span(id, "conversation", at, at, json!({}));
    let mut body = one_block("wa-1", &[visit("01", 0)]);
    body["conversations"][0]["metadata"] = json!("{\"plan\": \"pro\"}");
    body["conversations"][0]["customer_id"] = json!("u-1");
    body["conversations"][0]["environment"] = json!("dev");
    bot.ingests(&body).await;
    assert_eq!(
        bot.fields("wa-1", ["is_used", "metadata", "customer_id", "environment"]).await,
        [json!(false), json!({"plan": "pro"}), json!("u-1"), json!("development")]
    );

    body["conversations"][0] = json!({ "conversation_id": "wa-1", "spans": [visit("02", 5)], "metadata": {}, "customer_id": "u-2",
        "device": "mobile", "name": "Parcel", "environment": "production", "customer_ip_address": "fe80::1%eth0" });
    bot.ingests(&body).await;
    assert_eq!(
        bot.fields(
            "wa-1",
            ["is_used", "metadata", "customer_id", "environment", "device", "customer_ip_address", "ended_at"]
        )
        .await,
        [json!(false), json!({}), json!("u-2"), json!("production"), json!("mobile"), json!("fe80::1"), json!(when(5))]
    );
    assert_eq!(bot.search("Parcel").await, ["wa-1"]);

    // A block without spans still says something of its conversation; one without anything makes it.
    bot.ingests(&json!({ "conversations": [{ "conversation_id": "wa-1", "spans": [], "language": "hr" }, { "conversation_id": "wa-9", "spans": [] }] }))
        .await;
    assert_eq!(bot.fields("wa-1", ["language", "device"]).await, [json!("hr"), json!("mobile")]);
    assert_eq!(bot.fields("wa-9", ["is_used", "message_count"]).await, [json!(false), json!(0)]);
    // Anything else than a visit is use.
    bot.ingests(&one_block("wa-1", &[span("03", "something", 6, 6, json!({}))])).await;
    assert_eq!(bot.fields("wa-1", ["is_used"]).await, [json!(true)]);
}

pub(crate) async fn a_bad_block_keeps_the_whole_batch_out(world: World) {
    let bot = world.bot("helpdesk").await;
    let bad = json!({ "conversations": [
        { "conversation_id": "good", "spans": exchange() },
        { "conversation_id": "bad-env", "environment": "staging", "spans": [] },
        7,
        { "conversation_id": 12, "colour": "red", "spans": [{}, "x", { "span_id": "1", "started_at": "soon" }] },
    ]});

    let Err(Error::Refused(Refusal::Batch(refusal))) = bot.store.ingest(bot.agent, batch(&bad)).await else {
        panic!("taken")
    };

    assert_eq!(
        as_json(&refusal),
        json!({ "detail": "3 of 4 conversation blocks failed validation. Nothing was written; resend without the blocks listed here.",
        "conversations": [
            { "index": 1, "conversation_id": "bad-env", "errors": { "environment": ["Unknown environment: 'staging'."] } },
            { "index": 2, "conversation_id": null, "errors": { "non_field_errors": ["Expected an object."] } },
            { "index": 3, "conversation_id": 12, "errors": { "colour": ["Unknown field."], "spans":
                ["Span 1: span_id is required.", "Span 2: expected an object.", "Span 3: started_at has wrong format."] } },
        ]})
    );
    assert_eq!(missing(bot.store.fetch_conversation(bot.agent, "good".into()).await), Missing::Row);
}

pub(crate) async fn usage_adds_up_by_turn_and_model(world: World) {
    let bot = world.bot("helpdesk").await;
    let mut unknown = llm("05", Some("aa00"), 5, "", 1);
    unknown["attributes"]["agentsight.llm.usage_reported"] = json!(false);
    let mut priced = llm("07", None, 8, "own", 5);
    priced["attributes"]["agentsight.llm.cost_usd"] = json!(0.000_056_1);
    bot.ingests(&one_block(
        "wa-1",
        &[llm("01", Some("aa00"), 1, "a", 10), llm("02", Some("aa00"), 2, "a", 20), unknown.clone()],
    ))
    .await;
    unknown["span_id"] = json!("06");
    bot.ingests(&one_block(
        "wa-1",
        &[llm("03", Some("aa00"), 3, "a", 30), llm("04", None, 4, "a", 40), unknown, priced],
    ))
    .await;

    let rows = bot.usage().await;
    let of = |row: &Value| {
        json!([row["turn_id"], row["model"], row["prompt_tokens"], row["calls"], row["unreported_calls"]])
    };
    let mut seen: Vec<Value> = rows.iter().map(of).collect();
    seen.sort_by_key(ToString::to_string);
    assert_eq!(
        seen,
        [
            json!(["aa00", "a", 60, 3, 0]),
            json!(["aa00", null, 2, 2, 2]),
            json!([null, "a", 40, 1, 0]),
            json!([null, "own", 5, 1, 0])
        ]
    );
    let own = rows.iter().find(|row| row["model"] == "own").unwrap();
    assert_eq!(
        [&own["cost_usd"], &own["cost_usd_reported"], &own["cost_source"]],
        [&json!("0.00005610"), &json!("0.00005610"), &json!("reported")]
    );

    let sums = bot.store.sum_up_usage(bot.agent, UsageFilter::default(), GroupBy::Model, None).await.unwrap();
    let sums: Vec<Value> = sums
        .iter()
        .map(|sum| json!([as_json(sum)["group"], sum.calls, sum.rows, sum.prompt_tokens, sum.cost_usd]))
        .collect();
    assert_eq!(sums, [json!(["own", 1, 1, 5, 0.000_056_1]), json!(["a", 4, 2, 100, 0.0]), json!([null, 2, 1, 2, 0.0])]);
    for (by, group) in [(GroupBy::Conversation, json!(1)), (GroupBy::Day, json!("2026-03-02"))] {
        let sums = bot.store.sum_up_usage(bot.agent, UsageFilter::default(), by, None).await.unwrap();
        assert_eq!((sums.len(), as_json(&sums[0])["group"].clone(), sums[0].calls), (1, group, 7));
    }
    let only = UsageFilter { turn_id: Some("aa00".to_owned()), model: Some("a".to_owned()), ..UsageFilter::default() };
    let found = bot.store.list_usage(bot.agent, only, Extent::Page(page(1, 10))).await.unwrap();
    assert_eq!((found.count, found.rows[0].calls), (1, 3));
}

pub(crate) async fn a_span_comes_back_as_it_came(world: World) {
    let bot = world.bot("helpdesk").await;
    let text = r#"{"conversations": [{"conversation_id": "c", "spans": [
        {"span_id": "46E5E73D9914EECB", "z": 1.50, "kind": "odd", "attributes": {"b": [1, 2.0], "a": "x"}, "events": [{"name": "e", "timestamp": "2026-11-22T07:15:09.582300+00:00"}],
         "started_at": "2026-11-22T07:15:09.582017+00:00"}]}]}"#;
    bot.store.ingest(bot.agent, SpanBatch::read(&Body::parse(text.as_bytes()).unwrap()).unwrap()).await.unwrap();

    let found = bot
        .store
        .list_spans(
            bot.agent,
            SpanFilter { kind: Some("odd".to_owned()), ..SpanFilter::default() },
            Extent::Page(page(1, 10)),
        )
        .await
        .unwrap();
    let row = &found.rows[0];
    assert_eq!((row.span_id.as_str(), row.status.as_str(), row.payload.is_none()), ("46e5e73d9914eecb", "unset", true));
    assert_eq!(row.attributes.as_str(), r#"{"b": [1, 2.0], "a": "x"}"#);
    assert_eq!(row.events.as_str(), r#"[{"name": "e", "timestamp": "2026-11-22T07:15:09.582300+00:00"}]"#);
    assert_eq!(row.ended_at, row.started_at);
    let whole = bot.store.fetch_span(bot.agent, row.id, true).await.unwrap().payload.unwrap();
    assert!(whole.as_str().starts_with(r#"{"span_id": "46E5E73D9914EECB", "z": 1.50, "#), "{}", whole.as_str());

    let stranger = world.bot("other").await;
    assert_eq!(missing(stranger.store.fetch_span(stranger.agent, row.id, false).await), Missing::Row);
    assert_eq!(stranger.spans(SpanFilter::default()).await, [] as [String; 0]);
}

pub(crate) async fn a_trace_is_a_tree_even_of_circles_and_long_chains(world: World) {
    let bot = world.bot("helpdesk").await;
    let with_parent = |id: usize, parent: Option<usize>, trace: &str| {
        let mut span = span(&format!("{id:04x}"), "task", id as i64, id as i64, json!({}));
        span["parent_span_id"] = parent.map_or(Value::Null, |parent| json!(format!("{parent:04x}")));
        span["trace_id"] = json!(trace);
        span
    };
    // 3 → 2 → 1, whose parent never came; 5 and 6 name each other; 7 names itself.
    let pairs = [(3, Some(2)), (2, Some(1)), (1, Some(999)), (5, Some(6)), (6, Some(5)), (7, Some(7))];
    let spans: Vec<Value> = pairs.iter().map(|(id, parent)| with_parent(*id, *parent, "AB")).collect();
    bot.ingests(&one_block("c", &spans)).await;
    let chain: Vec<Value> = (0..5_001).map(|id| with_parent(id, id.checked_sub(1), "cd")).collect();
    bot.ingests(&one_block("chain", &chain)).await;

    let trace: Value =
        serde_json::from_str(&bot.store.fetch_trace(bot.agent, "ab".to_owned()).await.unwrap().to_json()).unwrap();
    fn shape(nodes: &Value) -> Vec<Value> {
        nodes.as_array().unwrap().iter().map(|node| json!([node["span_id"], shape(&node["children"])])).collect()
    }
    assert_eq!((&trace["span_count"], &trace["truncated"]), (&json!(6), &json!(false)));
    assert_eq!(
        json!(shape(&trace["roots"])),
        json!([["0001", [["0002", [["0003", []]]]]], ["0005", [["0006", []]]], ["0007", []]])
    );
    let long = bot.store.fetch_trace(bot.agent, "cd".to_owned()).await.unwrap();
    assert_eq!((long.spans.len(), long.truncated), (5_000, true));
    assert_eq!(long.to_json().matches("\"children\"").count(), 5_000);
    assert_eq!(missing(bot.store.fetch_trace(bot.agent, "ef".to_owned()).await), Missing::Row);
}

pub(crate) async fn spans_go_to_the_trash_with_their_conversation_and_keep_coming(world: World) {
    let bot = world.bot("helpdesk").await;
    let id = bot.opens(conversation("wa-1")).await.value.id;
    bot.store.delete_conversation(bot.agent, id).await.unwrap();

    let stored = bot.ingests(&one_block("wa-1", &exchange())).await;

    assert_eq!(stored.conversations[0].id, id);
    assert_eq!(bot.fetch(id.0).await["is_deleted"], json!(true));
    assert_eq!(bot.transcript_of(id.0).await, 3);
}

impl Bot {
    async fn transcript_of(&self, id: i64) -> usize {
        self.fetch(id).await["messages"].as_array().unwrap().len()
    }
}

/// Whatever is sent first, twice, apart or at once: what is read afterwards is the same.
pub(crate) async fn any_order_of_any_parts_leads_to_one_state(world: World) {
    let mut chance = fastrand::Rng::with_seed(7);
    for round in 0..12 {
        let spans = history(&mut chance);
        let expected = world.bot(&format!("whole-{round}")).await;
        expected.ingests(&one_block("c", &spans)).await;
        let expected = state(&expected).await;

        let bot = world.bot(&format!("parts-{round}")).await;
        let mut shuffled = spans.clone();
        chance.shuffle(&mut shuffled);
        let mut parts: Vec<Vec<Value>> = Vec::new();
        while !shuffled.is_empty() {
            let rest = shuffled.split_off(chance.usize(1..=shuffled.len().min(5)));
            parts.push(std::mem::replace(&mut shuffled, rest));
        }
        // Some come again.
        for _ in 0..3 {
            parts.push(parts[chance.usize(..parts.len())].clone());
        }
        let sending = parts.iter().map(|part| {
            let (bot, body) = (bot.clone(), one_block("c", part));
            tokio::spawn(async move { bot.ingests(&body).await })
        });
        for sent in sending.collect::<Vec<_>>() {
            sent.await.unwrap();
        }
        assert_eq!(state(&bot).await, expected, "round {round}: {parts:?}");
    }
}

/// A few turns, complete and not, with tools and calls inside, outside, and of turns that never come.
fn history(chance: &mut fastrand::Rng) -> Vec<Value> {
    let mut spans = Vec::new();
    let turns = chance.i64(1..4);
    for number in 0..turns {
        let id = format!("{number}0");
        let from = number * 100 + 1;
        let messages: Vec<Value> = (0..chance.i64(0..4))
            .map(|m| said(if m % 2 == 0 { "end_user" } else { "agent" }, &format!("m{number}.{m}"), from + m))
            .collect();
        if chance.u8(..5) > 0 {
            spans.push(turn(&id, from, from + 50, chance.bool(), &messages));
        }
        for child in 0..chance.i64(0..5) {
            let child_id = format!("{number}{}", child + 1);
            let inside = chance.bool().then_some(id.as_str());
            spans.push(match chance.u8(..3) {
                0 => llm(&child_id, inside, from + 10 + child, ["a", "b"][chance.usize(..2)], child),
                1 => tool(&child_id, inside, from + 10 + child, ["x", "y"][chance.usize(..2)]),
                _ => span(
                    &child_id,
                    ["button", "attachment", "conversation", "odd"][chance.usize(..4)],
                    from + 10 + child,
                    from + 11 + child,
                    json!({}),
                ),
            });
        }
    }
    if spans.is_empty() {
        spans.push(tool("ff", None, 1, "x"));
    }
    spans
}

/// Everything that can be read, ids apart.
async fn state(bot: &Bot) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for key in ["id", "agent", "conversation", "environment_id", "action", "message"] {
                    fields.remove(key);
                }
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut usage = bot.usage().await;
    usage.iter_mut().for_each(strip);
    usage.sort_by_key(ToString::to_string);
    let mut state = json!({ "conversation": bot.fetch("c").await, "usage": usage, "spans": bot.spans(SpanFilter::default()).await.len() });
    strip(&mut state);
    state
}
