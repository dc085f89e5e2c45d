//! Changing conversations (contract: managing §1).

use serde_json::json;

use crate::app::{NOW, TestApp};

#[tokio::test]
async fn a_conversation_is_marked_and_unmarked() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await.id();
    let path = format!("/api/conversations/{id}/mark/");
    for (given, meant) in [(json!(true), true), (json!("false"), false), (json!(1), true), (json!(0), false)] {
        let answer = bot.post(&path, json!({ "is_marked": given })).await;
        assert_eq!(answer.whole(), (200, json!({ "id": id, "conversation_id": "c-1", "is_marked": meant })));
    }
    assert_eq!(bot.post(&path, json!({})).await.whole(), (400, json!({ "detail": "Missing field 'is_marked'." })));
    for wrong in [json!("perhaps"), json!(null), json!([]), json!(2)] {
        let answer = bot.post(&path, json!({ "is_marked": wrong })).await;
        assert_eq!(answer.whole(), (400, json!({ "is_marked": ["Must be a valid boolean."] })));
    }
    let unknown = bot.post("/api/conversations/999/mark/", json!({ "is_marked": true })).await;
    assert_eq!(unknown.whole(), (404, json!({ "detail": "Not found." })));
}

#[tokio::test]
async fn a_conversation_is_renamed() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await.id();
    let path = format!("/api/conversations/{id}/rename/");

    let answer = bot.patch(&path, json!({ "name": "  Parcel found " })).await;

    assert_eq!(answer.whole(), (200, json!({ "id": id, "conversation_id": "c-1", "name": "Parcel found" })));
    let refused = |text: &str| (400, json!({ "detail": text }));
    assert_eq!(bot.patch(&path, json!({})).await.whole(), refused("Missing field 'name'."));
    assert_eq!(bot.patch(&path, json!({ "name": " " })).await.whole(), refused("Field 'name' cannot be empty."));
    assert_eq!(
        bot.patch(&path, json!({ "name": "š".repeat(256) })).await.whole(),
        refused("Field 'name' cannot exceed 255 characters.")
    );
    assert_eq!(bot.patch(&path, json!({ "name": "š".repeat(255) })).await.status, 200);
    assert_eq!(bot.patch("/api/conversations/999/rename/", json!({ "name": "x" })).await.status, 404);
}

#[tokio::test]
async fn a_name_that_is_no_text_says_so() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await.id();
    for path in [format!("/api/conversations/{id}/rename/"), format!("/api/conversations/{id}/update/")] {
        let answer = bot.patch(&path, json!({ "name": ["x"] })).await;
        assert_eq!(answer.whole(), (400, json!({ "name": ["Not a valid string."] })), "{path}");
    }
}

#[tokio::test]
async fn an_update_changes_what_is_sent_and_nothing_else() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = bot
        .post("/api/conversations/", json!({ "conversation_id": "c-1", "device": "mobile", "metadata": {"old": 1} }))
        .await
        .id();
    let path = format!("/api/conversations/{id}/update/");

    let answer = bot
        .patch(&path, json!({ "metadata": {"tier": "gold", "order": "A-9"}, "customer_id": "c-204", "source": "x", "started_at": "1999-01-01", "environment": "dev" }))
        .await;

    assert_eq!(
        answer.whole(),
        (
            200,
            json!({ "id": id, "conversation_id": "c-1", "updated_fields": ["customer_id", "metadata"],
            "customer_id": "c-204", "metadata": {"tier": "gold", "order": "A-9"} })
        )
    );
    let row = bot.fetch("c-1").await;
    assert_eq!(
        (&row["source"], &row["device"], &row["environment"], &row["started_at"]),
        (&json!(null), &json!("mobile"), &json!("production"), &json!(NOW))
    );
    let cleared = bot
        .patch(&path, json!({ "device": null, "metadata": null, "name": "N", "is_marked": true, "language": "hr" }))
        .await;
    assert_eq!(
        cleared.whole(),
        (
            200,
            json!({ "id": id, "conversation_id": "c-1", "updated_fields": ["name", "is_marked", "device", "language", "metadata"],
            "name": "N", "is_marked": true, "device": null, "language": "hr", "metadata": {} })
        )
    );
}

#[tokio::test]
async fn an_update_of_nothing_is_refused() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await.id();
    let path = format!("/api/conversations/{id}/update/");
    for body in [json!({}), json!({ "conversation_id": "c-2", "colour": "red" })] {
        assert_eq!(bot.patch(&path, body).await.whole(), (400, json!({ "detail": "No valid fields to update." })));
    }
    let wrong = bot.patch(&path, json!({ "customer_id": "x".repeat(256), "metadata": 5 })).await;
    assert_eq!(
        wrong.whole(),
        (
            400,
            json!({ "customer_id": ["Ensure this field has no more than 255 characters."], "metadata": ["Must be a JSON object."] })
        )
    );
}

#[tokio::test]
async fn deleting_hides_a_conversation_and_keeps_it() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for (name, path) in [("c-1", "delete/"), ("c-2", "")] {
        let track = json!({ "conversation_id": name, "sender": "agent", "content": "hi" });
        let id = bot.post("/api/track/", track.clone()).await.json()["conversation"].as_i64().unwrap();
        let path = format!("/api/conversations/{id}/{path}");

        let answer = bot.delete(&path).await;

        assert_eq!(
            answer.whole(),
            (200, json!({ "id": id, "conversation_id": name, "is_deleted": true, "deleted_at": NOW }))
        );
        assert_eq!(
            bot.delete(&path).await.whole(),
            (404, json!({ "detail": "Conversation not found or already deleted." }))
        );
        assert_eq!(bot.get(&format!("/api/conversations/lookup/?conversation_id={name}")).await.status, 404);
        assert_eq!(bot.get(&format!("/api/conversations/?conversation_id={name}")).await.json()["count"], 0);
        let kept = bot.get(&format!("/api/conversations/?conversation_id={name}&include_deleted=true")).await.json();
        assert_eq!(kept["results"][0]["deleted_at"], NOW);
        assert_eq!(bot.post("/api/track/", track).await.status, 201, "it goes on recording");
        let whole = bot.get(&format!("/api/conversations/{id}/")).await.json();
        assert_eq!((&whole["is_deleted"], &whole["message_count"]), (&json!(true), &json!(2)));
    }
    assert_eq!(
        bot.delete("/api/conversations/999/").await.whole(),
        (404, json!({ "detail": "Conversation not found or already deleted." }))
    );
}
