//! Paths, verbs and bodies that lead nowhere, and values in all their spellings (contract: README §3, §5, §6).

use serde_json::json;

use crate::app::{HOST, TestApp};

#[tokio::test]
async fn an_unknown_path_is_404_in_json() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for path in ["/api/", "/api", "/api/nothing/", "/nothing", "/api/conversations/1/2/3/", "/api/track/1/2/"] {
        assert_eq!(bot.get(path).await.whole(), (404, json!({ "detail": "Not found." })), "{path}");
    }
}

#[tokio::test]
async fn the_bare_address_leads_to_the_documentation() {
    let app = TestApp::start().await;
    let answer = app.bot().await.get("/").await;
    assert_eq!((answer.status, answer.header("location")), (307, Some("/docs")));
}

#[tokio::test]
async fn a_verb_that_a_route_does_not_offer_is_405() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for (method, path) in [
        ("GET", "/api/track/"),
        ("DELETE", "/api/track/1/"),
        ("POST", "/api/me/"),
        ("PUT", "/api/conversations/"),
        ("GET", "/api/conversations/1/rename/"),
        ("OPTIONS", "/api/conversations/"),
        ("BREW", "/api/conversations/"),
        ("POST", "/healthz"),
    ] {
        let answer = bot.send(method, path, &[], Vec::new()).await;
        assert_eq!(answer.whole(), (405, json!({ "detail": format!("Method \"{method}\" not allowed.") })), "{path}");
        assert!(answer.header("allow").is_some(), "{path}");
    }
}

#[tokio::test]
async fn a_path_is_the_same_with_and_without_slashes_and_nothing_redirects() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let expected = bot.get("/api/me/").await.json();
    for path in ["/api/me", "//api/me/", "//api/me", "///api//me//"] {
        assert_eq!(bot.get(path).await.whole(), (200, expected.clone()), "{path}");
    }
    for (number, path) in ["/api/track", "//api/track/", "//api//track"].iter().enumerate() {
        let body = json!({ "conversation_id": "c-1", "sender": "agent", "content": format!("{number}") });
        assert_eq!(bot.post(path, body).await.status, 201, "{path}");
    }
    assert_eq!(bot.fetch("c-1").await["message_count"], 3);
}

#[tokio::test]
async fn a_get_with_a_content_type_and_no_body_is_no_problem() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await;
    let id = bot.fetch("c-1").await["id"].clone();
    let headers = [("Content-Type", "application/json")];
    assert_eq!(bot.send("GET", "/api/me/", &headers, Vec::new()).await.status, 200);
    assert_eq!(bot.send("DELETE", &format!("/api/conversations/{id}/"), &headers, Vec::new()).await.status, 200);
}

#[tokio::test]
async fn an_empty_body_lacks_what_is_required() {
    let app = TestApp::start().await;
    let bot = app.bot().await;

    let answer = bot.json("POST", "/api/track/", "").await;

    assert_eq!(
        answer.whole(),
        (
            400,
            json!({
                "content": ["This field is required."],
                "sender": ["This field is required."],
                "conversation_id": ["This field is required."],
            })
        )
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused_as_a_whole() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let before = app.contents();
    for body in ["{", "[]", "12", "\"text\"", "null", "{\"a\": }", "{} {}", "\u{feff}{}", "not JSON"] {
        for path in ["/api/conversations/", "/api/track/", "/api/attachments/", "/api/conversation-feedbacks/"] {
            let answer = bot.json("POST", path, body).await;
            assert_eq!(answer.status, 400, "{path} {body}");
            let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
            assert!(detail.starts_with("JSON parse error - "), "{path} {body}: {}", answer.text());
        }
    }
    assert_eq!(app.contents(), before);
}

#[tokio::test]
async fn field_errors_are_lists_of_texts() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let long = "x".repeat(256);

    let answer = bot
        .post("/api/conversations/", json!({ "conversation_id": long, "name": long, "device": {}, "metadata": [], "is_used": "perhaps", "timestamp": "soon" }))
        .await;

    assert_eq!(
        answer.whole(),
        (
            400,
            json!({
                "conversation_id": ["Ensure this field has no more than 255 characters."],
                "name": ["Ensure this field has no more than 255 characters."],
                "device": ["Not a valid string."],
                "metadata": ["Must be a JSON object."],
                "is_used": ["Must be a valid boolean."],
                "timestamp": ["Datetime has wrong format."],
            })
        )
    );
    for (body, message) in [
        (json!({}), "This field is required."),
        (json!({ "conversation_id": null }), "This field may not be null."),
        (json!({ "conversation_id": "" }), "This field may not be blank."),
        (json!({ "conversation_id": " " }), "This field may not be blank."),
        (json!({ "conversation_id": "None" }), "This field is required."),
    ] {
        let answer = bot.post("/api/conversations/", body.clone()).await;
        assert_eq!(answer.whole(), (400, json!({ "conversation_id": [message] })), "{body}");
    }
}

#[tokio::test]
async fn times_are_read_in_every_spelling_and_written_in_one() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for (given, meant) in [
        ("2026-03-02T09:15:00.123456+00:00", "2026-03-02T09:15:00.123456Z"),
        ("2026-03-02T10:15:00+01:00", "2026-03-02T09:15:00Z"),
        ("2026-03-02T09:15:00", "2026-03-02T09:15:00Z"),
        ("2026-03-02", "2026-03-02T00:00:00Z"),
        ("2026-03-02T09:15:00z", "2026-03-02T09:15:00Z"),
        ("2026-03-02 09:15:00.5", "2026-03-02T09:15:00.500000Z"),
        ("2026-03-02T09:15:00.123456789Z", "2026-03-02T09:15:00.123456Z"),
    ] {
        let body = json!({ "conversation_id": given, "sender": "agent", "content": "x", "timestamp": given });
        assert_eq!(bot.post("/api/track/", body).await.json()["timestamp"], meant, "{given}");
    }
    let found = bot
        .get(
            "/api/conversations/?started_at_after=2026-03-02T09:15:00+00:00&started_at_before=2026-03-02 09:15:00.4"
                .replace(' ', "%20")
                .as_str(),
        )
        .await;
    assert_eq!(found.json()["count"], 5, "bounds are inclusive, a plus sign may have become a space");
}

#[tokio::test]
async fn flags_of_a_query_are_read_in_every_spelling() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await;
    for (word, count) in [
        ("true", 0),
        ("True", 0),
        ("1", 0),
        ("YES", 0),
        ("on", 0),
        ("false", 1),
        ("False", 1),
        ("0", 1),
        ("no", 1),
        ("Off", 1),
    ] {
        assert_eq!(bot.get(&format!("/api/conversations/?is_marked={word}")).await.json()["count"], count, "{word}");
    }
    for name in ["is_marked", "include_deleted", "has_messages", "has_action", "has_feedback", "full", "paginate"] {
        let answer = bot.get(&format!("/api/conversations/?{name}=perhaps")).await;
        assert_eq!(answer.whole(), (400, json!({ name: ["Enter true or false."] })));
    }
}

#[tokio::test]
async fn a_row_may_be_named_by_its_number_or_by_its_decimal_text() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await.id();
    for (number, given) in [json!(id), json!(id.to_string())].into_iter().enumerate() {
        let body = json!({ "conversation": given, "sender": "agent", "content": format!("{number}") });
        assert_eq!(bot.post("/api/track/", body).await.json()["conversation"], id);
    }
}

#[tokio::test]
async fn metadata_comes_back_as_it_was_given_and_as_an_object_where_none_was() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let given = r#"{ "z": 1.0, "a": [1e2, -0.0], "z": "again", "deep": {"é": "\u00e9", "n": 12345678901234567890} }"#;
    bot.json("POST", "/api/conversations/", format!("{{\"conversation_id\": \"c-1\", \"metadata\": {given}}}")).await;
    bot.post("/api/conversations/", json!({ "conversation_id": "c-2", "metadata": null })).await;

    assert!(bot.get("/api/conversations/?conversation_id=c-1").await.text().contains(given));
    assert_eq!(bot.fetch("c-2").await["metadata"], json!({}));
}

#[tokio::test]
async fn links_name_the_host_that_was_asked_also_behind_a_proxy() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for name in ["c-1", "c-2"] {
        bot.post("/api/conversations/", json!({ "conversation_id": name })).await;
    }
    let next = async |headers: &[(&str, &str)]| {
        let answer = bot.send("GET", "/api/conversations/?page_size=1", headers, Vec::new()).await;
        answer.json()["next"].as_str().unwrap().to_owned()
    };
    assert_eq!(next(&[]).await, format!("http://{HOST}/api/conversations/?page_size=1&page=2"));
    let proxied = [("X-Forwarded-Host", "bots.example.com, inner"), ("X-Forwarded-Proto", "https")];
    assert_eq!(next(&proxied).await, "https://bots.example.com/api/conversations/?page_size=1&page=2");
    let evil = [("X-Forwarded-Host", "evil.example/<script>")];
    assert_eq!(next(&evil).await, "http://localhost/api/conversations/?page_size=1&page=2");
}
