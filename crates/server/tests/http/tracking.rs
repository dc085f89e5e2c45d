//! What SDK 0.0.x writes (contract: tracking-v0).

use serde_json::{Value, json};

use crate::app::{NOW, TestApp};

fn lean(id: i64) -> Value {
    json!({
        "id": id, "agent": 1, "conversation_id": "order-chat-7781", "name": "Late parcel",
        "customer_id": "c-204", "customer_ip_address": null, "device": "mobile", "source": "whatsapp",
        "language": "hr", "environment": "production", "environment_id": 1, "metadata": {"tier": "gold"},
        "started_at": "2026-03-02T09:15:00.000001Z", "ended_at": "2026-03-02T09:15:00.000001Z",
        "message_count": 0, "feedback_count": 0, "is_marked": false, "is_used": true,
        "is_deleted": false, "deleted_at": null, "geo_location": null
    })
}

fn conversation() -> Value {
    json!({
        "timestamp": "2026-03-02T09:15:00.000001+00:00", "conversation_id": "order-chat-7781", "customer_id": "c-204",
        "customer_ip_address": null, "device": "mobile", "source": "whatsapp", "language": "hr", "name": "Late parcel",
        "is_used": true, "environment": "production", "metadata": {"tier": "gold"}
    })
}

#[tokio::test]
async fn a_conversation_is_made_once_and_answered_as_a_lean_row() {
    let app = TestApp::start().await;
    let bot = app.bot().await;

    let first = bot.post("/api/conversations/", conversation()).await;
    let again = bot.post("/api/conversations/", conversation()).await;

    assert_eq!(first.whole(), (201, lean(first.id())));
    assert_eq!(again.whole(), (200, lean(first.id())));
}

#[tokio::test]
async fn an_existing_conversation_keeps_what_it_has_and_is_filled_where_it_is_empty() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    bot.post(
        "/api/conversations/",
        json!({ "conversation_id": "c-1", "name": "First", "environment": "dev", "is_used": true }),
    )
    .await;

    let answer = bot
        .post("/api/conversations/", json!({
            "conversation_id": "c-1", "name": "Second", "customer_id": 7, "environment": "production", "is_used": false,
            "metadata": {"a": 1}, "customer_ip_address": "2001:db8:0::1%eth0",
        }))
        .await;

    let row = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!(row["name"], "First");
    assert_eq!(row["customer_id"], "7");
    assert_eq!(row["environment"], "development");
    assert_eq!(row["is_used"], true);
    assert_eq!(row["metadata"], json!({ "a": 1 }));
    assert_eq!(row["customer_ip_address"], "2001:db8::1");
}

#[tokio::test]
async fn is_used_makes_no_claim_when_absent() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let used = async |body| bot.post("/api/conversations/", body).await.json()["is_used"].clone();
    assert_eq!(used(json!({ "conversation_id": "c-1" })).await, false);
    assert_eq!(used(json!({ "conversation_id": "c-1", "is_used": true })).await, true);
    assert_eq!(used(json!({ "conversation_id": "c-1" })).await, true);
}

#[tokio::test]
async fn an_unknown_environment_is_refused_with_those_that_exist() {
    let app = TestApp::start().await;
    let bot = app.bot().await;

    let answer = bot.post("/api/conversations/", json!({ "conversation_id": "c-1", "environment": "staging" })).await;

    assert_eq!(answer.status, 400);
    let message = answer.json()["environment"][0].as_str().unwrap().to_owned();
    assert!(message.starts_with("Unknown environment: 'staging'."), "{message}");
    assert!(message.contains("production") && message.contains("development"), "{message}");
    assert_eq!(bot.get("/api/conversations/").await.json()["count"], 0);
    for (given, meant) in [("prod", "production"), (" DEV ", "development"), ("", "production")] {
        let body = json!({ "conversation_id": format!("c-{given}"), "environment": given });
        assert_eq!(bot.post("/api/conversations/", body).await.json()["environment"], meant, "{given}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_stored_as_null() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for given in [json!("testclient"), json!("unknown"), json!("1.2.3.4, 5.6.7.8"), json!(["1.2.3.4"]), json!(12)] {
        let body = json!({ "conversation_id": given.to_string(), "customer_ip_address": given });
        let answer = bot.post("/api/conversations/", body).await;
        assert_eq!((answer.status, &answer.json()["customer_ip_address"]), (201, &Value::Null), "{given}");
    }
}

#[tokio::test]
async fn a_message_is_stored_and_answered_whole() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let conversation = bot.post("/api/conversations/", conversation()).await.id();

    let answer = bot
        .post(
            "/api/track/",
            json!({
                "timestamp": "2026-03-02T09:15:02.100000+00:00", "content": "Where is my parcel?", "sender": "end_user",
                "conversation_id": "order-chat-7781", "metadata": {"channel": "wa"}, "conversation": conversation
            }),
        )
        .await;

    let expected = json!({
        "id": answer.id(), "conversation": conversation, "timestamp": "2026-03-02T09:15:02.100000Z", "sender": "end_user",
        "content": "Where is my parcel?", "action_name": null, "metadata": {"channel": "wa"},
        "attachments": [], "action_logs": [], "button": null, "feedback": null
    });
    assert_eq!(answer.whole(), (201, expected.clone()));
    assert_eq!(bot.get(&format!("/api/track/{}/", answer.id())).await.whole(), (200, expected));
}

#[tokio::test]
async fn a_message_for_a_name_that_is_new_makes_the_conversation() {
    let app = TestApp::start().await;
    let bot = app.bot().await;

    let body = json!({ "conversation_id": "+385 91 123", "conversation": null, "sender": "agent", "content": "hi", "timestamp": "2026-03-02T09:00:00Z" });
    let answer = bot.post("/api/track/", body).await;

    let whole = bot.get(&format!("/api/conversations/{}/", answer.json()["conversation"])).await.json();
    assert_eq!(whole["conversation_id"], "+385 91 123");
    assert_eq!(whole["environment"], "production");
    assert_eq!(whole["is_used"], true);
    assert_eq!(whole["started_at"], "2026-03-02T09:00:00Z");
}

#[tokio::test]
async fn the_conversation_is_found_by_every_body_that_was_seen() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let first = bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await.id();
    bot.post("/api/conversations/", json!({ "conversation_id": "c-2" })).await;
    let mut number = 0;
    let mut post = async |mut body: Value| {
        number += 1;
        body["sender"] = "agent".into();
        body["content"] = number.into();
        bot.post("/api/track/", body).await
    };
    assert_eq!(post(json!({ "conversation": first, "conversation_id": "c-2" })).await.json()["conversation"], first);
    assert_eq!(post(json!({ "conversation": "None", "conversation_id": "c-1" })).await.json()["conversation"], first);
    assert_eq!(post(json!({ "conversation": first, "conversation_id": "None" })).await.json()["conversation"], first);
    assert_eq!(post(json!({ "conversation": 999, "conversation_id": "c-1" })).await.json()["conversation"], first);
    let missing = (404, json!({ "detail": "Conversation not found." }));
    assert_eq!(post(json!({ "conversation": 999 })).await.whole(), missing);
    assert_eq!(post(json!({ "conversation": 999, "conversation_id": "null" })).await.whole(), missing);
    let required = (400, json!({ "conversation_id": ["This field is required."] }));
    for body in
        [json!({}), json!({ "conversation_id": "None", "conversation": null }), json!({ "conversation_id": " " })]
    {
        assert_eq!(post(body.clone()).await.whole(), required, "{body}");
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_taken_names_its_fields() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for (body, field, message) in [
        (json!({ "sender": "bot", "content": "x" }), "sender", "\"bot\" is not a valid choice."),
        (json!({ "sender": "agent", "content": " " }), "content", "This field may not be blank."),
        (json!({ "sender": "agent", "content": null }), "content", "This field may not be null."),
        (json!({ "sender": "agent", "content": ["x"] }), "content", "Not a valid string."),
        (json!({ "sender": "agent" }), "content", "This field is required."),
        (json!({ "content": "x" }), "sender", "This field is required."),
        (json!({ "sender": "agent", "content": "x", "metadata": "{}" }), "metadata", "Must be a JSON object."),
        (json!({ "sender": "agent", "content": "x", "timestamp": 12 }), "timestamp", "Datetime has wrong format."),
    ] {
        let mut body = body;
        body["conversation_id"] = "c-1".into();
        assert_eq!(bot.post("/api/track/", body.clone()).await.whole(), (400, json!({ field: [message] })), "{body}");
    }
    assert_eq!(bot.get("/api/conversations/").await.json()["count"], 0);
}

#[tokio::test]
async fn a_run_of_a_tool_leaves_a_log_and_a_message() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let body = json!({
        "timestamp": "2026-03-02T09:15:03+00:00", "action_name": "lookup_order", "conversation_id": "c-1",
        "metadata": {}, "started_at": "2026-03-02T09:15:02.4Z", "duration_ms": 150,
        "tools_used": {"order": "A-9"}, "response": "shipped", "error_msg": ""
    });

    let answer = bot.post("/api/action_logs/", body).await;

    let log = answer.json();
    assert_eq!(
        answer.whole(),
        (
            201,
            json!({
                "id": log["id"], "action": log["action"], "message": log["message"], "started_at": "2026-03-02T09:15:02.400000Z",
                "ended_at": "2026-03-02T09:15:02.550000Z", "duration_ms": 150, "tools_used": {"order": "A-9"},
                "response": "shipped", "error_message": "", "metadata": {}
            })
        )
    );
    let message = bot.get(&format!("/api/track/{}/", log["message"])).await.json();
    assert_eq!(
        message,
        json!({
            "id": log["message"], "conversation": message["conversation"], "timestamp": "2026-03-02T09:15:03Z", "sender": "agent",
            "content": "Action lookup_order performed", "action_name": "lookup_order", "metadata": {},
            "attachments": [], "action_logs": [log], "button": null, "feedback": null
        })
    );
}

#[tokio::test]
async fn the_times_of_a_run_are_derived_from_what_was_given_only() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let mut number = 0;
    let mut times = async |mut body: Value| {
        number += 1;
        body["action_name"] = "a".into();
        body["conversation_id"] = "c-1".into();
        body["timestamp"] = format!("2026-03-02T09:00:00.{number:06}Z").into();
        let log = bot.post("/api/action_logs/", body).await.json();
        (log["started_at"].clone(), log["ended_at"].clone(), log["duration_ms"].clone())
    };
    let (one, two) = ("2026-03-02T08:00:01Z", "2026-03-02T08:00:02.500000Z");
    let own = |number: i64| json!(format!("2026-03-02T09:00:00.{number:06}Z"));
    assert_eq!(times(json!({})).await, (own(1), own(1), Value::Null));
    assert_eq!(times(json!({ "started_at": one, "ended_at": two })).await, (one.into(), two.into(), 1500.into()));
    assert_eq!(times(json!({ "ended_at": two, "duration_ms": 1500.0 })).await, (one.into(), two.into(), json!(1500.0)));
    assert_eq!(times(json!({ "started_at": one, "duration_ms": "1500" })).await, (one.into(), two.into(), 1500.into()));
    assert_eq!(times(json!({ "started_at": one })).await, (one.into(), own(5), Value::Null));
    assert_eq!(times(json!({ "duration_ms": 5 })).await, (own(6), own(6), 5.into()));
}

#[tokio::test]
async fn optional_fields_of_a_run_are_read_leniently() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let body = json!({ "action_name": "a", "conversation_id": "c-1", "tools_used": ["x"], "response": {"k": 1}, "error_message": 5, "duration_ms": null });

    let log = bot.post("/api/action_logs/", body).await.json();

    assert_eq!(log["tools_used"], json!({ "value": ["x"] }));
    assert_eq!(log["response"], "{\"k\":1}");
    assert_eq!(log["error_message"], "5");
    let refused = bot
        .post(
            "/api/action_logs/",
            json!({ "action_name": "a", "conversation_id": "c-1", "started_at": "soon", "ended_at": 5 }),
        )
        .await;
    assert_eq!(
        refused.whole(),
        (400, json!({ "started_at": ["Datetime has wrong format."], "ended_at": ["Datetime has wrong format."] }))
    );
    let blank = bot.post("/api/action_logs/", json!({ "action_name": "", "conversation_id": "c-1" })).await;
    assert_eq!(blank.whole(), (400, json!({ "action_name": ["This field may not be blank."] })));
}

#[tokio::test]
async fn token_counters_are_booked_as_increments() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let post = async |conversation: &str, second: u8, prompt: u64, completion: u64| {
        let body = json!({
            "timestamp": format!("2026-03-02T09:15:{second:02}Z"), "action_name": "token_usage", "conversation_id": conversation,
            "metadata": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, "embedding_tokens": 0}
        });
        assert_eq!(bot.post("/api/action_logs/", body).await.status, 201);
    };
    let totals = async |name: &str| {
        let id = bot.fetch(name).await["id"].clone();
        bot.get(&format!("/api/conversations/{id}/")).await.json()["token_usage"]["totals"].clone()
    };
    post("c-1", 1, 30, 12).await;
    post("c-2", 2, 30, 12).await;
    post("c-2", 3, 50, 12).await;

    assert_eq!(totals("c-1").await, json!({ "prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42 }));
    assert_eq!(totals("c-2").await, json!({ "prompt_tokens": 20, "total_tokens": 20 }));
}

#[tokio::test]
async fn a_click_leaves_a_button_and_a_message() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let body = json!({
        "timestamp": "2026-03-02T09:15:09+00:00", "button_event": "delivery_choice", "label": "Tomorrow",
        "value": "tomorrow", "conversation_id": "c-1", "metadata": {}
    });

    let answer = bot.post("/api/buttons/", body).await;

    let button = answer.json();
    assert_eq!(
        answer.whole(),
        (
            201,
            json!({
                "id": button["id"], "conversation": button["conversation"], "message": button["message"], "button_event": "delivery_choice",
                "label": "Tomorrow", "value": "tomorrow", "metadata": {}, "timestamp": "2026-03-02T09:15:09Z"
            })
        )
    );
    assert_eq!(
        bot.get(&format!("/api/track/{}/", button["message"])).await.json(),
        json!({
            "id": button["message"], "conversation": button["conversation"], "timestamp": "2026-03-02T09:15:09Z", "sender": "end_user",
            "content": "Button clicked: Tomorrow", "action_name": null, "metadata": {}, "attachments": [], "action_logs": [],
            "button": {"id": button["id"], "button_event": "delivery_choice", "label": "Tomorrow", "value": "tomorrow", "metadata": {}},
            "feedback": null
        })
    );
    let blank = bot
        .post("/api/buttons/", json!({ "conversation_id": "c-1", "button_event": "e", "label": " ", "value": "" }))
        .await;
    assert_eq!(
        blank.whole(),
        (400, json!({ "label": ["This field may not be blank."], "value": ["This field may not be blank."] }))
    );
}

#[tokio::test]
async fn feedback_is_a_new_row_at_every_call_and_never_makes_a_conversation() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let conversation = bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await.id();
    let body = json!({ "sentiment": "negative", "conversation_id": "c-1", "comment": "Too slow.", "metadata": {"rating": 2}, "source": "platform" });

    let answer = bot.post("/api/conversation-feedbacks/", body.clone()).await;
    let again = bot.post("/api/conversation-feedbacks/", body).await;

    let row = json!({
        "id": answer.id(), "kind": "conversation", "agent": 1, "conversation": conversation, "conversation_id": "c-1", "message": null,
        "user": null, "environment": "production", "environment_id": 1, "sentiment": "negative", "category": null,
        "comment": "Too slow.", "topic": null, "reason": null, "source": "customer", "metadata": {"rating": 2}, "created_at": NOW
    });
    assert_eq!(answer.whole(), (201, row.clone()));
    assert_ne!(again.id(), answer.id());
    assert_eq!(bot.fetch("c-1").await["feedbacks"][0], row);
    assert_eq!(bot.fetch("c-1").await["is_used"], false, "feedback is no use of the bot");
    let unknown =
        bot.post("/api/conversation-feedbacks/", json!({ "sentiment": "neutral", "conversation_id": "c-2" })).await;
    assert_eq!(unknown.whole(), (404, json!({ "detail": "Conversation not found." })));
    let meh = bot
        .post(
            "/api/conversation-feedbacks/",
            json!({ "sentiment": "meh", "conversation": conversation, "comment": "x".repeat(5_001) }),
        )
        .await;
    assert_eq!(
        meh.whole(),
        (
            400,
            json!({ "sentiment": ["\"meh\" is not a valid choice."], "comment": ["Ensure this field has no more than 5000 characters."] })
        )
    );
}

#[tokio::test]
async fn a_resent_body_is_stored_once() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let stamp = "2026-03-02T09:15:02.100000+00:00";
    for (path, body) in [
        ("/api/track/", json!({ "conversation_id": "c-1", "sender": "agent", "content": "hi", "timestamp": stamp })),
        ("/api/action_logs/", json!({ "conversation_id": "c-1", "action_name": "a", "timestamp": stamp })),
        (
            "/api/buttons/",
            json!({ "conversation_id": "c-1", "button_event": "e", "label": "l", "value": "v", "timestamp": stamp }),
        ),
        (
            "/api/attachments/",
            json!({ "conversation_id": "c-1", "attachments": [{ "filename": "a.txt", "data": "aGk=" }], "timestamp": stamp }),
        ),
    ] {
        let first = bot.post(path, body).await;
        let again = bot.resend(&first).await;
        assert_eq!((first.status, again.status), (201, 200), "{path}");
        assert_eq!(again.whole().1, first.whole().1, "{path}");
    }
    assert_eq!(bot.fetch("c-1").await["message_count"], 4);
}

#[tokio::test]
async fn a_body_without_a_timestamp_or_after_ten_minutes_is_a_new_one() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let plain = bot.post("/api/track/", json!({ "conversation_id": "c-1", "sender": "agent", "content": "hi" })).await;
    assert_ne!(bot.resend(&plain).await.id(), plain.id());
    let stamped = bot
        .post("/api/track/", json!({ "conversation_id": "c-1", "sender": "agent", "content": "hi", "timestamp": NOW }))
        .await;
    app.advance(std::time::Duration::from_secs(11 * 60));
    assert_ne!(bot.resend(&stamped).await.id(), stamped.id());
}

#[tokio::test]
async fn two_first_calls_at_once_give_one_conversation() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let calls = (0..16).map(|_| bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.id() == answers[0].id()));
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
}

#[tokio::test]
async fn a_whole_exchange_reads_back_by_time() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = bot.post("/api/conversations/", conversation()).await.id();
    let item = |second: u8, mut rest: Value| {
        rest["timestamp"] = format!("2026-03-02T09:15:{second:02}+00:00").into();
        rest["conversation_id"] = "order-chat-7781".into();
        rest["conversation"] = id.into();
        rest["metadata"] = json!({});
        rest
    };
    let question =
        bot.post("/api/track/", item(2, json!({ "content": "Where is it?", "sender": "end_user" }))).await.id();
    let files = item(
        9,
        json!({ "message": question, "sender": "end_user", "attachments": [{ "filename": "p.png", "mime_type": "image/png", "data": "iVBORw==" }] }),
    );
    assert_eq!(bot.post("/api/attachments/", files).await.status, 201);
    bot.post("/api/action_logs/", item(3, json!({ "action_name": "lookup_order" }))).await;
    bot.post("/api/action_logs/", item(10, json!({ "action_name": "token_usage" }))).await;
    bot.post("/api/track/", item(5, json!({ "content": "On its way.", "sender": "agent" }))).await;

    let whole = bot.fetch("order-chat-7781").await;

    let seen: Vec<_> = whole["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| {
            (
                m["content"].as_str().unwrap(),
                m["attachments"].as_array().unwrap().len(),
                m["action_logs"].as_array().unwrap().len(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("Where is it?", 1, 0),
            ("Action lookup_order performed", 0, 1),
            ("On its way.", 0, 0),
            ("Action token_usage performed", 0, 1)
        ]
    );
    assert_eq!(whole["ended_at"], "2026-03-02T09:15:10Z");
}
