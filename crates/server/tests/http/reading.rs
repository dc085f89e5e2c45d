//! Single things and small helpers (contract: reading §1, §3–§6).

use agentsight_model::key::Role;
use serde_json::{Value, json};

use crate::app::{HOST, NOW, TestApp};

#[tokio::test]
async fn a_key_learns_who_it_is() {
    let app = TestApp::start().await;
    for (role, word) in [(Role::Read, "read"), (Role::Write, "write")] {
        let answer = app.agent("helpdesk").with_key(role).await.get("/api/me/").await;
        assert_eq!(
            answer.whole(),
            (
                200,
                json!({
                    "agent_id": 1, "agent_name": "helpdesk", "role": word, "capabilities": ["gzip-ingest"],
                    "environments": [
                        {"id": 1, "slug": "production", "name": "Production", "is_production": true, "created_at": NOW, "updated_at": NOW},
                        {"id": 2, "slug": "development", "name": "Development", "is_production": false, "created_at": NOW, "updated_at": NOW}
                    ]
                })
            )
        );
    }
}

#[tokio::test]
async fn a_conversation_is_fetched_whole_with_every_documented_field() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = bot
        .post("/api/conversations/", json!({
            "conversation_id": "order-chat-7781", "name": "Late parcel", "customer_id": "c-204", "customer_ip_address": "203.0.113.45",
            "device": "mobile", "source": "whatsapp", "language": "hr", "metadata": {"tier": "gold"}, "is_used": true,
            "timestamp": "2026-03-02T09:15:00.000001Z"
        }))
        .await
        .id();
    let name = "order-chat-7781";
    let question = bot.post("/api/track/", json!({ "conversation_id": name, "timestamp": "2026-03-02T09:15:02.100000Z", "sender": "end_user", "content": "Where is my parcel?", "metadata": {"channel": "wa"} })).await.id();
    let file = bot.post("/api/attachments/", json!({ "message": question, "attachments": [{ "filename": "photo.png", "mime_type": "image/png", "data": "iVBORw==" }] })).await.id();
    let log = bot.post("/api/action_logs/", json!({ "conversation_id": name, "timestamp": "2026-03-02T09:15:03Z", "action_name": "lookup_order", "started_at": "2026-03-02T09:15:02.4Z", "duration_ms": 150, "tools_used": {"order": "A-9"}, "response": "shipped" })).await.json();
    let click = bot.post("/api/buttons/", json!({ "conversation_id": name, "timestamp": "2026-03-02T09:15:09Z", "button_event": "delivery_choice", "label": "Tomorrow", "value": "tomorrow" })).await.json();
    let feedback = bot
        .post(
            "/api/conversation-feedbacks/",
            json!({ "conversation": id, "sentiment": "negative", "comment": "Too slow.", "metadata": {"rating": 2} }),
        )
        .await
        .json();
    bot.post(&format!("/api/conversations/{id}/mark/"), json!({ "is_marked": true })).await;

    let mut whole = json!({
        "id": id, "agent": 1, "conversation_id": name, "name": "Late parcel", "customer_id": "c-204",
        "customer_ip_address": "203.0.113.45", "device": "mobile", "source": "whatsapp", "language": "hr",
        "environment": "production", "environment_id": 1, "is_marked": true, "is_deleted": false, "is_used": true,
        "started_at": "2026-03-02T09:15:00.000001Z", "ended_at": "2026-03-02T09:15:09Z", "deleted_at": null,
        "metadata": {"tier": "gold"}, "geo_location": null, "message_count": 3, "feedback_count": 1,
        "messages": [
            {"id": question, "conversation": id, "timestamp": "2026-03-02T09:15:02.100000Z", "sender": "end_user",
             "content": "Where is my parcel?", "action_name": null, "metadata": {"channel": "wa"},
             "attachments": [{"id": file, "message": question, "type": "image", "filename": "photo.png", "mime_type": "image/png",
                "size_bytes": 4, "file_url": format!("http://{HOST}/files/1/{id}/{file}?expires=1772447400&sig=…")}],
             "action_logs": [], "button": null, "feedback": null},
            {"id": log["message"], "conversation": id, "timestamp": "2026-03-02T09:15:03Z", "sender": "agent",
             "content": "Action lookup_order performed", "action_name": "lookup_order", "metadata": {}, "attachments": [],
             "action_logs": [log], "button": null, "feedback": null},
            {"id": click["message"], "conversation": id, "timestamp": "2026-03-02T09:15:09Z", "sender": "end_user",
             "content": "Button clicked: Tomorrow", "action_name": null, "metadata": {}, "attachments": [], "action_logs": [],
             "button": {"id": click["id"], "button_event": "delivery_choice", "label": "Tomorrow", "value": "tomorrow", "metadata": {}},
             "feedback": null}
        ],
        "feedbacks": [feedback], "tickets": [], "token_usage": null
    });
    for parameters in ["", "?full=false", "?full=true&include_tickets=maybe"] {
        let answer = bot.get(&format!("/api/conversations/{id}/{parameters}")).await;
        assert_eq!(answer.whole(), (200, whole.clone()), "{parameters}");
    }
    whole.as_object_mut().unwrap().retain(|key, _| key != "tickets" && key != "token_usage");
    assert_eq!(crate::app::unsigned(bot.fetch(name).await), whole, "a list's row has all but tickets and tokens");
}

#[tokio::test]
async fn messages_come_by_time_and_not_by_arrival() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for (second, content) in [(5, "5"), (1, "1"), (3, "3"), (3, "3 again")] {
        bot.post("/api/track/", json!({ "conversation_id": "c-1", "sender": "agent", "content": content, "timestamp": format!("2026-03-02T09:15:0{second}Z") })).await;
    }
    let row = bot.fetch("c-1").await;
    let messages = row["messages"].as_array().unwrap();
    let contents: Vec<_> = messages.iter().map(|message| message["content"].as_str().unwrap()).collect();
    assert_eq!(contents, ["1", "3", "3 again", "5"]);
    assert!(messages[1]["id"].as_i64() < messages[2]["id"].as_i64());
    assert_eq!(
        (&row["started_at"], &row["ended_at"]),
        (&json!("2026-03-02T09:15:01Z"), &json!("2026-03-02T09:15:05Z"))
    );
}

#[tokio::test]
async fn the_files_of_a_conversation_are_listed_grouped_and_flat() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await.id();
    let path = format!("/api/conversations/{id}/attachments/");
    assert_eq!(
        bot.get(&path).await.whole(),
        (
            200,
            json!({ "conversation_id": "c-1", "conversation": id, "total_attachments": 0, "attachment_count": 0, "messages": [], "attachments": [] })
        )
    );
    let files = json!([{ "filename": "photo.png", "mime_type": "image/png", "data": "iVBORw==" }, { "filename": "invoice.pdf", "data": "JVBERi0=" }]);
    bot.post("/api/track/", json!({ "conversation_id": "c-1", "sender": "agent", "content": "no files here" })).await;
    let stored = bot
        .post(
            "/api/attachments/",
            json!({ "conversation_id": "c-1", "timestamp": "2026-03-02T09:15:02.1Z", "attachments": files }),
        )
        .await
        .whole()
        .1;

    let answer = bot.get(&path).await;

    assert_eq!(
        answer.whole(),
        (
            200,
            json!({
                "conversation_id": "c-1", "conversation": id, "total_attachments": 2, "attachment_count": 2,
                "messages": [{ "message_id": stored["message"], "id": stored["message"], "sender": "end_user", "timestamp": "2026-03-02T09:15:02.100000Z", "attachments": stored["attachments"] }],
                "attachments": stored["attachments"],
            })
        )
    );
}

#[tokio::test]
async fn a_conversation_is_looked_up_by_its_name() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = bot.post("/api/conversations/", json!({ "conversation_id": "a/b c&d+ž" })).await.id();
    let path = "/api/conversations/lookup/";

    assert_eq!(
        bot.get(&format!("{path}?conversation_id=a%2Fb+c%26d%2B%C5%BE")).await.whole(),
        (200, json!({ "id": id, "conversation_id": "a/b c&d+ž" }))
    );
    assert_eq!(
        bot.get(&format!("{path}?conversation_id=A%2Fb")).await.whole(),
        (404, json!({ "detail": "Conversation not found." }))
    );
    assert_eq!(bot.get(path).await.whole(), (400, json!({ "conversation_id": ["This field is required."] })));
}

#[tokio::test]
async fn keys_and_values_of_metadata_are_listed() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for (name, metadata) in [
        ("c-1", json!({ "plan": "pro", "order": {"id": 7} })),
        ("c-2", json!({ "plan": "enterprise", "account": true })),
        ("c-3", json!({ "plan": 1.5 })),
    ] {
        bot.post("/api/conversations/", json!({ "conversation_id": name, "metadata": metadata })).await;
    }
    bot.post("/api/track/", json!({ "conversation_id": "c-1", "sender": "agent", "content": "x", "metadata": {"locale": "hr", "latency_ms": 5} })).await;
    let get = async |path: &str| bot.get(&format!("/api/conversations/{path}")).await.whole();
    assert_eq!(get("metadata-keys/").await, (200, json!({ "keys": ["account", "order.id", "plan"] })));
    assert_eq!(get("message-metadata-keys/").await, (200, json!({ "keys": ["latency_ms", "locale"] })));
    assert_eq!(get("metadata-values/?key=unknown").await, (200, json!({ "key": "unknown", "values": [] })));
    assert_eq!(get("metadata-values/?key=order.id").await, (200, json!({ "key": "order.id", "values": [7] })));
    assert_eq!(get("metadata-values/").await, (400, json!({ "key": ["This field is required."] })));
    let mut values: Vec<String> =
        get("metadata-values/?key=plan").await.1["values"].as_array().unwrap().iter().map(Value::to_string).collect();
    values.sort();
    assert_eq!(values, ["\"enterprise\"", "\"pro\"", "1.5"]);
}

#[tokio::test]
async fn a_message_that_is_not_there_is_404() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for id in ["1", "0", "x", "-1", "1.0", "99999999999999999999", "9223372036854775807", "%31%00", "%FF"] {
        assert_eq!(
            bot.get(&format!("/api/track/{id}/")).await.whole(),
            (404, json!({ "detail": "Not found." })),
            "{id}"
        );
        assert_eq!(
            bot.get(&format!("/api/conversations/{id}/")).await.whole(),
            (404, json!({ "detail": "Not found." })),
            "{id}"
        );
        assert_eq!(
            bot.get(&format!("/api/conversations/{id}/attachments/")).await.whole(),
            (404, json!({ "detail": "Not found." })),
            "{id}"
        );
    }
}
