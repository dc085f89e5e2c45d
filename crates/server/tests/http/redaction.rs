//! What rules find is never written, whichever door it came through.

use agentsight_model::key::Role;
use serde_json::{Value, json};

use crate::app::{Bot, TestApp, base64};

const RULES: &str = "
[[rule]]
name = 'email'
[[rule]]
name = 'order'
pattern = 'ORD-[0-9]+'
replacement = 'an order'
[[rule]]
name = 'credit_card'
[[rule]]
name = 'ipv4'
";
const CARD: i64 = 4_111_111_111_111_111;
const ADDRESS: &str = "203.0.113.45";
const SECRETS: [&str; 4] = ["jane@x.example", "ORD-17", "4111111111111111", ADDRESS];

/// Everything that people and programs may say, through every door, with a secret in each of it.
async fn sends_everything(bot: &Bot<'_>) {
    let at = "2026-03-02T09:15:03Z";
    let said = "jane@x.example asks for ORD-17";
    let opened = bot
        .post(
            "/api/conversations/",
            json!({ "conversation_id": "c-1", "name": said, "metadata": {"from": said, "card": CARD},
            "device": said, "source": said, "language": said, "customer_ip_address": ADDRESS }),
        )
        .await;
    let body = json!({ "conversation_id": "c-1", "sender": "end_user", "content": said, "metadata": {"a": [said]}, "timestamp": at });
    let message = bot.post("/api/track/", body).await;
    let body = json!({ "conversation_id": "c-1", "action_name": "lookup", "tools_used": {"to": said}, "response": {"found": said},
        "error_msg": said, "metadata": {"b": said}, "timestamp": at });
    let log = bot.post("/api/action_logs/", body).await;
    let body = json!({ "conversation_id": "c-1", "button_event": said, "label": said, "value": said, "metadata": {"c": said}, "timestamp": at });
    let click = bot.post("/api/buttons/", body).await;
    let body = json!({ "conversation_id": "c-1", "metadata": {"d": said}, "timestamp": at,
        "attachments": [{ "filename": "a.txt", "mime_type": "text/plain", "data": "aGk=" }] });
    let files = bot.post("/api/attachments/", body).await;
    let answers = [&message, &log, &click, &files, &opened];
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    let (id, conversation) = (message.id(), opened.id());

    for body in [
        json!({ "kind": "conversation", "conversation_id": "c-1", "sentiment": "positive", "comment": said, "metadata": {"e": said} }),
        json!({ "kind": "agent", "sentiment": "positive", "comment": said, "metadata": {"f": said} }),
        json!({ "kind": "message", "message": id, "sentiment": "positive", "comment": said, "topic": said, "reason": said, "metadata": {"g": said} }),
    ] {
        let feedback = bot.post("/api/feedbacks/", body).await;
        assert_eq!(feedback.status, 201);
        let changed = bot.patch(&format!("/api/feedbacks/{}/", feedback.id()), json!({ "comment": said })).await;
        assert_eq!(changed.status, 200);
    }
    let vote = bot.get("/api/feedbacks/?kind=message").await.json()["results"][0]["id"].clone();
    let again = bot.patch(&format!("/api/feedbacks/{vote}/"), json!({ "topic": said, "reason": said })).await;
    assert_eq!(again.status, 200);
    let action =
        bot.post("/api/actions/", json!({ "name": "refund", "display_name": said, "description": said })).await;
    let texts = json!({ "display_name": said, "description": said });
    assert_eq!(bot.patch(&format!("/api/actions/{}/", action.id()), texts).await.status, 200);
    let ticket = bot.post("/api/tickets/", json!({ "title": said })).await.id();
    assert_eq!(bot.patch(&format!("/api/tickets/{ticket}/"), json!({ "title": said })).await.status, 200);
    assert_eq!(bot.post(&format!("/api/tickets/{ticket}/comments/"), json!({ "body": said })).await.status, 201);
    assert_eq!(
        bot.patch(&format!("/api/conversations/{conversation}/rename/"), json!({ "name": said })).await.status,
        200
    );
    let update = json!({ "name": said, "metadata": {"h": said}, "device": said, "language": said });
    assert_eq!(bot.patch(&format!("/api/conversations/{conversation}/update/"), update).await.status, 200);

    assert_eq!(bot.post("/api/ingest/", ingested(said)).await.status, 200);
    assert_eq!(bot.post("/v1/traces", exported(said)).await.status, 200);
}

/// An exchange with a tool and a click, as SDK 0.1.x sends it.
fn ingested(said: &str) -> Value {
    let message = |sender: &str, second: u8| {
        json!({ "name": "agentsight.message", "timestamp": format!("2026-03-02T09:15:0{second}Z"),
        "attributes": { "agentsight.message.sender": sender, "agentsight.message.content": said,
            "agentsight.message.metadata": json!({ "x": said }).to_string() } })
    };
    let arguments = json!({ "to": said, "call_id": "ian@x.example" }).to_string();
    json!({ "conversations": [{ "conversation_id": "c-2", "name": said, "metadata": {"from": said}, "device": said, "source": said,
        "language": said, "customer_ip_address": ADDRESS, "spans": [
        { "span_id": "a1", "trace_id": "b1", "kind": "turn", "name": "ask", "started_at": "2026-03-02T09:15:00Z", "ended_at": "2026-03-02T09:15:04Z",
          "attributes": { "agentsight.turn.id": "a1", "agentsight.turn.complete": true }, "events": [message("end_user", 1), message("agent", 3)] },
        { "span_id": "a2", "trace_id": "b1", "kind": "tool", "name": "lookup", "started_at": "2026-03-02T09:15:02Z",
          "attributes": { "agentsight.turn.id": "a1", "agentsight.tool.name": "lookup", "agentsight.tool.arguments": arguments,
            "agentsight.tool.response": said, "agentsight.tool.error": said } },
        { "span_id": "a3", "trace_id": "b1", "kind": "button", "name": "Yes", "started_at": "2026-03-02T09:15:05Z",
          "attributes": { "agentsight.button.event": "choice", "agentsight.button.label": said, "agentsight.button.value": said,
            "agentsight.metadata": json!({ "y": said }).to_string() } },
        { "span_id": "a4", "trace_id": "b1", "kind": "turn", "name": said, "started_at": "2026-03-02T09:16:00Z",
          "attributes": { "agentsight.turn.id": "a4", "agentsight.turn.complete": false, "agentsight.turn.incomplete_reason": said, "card": CARD } },
        { "span_id": "a5", "trace_id": "b1", "kind": "tool", "name": said, "started_at": "2026-03-02T09:16:00Z", "attributes": {} },
    ] }] })
}

/// A call of a model, as OpenTelemetry's conventions tell it.
fn exported(said: &str) -> Value {
    let text = |key: &str, value: String| json!({ "key": key, "value": { "stringValue": value } });
    let messages = json!([{ "role": "user", "parts": [{ "type": "text", "content": said }] }]).to_string();
    let attributes = [
        text("gen_ai.operation.name", "chat".to_owned()),
        text("gen_ai.conversation.id", "c-3".to_owned()),
        text("gen_ai.request.model", "m".to_owned()),
        text("gen_ai.input.messages", messages),
        text("anything", said.to_owned()),
        json!({ "key": "card", "value": { "intValue": CARD } }),
        json!({ "key": "bytes", "value": { "bytesValue": base64(said.as_bytes()) } }),
    ];
    json!({ "resourceSpans": [{ "resource": { "attributes": [text("host", said.to_owned())] }, "scopeSpans": [{ "spans": [{
        "traceId": "c1".repeat(16), "spanId": "00000000000000c1", "name": said, "kind": 3, "status": { "code": 2, "message": said },
        "startTimeUnixNano": "1772442900000000000", "endTimeUnixNano": "1772442901000000000", "attributes": attributes,
        "events": [{ "name": "said", "timeUnixNano": "1772442900000000000", "attributes": [text("z", said.to_owned())] }] }] }] }] })
}

#[tokio::test]
async fn what_a_rule_finds_is_in_no_row_and_no_archive() {
    let app = TestApp::redacting(RULES).await;
    let bot = app.bot().await;

    sends_everything(&bot).await;

    let contents = app.contents();
    let in_base64 = base64("jane@x.example asks for ORD-17".as_bytes());
    for secret in SECRETS.into_iter().chain([in_base64.as_str()]) {
        let rows: Vec<&str> = contents.lines().filter(|line| line.contains(secret)).collect();
        assert_eq!(rows, [""; 0], "{secret}");
    }
    let written = "[email] asks for an order";
    let first = bot.fetch("c-1").await;
    assert_eq!(first["messages"][0]["content"], written);
    assert_eq!((&first["name"], &first["metadata"]), (&json!(written), &json!({ "h": written })));
    let second = bot.fetch("c-2").await;
    assert_eq!(
        second["messages"][1]["action_logs"][0]["tools_used"],
        json!({ "to": written, "call_id": "ian@x.example" })
    );
    let spans = bot.get("/api/spans/?conversation_id=c-3").await.json();
    assert_eq!(spans["results"][0]["attributes"]["anything"], written);
    assert_eq!(spans["results"][0]["attributes"]["bytes"], base64(written.as_bytes()));
    assert_eq!(spans["results"][0]["attributes"]["card"], "[credit_card]");
    assert_eq!(bot.fetch("c-3").await["messages"][0]["content"], written);
}

#[tokio::test]
async fn nothing_is_changed_without_rules() {
    let app = TestApp::start().await;
    let bot = app.bot().await;

    sends_everything(&bot).await;

    assert_eq!(bot.fetch("c-1").await["messages"][0]["content"], "jane@x.example asks for ORD-17");
}

#[tokio::test]
async fn what_is_sent_again_is_known_by_what_was_sent() {
    let app = TestApp::redacting(RULES).await;
    let bot = app.bot().await;
    let say = |content: &str| json!({ "conversation_id": "c-1", "sender": "end_user", "content": content, "timestamp": "2026-03-02T09:15:03Z" });

    let first = bot.post("/api/track/", say("I am jane@x.example")).await;
    let again = bot.resend(&first).await;
    // Another request, of which the same is written.
    let another = bot.post("/api/track/", say("I am joan@x.example")).await;

    assert_eq!(again.id(), first.id());
    assert_ne!(another.id(), first.id());
    bot.post("/api/ingest/", ingested("jane@x.example")).await;
    let before = app.contents();
    let resent = bot.post("/api/ingest/", ingested("jane@x.example")).await.json();
    assert_eq!((&resent["duplicates"], &resent["accepted"]["spans"]), (&json!(5), &json!(0)));
    assert_eq!(app.contents(), before);
}

#[tokio::test]
async fn a_tool_that_waits_for_its_turn_tells_the_same() {
    let app = TestApp::redacting(RULES).await;
    let (early, late) = (app.agent("early").with_key(Role::Write).await, app.bot().await);
    let whole = ingested("jane@x.example has ORD-17");
    bot_gets(&late, &whole, [1, 0, 2]).await;
    bot_gets(&early, &whole, [0, 1, 2]).await;

    let told = async |bot: &Bot<'_>| {
        let mut log = bot.fetch("c-2").await["messages"][1]["action_logs"][0].clone();
        ["id", "action", "message"].iter().for_each(|key| drop(log.as_object_mut().unwrap().remove(*key)));
        log
    };
    assert_eq!(told(&late).await, told(&early).await);
    assert_eq!(told(&late).await["response"], "[email] has an order");
}

/// Sends the spans of a block one by one, in an order.
async fn bot_gets(bot: &Bot<'_>, whole: &Value, order: [usize; 3]) {
    for at in order {
        let mut one = whole.clone();
        one["conversations"][0]["spans"] = json!([whole["conversations"][0]["spans"][at]]);
        assert_eq!(bot.post("/api/ingest/", one).await.status, 200);
    }
}
