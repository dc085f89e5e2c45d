//! The blocking side, which is the async side behind a thread.

use crate::server::{Play, Server, message, ok, page, refused, row, status, whole};
use agentsight::{Error, Sentiment};

/// The server on a runtime of its own, as it is to a program that has none.
fn served(plays: Vec<Play>) -> (tokio::runtime::Runtime, Server) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(Server::playing(plays));
    (runtime, server)
}

#[test]
fn every_call_is_that_of_the_async_client() {
    let (_runtime, server) = served(vec![
        ok(&whole(42, "c-1")),
        status(201, &message(103)),
        ok(&page(&[whole(2, "b")], 1, 1)),
        refused(404),
    ]);
    let client = server.builder().build_blocking().unwrap();

    assert_eq!(client.fetch_conversation(42).unwrap().messages.len(), 1);
    assert_eq!(client.conversation("c-1").track_human_message("hi").unwrap().id.0, 103);
    assert_eq!(client.fetch_conversations().is_marked(true).send().unwrap().results.len(), 1);
    let error = client.submit_feedback("nobody", Sentiment::Positive).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }));

    assert_eq!(
        server.lines(),
        [
            "GET /api/conversations/42/",
            "POST /api/track/",
            "GET /api/conversations/?is_marked=true",
            "POST /api/conversation-feedbacks/",
        ]
    );
}

#[test]
fn rows_of_all_pages_are_an_iterator_that_ends_with_an_error() {
    let (_runtime, server) = served(vec![ok(&page(&[row(2, "b"), row(1, "a")], 1, 3)), refused(403)]);
    let client = server.builder().build_blocking().unwrap();

    let rows: Vec<_> = client.fetch_conversations().stream_lean().collect();

    assert_eq!(rows.len(), 3);
    assert!(matches!(rows.last(), Some(Err(Error::Forbidden { .. }))));
}

#[test]
fn threads_share_a_client() {
    let (_runtime, server) = served((0..4).map(|_| ok(&whole(42, "c-1"))).collect());
    let client = server.builder().build_blocking().unwrap();

    std::thread::scope(|scope| {
        for _ in 0..4 {
            let client = client.clone();
            scope.spawn(move || client.fetch_conversation(42).unwrap());
        }
    });

    assert_eq!(server.lines().len(), 4);
}

#[tokio::test]
async fn a_blocking_client_may_be_made_and_dropped_in_async_code() {
    let server = Server::playing([ok(&whole(42, "c-1"))]).await;
    let client = server.builder().build_blocking().unwrap();

    let fetched = tokio::task::spawn_blocking(move || client.fetch_conversation(42)).await.unwrap();

    assert_eq!(fetched.unwrap().id.0, 42);
}
