//! Recording and managing: the body of every request.

use std::time::Duration;

use crate::server::{Request, Server, action_log, message, ok, refused, row, status, stored};
use agentsight::{
    Action, Click, Error, File, Files, JsonText, NewConversation, NewFeedback, NewMessage, Sender, Sentiment,
    TokenUsage, Update,
};
use serde_json::{Value, json};

fn lookup() -> Value {
    json!({"id": 42, "conversation_id": "c-1"})
}

#[tokio::test]
async fn a_conversation_is_posted_with_every_field_and_the_clients_environment() {
    let server = Server::playing([status(201, &row(42, "c-1")), ok(&row(42, "c-1"))]).await;
    let client = server.builder().environment("staging").build().unwrap();
    let conversation = client.conversation("c-1");

    let new = NewConversation::new()
        .customer_id("c-204")
        .customer_ip_address("203.0.113.45")
        .device("mobile")
        .source("whatsapp")
        .language("hr")
        .name("Late parcel")
        .environment("development")
        .metadata(json!({"tier": "gold"}));
    let made = conversation.get_or_create(new).await.unwrap();
    conversation.initialize(NewConversation::new()).await.unwrap();

    assert_eq!(made.id.0, 42);
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /api/conversations/");
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    assert_eq!(
        requests[0].json(),
        json!({
            "conversation_id": "c-1", "customer_id": "c-204", "customer_ip_address": "203.0.113.45", "device": "mobile",
            "source": "whatsapp", "language": "hr", "name": "Late parcel", "is_used": true,
            "environment": "development", "metadata": {"tier": "gold"}
        })
    );
    assert_eq!(
        requests[1].json(),
        json!({
            "conversation_id": "c-1", "customer_id": null, "customer_ip_address": null, "device": null, "source": null,
            "language": null, "name": null, "is_used": false, "environment": "staging", "metadata": null
        })
    );
}

#[tokio::test]
async fn a_conversation_is_not_made_by_an_integer() {
    let server = Server::playing([]).await;

    let error = server.client().conversation(42).get_or_create(NewConversation::new()).await.unwrap_err();

    assert!(matches!(error, Error::Input(_)));
    assert_eq!(server.lines().len(), 0);
}

#[tokio::test]
async fn messages_are_posted_by_string_or_by_integer() {
    let server = Server::playing([status(201, &message(103)), status(201, &message(104))]).await;
    let client = server.client();

    let stored = client.conversation("c-1").track_human_message("Where is my parcel?").await.unwrap();
    let at = "2026-03-02T09:15:02.1Z".parse::<agentsight::Timestamp>().unwrap();
    let verbatim = JsonText::parse(r#"{"b": 1e2, "a": 1.50}"#.to_owned()).unwrap();
    let answer = NewMessage::new("On its way.").metadata(&verbatim).timestamp(at);
    client.conversation(42).track_agent_message(answer).await.unwrap();

    assert_eq!(stored.id.0, 103);
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /api/track/");
    assert_eq!(
        requests[0].json(),
        json!({"content": "Where is my parcel?", "sender": "end_user", "conversation_id": "c-1", "metadata": {}})
    );
    assert_eq!(
        requests[1].text(),
        r#"{"timestamp":"2026-03-02T09:15:02.100000Z","content":"On its way.","sender":"agent","metadata":{"b": 1e2, "a": 1.50},"conversation":42}"#
    );
}

#[tokio::test]
async fn files_follow_their_message_in_a_request_of_their_own() {
    let server = Server::playing([status(201, &message(103)), status(201, &stored("http://x"))]).await;

    let photo = File::from_bytes("photo.png", &b"\x89PNG"[..]);
    let new = NewMessage::new("It looks like this.").attach(photo);
    let message = server.client().conversation("c-1").track_agent_message(new).await.unwrap();

    assert_eq!(message.attachments[0].filename, "photo.png");
    let requests = server.requests();
    assert_eq!(requests[1].line, "POST /api/attachments/");
    assert_eq!(
        requests[1].json(),
        json!({
            "attachments": [{"filename": "photo.png", "mime_type": "image/png", "data": "iVBORw=="}],
            "metadata": {}, "mode": "base64", "sender": "agent", "conversation_id": "c-1", "message": 103
        })
    );
}

#[tokio::test]
async fn a_message_whose_files_are_refused_is_handed_back_with_the_reason() {
    let server = Server::playing([status(201, &message(103)), refused(413)]).await;

    let new = NewMessage::new("big").attach(File::from_bytes("a.bin", vec![0; 9]));
    let error = server.client().conversation("c-1").track_human_message(new).await.unwrap_err();

    assert_eq!(error.status(), Some(413));
    assert_eq!(error.to_string(), "message 103 is stored, but its files are not: no");
    let Error::FilesNotStored { message, .. } = error else { panic!("{error:?}") };
    assert_eq!(message.id.0, 103);
}

#[tokio::test]
async fn files_travel_as_multipart_when_asked_to() {
    let server = Server::playing([status(201, &stored("http://x")), status(201, &stored("http://x"))]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("note.txt");
    std::fs::write(&path, "hello").unwrap();
    let client = server.client();

    let at = "2026-03-02T09:16:00Z".parse::<agentsight::Timestamp>().unwrap();
    let files = Files::new([File::from_path(&path).unwrap(), File::from_bytes("b", "x").mime_type("text/csv")]);
    let files = files.timestamp(at).sender(Sender::Agent).metadata(json!({"a": 1})).form_data();
    client.conversation(42).track_attachments(files.clone().message(agentsight::MessageId(103))).await.unwrap();
    client.conversation("c-1").track_attachments(files).await.unwrap();

    let request = &server.requests()[0];
    assert_eq!(request.header("content-type"), Some("multipart/form-data; boundary=agentsight-part"));
    let part = |head: &str, text: &str| {
        format!("--agentsight-part\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n")
    };
    let meant = [
        part("name=\"timestamp\"", "2026-03-02T09:16:00Z"),
        part("name=\"conversation\"", "42"),
        part("name=\"sender\"", "agent"),
        part("name=\"mode\"", "form_data"),
        part("name=\"metadata\"", "{\"a\":1}"),
        part("name=\"attachment_0\"; filename=\"note.txt\"\r\nContent-Type: text/plain", "hello"),
        part("name=\"attachment_1\"; filename=\"b\"\r\nContent-Type: text/csv", "x"),
        part("name=\"message\"", "103"),
        "--agentsight-part--\r\n".to_owned(),
    ];
    assert_eq!(request.text(), meant.concat());
    assert!(server.requests()[1].text().contains(&part("name=\"conversation_id\"", "c-1")));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let error = File::from_path("/no/such/file.png").unwrap_err();
    assert_eq!(error.to_string(), "/no/such/file.png cannot be read");
}

#[tokio::test]
async fn actions_send_only_what_is_known() {
    let server = Server::playing([status(201, &action_log()), status(201, &action_log())]).await;
    let conversation = server.client().conversation("c-1");

    let at = "2026-03-02T09:15:02.4Z".parse::<agentsight::Timestamp>().unwrap();
    let action = Action::new("lookup_order")
        .started_at(at)
        .ended_at(at)
        .duration(Duration::from_micros(150_302))
        .tools_used(json!({"order": "A-9"}))
        .response("shipped")
        .error("late")
        .metadata(json!({"n": 1}));
    let run = conversation.track_action(action).await.unwrap();
    conversation.track_action(Action::new("ping")).await.unwrap();

    assert_eq!(run.response, "shipped");
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /api/action_logs/");
    assert_eq!(
        requests[0].json(),
        json!({
            "action_name": "lookup_order", "conversation_id": "c-1", "metadata": {"n": 1},
            "started_at": "2026-03-02T09:15:02.400000Z", "ended_at": "2026-03-02T09:15:02.400000Z",
            "duration_ms": 150.302, "tools_used": {"order": "A-9"}, "response": "shipped", "error_msg": "late"
        })
    );
    assert_eq!(requests[1].json(), json!({"action_name": "ping", "conversation_id": "c-1", "metadata": {}}));
}

#[tokio::test]
async fn clicks_are_posted_with_their_three_texts() {
    let button = json!({
        "id": 9, "conversation": 42, "message": 106, "button_event": "delivery_choice", "label": "Tomorrow",
        "value": "tomorrow", "metadata": {}, "timestamp": "2026-03-02T09:15:09Z"
    });
    let server = Server::playing([status(201, &button), status(201, &button)]).await;
    let conversation = server.client().conversation("c-1");

    let clicked = conversation.track_button("delivery_choice", "Tomorrow", "tomorrow").await.unwrap();
    conversation.track_click(Click::new("e", "l", "v").metadata(json!({"a": 1}))).await.unwrap();

    assert_eq!(clicked.message.unwrap().0, 106);
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /api/buttons/");
    assert_eq!(
        requests[0].json(),
        json!({
            "button_event": "delivery_choice", "label": "Tomorrow", "value": "tomorrow", "conversation_id": "c-1",
            "metadata": {}
        })
    );
    assert_eq!(requests[1].json()["metadata"], json!({"a": 1}));
}

#[tokio::test]
async fn tokens_are_posted_as_running_totals_of_the_client() {
    let server = Server::playing([
        status(201, &action_log()),
        refused(400),
        status(201, &action_log()),
        refused(500),
        status(201, &action_log()),
    ])
    .await;
    let client = server.client();
    let spend = |name: &str, prompt| {
        let conversation = client.clone().conversation(name);
        async move { conversation.track_token_usage(TokenUsage { prompt, completion: 2, embedding: 1 }).await }
    };

    spend("a", 10).await.unwrap();
    // Refused: never booked. Failed: perhaps booked, so it stays in the totals.
    spend("b", 100).await.unwrap_err();
    spend("b", 20).await.unwrap();
    spend("b", 1_000).await.unwrap_err();
    spend("c", 30).await.unwrap();

    let posted: Vec<Value> = server.requests().iter().map(Request::json).collect();
    assert_eq!(
        posted[0],
        json!({
            "action_name": "token_usage", "conversation_id": "a",
            "metadata": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 13, "embedding_tokens": 1}
        })
    );
    let prompts: Vec<i64> = posted.iter().map(|body| body["metadata"]["prompt_tokens"].as_i64().unwrap()).collect();
    assert_eq!(prompts, [10, 110, 30, 1_030, 1_060]);
}

#[tokio::test]
async fn metadata_that_are_no_object_are_not_sent() {
    let server = Server::playing([]).await;
    let conversation = server.client().conversation("c-1");

    for wrong in [json!([1]), json!("text"), json!(null)] {
        let error = conversation.track_human_message(NewMessage::new("hi").metadata(wrong)).await.unwrap_err();
        assert_eq!(error.to_string(), "metadata must be a JSON object");
    }
    assert_eq!(server.lines().len(), 0);
}

#[tokio::test]
async fn managing_writes_go_to_the_integer_that_a_string_stands_for() {
    let identity = |more: Value| {
        let mut answer = lookup();
        answer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        answer
    };
    let server = Server::playing([
        ok(&lookup()),
        ok(&identity(json!({"name": "Parcel found"}))),
        ok(&identity(json!({"is_marked": true}))),
        ok(&identity(json!({"updated_fields": ["customer_id", "device", "metadata"], "customer_id": "c-9",
            "device": null, "metadata": {}}))),
        ok(&lookup()),
        ok(&identity(json!({"is_deleted": true, "deleted_at": "2026-03-02T10:00:00.123456Z"}))),
    ])
    .await;
    let client = server.client();

    let renamed = client.rename_conversation("c-1", "Parcel found").await.unwrap();
    let marked = client.mark_conversation(42, true).await.unwrap();
    let update = Update::new().customer_id("c-9").clear_device().metadata(json!({}));
    let updated = client.update_conversation(42_u64, update).await.unwrap();
    let deleted = client.conversation("c-1").delete().await.unwrap();

    assert_eq!(renamed.name, "Parcel found");
    assert!(marked.is_marked && deleted.is_deleted);
    assert_eq!((updated.customer_id, updated.device), (Some(Some("c-9".to_owned())), Some(None)));
    assert_eq!(
        server.lines(),
        [
            "GET /api/conversations/lookup/?conversation_id=c-1",
            "PATCH /api/conversations/42/rename/",
            "POST /api/conversations/42/mark/",
            "PATCH /api/conversations/42/update/",
            "GET /api/conversations/lookup/?conversation_id=c-1",
            "DELETE /api/conversations/42/delete/",
        ]
    );
    let bodies: Vec<String> = server.requests().iter().map(Request::text).collect();
    assert_eq!(bodies[1], r#"{"name":"Parcel found"}"#);
    assert_eq!(bodies[2], r#"{"is_marked":true}"#);
    assert_eq!(bodies[3], r#"{"customer_id":"c-9","device":null,"metadata":{}}"#);
}

#[tokio::test]
async fn an_update_of_nothing_is_not_sent() {
    let server = Server::playing([]).await;
    let error = server.client().update_conversation("c-1", Update::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "nothing to update");
    assert_eq!(server.lines().len(), 0);
}

#[tokio::test]
async fn feedback_names_its_conversation_either_way() {
    let feedback = json!({
        "id": 10, "kind": "conversation", "agent": 3, "conversation": 42, "conversation_id": "c-1", "message": null,
        "user": null, "environment": "production", "environment_id": 5, "sentiment": "negative", "category": null,
        "comment": "Too slow.", "topic": null, "reason": null, "source": "customer", "metadata": {"rating": 2},
        "created_at": "2026-03-02T09:20:00Z"
    });
    let server = Server::playing([status(201, &feedback), status(201, &feedback)]).await;
    let client = server.client();

    let new = NewFeedback::new(Sentiment::Negative).comment("Too slow.").metadata(json!({"rating": 2}));
    let recorded = client.submit_feedback("c-1", new).await.unwrap();
    client.submit_feedback(42, Sentiment::Positive).await.unwrap();

    assert_eq!(recorded.comment.as_deref(), Some("Too slow."));
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /api/conversation-feedbacks/");
    assert_eq!(
        requests[0].text(),
        r#"{"sentiment":"negative","conversation_id":"c-1","comment":"Too slow.","metadata":{"rating":2}}"#
    );
    assert_eq!(requests[1].text(), r#"{"sentiment":"positive","conversation":42}"#);
}
