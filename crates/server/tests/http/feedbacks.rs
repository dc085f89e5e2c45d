//! Feedback of all kinds (contract: managing §3, reading §7).

use std::time::Duration;

use agentsight_model::key::Role;
use serde_json::{Value, json};

use crate::app::{Bot, NOW, TestApp};

/// A message of a conversation, by their integers.
async fn message(bot: &Bot<'_>, conversation_id: &str) -> (i64, i64) {
    let body = json!({ "conversation_id": conversation_id, "sender": "agent", "content": "hi" });
    let message = bot.post("/api/track/", body).await.json();
    (message["conversation"].as_i64().unwrap(), message["id"].as_i64().unwrap())
}

async fn give(bot: &Bot<'_>, body: Value) -> i64 {
    let answer = bot.post("/api/feedbacks/", body.clone()).await;
    assert_eq!(answer.status, 201, "{body}: {}", answer.text());
    answer.id()
}

/// Ids of the listed feedback, in order; the count is checked to be theirs.
async fn ids(bot: &Bot<'_>, query: &str) -> Vec<i64> {
    let answer = bot.get(&format!("/api/feedbacks/?page_size=100&{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let page = answer.json();
    let rows = page["results"].as_array().unwrap();
    assert_eq!(page["count"], rows.len(), "{query}");
    rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn feedback_on_a_conversation_is_a_row_of_its_own_each_time() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = bot.post("/api/conversations/", json!({ "conversation_id": "c-1", "environment": "dev" })).await.id();

    let named = bot
        .post("/api/feedbacks/", json!({ "kind": "conversation", "sentiment": "neutral", "conversation_id": "c-1", "comment": "A bit terse." }))
        .await;
    let keyed = bot
        .post("/api/feedbacks/", json!({ "kind": "conversation", "sentiment": "positive", "conversation": id.to_string(), "metadata": {"rating": 5} }))
        .await;

    let row = json!({
        "id": named.id(), "kind": "conversation", "agent": 1, "conversation": id, "conversation_id": "c-1", "message": null,
        "user": null, "environment": "development", "environment_id": 2, "sentiment": "neutral", "category": null,
        "comment": "A bit terse.", "topic": null, "reason": null, "source": "customer", "metadata": {}, "created_at": NOW,
    });
    assert_eq!(named.whole(), (201, row.clone()));
    assert_eq!((keyed.status, &keyed.json()["metadata"]), (201, &json!({"rating": 5})));
    assert_ne!(keyed.id(), named.id());
    let whole = bot.fetch("c-1").await;
    assert_eq!((&whole["feedback_count"], &whole["feedbacks"][0]), (&json!(2), &row));
    assert_eq!(bot.get("/api/conversations/?has_feedback=true").await.json()["count"], 1);
}

#[tokio::test]
async fn feedback_on_the_agent_may_name_an_environment_and_needs_none() {
    let app = TestApp::start().await;
    let bot = app.bot().await;

    let plain = bot.post("/api/feedbacks/", json!({ "kind": "agent", "sentiment": "positive" })).await;
    let scoped = bot
        .post("/api/feedbacks/", json!({ "kind": "agent", "agent": 1, "sentiment": "negative", "environment": "PROD" }))
        .await;

    assert_eq!(
        plain.whole(),
        (
            201,
            json!({
                "id": plain.id(), "kind": "agent", "agent": 1, "conversation": null, "conversation_id": null, "message": null,
                "user": null, "environment": null, "environment_id": null, "sentiment": "positive", "category": null,
                "comment": null, "topic": null, "reason": null, "source": "customer", "metadata": {}, "created_at": NOW,
            })
        )
    );
    assert_eq!((&scoped.json()["environment"], &scoped.json()["environment_id"]), (&json!("production"), &json!(1)));
    let other = bot.post("/api/feedbacks/", json!({ "kind": "agent", "agent": 2, "sentiment": "neutral" })).await;
    assert_eq!(other.whole(), (400, json!({ "agent": ["Invalid agent."] })));
    let nowhere =
        bot.post("/api/feedbacks/", json!({ "kind": "agent", "sentiment": "neutral", "environment": "staging" })).await;
    assert_eq!(nowhere.status, 400);
    assert!(nowhere.json()["environment"][0].as_str().unwrap().starts_with("Unknown environment: 'staging'."));
}

#[tokio::test]
async fn a_message_has_one_vote_that_a_later_post_changes() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let (conversation, message) = message(&bot, "c-1").await;
    let vote = async |more: Value| {
        let mut body = json!({ "kind": "message", "message": message });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bot.post("/api/feedbacks/", body).await
    };

    let first =
        vote(json!({ "sentiment": "negative", "topic": "style", "reason": "too_bold", "comment": "No." })).await;
    app.advance(Duration::from_secs(60));
    let again = vote(json!({ "sentiment": "positive" })).await;
    let cleared = vote(json!({ "sentiment": "positive", "topic": null, "comment": null, "reason": "calm" })).await;

    let row = |sentiment: &str, comment: Value, topic: Value, reason: &str| {
        json!({
            "id": first.id(), "kind": "message", "agent": 1, "conversation": conversation, "conversation_id": "c-1",
            "message": message, "user": null, "environment": "production", "environment_id": 1, "sentiment": sentiment,
            "category": null, "comment": comment, "topic": topic, "reason": reason, "source": "customer", "metadata": {},
            "created_at": NOW,
        })
    };
    assert_eq!(first.whole(), (201, row("negative", json!("No."), json!("style"), "too_bold")));
    assert_eq!(again.whole(), (200, row("positive", json!("No."), json!("style"), "too_bold")));
    let last = row("positive", json!(null), json!(null), "calm");
    assert_eq!(cleared.whole(), (200, last.clone()));
    let whole = bot.fetch("c-1").await;
    assert_eq!((&whole["messages"][0]["feedback"], &whole["feedbacks"]), (&last, &json!([])));
    assert_eq!(whole["feedback_count"], 1);
    assert_eq!(bot.get(&format!("/api/track/{message}/")).await.json()["feedback"], last);
}

#[tokio::test]
async fn first_votes_at_once_are_one_vote() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let (_, message) = message(&bot, "c-1").await;
    let vote =
        || bot.post("/api/feedbacks/", json!({ "kind": "message", "message": message, "sentiment": "positive" }));

    let answers = futures_util::future::join_all((0..16).map(|_| vote())).await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| answer.id() == answers[0].id()));
    assert_eq!(bot.fetch("c-1").await["feedback_count"], 1);
    assert_eq!(ids(&bot, "kind=message").await.len(), 1);
}

#[tokio::test]
async fn what_feedback_cannot_be_names_its_field() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let (conversation, message) = message(&bot, "c-1").await;
    let before = app.contents();
    for (body, errors) in [
        (json!({}), json!({ "kind": ["This field is required."], "sentiment": ["This field is required."] })),
        (
            json!({ "kind": "thumb", "sentiment": "meh" }),
            json!({ "kind": ["\"thumb\" is not a valid choice."], "sentiment": ["\"meh\" is not a valid choice."] }),
        ),
        (
            json!({ "kind": "conversation", "sentiment": "neutral" }),
            json!({ "conversation_id": ["This field is required."] }),
        ),
        (
            json!({ "kind": "conversation", "sentiment": "neutral", "conversation_id": "c-2" }),
            json!({ "conversation_id": ["Conversation not found."] }),
        ),
        (
            json!({ "kind": "conversation", "sentiment": "neutral", "conversation": 999 }),
            json!({ "conversation": ["Conversation not found."] }),
        ),
        (
            json!({ "kind": "conversation", "sentiment": "neutral", "conversation": conversation, "environment": "production" }),
            json!({ "environment": ["Derived from the conversation."] }),
        ),
        (
            json!({ "kind": "conversation", "sentiment": "neutral", "conversation": conversation, "topic": "x" }),
            json!({ "topic": ["Only message feedback has a topic."] }),
        ),
        (
            json!({ "kind": "conversation", "sentiment": "neutral", "conversation": conversation, "comment": "š".repeat(5_001) }),
            json!({ "comment": ["Ensure this field has no more than 5000 characters."] }),
        ),
        (json!({ "kind": "message", "sentiment": "neutral" }), json!({ "message": ["This field is required."] })),
        (
            json!({ "kind": "message", "sentiment": "neutral", "message": 999 }),
            json!({ "message": ["Message not found."] }),
        ),
        (
            json!({ "kind": "message", "sentiment": "neutral", "message": message, "environment": "production" }),
            json!({ "environment": ["Derived from the message."] }),
        ),
        (
            json!({ "kind": "message", "sentiment": "neutral", "message": message, "topic": "x".repeat(51), "reason": [] }),
            json!({ "topic": ["Ensure this field has no more than 50 characters."], "reason": ["Not a valid string."] }),
        ),
    ] {
        assert_eq!(bot.post("/api/feedbacks/", body.clone()).await.whole(), (400, errors), "{body}");
    }
    let product = bot.post("/api/feedbacks/", json!({ "kind": "product", "sentiment": "positive" })).await;
    assert_eq!(product.whole(), (403, json!({ "detail": "You do not have permission to perform this action." })));
    assert_eq!(app.contents(), before);
}

#[tokio::test]
async fn feedback_reaches_a_conversation_in_the_trash() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let (conversation, message) = message(&bot, "c-1").await;
    bot.delete(&format!("/api/conversations/{conversation}/")).await;

    give(&bot, json!({ "kind": "conversation", "sentiment": "neutral", "conversation_id": "c-1" })).await;
    give(&bot, json!({ "kind": "message", "sentiment": "neutral", "message": message })).await;

    assert_eq!(bot.get(&format!("/api/conversations/{conversation}/")).await.json()["feedback_count"], 2);
    assert_eq!(ids(&bot, "conversation_id=c-1").await.len(), 2);
}

#[tokio::test]
async fn feedback_changes_as_far_as_its_kind_has_the_field() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let (conversation, message) = message(&bot, "c-1").await;
    let of_conversation =
        give(&bot, json!({ "kind": "conversation", "sentiment": "neutral", "conversation_id": "c-1", "comment": "x" }))
            .await;
    let of_agent = give(&bot, json!({ "kind": "agent", "sentiment": "neutral" })).await;
    let of_message =
        give(&bot, json!({ "kind": "message", "sentiment": "neutral", "message": message, "topic": "t" })).await;
    let patch = async |id: i64, body: Value| bot.patch(&format!("/api/feedbacks/{id}/"), body).await;

    let changed = patch(of_conversation, json!({ "sentiment": "positive", "comment": null })).await;
    assert_eq!(
        (changed.status, &changed.json()["sentiment"], &changed.json()["comment"], changed.json().get("ticket")),
        (200, &json!("positive"), &json!(null), None::<&Value>)
    );
    assert_eq!(patch(of_agent, json!({ "environment": "dev" })).await.json()["environment_id"], 2);
    assert_eq!(patch(of_agent, json!({ "environment": null })).await.json()["environment"], json!(null));
    let vote = patch(
        of_message,
        json!({ "reason": "r", "kind": "message", "message": message, "conversation": conversation, "agent": 1 }),
    )
    .await
    .json();
    assert_eq!((&vote["topic"], &vote["reason"]), (&json!("t"), &json!("r")));
    assert_eq!(bot.fetch("c-1").await["messages"][0]["feedback"]["reason"], "r");
    let before = app.contents();
    for (id, body, errors) in [
        (
            of_conversation,
            json!({ "topic": "x", "reason": "y" }),
            json!({ "topic": ["Only message feedback has a topic."], "reason": ["Only message feedback has a reason."] }),
        ),
        (of_agent, json!({ "topic": "x" }), json!({ "topic": ["Only message feedback has a topic."] })),
        (
            of_conversation,
            json!({ "environment": "development" }),
            json!({ "environment": ["Derived from the conversation."] }),
        ),
        (of_message, json!({ "environment": "production" }), json!({ "environment": ["Derived from the message."] })),
        (of_message, json!({ "sentiment": "meh" }), json!({ "sentiment": ["\"meh\" is not a valid choice."] })),
        (of_message, json!({ "sentiment": null }), json!({ "sentiment": ["\"null\" is not a valid choice."] })),
        (
            of_message,
            json!({ "kind": "agent", "message": message + 1, "conversation": null }),
            json!({ "kind": ["This field cannot be changed."], "conversation": ["This field cannot be changed."], "message": ["This field cannot be changed."] }),
        ),
        (of_message, json!({}), json!({ "detail": "No valid fields to update." })),
        (of_message, json!({ "source": "platform" }), json!({ "detail": "No valid fields to update." })),
    ] {
        assert_eq!(patch(id, body.clone()).await.whole(), (400, errors), "{body}");
    }
    assert_eq!(app.contents(), before);
    assert_eq!(patch(999, json!({ "comment": "x" })).await.whole(), (404, json!({ "detail": "Not found." })));
}

#[tokio::test]
async fn deleted_feedback_is_gone_and_may_be_given_anew() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let (_, message) = message(&bot, "c-1").await;
    let vote = json!({ "kind": "message", "sentiment": "positive", "message": message });
    let id = give(&bot, vote.clone()).await;
    let ticket = bot.post("/api/tickets/", json!({ "title": "t", "feedback_id": id })).await.id();
    let path = format!("/api/feedbacks/{id}/");

    assert_eq!(bot.delete(&path).await.status, 204);

    let nothing = (404, json!({ "detail": "Not found." }));
    assert_eq!(bot.get(&path).await.whole(), nothing);
    assert_eq!(bot.delete(&path).await.whole(), nothing);
    let whole = bot.fetch("c-1").await;
    assert_eq!((&whole["feedback_count"], &whole["messages"][0]["feedback"]), (&json!(0), &json!(null)));
    let left = bot.get(&format!("/api/tickets/{ticket}/")).await.json();
    assert_eq!((&left["feedback"], &left["conversation"]["conversation_id"]), (&json!(null), &json!("c-1")));
    assert_ne!(give(&bot, vote).await, id);
}

#[tokio::test]
async fn the_list_of_feedback_tells_how_much_there_is() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let counts = async |query: &str| bot.get(&format!("/api/feedbacks/?{query}")).await.json()["counts"].clone();
    assert_eq!(counts("").await, json!({ "all": 0 }));
    for n in 0..3 {
        app.advance(Duration::from_secs(1));
        let sentiment = if n == 0 { "negative" } else { "positive" };
        give(&bot, json!({ "kind": "agent", "sentiment": sentiment })).await;
    }

    let page = bot.get("/api/feedbacks/?page_size=2").await.json();

    assert_eq!((&page["count"], &page["total_pages"], &page["counts"]), (&json!(3), &json!(2), &json!({ "all": 3 })));
    assert!(page["next"].as_str().unwrap().contains("page=2"));
    assert!(page["results"].as_array().unwrap().iter().all(|row| row.get("ticket").is_none()));
    assert_eq!(counts("sentiment=positive&page_size=1").await, json!({ "all": 2 }));
    assert_eq!(bot.get("/api/feedbacks/?paginate=false").await.json().as_array().unwrap().len(), 3);
    assert_eq!(bot.get("/api/feedbacks/?page=3").await.whole(), (404, json!({ "detail": "Invalid page." })));
}

#[tokio::test]
async fn every_filter_of_feedback_finds_what_it_says() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let (first, message) = message(&bot, "c-1").await;
    bot.post("/api/conversations/", json!({ "conversation_id": "C-2", "environment": "dev" })).await;
    let mut given = Vec::new();
    for body in [
        json!({ "kind": "conversation", "sentiment": "positive", "conversation_id": "c-1", "comment": "Šime was 100%_ kind" }),
        json!({ "kind": "message", "sentiment": "negative", "message": message, "topic": "style", "reason": "too_bold" }),
        json!({ "kind": "conversation", "sentiment": "negative", "conversation_id": "C-2" }),
        json!({ "kind": "agent", "sentiment": "neutral", "environment": "dev", "comment": "overall fine" }),
        json!({ "kind": "agent", "sentiment": "neutral" }),
    ] {
        given.push(give(&bot, body).await);
        app.advance(Duration::from_secs(60));
    }
    for (query, expected) in [
        ("", "5 4 3 2 1"),
        ("kind=agent", "5 4"),
        ("kind=message", "2"),
        ("sentiment=negative", "3 2"),
        (&format!("conversation={first}"), "2 1"),
        ("conversation=999", ""),
        ("conversation_id=c-1", "2 1"),
        ("conversation_id=c-2", ""),
        (&format!("message={message}"), "2"),
        ("topic=style", "2"),
        ("topic=Style", ""),
        ("reason=too_bold", "2"),
        ("agent=1", "5 4 3 2 1"),
        ("agent=2", ""),
        ("user=7", ""),
        ("category=bug", ""),
        ("environment=development", "4 3"),
        ("env=prod", "2 1"),
        ("env=prod&environment=dev", ""),
        ("has_comment=true", "4 1"),
        ("has_comment=false", "5 3 2"),
        ("comment_contains=%C5%A0IME", "1"),
        ("comment_contains=100%25_", "1"),
        ("comment_contains=%25%25", ""),
        ("search=FINE", "4"),
        ("search=kind+c-1", "1"),
        ("search=bold", "2"),
        ("search=c-", "3 2 1"),
        ("search=kind+fine", ""),
        ("created_at_after=2026-03-02T09:32:00Z", "5 4 3"),
        ("created_at_before=2026-03-02T09:32:00Z", "3 2 1"),
        ("ordering=created_at", "1 2 3 4 5"),
        ("ordering=-sentiment", "1 5 4 3 2"),
        ("ordering=sentiment,-id", "3 2 5 4 1"),
        ("ordering=kind", "4 5 1 3 2"),
        ("ordering=category", "1 2 3 4 5"),
        ("ordering=colour", "5 4 3 2 1"),
        ("kind=conversation&sentiment=negative&env=dev&has_comment=no", "3"),
    ] {
        let found = ids(&bot, query).await;
        let places: Vec<String> =
            found.iter().map(|id| (given.iter().position(|given| given == id).unwrap() + 1).to_string()).collect();
        assert_eq!(places.join(" "), expected, "{query}");
    }
}

#[tokio::test]
async fn feedback_follows_its_conversation_into_another_environment() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let (_, message) = message(&bot, "c-1").await;
    let feedback =
        give(&bot, json!({ "kind": "conversation", "sentiment": "neutral", "conversation_id": "c-1" })).await;
    let vote = give(&bot, json!({ "kind": "message", "sentiment": "neutral", "message": message })).await;
    let span =
        json!({ "span_id": "00f067aa0ba902b7", "kind": "task", "name": "x", "started_at": NOW, "ended_at": NOW });
    let block = json!({ "conversation_id": "c-1", "environment": "development", "spans": [span] });
    let moved = bot.post("/api/ingest/", json!({ "conversations": [block] })).await;
    assert_eq!(moved.status, 200, "{}", moved.text());

    assert_eq!(ids(&bot, "environment=development").await, [vote, feedback]);
    assert_eq!(ids(&bot, "environment=production").await, [0; 0]);
    let row = bot.get(&format!("/api/feedbacks/{feedback}/")).await.json();
    assert_eq!((&row["environment"], &row["environment_id"]), (&json!("development"), &json!(2)));
    assert_eq!(bot.fetch("c-1").await["feedbacks"][0]["environment_id"], 2);
}

#[tokio::test]
async fn a_filter_of_feedback_that_cannot_be_read_names_its_parameter() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let choice = |word: &str| format!("Select a valid choice. {word} is not one of the available choices.");
    let gate = "Ticket filters need ?include_tickets=true on the API-key plane.";
    for (query, errors) in [
        ("kind=thumb", json!({ "kind": [choice("thumb")] })),
        ("sentiment=meh", json!({ "sentiment": [choice("meh")] })),
        ("env=staging", json!({ "environment": [choice("staging")] })),
        ("conversation=c-1", json!({ "conversation": ["Enter a whole number."] })),
        ("has_comment=perhaps", json!({ "has_comment": ["Enter true or false."] })),
        ("created_at_after=soon", json!({ "created_at_after": ["Enter a valid date/time."] })),
        ("include_tickets=", json!({ "include_tickets": ["Must be one of: 1, true, yes, on, 0, false, no, off."] })),
        ("has_ticket=true", json!({ "has_ticket": gate })),
        ("ticket_status=open", json!({ "ticket_status": gate })),
        ("include_tickets=off&has_ticket=true&ticket_status=open", json!({ "has_ticket": gate })),
        ("include_tickets=1&ticket_status=open&ticket_status=todo", json!({ "ticket_status": [choice("todo")] })),
    ] {
        assert_eq!(bot.get(&format!("/api/feedbacks/?{query}")).await.whole(), (400, errors), "{query}");
    }
    let product = bot.get("/api/feedbacks/?kind=product").await;
    assert_eq!(product.whole(), (403, json!({ "detail": "You do not have permission to perform this action." })));
    let unknown = bot.get("/api/feedbacks/?colour=red").await;
    assert_eq!((unknown.status, unknown.all("warning").len()), (200, 1));
}

#[tokio::test]
async fn with_tickets_there_is_only_feedback_that_became_one_and_a_tally_per_state() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let mut given = Vec::new();
    for (n, status) in [None, Some("open"), Some("in_progress"), Some("done"), Some("open")].into_iter().enumerate() {
        let sentiment = if n == 4 { "positive" } else { "negative" };
        let id = give(&bot, json!({ "kind": "agent", "sentiment": sentiment })).await;
        if let Some(status) = status {
            bot.post(
                "/api/tickets/",
                json!({ "title": format!("t{n}"), "status": status, "feedback_id": id, "tags": ["checkout"] }),
            )
            .await;
        }
        given.push(id);
        app.advance(Duration::from_secs(1));
    }
    let tallies = |all: u64, open_tickets: u64, open: u64, in_progress: u64, done: u64| {
        json!({ "all": all, "tickets": all, "open_tickets": open_tickets, "backlog": 0, "open": open,
            "in_progress": in_progress, "in_review": 0, "done": done, "closed": 0 })
    };

    for (query, found, counts) in [
        ("include_tickets=true", vec![4, 3, 2, 1], tallies(4, 3, 2, 1, 1)),
        ("include_tickets=yes&ticket_status=open", vec![4, 1], tallies(4, 3, 2, 1, 1)),
        ("include_tickets=1&ticket_status=open&ticket_status=done", vec![4, 3, 1], tallies(4, 3, 2, 1, 1)),
        ("include_tickets=on&ticket_status=closed", vec![], tallies(4, 3, 2, 1, 1)),
        ("include_tickets=true&sentiment=positive", vec![4], tallies(1, 1, 1, 0, 0)),
        ("include_tickets=true&has_ticket=true", vec![4, 3, 2, 1], tallies(4, 3, 2, 1, 1)),
        ("include_tickets=true&has_ticket=false", vec![], tallies(0, 0, 0, 0, 0)),
    ] {
        let page = bot.get(&format!("/api/feedbacks/?{query}")).await.json();
        let expected: Vec<Value> = found.iter().map(|n: &usize| json!(given[*n])).collect();
        let rows = page["results"].as_array().unwrap();
        assert_eq!(rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>(), expected, "{query}");
        assert!(rows.iter().all(|row| row["ticket"]["tags"] == json!(["checkout"])), "{query}");
        assert_eq!((&page["count"], &page["counts"]), (&json!(found.len()), &counts), "{query}");
    }
}

#[tokio::test]
async fn one_piece_of_feedback_always_shows_its_ticket_or_none() {
    let app = TestApp::start().await;
    let bot = app.agent("helpdesk").with_key(Role::Write).await;
    let id = give(&bot, json!({ "kind": "agent", "sentiment": "negative" })).await;
    let path = format!("/api/feedbacks/{id}/");
    assert_eq!(bot.get(&path).await.json()["ticket"], json!(null));
    let ticket =
        bot.post("/api/tickets/", json!({ "title": "Timeout", "priority": "high", "feedback_id": id })).await.id();
    let comment = bot.post(&format!("/api/tickets/{ticket}/comments/"), json!({ "body": "Reproduced." })).await.json();

    let fetched = bot.get(&format!("{path}?include_tickets=false")).await.json();

    assert_eq!(
        fetched["ticket"],
        json!({
            "id": ticket, "title": "Timeout", "status": "open", "priority": "high", "tags": [], "created_at": NOW,
            "updated_at": NOW, "comments_count": 1, "comments": [comment],
        })
    );
    let other = app.agent("sales").with_key(Role::Write).await;
    let nothing = (404, json!({ "detail": "Not found." }));
    assert_eq!(other.get(&path).await.whole(), nothing);
    assert_eq!(other.patch(&path, json!({ "comment": "mine" })).await.whole(), nothing);
    assert_eq!(other.delete(&path).await.whole(), nothing);
    assert_eq!(ids(&other, "").await, [0; 0]);
}
