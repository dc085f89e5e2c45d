//! Who may ask (contract: README §1).

use agentsight_model::key::Role;
use serde_json::json;

use crate::app::TestApp;

#[tokio::test]
async fn a_request_without_a_key_is_told_so() {
    let app = TestApp::start().await;

    let answer = app.stranger().get("/api/me/").await;

    assert_eq!(answer.whole(), (401, json!({ "detail": "Authentication credentials were not provided." })));
    assert_eq!(answer.header("www-authenticate"), Some("Api-Key"));
}

#[tokio::test]
async fn a_key_that_was_never_made_or_is_none_is_invalid() {
    let app = TestApp::start().await;
    for said in [
        "Api-Key ags_0123456789abcdef0123456789abcdef_00ff00",
        "Api-Key nonsense",
        "Api-Key agse_0123456789abcdef0123456789abcdef_00ff00",
        "Api-Key ",
        "Api-Key",
        "Bearer ags_0123456789abcdef0123456789abcdef_00ff00",
        "",
        "\u{e9}",
    ] {
        let answer = app.stranger().saying(said).get("/api/me/").await;
        assert_eq!(answer.whole(), (401, json!({ "detail": "Invalid API key." })), "{said}");
        assert_eq!(answer.header("www-authenticate"), Some("Api-Key"), "{said}");
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_in_its_own_words() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = app.store.list_keys().await.unwrap()[0].id;

    app.store.revoke_key(id).await.unwrap();

    let answer = bot.get("/api/me/").await;
    assert_eq!(answer.whole(), (401, json!({ "detail": "API key is inactive, expired or revoked." })));
    assert!(!answer.text().contains("subscription"));
}

#[tokio::test]
async fn letter_case_of_scheme_and_key_does_not_matter() {
    let app = TestApp::start().await;
    let (bot, key) = app.agent("helpdesk").with_named_key(Role::Read).await;

    let answer = bot.saying(&format!("api-KEY  {}", key.reveal().to_uppercase())).get("/api/me/").await;

    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_key_that_may_read_may_not_write_and_hears_so_before_anything_is_looked_up() {
    let app = TestApp::start().await;
    let reader = app.agent("helpdesk").with_key(Role::Read).await;
    let refused = (403, json!({ "detail": "You do not have permission to perform this action." }));
    for path in [
        "/api/conversations/",
        "/api/track/",
        "/api/action_logs/",
        "/api/buttons/",
        "/api/attachments/",
        "/api/conversation-feedbacks/",
        "/api/conversations/999/mark/",
        "/api/feedbacks/",
        "/api/tickets/",
        "/api/tickets/999/comments/",
        "/api/actions/",
    ] {
        assert_eq!(reader.json("POST", path, "not even JSON").await.whole(), refused, "{path}");
    }
    for path in [
        "/api/conversations/999/rename/",
        "/api/conversations/999/update/",
        "/api/track/999/",
        "/api/feedbacks/999/",
        "/api/tickets/999/",
        "/api/actions/999/",
    ] {
        assert_eq!(reader.patch(path, json!({})).await.whole(), refused, "{path}");
    }
    for path in
        ["/api/conversations/999/delete/", "/api/conversations/999/", "/api/feedbacks/999/", "/api/tickets/999/"]
    {
        assert_eq!(reader.delete(path).await.whole(), refused, "{path}");
    }
    assert_eq!(reader.get("/api/conversations/").await.status, 200);
}

#[tokio::test]
async fn another_agents_rows_look_like_rows_that_do_not_exist() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let message =
        bot.post("/api/track/", json!({ "conversation_id": "c-1", "sender": "agent", "content": "hi" })).await;
    let conversation = message.json()["conversation"].clone();
    let other = app.agent("intruder").with_key(Role::Write).await;
    let nothing = (404, json!({ "detail": "Not found." }));

    assert_eq!(other.get(&format!("/api/conversations/{conversation}/")).await.whole(), nothing);
    assert_eq!(other.get(&format!("/api/conversations/{conversation}/attachments/")).await.whole(), nothing);
    assert_eq!(other.get(&format!("/api/track/{}/", message.id())).await.whole(), nothing);
    assert_eq!(
        other.get("/api/conversations/lookup/?conversation_id=c-1").await.whole(),
        (404, json!({ "detail": "Conversation not found." }))
    );
    assert_eq!(other.get("/api/conversations/").await.json()["count"], 0);
    let marked = other.post(&format!("/api/conversations/{conversation}/mark/"), json!({ "is_marked": true })).await;
    assert_eq!(marked.whole(), nothing);
    let body = json!({ "conversation": conversation, "sender": "agent", "content": "mine" });
    assert_eq!(other.post("/api/track/", body).await.whole(), (404, json!({ "detail": "Conversation not found." })));
    assert_eq!(bot.fetch("c-1").await["messages"].as_array().unwrap().len(), 1);
}
