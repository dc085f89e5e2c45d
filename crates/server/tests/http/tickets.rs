//! Tickets and their threads (contract: managing §4, reading §8).

use std::time::Duration;

use agentsight_model::key::Role;
use serde_json::{Value, json};

use crate::app::{Bot, NOW, TestApp};

async fn ticket(bot: &Bot<'_>, body: Value) -> i64 {
    let answer = bot.post("/api/tickets/", body.clone()).await;
    assert_eq!(answer.status, 201, "{body}: {}", answer.text());
    answer.id()
}

/// Titles of the listed tickets, in order; the count is checked to be theirs.
async fn titles(bot: &Bot<'_>, query: &str) -> String {
    let answer = bot.get(&format!("/api/tickets/?page_size=100&{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let page = answer.json();
    let rows = page["results"].as_array().unwrap();
    assert_eq!(page["count"], rows.len(), "{query}");
    rows.iter().map(|row| row["title"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_ticket_is_filed_about_a_conversation_and_the_feedback_on_it() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let conversation = bot
        .post("/api/conversations/", json!({ "conversation_id": "c-1", "name": "Refund", "environment": "dev" }))
        .await
        .id();
    let feedback = bot
        .post(
            "/api/feedbacks/",
            json!({ "kind": "conversation", "sentiment": "negative", "conversation_id": "c-1", "comment": "It hung." }),
        )
        .await
        .id();

    let filed = bot
        .post("/api/tickets/", json!({ "title": "  Courier ETA was wrong ", "priority": "high", "tags": ["delivery", "Žurno"], "conversation_id": conversation.to_string(), "feedback_id": feedback }))
        .await;

    let row = json!({
        "id": filed.id(), "agent": 1, "title": "Courier ETA was wrong", "status": "open", "priority": "high",
        "tags": ["delivery", "Žurno"], "environment": "production", "environment_id": 1,
        "conversation": {"id": conversation, "conversation_id": "c-1", "name": "Refund", "environment": "development", "environment_id": 2},
        "feedback": {"id": feedback, "kind": "conversation", "sentiment": "negative", "comment": "It hung.", "created_at": NOW},
        "comments": [], "comments_count": 0, "created_at": NOW, "updated_at": NOW,
    });
    assert_eq!(filed.whole(), (201, row.clone()));
    assert_eq!(bot.get(&format!("/api/tickets/{}/", filed.id())).await.whole(), (200, row.clone()));
    assert_eq!(bot.get("/api/tickets/").await.json()["results"], json!([row]));
}

#[tokio::test]
async fn a_ticket_needs_nothing_but_a_title() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let filed =
        bot.post("/api/tickets/", json!({ "title": "Guardrail tripped", "environment": "dev", "role": "dev" })).await;
    assert_eq!(
        filed.whole(),
        (
            201,
            json!({
                "id": filed.id(), "agent": 1, "title": "Guardrail tripped", "status": "open", "priority": null, "tags": [],
                "environment": "development", "environment_id": 2, "conversation": null, "feedback": null, "comments": [],
                "comments_count": 0, "created_at": NOW, "updated_at": NOW,
            })
        )
    );
}

#[tokio::test]
async fn a_ticket_that_comes_of_feedback_takes_its_conversation_and_is_the_only_one() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await;
    let other = bot.post("/api/conversations/", json!({ "conversation_id": "c-2" })).await.id();
    let feedback = async || {
        let body = json!({ "kind": "conversation", "sentiment": "negative", "conversation_id": "c-1" });
        bot.post("/api/feedbacks/", body).await.id()
    };
    let (first, second) = (feedback().await, feedback().await);

    let inherits = bot.post("/api/tickets/", json!({ "title": "a", "feedback_id": first })).await.json();
    let moved = bot
        .post("/api/tickets/", json!({ "title": "b", "feedback_id": second, "conversation_id": other }))
        .await
        .json();
    let again = bot.post("/api/tickets/", json!({ "title": "c", "feedback_id": first })).await;

    assert_eq!(inherits["conversation"]["conversation_id"], "c-1");
    assert_eq!(moved["conversation"]["conversation_id"], "c-2");
    assert_eq!(again.whole(), (400, json!({ "feedback_id": ["This feedback has a ticket already."] })));
    let third = feedback().await;
    let file = || bot.post("/api/tickets/", json!({ "title": "race", "feedback_id": third }));
    let filed = futures_util::future::join_all((0..8).map(|_| file())).await;
    assert_eq!(filed.iter().filter(|answer| answer.status == 201).count(), 1);
}

#[tokio::test]
async fn a_conversation_shows_its_tickets() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let conversation = bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await.id();
    bot.post("/api/conversations/", json!({ "conversation_id": "c-2" })).await;
    let first = ticket(&bot, json!({ "title": "first", "conversation_id": conversation })).await;
    app.advance(Duration::from_secs(1));
    let second =
        ticket(&bot, json!({ "title": "second", "conversation_id": conversation, "status": "done", "tags": ["x"] }))
            .await;
    let comment = bot.post(&format!("/api/tickets/{first}/comments/"), json!({ "body": "hm" })).await.json();

    let brief = |id: i64, title: &str, status: &str, tags: Value, created_at: &str, comments: Value| {
        json!({ "id": id, "title": title, "status": status, "priority": null, "tags": tags, "created_at": created_at,
            "updated_at": "2026-03-02T09:30:01Z", "comments": comments })
    };
    let tickets = json!([
        brief(second, "second", "done", json!(["x"]), "2026-03-02T09:30:01Z", json!([])),
        brief(first, "first", "open", json!([]), NOW, json!([comment])),
    ]);
    assert_eq!(bot.get(&format!("/api/conversations/{conversation}/")).await.json()["tickets"], tickets);
    for full in ["true", "false"] {
        let page = bot.get(&format!("/api/conversations/?include_tickets=true&full={full}")).await.json();
        assert_eq!((&page["count"], &page["results"][0]["tickets"]), (&json!(1), &tickets), "{full}");
        assert_eq!(page["results"][0]["conversation_id"], "c-1");
    }
    for id in [first, second] {
        assert_eq!(bot.delete(&format!("/api/tickets/{id}/")).await.status, 204);
    }
    assert_eq!(bot.get("/api/conversations/?include_tickets=true").await.json()["count"], 0);
    assert_eq!(bot.get(&format!("/api/conversations/{conversation}/")).await.json()["tickets"], json!([]));
}

#[tokio::test]
async fn what_a_ticket_cannot_be_names_its_field() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await;
    let stranger = app.agent("sales").with_key(Role::Write).await;
    let theirs = stranger.post("/api/conversations/", json!({ "conversation_id": "theirs" })).await.id();
    let their_feedback =
        stranger.post("/api/feedbacks/", json!({ "kind": "agent", "sentiment": "neutral" })).await.id();
    let before = app.contents();
    let no_such = |key: i64| format!("Invalid pk \"{key}\" - object does not exist.");
    for (body, errors) in [
        (json!({}), json!({ "title": ["This field is required."] })),
        (json!({ "title": "  " }), json!({ "title": ["This field may not be blank."] })),
        (
            json!({ "title": "š".repeat(256) }),
            json!({ "title": ["Ensure this field has no more than 255 characters."] }),
        ),
        (
            json!({ "title": "t", "status": "todo", "priority": "urgent" }),
            json!({ "status": ["\"todo\" is not a valid choice."], "priority": ["\"urgent\" is not a valid choice."] }),
        ),
        (json!({ "title": "t", "tags": "a,b" }), json!({ "tags": ["Expected a list of items."] })),
        (json!({ "title": "t", "tags": ["a", null] }), json!({ "tags[1]": ["Not a valid string."] })),
        (
            json!({ "title": "t", "tags": vec!["a"; 101] }),
            json!({ "tags": ["Ensure this field has no more than 100 elements."] }),
        ),
        (json!({ "title": "t", "conversation_id": 999 }), json!({ "conversation_id": [no_such(999)] })),
        (json!({ "title": "t", "conversation_id": theirs }), json!({ "conversation_id": [no_such(theirs)] })),
        (
            json!({ "title": "t", "conversation_id": "c-1" }),
            json!({ "conversation_id": ["Incorrect type. Expected pk value, received str."] }),
        ),
        (json!({ "title": "t", "feedback_id": 998 }), json!({ "feedback_id": [no_such(998)] })),
        (json!({ "title": "t", "feedback_id": their_feedback }), json!({ "feedback_id": [no_such(their_feedback)] })),
        (
            json!({ "title": "t", "feedback_id": {} }),
            json!({ "feedback_id": ["Incorrect type. Expected pk value, received dict."] }),
        ),
    ] {
        assert_eq!(bot.post("/api/tickets/", body.clone()).await.whole(), (400, errors), "{body}");
    }
    let staging = bot.post("/api/tickets/", json!({ "title": "t", "environment": "staging" })).await;
    assert!(staging.json()["environment"][0].as_str().unwrap().starts_with("Unknown environment: 'staging'."));
    assert_eq!(app.contents(), before);
}

#[tokio::test]
async fn a_ticket_moves_over_the_board_and_nowhere_else() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = ticket(&bot, json!({ "title": "t", "priority": "low", "tags": ["a"] })).await;
    let path = format!("/api/tickets/{id}/");
    app.advance(Duration::from_secs(5));

    let changed =
        bot.patch(&path, json!({ "status": "in_review", "title": " T ", "tags": ["b", "c"], "colour": "red" })).await;
    let cleared = bot.patch(&path, json!({ "priority": null, "tags": null })).await.json();

    assert_eq!(changed.status, 200);
    let changed = changed.json();
    assert_eq!(
        [
            &changed["status"],
            &changed["title"],
            &changed["tags"],
            &changed["priority"],
            &changed["created_at"],
            &changed["updated_at"]
        ],
        [
            &json!("in_review"),
            &json!("T"),
            &json!(["b", "c"]),
            &json!("low"),
            &json!(NOW),
            &json!("2026-03-02T09:30:05Z")
        ]
    );
    assert_eq!(
        (&cleared["priority"], &cleared["tags"], &cleared["status"]),
        (&json!(null), &json!([]), &json!("in_review"))
    );
    let before = app.contents();
    for (body, errors) in [
        (
            json!({ "environment": "production" }),
            json!({ "environment": ["Environment cannot be changed after creation."] }),
        ),
        (
            json!({ "conversation_id": 1, "feedback_id": null }),
            json!({ "conversation_id": ["This field cannot be changed."], "feedback_id": ["This field cannot be changed."] }),
        ),
        (json!({ "status": null }), json!({ "status": ["\"null\" is not a valid choice."] })),
        (json!({ "title": null }), json!({ "title": ["This field may not be null."] })),
        (json!({}), json!({ "detail": "No valid fields to update." })),
    ] {
        assert_eq!(bot.patch(&path, body.clone()).await.whole(), (400, errors), "{body}");
    }
    assert_eq!(app.contents(), before);
    let nothing = (404, json!({ "detail": "Not found." }));
    assert_eq!(bot.patch("/api/tickets/999/", json!({ "status": "done" })).await.whole(), nothing);
    assert_eq!(bot.delete(&path).await.status, 204);
    assert_eq!(bot.delete(&path).await.whole(), nothing);
    assert_eq!(bot.get(&path).await.whole(), nothing);
    assert_eq!(bot.get(&format!("{path}comments/")).await.whole(), nothing);
}

#[tokio::test]
async fn a_comment_bears_the_label_of_its_key() {
    let app = TestApp::start().await;
    let unnamed = app.bot().await;
    let named = app.store.mint_key("helpdesk", Role::Write, Some("CI bot")).await.unwrap().key;
    let named = unnamed.saying(&format!("Api-Key {}", named.reveal()));
    let id = ticket(&unnamed, json!({ "title": "t" })).await;
    let path = format!("/api/tickets/{id}/comments/");
    app.advance(Duration::from_secs(1));

    let first =
        named.post(&path, json!({ "body": " Reproduced on three runs. ", "role": "dev", "author": "Maja" })).await;
    let second = unnamed.post(&path, json!({ "body": 12 })).await;

    let at = "2026-03-02T09:30:01Z";
    assert_eq!(
        first.whole(),
        (
            201,
            json!({ "id": first.id(), "author": "CI bot", "role": "agent", "body": " Reproduced on three runs. ", "created_at": at })
        )
    );
    assert_eq!((&second.json()["author"], &second.json()["body"]), (&json!("helpdesk"), &json!("12")));
    let row = unnamed.get(&format!("/api/tickets/{id}/")).await.json();
    assert_eq!(
        (&row["comments"], &row["comments_count"], &row["updated_at"]),
        (&json!([first.json(), second.json()]), &json!(2), &json!(at))
    );
    let page = unnamed.get(&format!("{path}?page_size=1")).await.json();
    assert_eq!(
        (&page["count"], &page["total_pages"], &page["results"]),
        (&json!(2), &json!(2), &json!([first.json()]))
    );
    assert_eq!(unnamed.get(&format!("{path}?page=2&page_size=1")).await.json()["results"], json!([second.json()]));
    for (body, errors) in [
        (json!({}), json!({ "body": ["This field is required."] })),
        (json!({ "body": " \n" }), json!({ "body": ["This field may not be blank."] })),
        (json!({ "body": null }), json!({ "body": ["This field may not be null."] })),
        (json!({ "body": "x".repeat(65_537) }), json!({ "body": ["Ensure this field has no more than 65536 bytes."] })),
    ] {
        assert_eq!(named.post(&path, body).await.whole(), (400, errors));
    }
    assert_eq!(named.post("/api/tickets/999/comments/", json!({ "body": "x" })).await.status, 404);
    assert_eq!(named.delete(&format!("{path}{}/", first.id())).await.status, 404);
    assert_eq!(named.patch(&path, json!({ "body": "y" })).await.status, 405);
}

#[tokio::test]
async fn every_filter_of_tickets_finds_what_it_says() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let conversation = bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await.id();
    let feedback = bot.post("/api/feedbacks/", json!({ "kind": "agent", "sentiment": "neutral" })).await.id();
    for body in [
        json!({ "title": "b1", "status": "done", "priority": "high", "tags": ["checkout", "ux"] }),
        json!({ "title": "a2", "status": "backlog", "conversation_id": conversation }),
        json!({ "title": "Č3", "status": "in_progress", "priority": "low", "tags": ["billing"], "feedback_id": feedback }),
        json!({ "title": "d4", "priority": "medium" }),
    ] {
        ticket(&bot, body).await;
        app.advance(Duration::from_secs(60));
    }
    let first = bot.get("/api/tickets/?status=done").await.json()["results"][0]["id"].clone();
    bot.post(&format!("/api/tickets/{first}/comments/"), json!({ "body": "x" })).await;
    for (query, expected) in [
        ("", "d4 Č3 a2 b1"),
        ("status=open", "d4"),
        ("status=open&status=done", "d4 b1"),
        ("priority=low", "Č3"),
        (&format!("conversation={conversation}"), "a2"),
        ("conversation_id=c-1", "a2"),
        ("conversation_id=1", ""),
        ("has_conversation=true", "a2"),
        ("has_conversation=false", "d4 Č3 b1"),
        ("has_feedback=true", "Č3"),
        ("has_feedback=false", "d4 a2 b1"),
        ("tags=checkout", "b1"),
        ("tags=billing,%20ux", "Č3 b1"),
        ("tags=UX", ""),
        ("created_at_after=2026-03-02T09:32:00Z", "d4 Č3"),
        ("created_at_before=2026-03-02T09:31:00Z", "a2 b1"),
        ("updated_at_after=2026-03-02T09:33:30Z", "b1"),
        ("updated_at_before=2026-03-02T09:33:30Z", "d4 Č3 a2"),
        ("search=%C4%8D", "Č3"),
        ("search=a+2", "a2"),
        ("ordering=created_at", "b1 a2 Č3 d4"),
        ("ordering=-updated_at", "b1 d4 Č3 a2"),
        ("ordering=priority", "a2 Č3 d4 b1"),
        ("ordering=-priority", "b1 d4 Č3 a2"),
        ("ordering=status", "a2 d4 Č3 b1"),
        ("ordering=-status", "b1 Č3 d4 a2"),
        ("ordering=title", "a2 b1 d4 Č3"),
        ("environment=development", "d4 Č3 a2 b1"),
    ] {
        assert_eq!(titles(&bot, query).await, expected, "{query}");
    }
    let choice = |word: &str| format!("Select a valid choice. {word} is not one of the available choices.");
    for (query, errors) in [
        ("status=todo", json!({ "status": [choice("todo")] })),
        ("priority=urgent", json!({ "priority": [choice("urgent")] })),
        ("conversation=c-1", json!({ "conversation": ["Enter a whole number."] })),
        ("has_feedback=x", json!({ "has_feedback": ["Enter true or false."] })),
        ("updated_at_after=x", json!({ "updated_at_after": ["Enter a valid date/time."] })),
        (&format!("tags={}", "a,".repeat(33)), json!({ "tags": ["Use at most 32 tags."] })),
    ] {
        assert_eq!(bot.get(&format!("/api/tickets/?{query}")).await.whole(), (400, errors), "{query}");
    }
    assert_eq!(bot.get("/api/tickets/?paginate=false").await.json().as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn another_agents_tickets_look_like_none() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = ticket(&bot, json!({ "title": "t" })).await;
    let other = app.agent("sales").with_key(Role::Write).await;
    let nothing = (404, json!({ "detail": "Not found." }));
    let path = format!("/api/tickets/{id}/");

    assert_eq!(other.get(&path).await.whole(), nothing);
    assert_eq!(other.get(&format!("{path}comments/")).await.whole(), nothing);
    assert_eq!(other.post(&format!("{path}comments/"), json!({ "body": "x" })).await.whole(), nothing);
    assert_eq!(other.patch(&path, json!({ "status": "done" })).await.whole(), nothing);
    assert_eq!(other.delete(&path).await.whole(), nothing);
    assert_eq!(titles(&other, "").await, "");
    assert_eq!(titles(&bot, "").await, "t");
}
