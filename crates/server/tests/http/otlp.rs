//! OpenTelemetry in: what instrumentations record becomes conversations.

use serde_json::{Value, json};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::app::{Bot, TestApp, within};

const SECOND: u64 = 1_000_000_000;
/// 2026-03-02T09:15:00Z
const NOON: u64 = 1_772_442_900 * SECOND;

fn any(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(flag) => json!({ "boolValue": flag }),
        Value::Number(number) if number.is_i64() => json!({ "intValue": number.to_string() }),
        Value::Number(number) => json!({ "doubleValue": number }),
        Value::Array(items) => json!({ "arrayValue": { "values": items.iter().map(any).collect::<Vec<_>>() } }),
        Value::Object(_) => json!({ "kvlistValue": { "values": attributes(value) } }),
        Value::Null => json!({}),
    }
}

fn attributes(of: &Value) -> Vec<Value> {
    of.as_object().unwrap().iter().map(|(key, value)| json!({ "key": key, "value": any(value) })).collect()
}

/// A span that began so many seconds after noon and took one.
#[expect(clippy::needless_pass_by_value, reason = "a literal at every call")]
fn span(trace: &str, id: u8, name: &str, second: u64, of: Value) -> Value {
    json!({ "traceId": trace.repeat(16), "spanId": format!("{id:016x}"), "name": name, "kind": 1,
        "startTimeUnixNano": (NOON + second * SECOND).to_string(), "endTimeUnixNano": (NOON + (second + 1) * SECOND).to_string(),
        "attributes": attributes(&of), "status": {} })
}

fn export(spans: &[Value]) -> Value {
    json!({ "resourceSpans": [{ "resource": { "attributes": attributes(&json!({ "service.name": "bot" })) },
        "scopeSpans": [{ "scope": { "name": "probe", "version": "1" }, "spans": spans }] }] })
}

async fn sends(bot: &Bot<'_>, spans: &[Value]) {
    assert_eq!(bot.post("/v1/traces", export(spans)).await.whole(), (200, json!({})));
}

/// Sender and content of each message.
async fn transcript(bot: &Bot<'_>, conversation: &str) -> Vec<(String, String)> {
    let whole = bot.fetch(conversation).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let messages = whole["messages"].as_array().unwrap();
    messages.iter().map(|message| (text(&message["sender"]), text(&message["content"]))).collect()
}

fn lines(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    lines.iter().map(|(sender, content)| ((*sender).to_owned(), (*content).to_owned())).collect()
}

/// The history that a call is given: a list of texts, the user's first.
fn history(texts: &[&str]) -> String {
    let roles = ["user", "assistant"].iter().cycle();
    let turns: Vec<Value> =
        texts.iter().zip(roles).map(|(text, role)| json!({ "role": role, "content": text })).collect();
    Value::from([vec![json!({ "role": "system", "content": "Be nice." })], turns].concat()).to_string()
}

/// The call of a model of the present conventions.
fn call(trace: &str, id: u8, second: u64, conversation: Option<&str>, texts: &[&str], answer: &str) -> Value {
    let mut of = json!({ "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m", "gen_ai.input.messages": history(texts),
        "gen_ai.output.messages": json!([{ "role": "assistant", "parts": [{ "type": "text", "content": answer }], "finish_reason": "stop" }]).to_string() });
    if let Some(conversation) = conversation {
        of["gen_ai.conversation.id"] = json!(conversation);
    }
    span(trace, id, "chat m", second, of)
}

#[tokio::test]
async fn every_instrumentation_tells_the_same_exchange() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let output = json!([{ "role": "assistant", "content": "Tomorrow." }]).to_string();
    let input = history(&["When?"]);
    let usage = json!({ "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20, "gen_ai.usage.cache_read.input_tokens": 40 });
    let with = |of: Value, more: &Value| {
        let mut of = of;
        of.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        of
    };
    let dialects = [
        (
            "conventions",
            with(
                json!({ "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m", "gen_ai.conversation.id": "conventions",
            "gen_ai.input.messages": [{ "role": "user", "parts": [{ "type": "text", "content": "When?" }] }], "gen_ai.output.messages": output }),
                &usage,
            ),
        ),
        (
            "numbered",
            with(
                json!({ "gen_ai.system": "openai", "gen_ai.request.model": "m", "traceloop.association.properties.session_id": "numbered", "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "Be nice.", "gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": "When?", "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "Tomorrow." }),
                &json!({ "gen_ai.usage.prompt_tokens": 100, "gen_ai.usage.completion_tokens": 20, "gen_ai.usage.cache_read_input_tokens": 40 }),
            ),
        ),
        (
            "openinference",
            json!({ "openinference.span.kind": "LLM", "session.id": "openinference", "llm.model_name": "m", "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.contents.0.message_content.type": "text", "llm.input_messages.0.message.contents.0.message_content.text": "When?",
            "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "Tomorrow.", "llm.token_count.prompt": 100, "llm.token_count.completion": 20,
            "llm.token_count.prompt_details.cache_read": 40 }),
        ),
        (
            "vercel",
            json!({ "ai.operationId": "ai.generateText.doGenerate", "ai.telemetry.metadata.sessionId": "vercel", "ai.model.id": "m", "ai.prompt.messages": input,
            "ai.response.text": "Tomorrow.", "ai.usage.inputTokens": 100, "ai.usage.outputTokens": 20, "ai.usage.cachedInputTokens": 40 }),
        ),
        (
            "langfuse",
            json!({ "langfuse.observation.type": "generation", "langfuse.session.id": "langfuse", "langfuse.observation.model.name": "m", "langfuse.observation.input": input,
            "langfuse.observation.output": "{\"role\": \"assistant\", \"content\": \"Tomorrow.\"}",
            "langfuse.observation.usage_details": "{\"input\": 100, \"output\": 20, \"cache_read_input_tokens\": 40}" }),
        ),
    ];
    for (number, (name, of)) in dialects.iter().enumerate() {
        sends(&bot, &[span(&format!("{number:02x}"), 1, "call", 0, of.clone())]).await;

        assert_eq!(transcript(&bot, name).await, lines(&[("end_user", "When?"), ("agent", "Tomorrow.")]), "{name}");
        let usage = bot.get(&format!("/api/token-usage/?conversation_id={name}")).await.json();
        let row = &usage["results"][0];
        assert_eq!(
            ["model", "prompt_tokens", "completion_tokens", "cache_read_tokens", "total_tokens", "turn_id"]
                .map(|key| row[key].clone()),
            [json!("m"), json!(60), json!(20), json!(40), json!(120), json!(null)],
            "{name}"
        );
        let spans = bot.get(&format!("/api/spans/?conversation_id={name}")).await.json();
        assert_eq!((&spans["count"], &spans["results"][0]["kind"]), (&json!(1), &json!("llm")), "{name}");
    }
    let events = json!([
        { "name": "gen_ai.user.message", "timeUnixNano": NOON.to_string(), "attributes": attributes(&json!({ "content": "When?" })) },
        { "name": "gen_ai.choice", "timeUnixNano": NOON.to_string(), "attributes": attributes(&json!({ "message": "{\"content\": \"Tomorrow.\"}" })) },
    ]);
    let mut older = span("0e", 1, "chat", 0, json!({ "gen_ai.system": "openai", "thread_id": "events" }));
    older["events"] = events;
    sends(&bot, &[older]).await;
    assert_eq!(transcript(&bot, "events").await, lines(&[("end_user", "When?"), ("agent", "Tomorrow.")]));
}

#[tokio::test]
async fn a_history_that_every_call_repeats_is_told_once_in_any_order() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let expected = lines(&[
        ("end_user", "hi"),
        ("agent", "hello"),
        ("end_user", "yes"),
        ("agent", "so"),
        ("end_user", "yes"),
        ("agent", "and so on"),
    ]);
    let calls = |name: &str| {
        [
            call("a1", 1, 0, Some(name), &["hi"], "hello"),
            call("a2", 2, 10, Some(name), &["hi", "hello", "yes"], "so"),
            call("a3", 3, 20, Some(name), &["hi", "hello", "yes", "so", "yes"], "and so on"),
        ]
    };
    for (number, order) in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1], [0, 2, 1], [1, 2, 0]].iter().enumerate() {
        let name = format!("c{number}");
        for at in order {
            sends(&bot, &[calls(&name)[*at].clone()]).await;
        }
        assert_eq!(transcript(&bot, &name).await, expected, "{order:?}");
        sends(&bot, &calls(&name)).await;
        assert_eq!(transcript(&bot, &name).await, expected, "{order:?} and again");
        assert_eq!(bot.fetch(&name).await["message_count"], json!(6));
    }
    sends(&bot, &calls("together")).await;
    assert_eq!(transcript(&bot, "together").await, expected);
    // Only the last call was recorded: what it heard is there all the same, in its order.
    sends(&bot, &calls("last")[2..]).await;
    assert_eq!(transcript(&bot, "last").await, expected);
    // Calls that remember nothing are exchanges of their own, however alike.
    sends(&bot, &[call("b1", 1, 0, Some("short"), &["yes"], "ok"), call("b2", 2, 9, Some("short"), &["yes"], "ok")])
        .await;
    assert_eq!(
        transcript(&bot, "short").await,
        lines(&[("end_user", "yes"), ("agent", "ok"), ("end_user", "yes"), ("agent", "ok")])
    );
}

/// Some clocks cut the beginning of a span off at the millisecond, and measure how long it takes by a finer one.
#[tokio::test]
async fn a_call_that_seems_to_begin_before_the_last_has_ended_comes_after_its_answer() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let timed = |mut call: Value, from: u64, to: u64| {
        call["startTimeUnixNano"] = json!((NOON + from).to_string());
        call["endTimeUnixNano"] = json!((NOON + to).to_string());
        call
    };
    for (conversation, traces, is_reversed) in [("forward", ["c2", "c3"], false), ("reversed", ["c4", "c5"], true)] {
        let call = |trace: &str, id, texts: &[&str], answer| call(trace, id, 0, Some(conversation), texts, answer);
        let [first, second] = traces;
        let mut calls = [
            timed(call(first, 1, &["When?"], "Tomorrow."), 0, 5_700_000),
            timed(call(second, 2, &["When?", "Tomorrow.", "Where?"], "Here."), 5_000_000, 9_000_000),
        ];
        if is_reversed {
            calls.reverse();
        }

        sends(&bot, &calls).await;

        let told = [("end_user", "When?"), ("agent", "Tomorrow."), ("end_user", "Where?"), ("agent", "Here.")];
        assert_eq!(transcript(&bot, conversation).await, lines(&told));
    }
}

#[tokio::test]
async fn the_steps_of_one_exchange_tell_its_question_once() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let agent = json!({ "openinference.span.kind": "AGENT", "session.id": "steps", "input.value": "When?", "output.value": "Tomorrow." });
    let tool = json!({ "openinference.span.kind": "TOOL", "tool.name": "lookup", "input.value": "{\"order\": \"A-9\"}", "output.value": "shipped" });
    let mut around = span("c1", 9, "agent", 0, agent);
    around["endTimeUnixNano"] = json!((NOON + 9 * SECOND).to_string());
    let mut failed = span(
        "c1",
        4,
        "execute_tool refund",
        3,
        json!({ "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund", "gen_ai.tool.call.arguments": "{}" }),
    );
    failed["status"] = json!({ "code": 2, "message": "no money" });

    sends(
        &bot,
        &[
            call("c1", 1, 0, None, &["When?"], "lookup"),
            span("c1", 2, "lookup", 2, tool),
            failed,
            call("c1", 3, 4, None, &["When?"], "Tomorrow."),
            around,
        ],
    )
    .await;

    let told = transcript(&bot, "steps").await;
    assert_eq!(
        told,
        lines(&[
            ("end_user", "When?"),
            ("agent", "lookup"),
            ("agent", "Action lookup performed"),
            ("agent", "Action refund performed"),
            ("agent", "Tomorrow.")
        ])
    );
    let whole = bot.fetch("steps").await;
    let log = |at: usize| &whole["messages"][at]["action_logs"][0];
    assert_eq!(
        [&log(2)["tools_used"], &log(2)["response"], &log(2)["error_message"]],
        [&json!({"order": "A-9"}), &json!("shipped"), &json!("")]
    );
    assert_eq!(log(3)["error_message"], json!("no money"));
}

#[tokio::test]
async fn a_trace_without_a_name_is_a_conversation_until_it_is_named() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let trace = "d1".repeat(16);
    let named = |id: u8, name: &str| span("d1", id, "ask", 0, json!({ "session.id": name, "user.id": "u-7" }));

    sends(&bot, &[call("d1", 1, 0, None, &["When?"], "Tomorrow.")]).await;
    assert_eq!(transcript(&bot, &trace).await.len(), 2);
    let id = bot.fetch(&trace).await["id"].clone();

    // Its name comes with the outermost span, which ends last.
    sends(&bot, &[named(2, "s-1")]).await;
    let whole = bot.fetch("s-1").await;
    assert_eq!([&whole["id"], &whole["customer_id"], &whole["message_count"]], [&id, &json!("u-7"), &json!(2)]);
    assert_eq!(bot.get(&format!("/api/conversations/?conversation_id={trace}")).await.json()["count"], json!(0));
    // What follows goes where the trace is.
    sends(&bot, &[call("d1", 3, 5, None, &["And now?"], "Now.")]).await;
    assert_eq!(transcript(&bot, "s-1").await.len(), 4);

    // The next trace of the same conversation, which is there already by then.
    sends(&bot, &[call("d2", 4, 20, None, &["More?"], "More.")]).await;
    let other = span("d2", 5, "ask", 20, json!({ "session.id": "s-1" }));
    sends(&bot, &[other]).await;
    let told = transcript(&bot, "s-1").await;
    assert_eq!((told.len(), &told[4].1), (6, &"More?".to_owned()));
    assert_eq!(bot.fetch("s-1").await["message_count"], json!(6));
    assert_eq!(bot.get("/api/conversations/?full=false").await.json()["count"], json!(1));
    assert_eq!(
        bot.get("/api/conversations/?message_contains=More.").await.json()["results"][0]["conversation_id"],
        json!("s-1")
    );
    assert_eq!(bot.get("/api/spans/?conversation_id=s-1").await.json()["count"], json!(5));
    assert_eq!(bot.get("/api/token-usage/?conversation_id=s-1").await.json()["count"], json!(3));
}

#[tokio::test]
async fn the_archive_holds_what_no_adapter_knows() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let mut odd = span(
        "e1",
        1,
        "GET /",
        0,
        json!({ "http.method": "GET", "list": [1, 2.5, true], "map": { "a": { "b": "c" } }, "nothing": null }),
    );
    odd["parentSpanId"] = json!("00000000000000ff");
    odd["links"] = json!([{ "traceId": "e2".repeat(16), "spanId": "0000000000000007", "attributes": [] }]);
    odd["events"] = json!([{ "name": "exception", "timeUnixNano": NOON.to_string(), "attributes": attributes(&json!({ "exception.type": "E" })) }]);

    sends(&bot, &[odd]).await;

    let spans = bot.get("/api/spans/").await.json();
    let row = &spans["results"][0];
    assert_eq!(
        ["kind", "name", "status", "parent_span_id", "duration_ms", "started_at"].map(|key| row[key].clone()),
        [
            json!("span"),
            json!("GET /"),
            json!("unset"),
            json!("00000000000000ff"),
            json!(1000.0),
            json!("2026-03-02T09:15:00Z")
        ]
    );
    assert_eq!(
        row["attributes"],
        json!({ "http.method": "GET", "list": [1, 2.5, true], "map": { "a": { "b": "c" } }, "nothing": null })
    );
    assert_eq!(
        row["events"],
        json!([{ "name": "exception", "timestamp": "2026-03-02T09:15:00Z", "attributes": { "exception.type": "E" } }])
    );
    let payload = bot.get(&format!("/api/spans/{}/?payload=true", row["id"])).await.json()["payload"].clone();
    assert_eq!(payload["otel"]["resource"], json!({ "service.name": "bot" }));
    assert_eq!(payload["otel"]["scope"], json!({ "name": "probe", "version": "1", "schema_url": "" }));
    assert_eq!(payload["otel"]["links"][0]["span_id"], json!("0000000000000007"));
}

#[tokio::test]
async fn what_is_no_export_is_refused_in_its_own_form() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let before = app.contents();
    let send = async |content_type: &str, body: &[u8]| {
        bot.send("POST", "/v1/traces", &[("content-type", content_type)], body.to_vec()).await
    };

    let garbage = send("application/x-protobuf", &[0xff; 64]).await;
    assert_eq!((garbage.status, garbage.header("content-type")), (400, Some("application/x-protobuf")));
    let no_json = send("application/json", b"{\"resourceSpans\": [").await;
    assert_eq!(
        (no_json.status, no_json.json()["message"].as_str().unwrap().starts_with("JSON parse error - ")),
        (400, true)
    );
    let mut late = span("f1", 2, "x", 0, json!({ "session.id": "refused" }));
    late["startTimeUnixNano"] = json!("soon");
    let refused =
        bot.post("/v1/traces", export(&[span("f1", 1, "x", 0, json!({ "session.id": "refused" })), late])).await;
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    let expected = "resourceSpans[0].scopeSpans[0].spans[1].startTimeUnixNano: expected a whole number from 0 to 18446744073709551615 at line 1";
    assert!(refused.status == 400 && message.starts_with(expected), "{message}");
    for shapeless in ["[]", "\"x\"", "{\"resourceSpans\": 7}"] {
        assert_eq!(send("application/json", shapeless.as_bytes()).await.status, 400, "{shapeless}");
    }
    assert_eq!(send("text/plain", b"{}").await.status, 415);
    assert_eq!(send("application/x-protobuf", b"").await.status, 200);
    assert_eq!(app.stranger().post("/v1/traces", export(&[])).await.whole().0, 401);
    assert_eq!(app.contents(), before);

    let mut nameless = span("f1", 1, "x", 0, json!({}));
    nameless["spanId"] = json!("");
    let answer = bot
        .post("/v1/traces", export(&[nameless, span("f1", 2, "y", 0, json!({ "session.id": "kept" }))]))
        .await
        .whole();
    let partial = json!({ "partialSuccess": { "rejectedSpans": "1", "errorMessage": "Spans without a span_id cannot be stored." } });
    assert_eq!(answer, (200, partial));
    assert_eq!(bot.fetch("kept").await["is_used"], json!(true));
}

#[tokio::test]
async fn what_is_too_large_over_grpc_is_refused_for_good() {
    let app = TestApp::start().await;
    let head = "POST /opentelemetry.proto.collector.trace.v1.TraceService/Export HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc\r\n\
        te: trailers\r\ncontent-length: 5\r\nconnection: close\r\n\r\n";
    // A message of 1 GiB, of which only the length is there.
    let message = [[0].as_slice(), &(1_u32 << 30).to_be_bytes()].concat();

    let mut stream = app.connect().await;
    stream.write_all(&[head.as_bytes(), &message].concat()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();

    const INVALID_ARGUMENT: &str = "grpc-status: 3\r\n";
    assert!(answer.contains(INVALID_ARGUMENT) && answer.contains("too%20large"), "{answer}");
}

#[tokio::test]
async fn a_text_that_was_cut_in_the_middle_of_a_character_is_taken() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let body = export(&[call("a1", 1, 0, Some("c-1"), &["When CUT"], "Soon.")]).to_string();
    let cut = body.replace("CUT", "\\ud83d").replace("Soon.", "Soon. \\ud83d");

    let stored = bot.json("POST", "/v1/traces", cut).await;

    assert_eq!(stored.status, 200, "{}", stored.text());
    assert_eq!(transcript(&bot, "c-1").await, lines(&[("end_user", "When \u{fffd}"), ("agent", "Soon. \u{fffd}")]));
}

#[tokio::test]
async fn a_key_may_come_as_exporters_send_it() {
    let app = TestApp::start().await;
    let (bot, key) = app.agent("helpdesk").with_named_key(agentsight_model::key::Role::Write).await;
    drop(bot);
    let stranger = app.stranger();
    let key = key.reveal().to_owned();
    for (name, value) in [
        ("x-api-key", key.clone()),
        ("authorization", format!("Bearer {key}")),
        ("authorization", format!("api-key {key}")),
    ] {
        let answer = stranger.send("GET", "/api/me/", &[(name, &value)], Vec::new()).await;
        assert_eq!(answer.status, 200, "{name}: {value}");
    }
    for (name, value) in
        [("x-api-key", "ags_no".to_owned()), ("authorization", key.clone()), ("authorization", format!("Basic {key}"))]
    {
        let answer = stranger.send("GET", "/api/me/", &[(name, &value)], Vec::new()).await;
        assert_eq!(answer.status, 401, "{name}: {value}");
    }
}

/// A record of an event, so many seconds after noon; of no span where `id` is 0.
fn record(trace: &str, id: u8, second: u64, event: &str, of: &Value, body: &Value) -> Value {
    let mut record = json!({ "observedTimeUnixNano": (NOON + second * SECOND).to_string(), "eventName": event,
        "attributes": attributes(of), "body": any(body) });
    if id > 0 {
        record["traceId"] = json!(trace.repeat(16));
        record["spanId"] = json!(format!("{id:016x}"));
    }
    record
}

fn logs(records: &[Value]) -> Value {
    json!({ "resourceLogs": [{ "resource": { "attributes": attributes(&json!({ "service.name": "bot" })) },
        "scopeLogs": [{ "scope": { "name": "probe", "version": "1" }, "logRecords": records }] }] })
}

/// The call of a model that says nothing itself, and the records of what was said.
fn silent_call(trace: &str, id: u8, second: u64, texts: &[&str], answer: &str) -> (Value, Vec<Value>) {
    let provider = json!({ "gen_ai.provider.name": "openai" });
    let call = json!({ "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m",
        "gen_ai.conversation.id": "c-1", "gen_ai.usage.input_tokens": 100 });
    let names = ["gen_ai.user.message", "gen_ai.assistant.message"].iter().cycle();
    let mut records: Vec<Value> = texts
        .iter()
        .zip(names)
        .map(|(text, name)| record(trace, id, second, name, &provider, &json!({ "content": text })))
        .collect();
    let choice = json!({ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": answer } });
    records.push(record(trace, id, second + 1, "gen_ai.choice", &provider, &choice));
    (span(trace, id, "chat m", second, call), records)
}

#[tokio::test]
async fn what_is_said_in_log_records_joins_its_span_in_any_order() {
    let (first, said) = silent_call("a1", 1, 0, &["When?"], "Tomorrow.");
    let (second, more) = silent_call("b2", 2, 10, &["When?", "Tomorrow.", "And where?"], "Here.");
    let exports = [
        ("/v1/traces", export(&[first])),
        ("/v1/logs", logs(&said)),
        ("/v1/traces", export(&[second])),
        ("/v1/logs", logs(&more)),
    ];
    let told = [("end_user", "When?"), ("agent", "Tomorrow."), ("end_user", "And where?"), ("agent", "Here.")];
    for order in [[0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 1, 0], [1, 3, 0, 2]] {
        let app = TestApp::start().await;
        let bot = app.bot().await;
        for at in order {
            let (path, body) = &exports[at];
            assert_eq!(bot.post(path, body.clone()).await.whole(), (200, json!({})), "{order:?}");
        }

        assert_eq!(transcript(&bot, "c-1").await, lines(&told), "{order:?}");
        assert_eq!(bot.get("/api/conversations/").await.json()["count"], 1, "{order:?}");
        let tree = bot.get(&format!("/api/traces/{}/", "a1".repeat(16))).await.json();
        assert_eq!(tree["roots"][0]["children"][0]["kind"], "event");
        // Sent again, as exporters do that were not answered.
        let before = app.contents();
        for (path, body) in exports.clone() {
            assert_eq!(bot.post(path, body).await.status, 200);
        }
        assert_eq!(app.contents(), before, "{order:?}");
    }
}

#[tokio::test]
async fn one_record_may_hold_a_whole_call_which_its_span_tells_too() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let output = json!([{ "role": "assistant", "parts": [{ "type": "text", "content": "Tomorrow." }] }]);
    let details = json!({ "gen_ai.input.messages": history(&["When?"]), "gen_ai.output.messages": output, "gen_ai.usage.input_tokens": 100 });
    let records = [record("a1", 1, 1, "gen_ai.client.inference.operation.details", &details, &json!(null))];

    assert_eq!(bot.post("/v1/logs", logs(&records)).await.status, 200);
    assert_eq!(transcript(&bot, &"a1".repeat(16)).await, lines(&[("end_user", "When?"), ("agent", "Tomorrow.")]));
    sends(&bot, &[call("a1", 1, 0, Some("c-1"), &["When?"], "Tomorrow.")]).await;

    assert_eq!(transcript(&bot, "c-1").await, lines(&[("end_user", "When?"), ("agent", "Tomorrow.")]));
    let usage = bot.get("/api/token-usage/").await.json();
    assert_eq!((&usage["count"], &usage["results"][0]["calls"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn other_log_records_are_counted_and_stop_nobody() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let nothing = json!({});
    let named = json!({ "gen_ai.conversation.id": "c-1" });
    let records = [
        record("a1", 1, 0, "", &nothing, &json!("a line of a log")),
        record("a1", 1, 0, "http.server.request", &nothing, &nothing),
        record("", 0, 0, "gen_ai.user.message", &nothing, &json!({ "content": "of nobody" })),
        record("", 0, 0, "gen_ai.user.message", &named, &json!("{\"content\": \"of somebody\"}")),
    ];

    let stored = bot.post("/v1/logs", logs(&records)).await.whole();

    let why = "Only events of generative AI (gen_ai.*) that belong to a trace or name a conversation are stored; other log records are not.";
    assert_eq!(stored, (200, json!({ "partialSuccess": { "rejectedLogRecords": "3", "errorMessage": why } })));
    assert_eq!(transcript(&bot, "c-1").await, lines(&[("end_user", "of somebody")]));
    assert_eq!(bot.get("/api/conversations/").await.json()["count"], 1);
    let broken = bot.json("POST", "/v1/logs", "{").await;
    assert_eq!(broken.status, 400);
    let protobuf = bot.send("POST", "/v1/logs", &[("content-type", "application/x-protobuf")], Vec::new()).await;
    assert_eq!((protobuf.status, protobuf.body.len()), (200, 0));
}

#[tokio::test]
async fn a_call_that_two_instrumentations_saw_counts_once() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let call = |trace: &str, id: u8, from: u64, to: u64, tokens: i64| {
        let mut of = json!({ "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "session.id": trace });
        if tokens > 0 {
            of["gen_ai.usage.input_tokens"] = json!(tokens);
        }
        let mut span = span(trace, id, "chat m", 0, of);
        span["startTimeUnixNano"] = json!((NOON + from * SECOND).to_string());
        span["endTimeUnixNano"] = json!((NOON + to * SECOND).to_string());
        span
    };
    let scope = |name: &str, spans: Value| json!({ "scope": { "name": name }, "spans": spans });
    let sees = |trace: &str| {
        let outer = [
            call(trace, 1, 0, 9, 100),
            call(trace, 2, 10, 19, 0),
            call(trace, 3, 20, 29, 100),
            call(trace, 4, 20, 25, 100),
        ];
        let inner = [call(trace, 5, 1, 8, 100), call(trace, 6, 11, 18, 100), call(trace, 7, 30, 31, 100)];
        [scope("outer", json!(outer)), scope("inner", json!(inner))]
    };
    let sends = async |scopes: &[Value]| {
        let stored = bot.post("/v1/traces", json!({ "resourceSpans": [{ "scopeSpans": scopes }] })).await;
        assert_eq!(stored.status, 200);
    };

    let [outer, inner] = sees("a1");
    sends(&[outer, inner]).await;
    let [outer, inner] = sees("b1");
    sends(&[outer]).await;
    sends(&[inner]).await;
    let [outer, inner] = sees("c1");
    sends(&[inner]).await;
    sends(std::slice::from_ref(&outer)).await;
    sends(&[outer]).await;

    for trace in ["a1", "b1", "c1"] {
        let usage = bot.get(&format!("/api/token-usage/?ordering=started_at&conversation_id={trace}")).await.json();
        let began: Vec<&str> =
            usage["results"].as_array().unwrap().iter().map(|row| row["started_at"].as_str().unwrap()).collect();
        // The outer of two; the inner, where it alone knows the tokens; two at once of one instrumentation; one by itself.
        let seconds = ["00", "11", "20", "20", "30"].map(|second| format!("2026-03-02T09:15:{second}Z"));
        assert_eq!(began, seconds, "{trace}");
        let summary =
            bot.get(&format!("/api/token-usage/summary/?group_by=model&conversation_id={trace}")).await.json();
        assert_eq!(
            (&summary["results"][0]["total_tokens"], &summary["results"][0]["rows"]),
            (&json!(500), &json!(5)),
            "{trace}"
        );
        assert_eq!(bot.get(&format!("/api/spans/?conversation_id={trace}")).await.json()["count"], 7);
    }
}
