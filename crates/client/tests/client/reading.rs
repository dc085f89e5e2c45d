//! Reading: which requests are made, and what becomes of their answers.

use crate::server::{KEY, Play, Server, message, ok, page, refused, row, stored, whole};
use agentsight::{ConversationId, Error, FeedbackSource, OrderBy, Sentiment, Timestamp};
use futures_util::TryStreamExt as _;
use serde_json::json;

#[tokio::test]
async fn an_integer_is_fetched_from_its_own_address() {
    let mut detail = whole(42, "order-chat-7781");
    detail["tickets"] = json!([]);
    detail["token_usage"] = json!(null);
    let server = Server::playing([ok(&detail)]).await;

    let conversation = server.client().fetch_conversation(42).await.unwrap();

    assert_eq!(serde_json::to_value(&conversation).unwrap(), detail);
    let request = &server.requests()[0];
    assert_eq!(request.line, "GET /api/conversations/42/");
    assert_eq!(request.header("authorization"), Some(format!("Api-Key {KEY}").as_str()));
    assert_eq!(request.header("accept"), Some("application/json"));
    assert!(request.header("user-agent").unwrap().starts_with("agentsight-rust/"));
}

#[tokio::test]
async fn a_string_is_fetched_from_the_list_in_one_request() {
    let server = Server::playing([ok(&page(&[whole(42, "a b&c")], 1, 1))]).await;

    let conversation = server.client().fetch_conversation("a b&c").await.unwrap();

    assert_eq!(conversation.id, ConversationId(42));
    assert_eq!(conversation.messages.len(), 1);
    assert_eq!(server.lines(), ["GET /api/conversations/?conversation_id=a+b%26c"]);
}

#[tokio::test]
async fn an_empty_string_is_refused_and_never_fetches_any_conversation() {
    let server = Server::playing([]).await;

    let error = server.client().fetch_conversation("").await.unwrap_err();

    assert!(matches!(error, Error::Input(_)));
    assert_eq!(server.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_string_that_nobody_gave_is_not_found() {
    let server = Server::playing([ok(&page(&[], 1, 1))]).await;

    let error = server.client().fetch_conversation("nobody".to_owned()).await.unwrap_err();

    assert!(matches!(error, Error::NotFound { .. }));
    assert_eq!(error.to_string(), "Conversation with conversation_id 'nobody' not found");
    assert_eq!(error.status(), Some(404));
}

#[tokio::test]
async fn every_filter_has_its_parameter() {
    let server = Server::playing([ok(&page(&[], 1, 1)), ok(&page(&[], 1, 1))]).await;
    let at: Timestamp = "2026-03-02T09:15:00.5+00:00".parse().unwrap();
    let wanted = server
        .client()
        .fetch_conversations()
        .conversation_id("a")
        .customer_id("b")
        .customer_id_contains("c")
        .customer_ip_address("::1")
        .name("d")
        .device("e")
        .language("f")
        .environment("development")
        .is_marked(true)
        .include_deleted(false)
        .include_tickets(true)
        .has_messages(true)
        .has_action(false)
        .action_name("g")
        .has_feedback(true)
        .feedback_sentiment(Sentiment::Negative)
        .feedback_source(FeedbackSource::Customer)
        .message_contains("h")
        .search("i j")
        .started_at_after(at)
        .started_at_before(at)
        .param("colour", "red")
        .metadata("plan", "pro")
        .order_by_descending(OrderBy::EndedAt)
        .order_by(OrderBy::Id)
        .page(2)
        .page_size(50);

    wanted.clone().send().await.unwrap();
    wanted.send_lean().await.unwrap();

    let full = "GET /api/conversations/?conversation_id=a&customer_id=b&customer_id__icontains=c\
        &customer_ip_address=%3A%3A1&name=d&device=e&language=f&environment=development&is_marked=true\
        &include_deleted=false&include_tickets=true&has_messages=true&has_action=false&action_name=g\
        &has_feedback=true&feedback_sentiment=negative&feedback_source=customer&message_contains=h\
        &search=i+j&started_at_after=2026-03-02T09%3A15%3A00.500000Z\
        &started_at_before=2026-03-02T09%3A15%3A00.500000Z&colour=red&metadata=plan%3Apro\
        &ordering=-ended_at%2Cid&page=2&page_size=50";
    assert_eq!(server.lines(), [full.to_owned(), format!("{full}&full=false")]);
}

#[tokio::test]
async fn a_stream_walks_all_pages_and_follows_no_address_of_an_answer() {
    let server = Server::playing([
        ok(&page(&[row(5, "e"), row(4, "d")], 1, 3)),
        ok(&page(&[row(3, "c"), row(2, "b")], 2, 3)),
        ok(&page(&[row(1, "a")], 3, 3)),
    ])
    .await;

    let rows = server.client().fetch_conversations().is_marked(true).page_size(2).stream_lean();
    let ids: Vec<i64> = rows.map_ok(|row| row.id.0).try_collect().await.unwrap();

    assert_eq!(ids, [5, 4, 3, 2, 1]);
    let line = |page| format!("GET /api/conversations/?is_marked=true&page={page}&page_size=2&full=false");
    assert_eq!(server.lines(), [line(1), line(2), line(3)]);
}

#[tokio::test]
async fn a_stream_asks_for_a_page_only_when_it_is_needed() {
    let server = Server::playing([ok(&page(&[whole(2, "b"), whole(1, "a")], 1, 2))]).await;

    let mut rows = server.client().fetch_conversations().stream();
    assert_eq!(server.lines().len(), 0);
    rows.next().await.unwrap().unwrap();
    rows.next().await.unwrap().unwrap();

    assert_eq!(server.lines(), ["GET /api/conversations/?page=1&page_size=100"]);
}

#[tokio::test]
async fn a_row_that_a_newcomer_pushed_onto_the_next_page_is_given_once() {
    let server =
        Server::playing([ok(&page(&[row(3, "c"), row(2, "b")], 1, 2)), ok(&page(&[row(2, "b"), row(1, "a")], 2, 2))])
            .await;

    let rows = server.client().fetch_conversations().stream_lean();
    let ids: Vec<i64> = rows.map_ok(|row| row.id.0).try_collect().await.unwrap();

    assert_eq!(ids, [3, 2, 1]);
}

#[tokio::test]
async fn a_last_page_that_went_away_ends_the_stream_and_a_first_one_is_an_error() {
    let server = Server::playing([ok(&page(&[row(2, "b")], 1, 2)), refused(404), refused(404)]).await;
    let client = server.client();

    let rows: Vec<_> = client.fetch_conversations().stream_lean().try_collect().await.unwrap();
    let mut past = client.fetch_conversations().page(7).stream_lean();

    assert_eq!(rows.len(), 1);
    assert!(matches!(past.next().await, Some(Err(Error::NotFound { .. }))));
    assert!(past.next().await.is_none());
}

#[tokio::test]
async fn files_are_listed_by_integer_and_downloaded_without_the_key() {
    let server = Server::playing([]).await;
    let files = stored(&server.endpoint)["attachments"].clone();
    let listed = json!({
        "conversation_id": "order-chat-7781", "conversation": 42, "total_attachments": 1, "attachment_count": 1,
        "messages": [{"message_id": 103, "id": 103, "sender": "end_user", "timestamp": "2026-03-02T09:15:02.100000Z",
            "attachments": files}],
        "attachments": files
    });
    let lookup = json!({"id": 42, "conversation_id": "order-chat-7781"});
    let other = Server::playing([ok(&lookup), ok(&listed)]).await;
    let client = other.client();

    let found = client.fetch_conversation_attachments("order-chat-7781").await.unwrap();
    let _ = client.download_attachment(&found.attachments[0]).await;

    assert_eq!(found.messages[0].attachments, found.attachments);
    assert_eq!(
        other.lines(),
        ["GET /api/conversations/lookup/?conversation_id=order-chat-7781", "GET /api/conversations/42/attachments/"]
    );
    let download = &server.requests()[0];
    assert_eq!(download.line, "GET /files/201?sig=abc");
    assert_eq!(download.header("authorization"), None);
}

#[tokio::test]
async fn a_download_gives_the_bytes() {
    let server = Server::playing([Play::Answer(200, "", vec![0, 159, 146, 150])]).await;
    let files: agentsight::AttachmentsStored = serde_json::from_value(stored(&server.endpoint)).unwrap();

    let bytes = server.client().download_attachment(&files.attachments[0]).await.unwrap();

    assert_eq!(bytes.as_ref(), [0, 159, 146, 150]);
}

#[tokio::test]
async fn an_answer_of_another_shape_is_said_to_be_unreadable() {
    let server = Server::playing([ok(&message(1))]).await;

    let error = server.client().fetch_conversation(1).await.unwrap_err();

    let Error::Decode { status: 200, reason } = error else { panic!("{error:?}") };
    assert!(reason.contains("missing field"), "{reason}");
}

#[test]
fn plain_http_works_where_no_certificates_are_installed() {
    let itself = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "reading::an_integer_is_fetched_from_its_own_address"])
        .envs([("SSL_CERT_FILE", "/no/such/file.pem"), ("SSL_CERT_DIR", "/no/such/folder")])
        .output()
        .unwrap();

    assert!(itself.status.success(), "{}", String::from_utf8_lossy(&itself.stdout));
}
