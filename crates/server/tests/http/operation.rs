//! Running the server: health, numbers, documentation, limits, stopping (contract: README §9).

use std::time::Duration;

use agentsight_server::ServerConfig;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::app::{HOST, TestApp, within};
use crate::document::DOCUMENT;

#[tokio::test]
async fn health_is_answered_without_a_key() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/readyz"] {
        let answer = app.stranger().get(path).await;
        assert_eq!(answer.whole(), (200, json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })), "{path}");
    }
}

#[tokio::test]
async fn a_server_whose_store_is_closed_lives_but_is_not_ready() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    app.store.close().await;

    assert_eq!(app.stranger().get("/healthz").await.status, 200);
    assert_eq!(app.stranger().get("/readyz").await.json()["status"], "failing");
    let write = bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await;
    assert_eq!(write.whole(), (503, json!({ "detail": "The server is shutting down." })));
    assert_eq!(write.header("retry-after"), Some("2"));
}

#[tokio::test]
async fn a_balancer_may_ask_for_the_parts_that_it_needs() {
    let app = TestApp::start().await;
    let ready = async |query: &str| {
        let answer = app.stranger().get(&format!("/readyz{query}")).await;
        (answer.status, answer.json()["failing"].clone())
    };
    let unknown = app.stranger().get("/readyz?parts=database,disk").await;
    // Where a folder was, there is a file now.
    let blobs = app.store.folder().join("blobs");
    std::fs::remove_dir_all(&blobs).unwrap_or_default();
    std::fs::write(&blobs, "in the way").unwrap();

    let (all, database, attachments) =
        (ready("").await, ready("?parts=database").await, ready("?parts=attachments").await);

    assert_eq!(
        unknown.whole(),
        (400, json!({ "parts": ["There is no part \"disk\". The parts are: database, attachments."] }))
    );
    let failing: Vec<&str> = all.1.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!((all.0, failing), (503, vec!["attachments"]));
    assert_eq!(database, (200, serde_json::Value::Null));
    assert_eq!(attachments, all);
    app.store.close().await;
    assert_eq!([ready("?parts=database").await.0, ready("?parts=database,attachments").await.0], [503, 503]);
}

#[tokio::test]
async fn requests_are_counted_by_class_of_status() {
    let app = TestApp::start().await;
    app.stranger().get("/healthz").await;
    app.stranger().get("/api/me/").await;

    let answer = app.stranger().get("/metrics").await;

    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
    let text = answer.text();
    for line in [
        "agentsight_requests_total{status=\"2xx\"} 1",
        "agentsight_requests_total{status=\"4xx\"} 1",
        "agentsight_request_seconds_count 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn the_document_and_its_explorer_are_served() {
    let app = TestApp::start().await;
    assert_eq!(app.stranger().get("/openapi.json").await.json(), *DOCUMENT);
    let page = app.stranger().get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("swagger-ui"));
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let app = TestApp::start().await;
    let one = app.stranger().get("/healthz").await;
    let two = app.stranger().get("/nothing").await;
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let answer = bot.send("HEAD", "/api/me/", &[], Vec::new()).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

#[tokio::test]
async fn a_key_past_its_limit_hears_when_to_come_back_and_nothing_is_stored() {
    let app = TestApp::with(ServerConfig {
        reads_per_minute: Some(2),
        writes_per_minute: Some(1),
        ..ServerConfig::default()
    })
    .await;
    let (bot, other) = (app.bot().await, app.agent("other").with_key(agentsight_model::key::Role::Write).await);
    let body = json!({ "conversation_id": "c-1" });
    assert_eq!(bot.post("/api/conversations/", body.clone()).await.status, 201);
    let before = app.contents();

    let throttled = bot.json("POST", "/api/conversations/", "not even JSON").await;

    let seconds = throttled.header("retry-after").unwrap().to_owned();
    assert!((1..=60).contains(&seconds.parse::<u64>().unwrap()));
    assert_eq!(
        throttled.whole(),
        (429, json!({ "detail": format!("Request was throttled. Expected available in {seconds} seconds.") }))
    );
    assert_eq!(app.contents(), before);
    assert_eq!(
        [bot.get("/api/me/").await.status, bot.get("/api/me/").await.status, bot.get("/api/me/").await.status],
        [200, 200, 429]
    );
    assert_eq!(other.post("/api/conversations/", body).await.status, 201, "another key has its own");
}

#[tokio::test]
async fn nothing_is_throttled_unless_the_operator_says_so() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for _ in 0..200 {
        assert_eq!(bot.get("/api/me/").await.status, 200);
    }
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_server_stops() {
    let mut app = TestApp::start().await;
    let (_, key) = app.agent("helpdesk").with_named_key(agentsight_model::key::Role::Write).await;
    let body = r#"{"conversation_id": "c-1", "sender": "agent", "content": "hi"}"#;
    let head = format!(
        "POST /api/track/ HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Api-Key {}\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        key.reveal(),
        body.len()
    );
    let mut stream = app.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    // The handler asks for the body: the request is in flight.
    let mut first = [0; 25];
    within(stream.read_exact(&mut first)).await.unwrap();
    assert!(first.starts_with(b"HTTP/1.1 100"));

    app.ask_to_stop();
    // The port closes at once.
    within(async {
        while tokio::net::TcpStream::connect(app.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stream.write_all(body.as_bytes()).await.unwrap();

    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    app.stopped().await;
    assert!(app.contents().contains("messages"), "what was answered is stored");
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_the_server() {
    let mut app =
        TestApp::with(ServerConfig { shutdown_timeout: Duration::from_millis(50), ..ServerConfig::default() }).await;
    let (_, key) = app.agent("helpdesk").with_named_key(agentsight_model::key::Role::Write).await;
    let mut stream = app.connect().await;
    let head = format!(
        "POST /api/track/ HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Api-Key {}\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        key.reveal()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    within(stream.read_exact(&mut [0; 25])).await.unwrap();
    let _idle = app.connect().await;

    app.ask_to_stop();

    app.stopped().await;
}
