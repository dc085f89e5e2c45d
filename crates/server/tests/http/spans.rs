//! Spans in, and what is read of them (contract: ingest-v1, reading §10–§11).

use std::io::Write as _;

use agentsight_model::key::Role;
use serde_json::{Value, json};

use crate::app::{Bot, TestApp};

const AT: &str = "2026-03-02T09:15:0";

fn exchange() -> Value {
    json!({
        "sdk": {"name": "agentsight-python", "version": "0.1.4"},
        "conversations": [{
            "conversation_id": "wa-1", "customer_id": "u1", "device": "mobile", "metadata": {"plan": "pro"},
            "spans": [
                {"span_id": "be4115bb77571996", "trace_id": "5e10711800eca7c1021db9cea659992b", "parent_span_id": null, "kind": "turn", "name": "ask",
                 "started_at": format!("{AT}0.000000+00:00"), "ended_at": format!("{AT}4.000000+00:00"), "duration_ms": 4000.019, "status": "ok",
                 "attributes": {"agentsight.span.kind": "turn", "agentsight.turn.id": "be4115bb77571996", "agentsight.turn.complete": true},
                 "events": [
                    {"name": "agentsight.message", "timestamp": format!("{AT}0.100000+00:00"), "attributes": {"agentsight.message.sender": "end_user", "agentsight.message.content": "hi"}},
                    {"name": "agentsight.message", "timestamp": format!("{AT}3.900000+00:00"), "attributes": {"agentsight.message.sender": "agent", "agentsight.message.content": "hello"}}]},
                {"span_id": "46e5e73d9914eecb", "trace_id": "5e10711800eca7c1021db9cea659992b", "parent_span_id": "be4115bb77571996", "kind": "tool", "name": "lookup",
                 "started_at": format!("{AT}1.000000+00:00"), "ended_at": format!("{AT}2.000000+00:00"), "duration_ms": 1000.342, "status": "ok",
                 "attributes": {"agentsight.turn.id": "be4115bb77571996", "agentsight.tool.name": "lookup", "agentsight.tool.arguments": "[1, 2]"}, "events": []},
                {"span_id": "00000000000000aa", "trace_id": "5e10711800eca7c1021db9cea659992b", "parent_span_id": "be4115bb77571996", "kind": "llm", "name": "chat",
                 "started_at": format!("{AT}2.000000+00:00"), "ended_at": format!("{AT}3.000000+00:00"), "duration_ms": 1000.0, "status": "ok",
                 "attributes": {"agentsight.turn.id": "be4115bb77571996", "gen_ai.request.model": "gpt-4o-mini", "gen_ai.usage.input_tokens": 142, "gen_ai.usage.output_tokens": 58}},
                {"span_id": "00000000000000bb", "trace_id": "5e10711800eca7c1021db9cea659992b", "kind": "button", "name": "Yes", "started_at": format!("{AT}5.000000+00:00"),
                 "attributes": {"agentsight.button.event": "ask", "agentsight.button.label": "Yes", "agentsight.button.value": "y", "agentsight.metadata": "{\"n\": 1}"}}
            ]
        }]
    })
}

fn packed(body: &Value) -> Vec<u8> {
    gzip(&body.to_string())
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

async fn send_packed(bot: &Bot<'_>, encoding: &str, body: Vec<u8>) -> (u16, Value) {
    let headers = [("content-type", "application/json"), ("content-encoding", encoding)];
    bot.send("POST", "/api/ingest/", &headers, body).await.whole()
}

#[tokio::test]
async fn a_count_that_no_model_has_is_none_and_sums_go_on() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for conversation in ["a", "b", "c"] {
        let call = |id: &str, tokens: i64| json!({"span_id": id, "kind": "llm", "attributes": {"gen_ai.request.model": "m", "gen_ai.usage.input_tokens": tokens}});
        let spans = [call("1", i64::MAX), call("2", 7)];
        let body = json!({"conversations": [{"conversation_id": conversation, "spans": spans}]});
        assert_eq!(bot.post("/api/ingest/", body).await.status, 200);
    }
    for group in ["model", "day", "conversation"] {
        let summary = bot.get(&format!("/api/token-usage/summary/?group_by={group}")).await.json();
        let rows = summary["results"].as_array().unwrap();
        let sum: i64 = rows.iter().map(|row| row["total_tokens"].as_i64().unwrap()).sum();
        assert_eq!(sum, 21, "{summary}");
    }
}

#[tokio::test]
async fn a_cost_that_no_call_has_is_none_or_cut_and_sums_go_on() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let call = |id: &str, model: &str, tokens: i64, cost: f64| {
        json!({"span_id": id, "kind": "llm", "attributes": {"gen_ai.request.model": model, "gen_ai.usage.input_tokens": tokens,
            "agentsight.llm.cost_usd": cost}})
    };
    // A trillion tokens, at 2.5 dollars a million; what the book does not know costs what its sender says.
    let spans = [
        call("1", "gpt-4o", 1_000_000_000_000, 0.0),
        call("2", "gpt-4o", 1_000_000_000_000, 0.0),
        call("3", "unknown", 7, 10_000.0),
        call("4", "unknown", 7, 10_000.1),
        call("5", "unknown", 7, 9e90),
    ];

    bot.post("/api/ingest/", json!({"conversations": [{"conversation_id": "c-1", "spans": spans}]})).await;

    let rows = bot.get("/api/token-usage/?ordering=id").await.json();
    let costs: Vec<&Value> = rows["results"].as_array().unwrap().iter().map(|row| &row["cost_usd"]).collect();
    assert_eq!(costs, ["10000.00000000", "10000.00000000", "10000.00000000", "0.00000000", "0.00000000"]);
    let summary = bot.get("/api/token-usage/summary/?group_by=day").await.json();
    assert_eq!(summary["results"][0]["cost_usd"], json!(30_000.0), "{summary}");
}

#[tokio::test]
async fn a_batch_is_stored_and_every_view_of_it_is_there_at_once() {
    let app = TestApp::start().await;
    let bot = app.bot().await;

    let stored = bot.post("/api/ingest/", exchange()).await.whole();

    assert_eq!(
        stored,
        (
            200,
            json!({"accepted": {"conversations": 1, "spans": 4}, "duplicates": 0, "conversations": [{"conversation_id": "wa-1", "id": 1}]})
        )
    );
    let whole = bot.fetch("wa-1").await;
    let contents: Vec<&Value> =
        whole["messages"].as_array().unwrap().iter().map(|message| &message["content"]).collect();
    assert_eq!(contents, ["hi", "Action lookup performed", "hello"]);
    assert_eq!(whole["messages"][1]["action_logs"][0]["tools_used"], json!({"value": [1, 2]}));
    assert_eq!(whole["messages"][2]["metadata"], json!({"latency_ms": 4000.019}));

    let usage = bot.get("/api/token-usage/").await.json();
    let mut row = usage["results"][0].clone();
    row.as_object_mut().unwrap().remove("id");
    assert_eq!(
        row,
        json!({"conversation": 1, "conversation_id": "wa-1", "environment": "production", "turn_id": "be4115bb77571996", "model": "gpt-4o-mini",
            "prompt_tokens": 142, "completion_tokens": 58, "embedding_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0,
            "reasoning_tokens": 0, "audio_input_tokens": 0, "audio_output_tokens": 0, "total_tokens": 200,
            "cost_usd": row["cost_usd"], "cost_usd_reported": "0.00000000", "cost_source": row["cost_source"], "calls": 1, "unreported_calls": 0,
            "incomplete": false, "incomplete_reason": null, "started_at": "2026-03-02T09:15:00Z", "ended_at": "2026-03-02T09:15:04Z"})
    );
    let summary = bot.get("/api/token-usage/summary/?currency=usd").await.json();
    assert_eq!(
        [
            &summary["group_by"],
            &summary["currency"],
            &summary["results"][0]["group"],
            &summary["results"][0]["total_tokens"]
        ],
        [&json!("model"), &json!("USD"), &json!("gpt-4o-mini"), &json!(200)]
    );
    assert!(summary["results"][0]["cost_usd"].is_number());

    let spans = bot.get("/api/spans/?kind=tool&payload=false").await.json();
    assert_eq!((&spans["count"], &spans["results"][0]["name"]), (&json!(1), &json!("lookup")));
    assert_eq!(spans["results"][0].get("payload"), None);
    let id = &spans["results"][0]["id"];
    let span = bot.get(&format!("/api/spans/{id}/?payload=true")).await.json();
    assert_eq!(span["payload"], exchange()["conversations"][0]["spans"][1]);
    let trace = bot.get("/api/traces/5E10711800ECA7C1021DB9CEA659992B/").await.json();
    assert_eq!((&trace["span_count"], &trace["truncated"]), (&json!(4), &json!(false)));
    let names =
        |nodes: &Value| -> Vec<Value> { nodes.as_array().unwrap().iter().map(|node| node["name"].clone()).collect() };
    assert_eq!(
        (names(&trace["roots"]), names(&trace["roots"][0]["children"])),
        (vec![json!("ask"), json!("Yes")], vec![json!("lookup"), json!("chat")])
    );

    let buttons = bot.get("/api/buttons/").await.json();
    assert_eq!(
        [&buttons["results"][0]["label"], &buttons["results"][0]["message"], &buttons["results"][0]["metadata"]],
        [&json!("Yes"), &json!(null), &json!({"n": 1})]
    );
}

#[tokio::test]
async fn a_batch_may_be_compressed() {
    let app = TestApp::start().await;
    let bot = app.bot().await;

    assert_eq!(send_packed(&bot, "gzip", packed(&exchange())).await.0, 200);
    assert_eq!(bot.fetch("wa-1").await["message_count"], json!(3));

    let text = exchange().to_string().replace("wa-1", "wa-2");
    let (head, tail) = text.split_at(text.len() / 2);
    let members = [head, tail].map(gzip).concat();
    assert_eq!(send_packed(&bot, "gzip", members).await.0, 200);
    assert_eq!(bot.fetch("wa-2").await["message_count"], json!(3));

    let mut cut = packed(&exchange());
    cut.truncate(cut.len() / 2);
    for broken in [b"{}".to_vec(), b"not gzip at all".to_vec(), cut] {
        let (status, said) = send_packed(&bot, "gzip", broken).await;
        assert_eq!((status, said["detail"].as_str().unwrap().starts_with("The body is no valid gzip: ")), (400, true));
    }
    assert_eq!(send_packed(&bot, "br", packed(&exchange())).await.0, 415);
    // The last bytes of a stream say how much it holds.
    let bomb = packed(&Value::from(" ".repeat(40 << 20)));
    assert_eq!(send_packed(&bot, "gzip", bomb).await.0, 413);
    let mut liar = packed(&exchange());
    let end = liar.len() - 4;
    liar[end..].copy_from_slice(&(40_u32 << 20).to_le_bytes());
    assert_eq!(send_packed(&bot, "gzip", liar).await.0, 400);
}

#[tokio::test]
async fn every_problem_of_a_batch_is_named_and_nothing_is_written() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let before = app.contents();
    for (body, answer) in [
        (json!({}), json!({"conversations": "This field is required."})),
        (json!({"conversations": {}}), json!({"conversations": ["Expected a list of items."]})),
    ] {
        assert_eq!(bot.post("/api/ingest/", body).await.whole(), (400, answer));
    }
    let not_json = bot.json("POST", "/api/ingest/", "{\"conversations\": [").await;
    assert!(not_json.json()["detail"].as_str().unwrap().starts_with("JSON parse error - "), "{}", not_json.text());

    let good = exchange()["conversations"][0].clone();
    for (field, value, message) in [
        ("conversation_id", json!(null), "This field may not be null."),
        ("conversation_id", json!("  "), "This field may not be blank."),
        ("conversation_id", json!("x".repeat(256)), "Ensure this field has no more than 255 characters."),
        ("device", json!("x".repeat(256)), "Ensure this field has no more than 255 characters."),
        ("device", json!({}), "Not a valid string."),
        ("environment", json!("staging"), "Unknown environment: 'staging'."),
        ("metadata", json!([1]), "Must be a JSON object."),
        ("metadata", json!("[1]"), "Must be a JSON object."),
        ("colour", json!("red"), "Unknown field."),
        ("spans", json!(null), "This field is required."),
        ("spans", json!("x"), "Expected a list of items."),
        ("spans", json!([1]), "Span 1: expected an object."),
        ("spans", json!([{"span_id": null}]), "Span 1: span_id is required."),
        ("spans", json!([{"span_id": 7}]), "Span 1: span_id must be a string."),
        ("spans", json!([{"span_id": ""}]), "Span 1: span_id may not be blank."),
        ("spans", json!([{"span_id": "x".repeat(65)}]), "Span 1: span_id has more than 64 characters."),
        ("spans", json!([{"span_id": "1", "ended_at": "soon"}]), "Span 1: ended_at has wrong format."),
        (
            "spans",
            json!([{"span_id": "1", "events": [{"timestamp": null}, {"timestamp": "soon"}]}]),
            "Span 1: events[1].timestamp has wrong format.",
        ),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let echo = bad["conversation_id"].clone();
        let answer = bot.post("/api/ingest/", json!({"conversations": [good, bad]})).await.whole();
        let detail =
            "1 of 2 conversation blocks failed validation. Nothing was written; resend without the blocks listed here.";
        let problem = json!({"index": 1, "conversation_id": echo, "errors": {field: [message]}});
        assert_eq!(answer, (400, json!({"detail": detail, "conversations": [problem]})));
    }
    let many: Vec<Value> = (0..25).map(|_| json!({})).collect();
    let answer = bot.post("/api/ingest/", json!({"conversations": many})).await.json();
    assert_eq!((answer["conversations"].as_array().unwrap().len(), &answer["truncated"]), (20, &json!(true)));
    assert_eq!(app.contents(), before);

    let reader = app.agent("helpdesk").with_key(Role::Read).await;
    let before = app.contents();
    assert_eq!(reader.post("/api/ingest/", exchange()).await.whole().0, 403);
    assert_eq!(app.stranger().post("/api/ingest/", exchange()).await.whole().0, 401);
    assert_eq!(app.contents(), before);
}

#[tokio::test]
async fn what_no_projection_can_read_is_kept_all_the_same() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let deep = format!("{}1{}", "[".repeat(400), "]".repeat(400));
    let odd = json!({"conversations": [{"conversation_id": "odd", "spans": [
        {"span_id": "1", "kind": "turn", "attributes": 7, "events": {"a": 1}, "started_at": "1970-01-01T00:00:00Z", "ended_at": "2999-01-01T00:00:00Z"},
        {"span_id": "2", "kind": "tool", "name": "t", "attributes": {"agentsight.tool.arguments": deep, "agentsight.tool.response": {"a": 1}}, "duration_ms": "long"},
        {"span_id": "3", "kind": "llm", "attributes": {"gen_ai.usage.input_tokens": -5, "gen_ai.usage.output_tokens": 1e300, "agentsight.llm.cost_usd": "much"}},
        {"span_id": "4", "kind": ["x"], "status": {}, "trace_id": 5, "parent_span_id": "4", "name": null},
        {"span_id": "5", "kind": "turn", "attributes": {"agentsight.turn.complete": "perhaps"}, "events": [7, {"name": "agentsight.message", "timestamp": null,
            "attributes": {"agentsight.message.sender": "nobody", "agentsight.message.content": "lost"}},
            {"name": "agentsight.message", "attributes": {"agentsight.message.sender": "agent", "agentsight.message.content": "", "agentsight.message.metadata": "[]"}}]}
    ]}, {"conversation_id": "many", "spans": [{"span_id": "1", "attributes": (0..20_000).map(|n| (format!("a{n}"), json!(n))).collect::<serde_json::Map<_, _>>()}]}]});

    let stored = bot.post("/api/ingest/", odd).await.whole();

    assert_eq!((stored.0, &stored.1["accepted"]["spans"]), (200, &json!(6)), "{}", stored.1);
    let whole = bot.fetch("odd").await;
    let messages: Vec<Value> = whole["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| json!([m["sender"], m["content"], m["metadata"]]))
        .collect();
    assert_eq!(messages, [json!(["agent", "Action t performed", {}]), json!(["agent", "", {}])]);
    let arguments = &whole["messages"][0]["action_logs"][0]["tools_used"];
    assert_eq!(arguments["raw"].as_str().map(str::len), Some(801));
    let usage = bot.get("/api/token-usage/?conversation_id=odd").await.json();
    assert_eq!([&usage["results"][0]["total_tokens"], &usage["results"][0]["model"]], [&json!(0), &json!(null)]);
    assert_eq!(
        bot.get("/api/spans/?conversation_id=odd&ordering=-duration_ms").await.json()["results"][0]["span_id"],
        json!("1")
    );
    assert_eq!(bot.get("/api/traces/5/").await.json()["span_count"], json!(1));
}

#[tokio::test]
async fn spans_and_usage_are_found_by_every_filter() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    bot.post("/api/ingest/", exchange()).await;
    let mut other = exchange();
    other["conversations"][0]["conversation_id"] = json!("wa-2");
    other["conversations"][0]["environment"] = json!("development");
    bot.post("/api/ingest/", other).await;

    for (filter, count) in [
        ("", 8),
        ("kind=turn", 2),
        ("kind=never", 0),
        ("status=ok", 6),
        ("status=unset", 2),
        ("name=ask", 2),
        ("name=as", 0),
        ("conversation=1", 4),
        ("conversation_id=wa-2", 4),
        ("trace_id=5E10711800ECA7C1021DB9CEA659992B", 8),
        ("span_id=46E5E73D9914EECB", 2),
        ("parent_span_id=be4115bb77571996", 4),
        ("environment=dev", 4),
        ("env=dev", 8),
        ("started_at_after=2026-03-02T09:15:02Z", 4),
        ("started_at_before=2026-03-02T09:15:00Z&conversation=2", 1),
        ("paginate=false", 8),
    ] {
        assert_eq!(bot.get(&format!("/api/spans/?{filter}")).await.json()["count"], json!(count), "{filter}");
    }
    for (filter, count) in [
        ("", 2),
        ("model=gpt-4o-mini", 2),
        ("model=gpt", 0),
        ("conversation=2", 1),
        ("conversation_id=wa-1", 1),
        ("turn_id=BE4115BB77571996", 2),
        ("environment=development", 1),
        ("env=dev", 2),
        ("incomplete=false", 2),
        ("incomplete=true", 0),
        ("cost_source=reported", 0),
        ("started_at_after=2026-03-02T09:15:00Z", 2),
        ("started_at_before=2026-03-02T09:14:00Z", 0),
    ] {
        assert_eq!(bot.get(&format!("/api/token-usage/?{filter}")).await.json()["count"], json!(count), "{filter}");
        let sums = bot.get(&format!("/api/token-usage/summary/?group_by=conversation&{filter}")).await.json();
        assert_eq!(sums["results"].as_array().unwrap().len(), count, "{filter}");
    }
    for (path, answer) in [
        ("/api/spans/?conversation=x", json!({"conversation": ["Enter a whole number."]})),
        ("/api/spans/?started_at_after=soon", json!({"started_at_after": ["Enter a valid date/time."]})),
        (
            "/api/spans/?environment=staging",
            json!({"environment": ["Select a valid choice. staging is not one of the available choices."]}),
        ),
        ("/api/token-usage/?incomplete=perhaps", json!({"incomplete": ["Enter true or false."]})),
        (
            "/api/token-usage/?cost_source=x",
            json!({"cost_source": ["Select a valid choice. x is not one of the available choices."]}),
        ),
        ("/api/token-usage/summary/?group_by=week", json!({"group_by": "Must be one of: model, conversation, day."})),
        ("/api/token-usage/summary/?currency=hrk", json!({"currency": "Must be one of: usd, eur."})),
    ] {
        assert_eq!(bot.get(path).await.whole(), (400, answer), "{path}");
    }
    for path in ["/api/spans/99/", "/api/spans/x/", "/api/traces/ff/", "/api/spans/?page=9"] {
        assert_eq!(bot.get(path).await.whole().0, 404, "{path}");
    }
    for path in ["/api/spans/", "/api/token-usage/", "/api/traces/ff/", "/api/spans/1/"] {
        assert_eq!(bot.post(path, json!({})).await.whole().0, 405, "{path}");
    }
}
