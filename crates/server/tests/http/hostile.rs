//! Input that means harm, or was made by a broken program: never a 500, never a hang, nothing half-written.

use std::time::Duration;

use agentsight_model::limits::AttachmentLimits;
use agentsight_server::ServerConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::app::{Answer, Bot, Form, HOST, TestApp, within};

/// Every route that takes a JSON body, `{id}` being that of a row that [`furnished`] makes.
pub(crate) const ROUTES: [(&str, &str); 17] = [
    ("POST", "/api/conversations/"),
    ("POST", "/api/track/"),
    ("POST", "/api/action_logs/"),
    ("POST", "/api/buttons/"),
    ("POST", "/api/attachments/"),
    ("POST", "/api/conversation-feedbacks/"),
    ("POST", "/api/conversations/{id}/mark/"),
    ("PATCH", "/api/conversations/{id}/rename/"),
    ("PATCH", "/api/conversations/{id}/update/"),
    ("PATCH", "/api/track/{id}/"),
    ("POST", "/api/feedbacks/"),
    ("PATCH", "/api/feedbacks/{id}/"),
    ("POST", "/api/tickets/"),
    ("PATCH", "/api/tickets/{id}/"),
    ("POST", "/api/tickets/{id}/comments/"),
    ("POST", "/api/actions/"),
    ("PATCH", "/api/actions/{id}/"),
];

/// A conversation with a message, a vote on it, a ticket and an action: each the first of its kind, so that one
/// integer is the id of them all.
pub(crate) async fn furnished(bot: &Bot<'_>) -> i64 {
    let conversation = bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await;
    let id = conversation.id();
    if conversation.status == 200 {
        return id;
    }
    for (path, body) in [
        ("/api/track/", json!({ "conversation_id": "c-1", "sender": "agent", "content": "hi" })),
        ("/api/feedbacks/", json!({ "kind": "message", "message": id, "sentiment": "neutral" })),
        ("/api/tickets/", json!({ "title": "t" })),
        ("/api/actions/", json!({ "name": "defined" })),
    ] {
        assert_eq!(bot.post(path, body).await.id(), id, "{path}");
    }
    id
}

/// A refusal that says why, in one of the documented shapes.
fn assert_refused(answer: &Answer, of: &str) {
    assert!((400..500).contains(&answer.status), "{of}: {} {}", answer.status, answer.text());
    assert!(answer.body.len() < 10_000, "{of}: an answer of {} bytes", answer.body.len());
}

#[tokio::test]
async fn bodies_that_are_no_readable_object_are_refused_everywhere_and_nothing_is_stored() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = furnished(&bot).await;
    let before = app.contents();
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("deep arrays", "[".repeat(100_000).into_bytes()),
        ("deep objects", "{\"a\":".repeat(100_000).into_bytes()),
        (
            "deep metadata",
            format!("{{\"conversation_id\":\"c\",\"metadata\":{}1{}}}", "{\"a\":".repeat(100_000), "}".repeat(100_000))
                .into_bytes(),
        ),
        ("closed before opened", "]".repeat(100_000).into_bytes()),
        ("invalid UTF-8", b"{\"conversation_id\": \"\xff\xfe\"}".to_vec()),
        ("overlong UTF-8", b"{\"conversation_id\": \"\xc0\x80\"}".to_vec()),
        ("a surrogate in UTF-8", b"{\"conversation_id\": \"\xed\xa0\x80\"}".to_vec()),
        ("a bare NUL", b"{\"conversation_id\": \"a\0b\"}".to_vec()),
        ("only NUL", vec![0; 1_000]),
        ("an open text", b"{\"conversation_id\": \"abc".to_vec()),
        ("half an escape", b"{\"conversation_id\": \"\\u12".to_vec()),
        ("UTF-16", "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec()),
        ("a number that is none", b"{\"conversation_id\": 01}".to_vec()),
        ("Python", b"{'conversation_id': None}".to_vec()),
        ("NaN", b"{\"conversation_id\": NaN}".to_vec()),
        ("a comma too much", b"{\"conversation_id\": \"c\",}".to_vec()),
    ];
    for (method, path) in ROUTES {
        let path = path.replace("{id}", &id.to_string());
        for (what, body) in &bodies {
            let answer = bot.json(method, &path, body.clone()).await;
            assert_eq!(answer.status, 400, "{path} {what} {}", answer.text());
            assert_refused(&answer, what);
        }
    }
    assert_eq!(app.contents(), before);
}

#[tokio::test]
async fn surrogates_and_nul_are_repaired_and_not_refused() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let body = r#"{"conversation_id": "c\u0000-1", "sender": "agent", "content": "a\ud83d b\ude00 \ud83d\ude00\u0000", "metadata": {"k\u0000": "\udfff"}}"#;

    let answer = bot.json("POST", "/api/track/", body).await;

    assert_eq!(answer.status, 201, "{}", answer.text());
    let message = &bot.fetch("c-1").await["messages"][0];
    assert_eq!(
        (&message["content"], &message["metadata"]),
        (&json!("a\u{fffd} b\u{fffd} 😀"), &json!({ "k": "\u{fffd}" }))
    );
}

#[tokio::test]
async fn numbers_of_any_size_are_kept_or_refused() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let digits = "9".repeat(400);
    for number in
        ["1e999999", "-1e999999", "1e-999999", &digits, &format!("-{digits}.5"), "9223372036854775808", "-0", "1E400"]
    {
        let track = format!(
            "{{\"conversation_id\": \"c-1\", \"sender\": \"agent\", \"content\": \"x\", \"metadata\": {{\"n\": {number}}}}}"
        );
        let stored = bot.json("POST", "/api/track/", track).await;
        assert!(stored.text().contains(&format!("{{\"n\": {number}}}")), "{number}: {}", stored.text());
        for (path, field) in [
            ("/api/action_logs/", "duration_ms"),
            ("/api/action_logs/", "started_at"),
            ("/api/track/", "conversation"),
            ("/api/track/", "content"),
            ("/api/track/", "timestamp"),
            ("/api/conversations/", "is_used"),
            ("/api/conversations/", "metadata"),
            ("/api/attachments/", "message"),
            ("/api/conversation-feedbacks/", "conversation"),
        ] {
            let body = format!(
                "{{\"conversation_id\": \"c-1\", \"sender\": \"agent\", \"action_name\": \"a\", \"sentiment\": \"neutral\",
                  \"content\": \"x\", \"attachments\": [{{\"data\": \"\"}}], \"{field}\": {number}}}"
            );
            let answer = bot.json("POST", path, body).await;
            assert!(answer.status < 500, "{path} {field} {number}: {}", answer.text());
        }
    }
    // What was kept can be read, listed and looked into.
    assert_eq!(bot.get("/api/conversations/").await.status, 200);
    assert_eq!(bot.get("/api/conversations/message-metadata-keys/").await.status, 200);
    assert_eq!(bot.get("/api/conversations/metadata-values/?key=n").await.status, 200);
}

#[tokio::test]
async fn durations_and_times_at_the_ends_of_time_stay_readable() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for (number, body) in [
        json!({ "started_at": "9999-12-30T22:00:00Z", "duration_ms": 1e300 }),
        json!({ "ended_at": "0001-01-01T00:00:00Z", "duration_ms": 1e15 }),
        json!({ "started_at": "-009999-01-02T01:59:59Z", "ended_at": "9999-12-30T22:00:00Z" }),
        json!({ "timestamp": "-009999-01-02T01:59:59Z" }),
        json!({ "duration_ms": -5 }),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = body;
        body["action_name"] = "a".into();
        body["conversation_id"] = format!("c-{number}").into();
        let answer = bot.post("/api/action_logs/", body.clone()).await;
        assert!([201, 400].contains(&answer.status), "{body}: {}", answer.text());
    }
    let listed = bot.get("/api/conversations/?ordering=ended_at").await;
    assert_eq!(listed.status, 200, "{}", listed.text());
}

#[tokio::test]
async fn of_a_field_given_twice_the_last_counts() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let body = r#"{"conversation_id": "c-0", "sender": "robot", "content": "a", "sender": "agent", "content": "b", "conversation_id": "c-1"}"#;
    assert_eq!(bot.json("POST", "/api/track/", body).await.status, 201);
    assert_eq!(bot.fetch("c-1").await["messages"][0]["content"], "b");
}

#[tokio::test]
async fn the_largest_texts_fit_and_one_byte_more_names_its_field() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let track = |content: usize, metadata: String| {
        format!(
            "{{\"conversation_id\": \"c-1\", \"sender\": \"agent\", \"content\": \"{}\", \"metadata\": {metadata}}}",
            "x".repeat(content)
        )
    };
    let many: Vec<String> = (0..25_000).map(|n| format!("\"{n}\":1")).collect();
    let many = format!("{{{}}}", many.join(","));
    assert!(many.len() > 200 * 1024 && many.len() <= 256 * 1024);
    assert_eq!(bot.json("POST", "/api/track/", track(1024 * 1024, many.clone())).await.status, 201);
    let answer = bot
        .json("POST", "/api/conversations/", format!("{{\"conversation_id\": \"c-2\", \"metadata\": {many}}}"))
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(bot.get("/api/conversations/metadata-keys/").await.json()["keys"].as_array().unwrap().len(), 200);
    assert_eq!(
        bot.get("/api/conversations/message-metadata-keys/").await.json()["keys"].as_array().unwrap().len(),
        200
    );
    let before = app.contents();
    let content = bot.json("POST", "/api/track/", track(1024 * 1024 + 1, "{}".to_owned())).await;
    assert_eq!(content.whole(), (400, json!({ "content": ["Ensure this field has no more than 1048576 bytes."] })));
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(256 * 1024));
    let metadata = bot.json("POST", "/api/track/", track(1, large)).await;
    assert_eq!(metadata.whole(), (400, json!({ "metadata": ["Ensure this field has no more than 262144 bytes."] })));
    assert_eq!(app.contents(), before);
}

#[tokio::test]
async fn every_field_of_every_body_may_be_of_any_type() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let id = furnished(&bot).await;
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(""),
        json!(" "),
        json!("None"),
        json!("\u{0}"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"a": []}),
        json!(["x", {}]),
        json!("x".repeat(5_001)),
    ];
    let mut before = app.contents();
    for (method, path) in ROUTES {
        let valid = valid(path);
        let path = path.replace("{id}", &id.to_string());
        for field in valid.as_object().unwrap().keys() {
            for value in &values {
                let mut body = valid.clone();
                body[field] = value.clone();
                let answer = bot.json(method, &path, body.to_string()).await;
                assert!(answer.status < 500, "{path} {body}: {}", answer.text());
                let after = app.contents();
                if answer.status >= 400 {
                    assert_eq!(after, before, "{path} {body}");
                    // A name that an earlier body of this test took is refused beside what is wrong.
                    let known = ["detail", "error", "conversation_id", "name"];
                    let said = answer.json();
                    assert!(
                        said.as_object().unwrap().keys().all(|key| key == field
                            || key.starts_with(&format!("{field}["))
                            || known.contains(&key.as_str())),
                        "{path} {field} {value}: {said}"
                    );
                }
                before = after;
            }
        }
    }
}

#[tokio::test]
async fn every_parameter_of_every_list_may_hold_anything() {
    use agentsight_model::action::ACTION_PARAMETERS;
    use agentsight_model::button::BUTTON_PARAMETERS;
    use agentsight_model::feedback::FEEDBACK_PARAMETERS;
    use agentsight_model::ticket::TICKET_PARAMETERS;
    let app = TestApp::start().await;
    let bot = app.bot().await;
    furnished(&bot).await;
    let digits = "9".repeat(30);
    let long = "%F0%9F%98%80".repeat(500);
    let values =
        ["", "1", "-1", "0", "true", &digits, "%00", "'%22%5C;--", "%ff%fe", "a:b,c", "-id,-id,id", &long, "last"];
    let lists: [(&str, &[&str]); 4] = [
        ("/api/feedbacks/", &FEEDBACK_PARAMETERS),
        ("/api/tickets/", &TICKET_PARAMETERS),
        ("/api/actions/", &ACTION_PARAMETERS),
        ("/api/buttons/", &BUTTON_PARAMETERS),
    ];
    for (path, parameters) in lists {
        for name in parameters {
            for value in values {
                for more in ["", "&include_tickets=true", "&paginate=false"] {
                    let query = format!("{path}?{name}={value}{more}");
                    let answer = bot.get(&query).await;
                    assert!([200, 400, 404].contains(&answer.status), "{query}: {}", answer.text());
                    if answer.status == 400 {
                        let named = if *name == "env" { "environment" } else { name };
                        assert!(answer.json().get(named).is_some(), "{query}: {}", answer.text());
                    }
                }
            }
        }
    }
}

/// A body that a route takes.
pub(crate) fn valid(path: &str) -> Value {
    match path {
        "/api/conversations/" => json!({
            "conversation_id": "c-1", "customer_id": "u", "customer_ip_address": "::1", "device": "d", "source": "s", "language": "l",
            "name": "n", "environment": "dev", "metadata": {"a": {"b": [1, null]}}, "is_used": true, "timestamp": "2026-03-02T09:15:02.1+00:00"
        }),
        "/api/track/" => {
            json!({ "conversation_id": "c-1", "conversation": null, "sender": "agent", "content": "hi", "metadata": {"a": 1}, "timestamp": "2026-03-02T09:15:02Z" })
        }
        "/api/action_logs/" => json!({
            "conversation_id": "c-1", "action_name": "token_usage", "started_at": "2026-03-02T09:15:02Z", "ended_at": "2026-03-02T09:15:03Z", "duration_ms": 1,
            "tools_used": {"a": 1}, "response": "r", "error_msg": "e", "metadata": {"prompt_tokens": 1, "total_tokens": 2}, "timestamp": "2026-03-02T09:15:02Z"
        }),
        "/api/buttons/" => {
            json!({ "conversation_id": "c-1", "button_event": "e", "label": "l", "value": "v", "metadata": {}, "timestamp": "2026-03-02T09:15:02Z" })
        }
        "/api/attachments/" => json!({
            "conversation_id": "c-1", "conversation": "None", "message": "", "sender": "agent", "mode": "base64", "metadata": {},
            "attachments": [{"filename": "a.png", "mime_type": "image/png", "data": "aGk="}], "timestamp": "2026-03-02T09:15:02Z"
        }),
        "/api/conversation-feedbacks/" => {
            json!({ "conversation_id": "c-1", "sentiment": "neutral", "comment": "c", "metadata": {}, "timestamp": "2026-03-02T09:15:02Z" })
        }
        "/api/conversations/{id}/mark/" => json!({ "is_marked": true }),
        "/api/track/{id}/" => json!({ "metadata": {"a": {"b": [1, null]}} }),
        "/api/feedbacks/" => {
            json!({ "kind": "message", "message": 1, "sentiment": "neutral", "comment": "c", "topic": "t", "reason": "r", "metadata": {} })
        }
        "/api/feedbacks/{id}/" => json!({ "sentiment": "neutral", "comment": "c", "topic": "t", "reason": "r" }),
        "/api/tickets/" => json!({
            "title": "t", "status": "open", "priority": "low", "tags": ["a", "b"], "environment": "dev", "conversation_id": 1, "feedback_id": null
        }),
        "/api/tickets/{id}/" => json!({ "title": "t", "status": "open", "priority": "low", "tags": ["a", "b"] }),
        "/api/tickets/{id}/comments/" => json!({ "body": "b" }),
        "/api/actions/" | "/api/actions/{id}/" => {
            json!({ "name": "n", "display_name": "d", "description": "d" })
        }
        "/api/conversations/{id}/rename/" => json!({ "name": "n" }),
        _ => {
            json!({ "name": "n", "is_marked": true, "customer_id": "u", "device": "d", "language": "l", "metadata": {"a": 1} })
        }
    }
}

#[tokio::test]
async fn token_counters_of_any_kind_are_booked_or_ignored() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for (number, count) in [
        json!("many"),
        json!(-5),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MAX),
        json!(null),
        json!([1]),
        json!({}),
    ]
    .into_iter()
    .enumerate()
    {
        for field in ["prompt_tokens", "completion_tokens", "total_tokens", "embedding_tokens"] {
            let mut metadata =
                json!({ "prompt_tokens": i64::MAX, "completion_tokens": 1, "total_tokens": 1, "embedding_tokens": 1 });
            metadata[field] = count.clone();
            let answer = bot.post("/api/action_logs/", json!({ "conversation_id": format!("c-{number}"), "action_name": "token_usage", "metadata": metadata })).await;
            assert_eq!(answer.status, 201, "{metadata}: {}", answer.text());
        }
        let id = bot.fetch(&format!("c-{number}")).await["id"].clone();
        let whole = bot.get(&format!("/api/conversations/{id}/")).await;
        assert_eq!(whole.status, 200, "{count}: {}", whole.text());
    }
}

#[tokio::test]
async fn forms_that_are_none_are_refused_and_nothing_is_stored() {
    let limits = AttachmentLimits { request_bytes: 3_000_000, ..AttachmentLimits::default() };
    let app = TestApp::with(ServerConfig { attachments: limits, ..ServerConfig::default() }).await;
    let bot = app.bot().await;
    let before = app.contents();
    let whole = Form::default().text("conversation_id", "c-1").file("attachment_0", "a", "text/plain", b"x").bytes();
    let send = async |content_type: &str, body: Vec<u8>| {
        bot.send("POST", "/api/attachments/", &[("Content-Type", content_type)], body).await
    };
    let right = "multipart/form-data; boundary=d5a6f2b1c3";
    let parts = |count: usize| (0..count).fold(Form::default(), |form, n| form.text(&format!("p{n}"), "x")).bytes();
    let cases = [
        ("no boundary", "multipart/form-data", whole.clone()),
        ("another boundary", "multipart/form-data; boundary=other", whole.clone()),
        ("an empty boundary", "multipart/form-data; boundary=", whole.clone()),
        ("cut in the middle", right, whole[..whole.len() / 2].to_vec()),
        ("cut at the end", right, whole[..whole.len() - 30].to_vec()),
        ("empty", right, Vec::new()),
        ("garbage", right, vec![0xff; 100_000]),
        ("many parts", right, parts(10_000)),
        ("only boundaries", right, "--d5a6f2b1c3\r\n".repeat(50_000).into_bytes()),
        (
            "a huge part head",
            right,
            Form::default()
                .part(&format!("Content-Disposition: form-data; name=\"{}\"", "x".repeat(1_000_000)), b"x")
                .bytes(),
        ),
        (
            "many part heads",
            right,
            Form::default()
                .part(&format!("Content-Disposition: form-data; name=\"a\"{}", "\r\nX-A: b".repeat(50_000)), b"x")
                .bytes(),
        ),
        (
            "many files",
            right,
            (0..11)
                .fold(Form::default(), |form, n| form.file(&format!("attachment_{n}"), "a", "text/plain", b"x"))
                .bytes(),
        ),
        (
            "large metadata",
            right,
            Form::default()
                .text("metadata", &"x".repeat(300_000))
                .file("attachment_0", "a", "text/plain", b"x")
                .bytes(),
        ),
        (
            "metadata that is no object",
            right,
            Form::default()
                .text("conversation_id", "c-1")
                .text("metadata", "[]")
                .file("attachment_0", "a", "text/plain", b"x")
                .bytes(),
        ),
        (
            "metadata that is no JSON",
            right,
            Form::default()
                .text("conversation_id", "c-1")
                .text("metadata", "{\"a\"")
                .file("attachment_0", "a", "text/plain", b"x")
                .bytes(),
        ),
        (
            "deep metadata",
            right,
            Form::default()
                .text("conversation_id", "c-1")
                .text("metadata", &"{\"a\":".repeat(50_000))
                .file("attachment_0", "a", "text/plain", b"x")
                .bytes(),
        ),
        (
            "a timestamp that is none",
            right,
            Form::default()
                .text("conversation_id", "c-1")
                .text("timestamp", "\u{0}")
                .file("attachment_0", "a", "text/plain", b"x")
                .bytes(),
        ),
    ];
    for (what, content_type, body) in cases {
        assert_refused(&send(content_type, body).await, what);
    }
    assert_eq!(app.contents(), before);
    // JSON is what a body without a readable content type is.
    for content_type in ["text/plain", "", "multipart", "application/octet-stream; charset=\u{e9}"] {
        assert_refused(&send(content_type, whole.clone()).await, content_type);
    }
    assert_eq!(app.contents(), before);
}

#[tokio::test]
async fn a_compressed_body_is_415() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for encoding in ["gzip", "br", "nonsense", "gzip, gzip"] {
        let answer = bot.send("POST", "/api/track/", &[("Content-Encoding", encoding)], b"{}".to_vec()).await;
        assert_eq!(answer.status, 415, "{encoding}");
    }
    let plain = json!({ "conversation_id": "c-1", "sender": "agent", "content": "x" }).to_string().into_bytes();
    assert_eq!(bot.send("POST", "/api/track/", &[("Content-Encoding", "identity")], plain).await.status, 201);
}

#[tokio::test]
async fn heads_that_are_too_large_are_431_and_the_server_goes_on() {
    let app = TestApp::start().await;
    let many: String = (0..10_000).map(|n| format!("X-{n}: y\r\n")).collect();
    for (what, head) in [
        ("many headers", format!("GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n{many}\r\n")),
        (
            "a giant header",
            format!("GET /healthz HTTP/1.1\r\nHost: {HOST}\r\nX-Big: {}\r\n\r\n", "x".repeat(1_000_000)),
        ),
        ("a giant path", format!("GET /{} HTTP/1.1\r\nHost: {HOST}\r\n\r\n", "x".repeat(1_000_000))),
    ] {
        let answer = app.raw(head.as_bytes()).await;
        // A caller that goes on sending may find the connection gone.
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"),
            "{what}: {answer}"
        );
    }
    assert_eq!(app.stranger().get("/healthz").await.status, 200);
}

#[tokio::test]
async fn what_is_no_http_is_400_or_silence_and_the_server_goes_on() {
    let app = TestApp::start().await;
    let (_, key) = app.agent("helpdesk").with_named_key(agentsight_model::key::Role::Write).await;
    let before = app.contents();
    let head = format!("POST /api/track/ HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Api-Key {}\r\n", key.reveal());
    let body = r#"{"conversation_id": "c-1", "sender": "agent", "content": "hi"}"#;
    let cases: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\r\n\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"GET /healthz\r\n\r\n".to_vec(),
        b"\0\0\0\0".to_vec(),
        vec![0xff; 100_000],
        format!("GET /healthz HTTP/1.1\r\nHost : {HOST}\r\n\r\n").into_bytes(),
        format!("GET /healthz HTTP/1.1\r\nno colon\r\nHost: {HOST}\r\n\r\n").into_bytes(),
        format!("{head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{body}").into_bytes(),
        format!("{head}Content-Length: -1\r\n\r\n{body}").into_bytes(),
        format!("{head}Content-Length: 99999999999999999999999\r\n\r\n{body}").into_bytes(),
        format!("{head}Content-Length: 9999\r\n\r\n{body}").into_bytes(),
        format!("{head}Content-Length: 5\r\n\r\n{body}").into_bytes(),
        format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n").into_bytes(),
        format!("{head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{body}").into_bytes(),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nab").into_bytes(),
        format!("{head}Transfer-Encoding: gzip\r\n\r\n{body}").into_bytes(),
    ];
    for bytes in cases {
        let answer = app.raw(&bytes).await;
        let said = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
        for status in answer.split("HTTP/1.1 ").skip(1) {
            assert!(status.starts_with('4'), "{said:?}: {answer}");
        }
    }
    assert_eq!(app.contents(), before);
    assert_eq!(app.stranger().get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_body_in_chunks_is_as_good_as_one_with_a_length() {
    let app = TestApp::start().await;
    let (bot, key) = app.agent("helpdesk").with_named_key(agentsight_model::key::Role::Write).await;
    let body = r#"{"conversation_id": "c-1", "sender": "agent", "content": "hi"}"#;
    let (one, two) = body.split_at(20);
    let request = format!(
        "POST /api/track/ HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nAuthorization: Api-Key {}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        key.reveal(),
        one.len(),
        two.len()
    );
    let mut stream = app.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(bot.fetch("c-1").await["message_count"], 1);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_408_and_nothing_is_stored() {
    let app = TestApp::with(ServerConfig { body_timeout: Duration::from_millis(50), ..ServerConfig::default() }).await;
    let (_, key) = app.agent("helpdesk").with_named_key(agentsight_model::key::Role::Write).await;
    let before = app.contents();
    for path in ["/api/track/", "/api/attachments/"] {
        let mut stream = app.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Api-Key {}\r\nContent-Length: 100\r\n\r\n{{\"conv",
            key.reveal()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("{\"detail\":\"The request body did not arrive in time.\"}"), "{answer}");
    }
    assert_eq!(app.contents(), before);
}

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_ends_its_connection_and_no_other() {
    let app = TestApp::with(ServerConfig { head_timeout: Duration::from_millis(50), ..ServerConfig::default() }).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = app.connect().await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nX-Slow: ").await.unwrap();
        streams.push(stream);
    }
    assert_eq!(app.stranger().get("/healthz").await.status, 200);
    for mut stream in streams {
        let mut answer = Vec::new();
        // Closed, with or without a word.
        let _ = within(stream.read_to_end(&mut answer)).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn paths_of_any_bytes_lead_nowhere() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for path in [
        "/api/conversations/%/",
        "/api/conversations/%zz/",
        "/api/conversations/%00/",
        "/api/conversations/%ff%fe/",
        "/api/track/%2e%2e%2f/",
        "/api/conversations/../../etc/passwd",
        "/files/../../etc/passwd",
        "/files/1/1/..%2f..%2fagentsight.db",
        "/docs/../../Cargo.toml",
        "/docs/..%2f..%2fCargo.toml",
        "/api/conversations/99999999999999999999/",
        "/api/conversations/-1/",
        "/api/conversations/1e3/",
        "/api/conversations/0x1/",
        "/api/conversations/%D9%A1/",
    ] {
        let answer = bot.get(path).await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
    }
    for (method, path) in
        [("POST", "mark/"), ("PATCH", "rename/"), ("PATCH", "update/"), ("DELETE", "delete/"), ("DELETE", "")]
    {
        for id in ["99999999999999999999", "9223372036854775807", "-1", "0", "%FF"] {
            let answer = bot
                .json(method, &format!("/api/conversations/{id}/{path}"), r#"{"name": "x", "is_marked": true}"#)
                .await;
            assert_eq!(answer.status, 404, "{method} {id}/{path}");
        }
    }
}

#[tokio::test]
async fn queries_of_any_bytes_are_answered() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    bot.post(
        "/api/track/",
        json!({ "conversation_id": "c-1", "sender": "agent", "content": "100% of 'quoted\" text* AND NEAR(a b) \\ _" }),
    )
    .await;
    let nasty = [
        "%22",
        "%27",
        "%25",
        "_",
        "*",
        "AND",
        "OR",
        "NOT",
        "NEAR(",
        "NEAR(a%20b,%201)",
        "%22%22",
        "a%22b",
        "%27%20or%201=1--",
        "%00",
        "a%00b",
        "%FF%FE",
        "%C3%28",
        "%",
        "%zz",
        "^a",
        "a%5E2",
        "%7Bx%7D",
        "content:a",
        "-a",
        "%2Ba",
        "%28",
        "%29",
        "%5C",
        "%5C%22",
        "a:b",
        ":",
        ",",
        ":,:",
        ".",
        "%F0%9F%98%80",
        "%E2%80%AE",
        "%20",
        "+",
        "%0A",
    ];
    for name in [
        "search",
        "message_contains",
        "name",
        "customer_id",
        "customer_id__icontains",
        "conversation_id",
        "action_name",
        "device",
        "language",
        "metadata",
        "metadata_key",
        "ordering",
        "page",
        "page_size",
        "env",
        "started_at_after",
    ] {
        for value in nasty {
            let answer =
                bot.get(&format!("/api/conversations/?full=false&{name}={value}&metadata_value={value}")).await;
            assert!(answer.status < 500, "{name}={value}: {}", answer.text());
        }
    }
    for value in nasty {
        for path in ["lookup/?conversation_id=", "metadata-values/?key="] {
            let answer = bot.get(&format!("/api/conversations/{path}{value}")).await;
            assert!(answer.status < 500, "{path}{value}: {}", answer.text());
        }
    }
    for text in [
        "%25 of",
        "%27quoted%22",
        "text%2A",
        "NEAR%28a b%29".replace(' ', "%20").as_str(),
        "%5C _".replace(' ', "%20").as_str(),
    ] {
        let text = text.replace(' ', "%20");
        assert_eq!(bot.get(&format!("/api/conversations/?message_contains={text}")).await.json()["count"], 1, "{text}");
    }
}

#[tokio::test]
async fn a_query_of_five_thousand_values_is_answered() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let repeat = |pair: &str| vec![pair; 5_000].join("&");
    for query in [repeat("search=a"), repeat("metadata=a:1"), repeat("page=1"), repeat("a"), repeat("="), repeat("x=1")]
    {
        assert_eq!(bot.get(&format!("/api/conversations/?{query}")).await.status, 200);
    }
    for (name, value, glue) in [
        ("search", "a", "+"),
        ("metadata", "a:1", ","),
        ("ordering", "-id", ","),
        ("ordering", "language", ","),
        ("message_contains", "a", "%20"),
    ] {
        let value = vec![value; 5_000].join(glue);
        let answer = bot.get(&format!("/api/conversations/?{name}={value}")).await;
        assert!(answer.status < 500, "{name}: {} {}", answer.status, answer.text());
    }
    let names: String = (0..5_000).map(|n| format!("p{n}=1&")).collect();
    let answer = bot.get(&format!("/api/conversations/?{names}")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.all("warning").len() <= 16);
}
