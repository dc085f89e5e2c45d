//! Feedback, tickets, actions, clicks and message metadata: which requests are made, and what becomes of their answers.

use crate::server::{Play, Server, action_log, message, ok, page, status};
use agentsight::{
    ActionUpdate, Error, FeedbackKind, FeedbackUpdate, NewAction, NewFeedback, NewTicket, Sentiment, TicketPriority,
    TicketStatus, TicketUpdate, Vote,
};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};

fn feedback(id: i64) -> Value {
    json!({
        "id": id, "kind": "message", "agent": 3, "conversation": 42, "conversation_id": "c-1", "message": 105,
        "user": null, "environment": "production", "environment_id": 5, "sentiment": "negative", "category": null,
        "comment": null, "topic": "style", "reason": null, "source": "customer", "metadata": {"a": 1.50},
        "created_at": "2026-03-02T09:30:00Z"
    })
}

fn ticket(id: i64) -> Value {
    json!({
        "id": id, "agent": 3, "title": "ETA", "status": "in_progress", "priority": "high", "tags": ["delivery"],
        "environment": "production", "environment_id": 5,
        "conversation": {"id": 42, "conversation_id": "c-1", "name": null, "environment": "production", "environment_id": 5},
        "feedback": {"id": 10, "kind": "agent", "sentiment": "neutral", "comment": null, "created_at": "2026-03-02T09:30:00Z"},
        "comments": [comment()], "comments_count": 1, "created_at": "2026-03-02T09:30:00Z", "updated_at": "2026-03-02T09:30:00Z"
    })
}

fn comment() -> Value {
    json!({ "id": 12, "author": "CI bot", "role": "agent", "body": "Reproduced.", "created_at": "2026-03-02T09:30:00Z" })
}

fn definition() -> Value {
    json!({ "id": 7, "name": "lookup_order", "display_name": "Look up", "description": "", "agent": 3 })
}

/// First lines and bodies of all requests.
fn said(server: &Server) -> Vec<(String, String)> {
    server.requests().iter().map(|request| (request.line.clone(), request.text())).collect()
}

fn gone() -> Play {
    Play::Answer(204, "", Vec::new())
}

#[tokio::test]
async fn a_vote_says_what_it_changes_and_leaves_the_rest() {
    let server = Server::playing([status(201, &feedback(12)), ok(&feedback(12)), ok(&feedback(12))]).await;
    let client = server.client();

    let vote = Vote::new(Sentiment::Negative).topic("style").clear_comment().metadata(json!({"a": 1}));
    let voted = client.vote(105, vote).await.unwrap();
    client.vote(105, Sentiment::Positive).await.unwrap();
    client.update_feedback(voted.id, FeedbackUpdate::new().clear_topic().comment("x")).await.unwrap();

    assert_eq!((voted.kind, voted.metadata.as_str(), voted.ticket), (FeedbackKind::Message, r#"{"a":1.5}"#, None));
    let body =
        r#"{"kind":"message","message":105,"sentiment":"negative","comment":null,"topic":"style","metadata":{"a":1}}"#;
    assert_eq!(
        said(&server),
        [
            ("POST /api/feedbacks/".to_owned(), body.to_owned()),
            (
                "POST /api/feedbacks/".to_owned(),
                r#"{"kind":"message","message":105,"sentiment":"positive"}"#.to_owned()
            ),
            ("PATCH /api/feedbacks/12/".to_owned(), r#"{"comment":"x","topic":null}"#.to_owned()),
        ]
    );
}

#[tokio::test]
async fn an_unanswered_vote_is_sent_again_and_a_ticket_is_not() {
    let server = Server::playing([Play::HangUp, ok(&feedback(12)), Play::HangUp]).await;
    let client = server.client();

    client.vote(105, Sentiment::Positive).await.unwrap();
    let error = client.create_ticket("ETA").await.unwrap_err();

    assert!(matches!(error, Error::Network { .. }), "{error:?}");
    assert_eq!(server.lines(), ["POST /api/feedbacks/", "POST /api/feedbacks/", "POST /api/tickets/"]);
}

#[tokio::test]
async fn feedback_on_the_agent_has_an_environment_and_on_a_conversation_none() {
    let server = Server::playing([status(201, &feedback(1))]).await;
    let client = server.client();
    let new = NewFeedback::new(Sentiment::Neutral).environment("dev");

    client.submit_agent_feedback(new.clone()).await.unwrap();
    let error = client.submit_feedback("c-1", new).await.unwrap_err();

    assert!(matches!(error, Error::Input(_)));
    let body = r#"{"kind":"agent","sentiment":"neutral","environment":"dev"}"#;
    assert_eq!(said(&server), [("POST /api/feedbacks/".to_owned(), body.to_owned())]);
}

#[tokio::test]
async fn the_list_of_feedback_has_counts_and_pages() {
    let mut counted = page(&[feedback(2)], 1, 1);
    let brief = json!({
        "id": 57, "title": "ETA", "status": "open", "priority": null, "tags": [], "created_at": "2026-03-02T09:30:00Z",
        "updated_at": "2026-03-02T09:30:00Z", "comments_count": 1, "comments": [comment()]
    });
    counted["results"][0]["ticket"] = brief;
    counted["counts"] = json!({"all": 4, "tickets": 4, "open_tickets": 3, "backlog": 1, "open": 1, "in_progress": 1,
        "in_review": 0, "done": 1, "closed": 0});
    let mut none = feedback(9);
    none["ticket"] = json!(null);
    let server = Server::playing([
        ok(&counted),
        ok(&page(&[feedback(3), feedback(2)], 1, 2)),
        ok(&page(&[feedback(2), feedback(1)], 2, 2)),
        ok(&none),
        gone(),
    ])
    .await;
    let client = server.client();

    let page = client
        .fetch_feedbacks()
        .kind(FeedbackKind::Message)
        .conversation_id("c 1")
        .include_tickets(true)
        .ticket_status(TicketStatus::Open)
        .ticket_status(TicketStatus::InProgress)
        .order_by_descending("created_at")
        .page_size(20)
        .send_counted()
        .await
        .unwrap();
    let ids: Vec<i64> =
        client.fetch_feedbacks().message(105).stream().map_ok(|row| row.id.0).try_collect().await.unwrap();
    let one = client.fetch_feedback(9).await.unwrap();
    client.delete_feedback(9).await.unwrap();

    assert_eq!((page.counts.open_tickets, page.counts.all), (Some(3), 4));
    assert_eq!(page.results[0].ticket.clone().flatten().unwrap().comments_count, 1);
    assert_eq!((ids, one.ticket), (vec![3, 2, 1], Some(None)));
    assert_eq!(
        server.lines(),
        [
            "GET /api/feedbacks/?kind=message&conversation_id=c+1&include_tickets=true&ticket_status=open\
             &ticket_status=in_progress&ordering=-created_at&page_size=20",
            "GET /api/feedbacks/?message=105&page=1&page_size=100",
            "GET /api/feedbacks/?message=105&page=2&page_size=100",
            "GET /api/feedbacks/9/",
            "DELETE /api/feedbacks/9/",
        ]
    );
}

#[tokio::test]
async fn a_ticket_is_filed_by_the_integer_of_its_conversation() {
    let lookup = json!({"id": 42, "conversation_id": "c-1"});
    let server = Server::playing([
        ok(&lookup),
        status(201, &ticket(57)),
        status(201, &comment()),
        ok(&ticket(57)),
        ok(&page(&[ticket(57)], 1, 1)),
        ok(&page(&[comment()], 1, 1)),
        gone(),
    ])
    .await;
    let client = server.client();

    let new = NewTicket::new("ETA").priority(TicketPriority::High).tag("delivery").conversation("c-1").feedback(10);
    let filed = client.create_ticket(new).await.unwrap();
    let said_there = client.comment_ticket(filed.id, "Reproduced.").await.unwrap();
    client.update_ticket(filed.id, TicketUpdate::new().status(TicketStatus::Done).clear_priority()).await.unwrap();
    let listed =
        client.fetch_tickets().status(TicketStatus::Open).tags(&["a", "b"]).has_feedback(true).send().await.unwrap();
    let thread = client.fetch_ticket_comments(filed.id).send().await.unwrap();
    client.delete_ticket(filed.id).await.unwrap();

    assert_eq!(serde_json::to_value(&filed).unwrap(), ticket(57));
    assert_eq!((&listed.results[0], &thread.results[0]), (&filed, &said_there));
    let body = r#"{"title":"ETA","priority":"high","tags":["delivery"],"conversation_id":42,"feedback_id":10}"#;
    let expected = [
        ("GET /api/conversations/lookup/?conversation_id=c-1", ""),
        ("POST /api/tickets/", body),
        ("POST /api/tickets/57/comments/", r#"{"body":"Reproduced."}"#),
        ("PATCH /api/tickets/57/", r#"{"status":"done","priority":null}"#),
        ("GET /api/tickets/?status=open&tags=a%2Cb&has_feedback=true", ""),
        ("GET /api/tickets/57/comments/", ""),
        ("DELETE /api/tickets/57/", ""),
    ];
    assert_eq!(said(&server), expected.map(|(line, body)| (line.to_owned(), body.to_owned())));
}

#[tokio::test]
async fn actions_clicks_and_message_metadata_have_their_routes() {
    let click = json!({ "id": 9, "conversation": 42, "conversation_id": "c-1", "message": null, "button_event": "e",
        "label": "l", "value": "v", "metadata": {}, "timestamp": "2026-03-02T09:15:09Z" });
    let count = json!([{ "button_event": "e", "value": "v", "label": "l", "count": 3 }]);
    let server = Server::playing([
        status(201, &definition()),
        ok(&definition()),
        ok(&page(&[definition()], 1, 1)),
        ok(&json!([action_log()])),
        ok(&page(&[click], 1, 1)),
        ok(&count),
        ok(&count),
        ok(&message(103)),
        ok(&message(103)),
    ])
    .await;
    let client = server.client();

    let action = client.create_action(NewAction::new("lookup_order").display_name("Look up")).await.unwrap();
    client.update_action(action.id, ActionUpdate::new().description("d")).await.unwrap();
    client.fetch_actions().name_contains("lookup").order_by("name").send().await.unwrap();
    assert_eq!(client.fetch_action_logs(action.id).await.unwrap().len(), 1);
    assert_eq!(client.fetch_buttons().button_event("e").send().await.unwrap().results[0].conversation_id, "c-1");
    assert_eq!(client.fetch_button_stats().await.unwrap()[0].count, 3);
    client.fetch_button_stats_of("e").await.unwrap();
    client.update_message_metadata(103, json!({"draft": false})).await.unwrap();
    client.fetch_message(103).await.unwrap();
    let error = client.update_message_metadata(103, "text").await.unwrap_err();

    assert_eq!(error.to_string(), "metadata must be a JSON object");
    let expected = [
        ("POST /api/actions/", r#"{"name":"lookup_order","display_name":"Look up"}"#),
        ("PATCH /api/actions/7/", r#"{"description":"d"}"#),
        ("GET /api/actions/?name__icontains=lookup&ordering=name", ""),
        ("GET /api/actions/7/logs/", ""),
        ("GET /api/buttons/?button_event=e", ""),
        ("GET /api/buttons/stats/", ""),
        ("GET /api/buttons/stats/?event=e", ""),
        ("PATCH /api/track/103/", r#"{"metadata":{"draft":false}}"#),
        ("GET /api/track/103/", ""),
    ];
    assert_eq!(said(&server), expected.map(|(line, body)| (line.to_owned(), body.to_owned())));
}

#[tokio::test]
async fn changes_of_nothing_are_not_sent() {
    let server = Server::playing([]).await;
    let client = server.client();

    let errors = [
        client.update_feedback(1, FeedbackUpdate::new()).await.unwrap_err(),
        client.update_ticket(1, TicketUpdate::new()).await.unwrap_err(),
        client.update_action(1, ActionUpdate::new()).await.unwrap_err(),
    ];

    assert!(errors.iter().all(|error| error.to_string() == "nothing to update"));
    assert_eq!(server.lines().len(), 0);
}

#[cfg(feature = "blocking")]
#[test]
fn the_blocking_client_has_the_same() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(Server::playing([
        ok(&feedback(12)),
        ok(&page(&[ticket(2), ticket(1)], 1, 1)),
        gone(),
        ok(&message(103)),
    ]));
    let client = server.builder().build_blocking().unwrap();

    client.vote(105, Sentiment::Positive).unwrap();
    let titles: Vec<String> = client.fetch_tickets().stream().map(|ticket| ticket.unwrap().title).collect();
    client.delete_ticket(1).unwrap();
    client.update_message_metadata(103, json!({})).unwrap();

    assert_eq!(titles.len(), 2);
    assert_eq!(server.lines().last().unwrap(), "PATCH /api/track/103/");
}
