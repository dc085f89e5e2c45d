//! Which requests are sent again, and what comes out when none helps.

use std::time::{Duration, Instant};

use crate::server::{KEY, Play, Server, message, ok, refused, row, status, stored, whole};
use agentsight::{AgentSight, Error, File, Files, NetworkFailure, NewConversation, Sentiment, Update};
use serde_json::json;

fn is_network(error: &Error, meant: NetworkFailure) -> bool {
    matches!(error, Error::Network { failure, .. } if *failure == meant)
}

#[tokio::test]
async fn reading_is_repeated_until_it_is_answered() {
    for failure in [Play::HangUp, Play::BreakOff, refused(429), refused(500), refused(502), refused(503), refused(504)]
    {
        let server = Server::playing([failure, ok(&whole(42, "c-1"))]).await;
        server.client().fetch_conversation(42).await.unwrap();
        assert_eq!(server.lines().len(), 2);
    }
}

#[tokio::test]
async fn reading_gives_up_after_its_repeats() {
    let server = Server::playing((0..9).map(|_| refused(503))).await;

    let error = server.client().fetch_conversation(42).await.unwrap_err();
    assert!(matches!(error, Error::Server { status: 503, .. }) && error.is_retryable());
    assert_eq!(server.lines().len(), 3);

    server.builder().retries(0).build().unwrap().fetch_conversation(42).await.unwrap_err();
    assert_eq!(server.lines().len(), 4);
}

#[tokio::test]
async fn what_the_server_refuses_for_good_is_not_repeated() {
    for code in [301, 400, 401, 403, 404, 405, 413, 418, 501] {
        let server = Server::playing([refused(code)]).await;
        let error = server.client().fetch_conversation(42).await.unwrap_err();
        assert_eq!(error.status(), Some(code));
        assert!(!error.is_retryable());
        assert_eq!(server.lines().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_record_is_repeated_with_the_same_bytes() {
    for failure in [Play::HangUp, Play::BreakOff, refused(429), refused(502), refused(503), refused(504)] {
        let server = Server::playing([failure, status(201, &message(103))]).await;
        server.client().conversation("c-1").track_human_message("hi").await.unwrap();
        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].body, requests[1].body);
    }
}

#[tokio::test]
async fn conversations_and_files_are_records_too() {
    let server = Server::playing([
        Play::HangUp,
        ok(&row(42, "c-1")),
        Play::HangUp,
        status(201, &stored("http://x")),
        Play::HangUp,
        status(201, &stored("http://x")),
    ])
    .await;
    let conversation = server.client().conversation("c-1");

    conversation.get_or_create(NewConversation::new()).await.unwrap();
    conversation.track_attachments(File::from_bytes("a", "x")).await.unwrap();
    conversation.track_attachments(Files::new([File::from_bytes("a", "x")]).form_data()).await.unwrap();

    let requests = server.requests();
    assert_eq!(requests.len(), 6);
    for pair in requests.chunks(2) {
        assert_eq!((&pair[0].body, pair[0].header("content-type")), (&pair[1].body, pair[1].header("content-type")));
    }
}

#[tokio::test]
async fn a_record_that_made_the_server_fail_is_not_repeated() {
    let server = Server::playing([refused(500)]).await;
    let error = server.client().conversation("c-1").track_human_message("hi").await.unwrap_err();
    assert!(matches!(error, Error::Server { status: 500, .. }));
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn two_records_of_one_text_differ_in_their_time() {
    let server = Server::playing([status(201, &message(1)), status(201, &message(2))]).await;
    let conversation = server.client().conversation("c-1");
    conversation.track_human_message("hi").await.unwrap();
    conversation.track_human_message("hi").await.unwrap();
    let requests = server.requests();
    assert_ne!(requests[0].body, requests[1].body);
}

#[tokio::test]
async fn a_managing_write_that_may_have_been_seen_is_never_repeated() {
    for failure in [|| Play::HangUp, || Play::BreakOff, || refused(429), || refused(500), || refused(503)] {
        let server = Server::playing((0..5).map(|_| failure())).await;
        let client = server.client();
        client.rename_conversation(42, "x").await.unwrap_err();
        client.mark_conversation(42, true).await.unwrap_err();
        client.update_conversation(42, Update::new().name("x")).await.unwrap_err();
        client.delete_conversation(42).await.unwrap_err();
        client.submit_feedback("c-1", Sentiment::Positive).await.unwrap_err();
        assert_eq!(server.lines().len(), 5);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_asked_again_even_for_a_managing_write() {
    // A port that was free a moment ago.
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let client = AgentSight::builder().api_key(KEY).endpoint(format!("http://127.0.0.1:{port}/"));
    let client = client.backoff(Duration::from_millis(20)).build().unwrap();

    let begun = Instant::now();
    let error = client.mark_conversation(42, true).await.unwrap_err();

    assert!(is_network(&error, NetworkFailure::NotConnected), "{error:?}");
    assert!(error.to_string().starts_with(&format!("no answer from http://127.0.0.1:{port}: ")), "{error}");
    assert_eq!(error.status(), None);
    // Twice repeated, after 20 and 80 milliseconds.
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn silence_ends_at_the_timeout() {
    let server = Server::playing([Play::Silence, Play::Silence]).await;
    let client = server.builder().timeout(Duration::from_millis(100)).retries(1).build().unwrap();

    let error = client.fetch_conversation(42).await.unwrap_err();

    assert!(is_network(&error, NetworkFailure::TimedOut), "{error:?}");
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn the_server_says_how_long_to_wait() {
    let throttled = || Play::Answer(429, "Retry-After: 1\r\n", br#"{"detail": "Request was throttled."}"#.to_vec());
    let server = Server::playing([throttled(), ok(&whole(42, "c-1")), throttled()]).await;

    let begun = Instant::now();
    server.client().fetch_conversation(42).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));

    let error = server.builder().retries(0).build().unwrap().fetch_conversation(42).await.unwrap_err();
    let Error::Throttled { retry_after, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*retry_after, Some(Duration::from_secs(1)));
    assert_eq!(error.to_string(), "Request was throttled.");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Server::playing([]).await;
    let location: &'static str = format!("Location: {}/api/track/\r\n", target.endpoint).leak();
    let server = Server::playing([Play::Answer(302, location, Vec::new())]).await;

    let error = server.client().conversation("c-1").track_human_message("hi").await.unwrap_err();

    assert!(matches!(error, Error::Unexpected { status: 302, .. }), "{error:?}");
    assert_eq!((server.lines().len(), target.lines().len()), (1, 0));
}

#[tokio::test]
async fn a_refusal_names_its_fields() {
    let body = json!({"sender": ["\"bot\" is not a valid choice."], "content": ["This field may not be blank."]});
    let server = Server::playing([status(400, &body)]).await;

    let error = server.client().conversation("c-1").track_human_message(" ").await.unwrap_err();

    assert_eq!(error.to_string(), "content: This field may not be blank.; sender: \"bot\" is not a valid choice.");
    let Error::Validation { fields, .. } = error else { panic!("{error:?}") };
    assert_eq!(fields["content"], ["This field may not be blank."]);
}
