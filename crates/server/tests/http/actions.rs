//! Actions as definitions, clicks, and metadata of messages (contract: managing §2 and §5, reading §9).

use agentsight_model::key::Role;
use serde_json::{Value, json};

use crate::app::{Bot, HOST, TestApp};

async fn names(bot: &Bot<'_>, query: &str) -> String {
    let page = bot.get(&format!("/api/actions/?page_size=100&{query}")).await.json();
    let rows = page["results"].as_array().unwrap();
    assert_eq!(page["count"], rows.len(), "{query}");
    rows.iter().map(|row| row["name"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

async fn run(bot: &Bot<'_>, conversation_id: &str, action: &str, at: &str) -> Value {
    let body = json!({ "conversation_id": conversation_id, "action_name": action, "started_at": at, "duration_ms": 150.5, "timestamp": at });
    bot.post("/api/action_logs/", body).await.json()
}

#[tokio::test]
async fn an_action_is_defined_before_it_runs_and_its_runs_attach_to_it() {
    let app = TestApp::start().await;
    let bot = app.bot().await;

    let defined = bot
        .post(
            "/api/actions/",
            json!({ "name": "lookup_order", "display_name": "Look up", "description": "Finds it.", "agent": 7 }),
        )
        .await;
    let plain = bot.post("/api/actions/", json!({ "name": "pay" })).await;

    let row = json!({ "id": defined.id(), "name": "lookup_order", "display_name": "Look up", "description": "Finds it.", "agent": 1 });
    assert_eq!(defined.whole(), (201, row.clone()));
    assert_eq!(
        plain.whole(),
        (201, json!({ "id": plain.id(), "name": "pay", "display_name": "pay", "description": "", "agent": 1 }))
    );
    let log = run(&bot, "c-1", "lookup_order", "2026-03-02T09:00:00Z").await;
    assert_eq!(log["action"], defined.id());
    assert_eq!(bot.get(&format!("/api/actions/{}/", defined.id())).await.whole(), (200, row));
    let taken = bot.post("/api/actions/", json!({ "name": "lookup_order" })).await;
    assert_eq!(
        taken.whole(),
        (400, json!({ "name": ["An action named \"lookup_order\" already exists for this agent."] }))
    );
    assert_eq!(bot.post("/api/actions/", json!({ "name": "Lookup_Order" })).await.status, 201, "case matters");
    for (body, errors) in [
        (json!({}), json!({ "name": ["This field is required."] })),
        (json!({ "name": " " }), json!({ "name": ["This field may not be blank."] })),
        (
            json!({ "name": "x".repeat(256), "display_name": [], "description": {} }),
            json!({ "name": ["Ensure this field has no more than 255 characters."], "display_name": ["Not a valid string."], "description": ["Not a valid string."] }),
        ),
    ] {
        assert_eq!(bot.post("/api/actions/", body).await.whole(), (400, errors));
    }
}

#[tokio::test]
async fn a_renamed_action_leaves_its_old_name_to_the_next_run() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let log = run(&bot, "c-1", "lookup", "2026-03-02T09:00:00Z").await;
    let path = format!("/api/actions/{}/", log["action"]);
    bot.post("/api/actions/", json!({ "name": "pay" })).await;

    let renamed =
        bot.patch(&path, json!({ "name": "find", "display_name": "Find", "description": "d", "agent": 9 })).await;

    assert_eq!(
        renamed.whole(),
        (200, json!({ "id": log["action"], "name": "find", "display_name": "Find", "description": "d", "agent": 1 }))
    );
    assert_eq!(bot.patch(&path, json!({ "name": "find", "description": "" })).await.json()["description"], "");
    assert_eq!(bot.fetch("c-1").await["messages"][0]["action_name"], "lookup");
    assert_ne!(run(&bot, "c-1", "lookup", "2026-03-02T09:00:01Z").await["action"], log["action"]);
    for (body, errors) in [
        (json!({ "name": "pay" }), json!({ "name": ["An action named \"pay\" already exists for this agent."] })),
        (
            json!({ "name": null, "display_name": "", "description": null }),
            json!({ "name": ["This field may not be null."], "display_name": ["This field may not be blank."], "description": ["This field may not be null."] }),
        ),
        (json!({ "agent": 1 }), json!({ "detail": "No valid fields to update." })),
    ] {
        assert_eq!(bot.patch(&path, body).await.whole(), (400, errors));
    }
    assert_eq!(
        bot.patch("/api/actions/999/", json!({ "name": "x" })).await.whole(),
        (404, json!({ "detail": "Not found." }))
    );
}

#[tokio::test]
async fn actions_are_listed_by_id_and_found_by_their_texts() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for (name, label, description) in
        [("lookup_order", "Look up", "Finds an order"), ("Pay", "Zahlen", "Zieht Geld ein, größer"), ("a", "b", "")]
    {
        bot.post("/api/actions/", json!({ "name": name, "display_name": label, "description": description })).await;
    }
    for (query, expected) in [
        ("", "lookup_order Pay a"),
        ("name=Pay", "Pay"),
        ("name=pay", ""),
        ("name__icontains=PAY", "Pay"),
        ("name__icontains=_", "lookup_order"),
        ("display_name=AHL", "Pay"),
        ("search=order", "lookup_order"),
        ("search=GR%C3%96%C3%9FER+zahlen", "Pay"),
        ("search=order+zahlen", ""),
        ("ordering=name", "Pay a lookup_order"),
        ("ordering=-display_name", "a Pay lookup_order"),
        ("ordering=-id", "a Pay lookup_order"),
        ("ordering=colour", "lookup_order Pay a"),
    ] {
        assert_eq!(names(&bot, query).await, expected, "{query}");
    }
    let page = bot.get("/api/actions/?page_size=2&page=2").await.json();
    assert_eq!((&page["total_pages"], &page["results"][0]["name"]), (&json!(2), &json!("a")));
    assert_eq!(bot.get("/api/actions/?paginate=false").await.json().as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn runs_of_an_action_are_a_bare_list_newest_first_without_the_trash() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let late = run(&bot, "c-1", "lookup", "2026-03-02T09:00:05Z").await;
    let early = run(&bot, "c-2", "lookup", "2026-03-02T09:00:01Z").await;
    run(&bot, "gone", "lookup", "2026-03-02T09:00:09Z").await;
    run(&bot, "c-1", "pay", "2026-03-02T09:00:07Z").await;
    let gone = bot.fetch("gone").await["id"].clone();
    bot.delete(&format!("/api/conversations/{gone}/")).await;

    let path = format!("/api/actions/{}/logs/", late["action"]);
    let logs = bot.get(&path).await;

    assert_eq!(logs.whole(), (200, json!([late, early])));
    assert_eq!(logs.json()[0]["duration_ms"], json!(150.5));
    let unused = bot.post("/api/actions/", json!({ "name": "unused" })).await.id();
    assert_eq!(bot.get(&format!("/api/actions/{unused}/logs/")).await.whole(), (200, json!([])));
    assert_eq!(bot.get("/api/actions/999/logs/").await.status, 404);
    let other = app.agent("sales").with_key(Role::Write).await;
    assert_eq!(other.get(&path).await.whole(), (404, json!({ "detail": "Not found." })));
    assert_eq!(other.get(&format!("/api/actions/{}/", late["action"])).await.status, 404);
    assert_eq!(names(&other, "").await, "");
    assert_eq!(
        other.post("/api/actions/", json!({ "name": "lookup" })).await.status,
        201,
        "names are unique per agent"
    );
}

#[tokio::test]
async fn clicks_are_listed_and_counted() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let click = async |conversation: &str, event: &str, label: &str, second: u8| {
        bot.post("/api/buttons/", json!({ "conversation_id": conversation, "button_event": event, "label": label, "value": label.to_lowercase(), "timestamp": format!("2026-03-02T09:00:{second:02}Z") })).await.json()
    };
    let first = click("c-1", "delivery", "Tomorrow", 1).await;
    click("c-1", "delivery", "Today", 2).await;
    click("c-2", "delivery", "Tomorrow", 3).await;
    click("c-2", "rating", "5", 4).await;
    click("gone", "rating", "5", 5).await;
    let gone = bot.fetch("gone").await["id"].clone();
    bot.delete(&format!("/api/conversations/{gone}/")).await;

    let page = bot.get("/api/buttons/?page_size=3").await.json();
    assert_eq!((&page["count"], &page["total_pages"]), (&json!(4), &json!(2)));
    let oldest = bot.get("/api/buttons/?page=last&page_size=3").await.json();
    let mut row = first.clone();
    row["conversation_id"] = json!("c-1");
    assert_eq!(oldest["results"], json!([row]));
    for (query, expected) in [
        ("button_event=delivery", vec!["Tomorrow", "Today", "Tomorrow"]),
        ("conversation_id=c-2", vec!["5", "Tomorrow"]),
        (&format!("conversation={}", first["conversation"]), vec!["Today", "Tomorrow"]),
        ("timestamp_after=2026-03-02T09:00:02Z&timestamp_before=2026-03-02T09:00:03Z", vec!["Tomorrow", "Today"]),
        ("conversation_id=nobody", vec![]),
    ] {
        let page = bot.get(&format!("/api/buttons/?{query}")).await.json();
        let labels: Vec<&str> =
            page["results"].as_array().unwrap().iter().map(|row| row["label"].as_str().unwrap()).collect();
        assert_eq!((labels.len(), labels), (page["count"].as_u64().unwrap() as usize, expected), "{query}");
    }
    let count = |event: &str, label: &str, count: u64| json!({ "button_event": event, "value": label.to_lowercase(), "label": label, "count": count });
    assert_eq!(
        bot.get("/api/buttons/stats/").await.whole(),
        (200, json!([count("delivery", "Tomorrow", 2), count("delivery", "Today", 1), count("rating", "5", 1)]))
    );
    assert_eq!(bot.get("/api/buttons/stats/?event=rating").await.json(), json!([count("rating", "5", 1)]));
    let other = app.agent("sales").with_key(Role::Write).await;
    assert_eq!(other.get("/api/buttons/").await.json()["count"], 0);
    assert_eq!(other.get("/api/buttons/stats/").await.json(), json!([]));
    assert_eq!(
        bot.get("/api/buttons/?timestamp_after=x").await.whole(),
        (400, json!({ "timestamp_after": ["Enter a valid date/time."] }))
    );
}

#[tokio::test]
async fn the_metadata_of_a_message_are_replaced_and_nothing_else() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let name = "c-1";
    let message = bot
        .post("/api/track/", json!({ "conversation_id": name, "sender": "agent", "content": "hi", "metadata": {"draft": true}, "timestamp": "2026-03-02T09:00:00Z" }))
        .await;
    bot.post(
        "/api/attachments/",
        json!({ "message": message.id(), "attachments": [{ "filename": "a.png", "data": "aGk=" }] }),
    )
    .await;
    let path = format!("/api/track/{}/", message.id());

    let document = r#"{"draft": false, "n": null, "zero": 0, "": "", "image": {"url": "https://example.com/1.50"}}"#;
    let body =
        format!(r#"{{"metadata": {document}, "content": "other", "sender": "end_user", "timestamp": "1999-01-01"}}"#);
    let answer = bot.json("PATCH", &path, body).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains(document), "{}", answer.text());
    let row = answer.json();
    assert_eq!(
        (&row["content"], &row["sender"], &row["timestamp"]),
        (&json!("hi"), &json!("agent"), &json!("2026-03-02T09:00:00Z"))
    );
    let url = row["attachments"][0]["file_url"].as_str().unwrap();
    assert!(url.starts_with(&format!("http://{HOST}/files/")), "{url}");
    let fetched = bot.get(&path).await;
    assert_eq!(fetched.whole(), answer.whole());
    let cleared = bot.patch(&path, json!({ "metadata": {} })).await.json();
    assert_eq!(cleared["metadata"], json!({}));
    let before = app.contents();
    for (body, errors) in [
        (json!({}), json!({ "metadata": ["This field is required."] })),
        (json!({ "content": "x" }), json!({ "metadata": ["This field is required."] })),
        (json!({ "metadata": null }), json!({ "metadata": ["Must be a JSON object."] })),
        (json!({ "metadata": [1] }), json!({ "metadata": ["Must be a JSON object."] })),
        (json!({ "metadata": "{}" }), json!({ "metadata": ["Must be a JSON object."] })),
        (
            json!({ "metadata": {"a": "x".repeat(256 * 1024)} }),
            json!({ "metadata": ["Ensure this field has no more than 262144 bytes."] }),
        ),
    ] {
        assert_eq!(bot.patch(&path, body).await.whole(), (400, errors));
    }
    assert_eq!(app.contents(), before);
    let nothing = (404, json!({ "detail": "Not found." }));
    assert_eq!(bot.patch("/api/track/999/", json!({ "metadata": {} })).await.whole(), nothing);
    let other = app.agent("sales").with_key(Role::Write).await;
    assert_eq!(other.patch(&path, json!({ "metadata": {} })).await.whole(), nothing);
}

#[tokio::test]
async fn what_no_key_may_do_is_405() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for (method, path) in [
        ("DELETE", "/api/actions/1/"),
        ("PUT", "/api/actions/1/"),
        ("POST", "/api/actions/1/logs/"),
        ("PUT", "/api/feedbacks/1/"),
        ("DELETE", "/api/feedbacks/"),
        ("PUT", "/api/tickets/1/"),
        ("PUT", "/api/tickets/1/comments/"),
        ("DELETE", "/api/tickets/1/comments/"),
        ("PUT", "/api/track/1/"),
        ("DELETE", "/api/track/1/"),
        ("POST", "/api/track/1/"),
        ("POST", "/api/buttons/stats/"),
        ("PATCH", "/api/buttons/"),
    ] {
        let answer = bot.send(method, path, &[], Vec::new()).await;
        assert_eq!(answer.whole(), (405, json!({ "detail": format!("Method \"{method}\" not allowed.") })), "{path}");
    }
    for (method, path) in
        [("PATCH", "/api/action_logs/1/"), ("DELETE", "/api/buttons/1/"), ("DELETE", "/api/attachments/1/")]
    {
        assert_eq!(bot.send(method, path, &[], Vec::new()).await.status, 404, "{path}");
    }
}
