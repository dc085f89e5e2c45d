//! Files: the five bodies in which they come, their limits, and the links by which they go
//! (contract: tracking-v0 §7, reading §3.4).

use std::time::Duration;

use agentsight_model::limits::AttachmentLimits;
use agentsight_server::ServerConfig;
use agentsight_store::BucketConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::app::{Bot, Form, HOST, TestApp, base64, within};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

async fn question(bot: &Bot<'_>) -> Value {
    bot.post(
        "/api/track/",
        json!({ "conversation_id": "c-1", "sender": "agent", "content": "?", "timestamp": "2026-03-02T09:15:02Z" }),
    )
    .await
    .json()
}

/// Path and query of a link.
fn local(url: &Value) -> String {
    url.as_str().unwrap().strip_prefix(&format!("http://{HOST}")).unwrap().to_owned()
}

#[tokio::test]
async fn json_files_without_a_message_get_one() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let conversation = bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await.id();

    let answer = bot
        .post("/api/attachments/", json!({
            "timestamp": "2026-03-02T09:16:00+00:00",
            "attachments": [{"filename": "invoice.pdf", "mime_type": "application/pdf", "data": "JVBERi0="}, {"data": base64(PNG)}],
            "metadata": {"a": 1}, "mode": "base64", "sender": "agent", "conversation_id": "c-1", "conversation": null
        }))
        .await;

    let (id, message) = (answer.id(), answer.json()["message"].as_i64().unwrap());
    let file = |id: i64, kind: &str, name: &str, mime: &str, size: usize| {
        json!({
            "id": id, "message": message, "type": kind, "filename": name, "mime_type": mime, "size_bytes": size,
            "file_url": format!("http://{HOST}/files/1/{conversation}/{id}?expires=1772447400&sig=…")
        })
    };
    let files = json!([
        file(id, "document", "invoice.pdf", "application/pdf", 5),
        file(id + 1, "image", "attachment_1", "image/png", 8),
    ]);
    assert_eq!(
        answer.whole(),
        (
            201,
            json!({ "id": id, "message": message, "conversation": conversation, "conversation_id": "c-1", "attachments": files })
        )
    );
    assert_eq!(
        bot.get(&format!("/api/track/{message}/")).await.whole(),
        (
            200,
            json!({
                "id": message, "conversation": conversation, "timestamp": "2026-03-02T09:16:00Z", "sender": "agent", "content": "[Attachments]",
                "action_name": null, "metadata": {"a": 1}, "attachments": files, "action_logs": [], "button": null, "feedback": null
            })
        )
    );
}

#[tokio::test]
async fn json_files_of_a_message_hang_on_it_and_leave_it_as_it_is() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let question = question(&bot).await;
    let (message, conversation) = (question["id"].clone(), question["conversation"].clone());
    for (number, names) in [
        json!({ "conversation": conversation.to_string(), "conversation_id": "c-1" }),
        json!({ "conversation": "None", "conversation_id": "None" }),
        json!({ "conversation": conversation.to_string(), "message": message.to_string() }),
        json!({}),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = json!({
            "timestamp": format!("2026-03-02T09:16:0{number}+00:00"), "message": message, "sender": "end_user", "metadata": {"x": 1},
            "attachments": [{"filename": format!("{number}.png"), "mime_type": "image/png", "data": "iVBORw=="}]
        });
        body.as_object_mut().unwrap().extend(names.as_object().unwrap().clone());
        let answer = bot.post("/api/attachments/", body.clone()).await;
        assert_eq!((answer.status, &answer.json()["message"]), (201, &message), "{body}");
    }
    let mut now = bot.get(&format!("/api/track/{message}/")).await.json();
    assert_eq!(now["attachments"].as_array().unwrap().len(), 4);
    now["attachments"] = json!([]);
    assert_eq!(now, question);
}

#[tokio::test]
async fn a_form_without_a_message_gets_one() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let conversation = bot.post("/api/conversations/", json!({ "conversation_id": "c-1" })).await.id();
    let form = Form::default()
        .text("timestamp", "2026-03-02T09:16:00+00:00")
        .text("conversation", &conversation.to_string())
        .text("sender", "end_user")
        .text("mode", "form_data")
        .text("metadata", "null")
        .file("attachment_0", "a b.txt", "text/plain", b"hello")
        .file("anything", "photo.png", "image/png", PNG);

    let answer = bot.form("/api/attachments/", &form).await;

    let files = answer.json()["attachments"].clone();
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(
        (&files[0]["filename"], &files[0]["type"], &files[0]["size_bytes"]),
        (&json!("a b.txt"), &json!("text"), &json!(5))
    );
    assert_eq!((&files[1]["filename"], &files[1]["type"]), (&json!("photo.png"), &json!("image")));
    assert_eq!(bot.fetch("c-1").await["messages"][0]["content"], "[Attachments]");
}

#[tokio::test]
async fn a_form_names_its_message_after_its_files() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let message = question(&bot).await["id"].clone();
    let form = Form::default()
        .text("timestamp", "2026-03-02T09:16:00+00:00")
        .text("conversation", "None")
        .text("sender", "agent")
        .text("mode", "form_data")
        .text("metadata", "{}")
        .file("attachment_0", "photo.png", "image/png", PNG)
        .text("message", &message.to_string());

    let answer = bot.form("/api/attachments/", &form).await;
    let again = bot.form("/api/attachments/", &form).await;

    assert_eq!((answer.status, &answer.json()["message"]), (201, &message));
    assert_eq!((again.status, again.id()), (200, answer.id()));
}

#[tokio::test]
async fn a_form_that_names_no_conversation_is_refused() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let before = app.contents();
    let form = Form::default().text("timestamp", "2026-03-02T09:16:00Z").file("attachment_0", "a", "text/plain", b"x");

    let answer = bot.form("/api/attachments/", &form).await;

    assert_eq!(answer.whole(), (400, json!({ "conversation_id": ["This field is required."] })));
    assert_eq!(app.contents(), before);
}

#[tokio::test]
async fn a_message_that_is_not_there_or_elsewhere_is_404() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let message = question(&bot).await["id"].clone();
    let other = bot.post("/api/conversations/", json!({ "conversation_id": "c-2" })).await.id();
    let before = app.contents();
    let body = |names: Value| {
        let mut body = json!({ "attachments": [{"filename": "f.png", "data": "cG5n"}] });
        body.as_object_mut().unwrap().extend(names.as_object().unwrap().clone());
        body
    };
    for (names, missing) in [
        (json!({ "conversation": other.to_string(), "message": message.to_string() }), message.clone()),
        (json!({ "message": 9_999 }), json!(9_999)),
        (json!({ "conversation": other, "message": "9999" }), json!(9_999)),
    ] {
        let answer = bot.post("/api/attachments/", body(names.clone())).await;
        assert_eq!(answer.whole(), (404, json!({ "detail": format!("Message {missing} not found") })), "{names}");
    }
    assert_eq!(app.contents(), before);
    let own = bot.post("/api/attachments/", body(json!({ "conversation": other, "message": "" }))).await;
    assert_eq!((own.status, &own.json()["conversation"]), (201, &json!(other)), "an empty message is none");
}

#[tokio::test]
async fn a_request_without_files_says_so() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let none = (400, json!({ "error": "No attachment files found" }));
    for body in [
        json!({ "conversation_id": "c-1" }),
        json!({ "conversation_id": "c-1", "attachments": [] }),
        json!({ "attachments": null }),
    ] {
        assert_eq!(bot.post("/api/attachments/", body).await.whole(), none);
    }
    assert_eq!(bot.form("/api/attachments/", &Form::default().text("conversation_id", "c-1")).await.whole(), none);
}

#[tokio::test]
async fn base64_is_read_as_people_write_it_and_otherwise_refused_with_its_number() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let post = async |data: Value| {
        let ok = json!({ "filename": "ok", "data": "" });
        bot.post(
            "/api/attachments/",
            json!({ "conversation_id": "c-1", "attachments": [ok, { "filename": "f.bin", "data": data }] }),
        )
        .await
    };
    let bytes = [0xfb, 0xef, 0xbe, 0xff, 0xfe];
    for text in ["++++//4=", "----__4", "++++ //\\n4=".replace("\\n", "\n").as_str(), "data:image/png;base64,++++//4="]
    {
        let answer = post(text.into()).await;
        assert_eq!(answer.status, 201, "{text:?} {}", answer.text());
        let file = app.stranger().get(&local(&answer.json()["attachments"][1]["file_url"])).await;
        assert_eq!(file.body, bytes, "{text:?}");
    }
    let before = app.contents();
    for data in [json!("{}"), json!("a"), json!(["aGk="]), json!(null)] {
        let answer = post(data.clone()).await;
        assert_eq!(
            answer.whole(),
            (400, json!({ "attachments": ["Attachment 2: data is not valid base64."] })),
            "{data}"
        );
    }
    assert_eq!(app.contents(), before, "all files of a request, or none");
}

fn small() -> ServerConfig {
    ServerConfig {
        attachments: AttachmentLimits { file_bytes: 10, files: 2, request_bytes: 2_000 },
        ..ServerConfig::default()
    }
}

#[tokio::test]
async fn past_a_limit_is_413_and_names_the_limit_and_the_file() {
    let app = TestApp::with(small()).await;
    let bot = app.bot().await;
    let before = app.contents();
    let file = |name: &str, size: usize| json!({ "filename": name, "data": base64(&vec![b'x'; size]) });
    let json = |files: Vec<Value>| json!({ "conversation_id": "c-1", "attachments": files });

    let large = (413, json!({ "detail": "Attachment \"b.bin\" is too large: 11 bytes, at most 10 per file." }));
    let many = (413, json!({ "detail": "Too many attachments: 3 files, at most 2 per request." }));
    let heavy =
        (413, json!({ "detail": "Request is too large: at most 2000 bytes for all files of a request, as sent." }));
    assert_eq!(bot.post("/api/attachments/", json(vec![file("a", 10), file("b.bin", 11)])).await.whole(), large);
    assert_eq!(bot.post("/api/attachments/", json(vec![file("a", 1), file("b", 1), file("c", 1)])).await.whole(), many);
    assert_eq!(bot.post("/api/attachments/", json(vec![file("a", 2_000)])).await.whole(), heavy);
    let form = || Form::default().text("conversation_id", "c-1").file("attachment_0", "a", "text/plain", b"x");
    assert_eq!(
        bot.form("/api/attachments/", &form().file("attachment_1", "b.bin", "text/plain", b"01234567890"))
            .await
            .whole(),
        large
    );
    let three = form().file("attachment_1", "b", "text/plain", b"y").file("attachment_2", "c", "text/plain", b"z");
    assert_eq!(bot.form("/api/attachments/", &three).await.whole(), many);
    assert_eq!(
        bot.form("/api/attachments/", &form().file("attachment_1", "b", "text/plain", &[b'x'; 2_000])).await.whole(),
        heavy
    );
    assert_eq!(app.contents(), before);
    assert_eq!(
        bot.post("/api/attachments/", json(vec![file("a", 10), file("b", 10)])).await.status,
        201,
        "the limits themselves fit"
    );
}

#[tokio::test]
async fn a_request_far_too_large_still_hears_why() {
    let app = TestApp::start().await;
    let bot = app.bot().await;

    let answer = bot.json("POST", "/api/attachments/", vec![b' '; 41 * 1024 * 1024]).await;
    let text = bot.json("POST", "/api/track/", vec![b' '; 9 * 1024 * 1024]).await;
    let nobody = app.stranger().json("POST", "/api/attachments/", vec![b' '; 30 * 1024 * 1024]).await;

    assert_eq!(
        answer.whole(),
        (413, json!({ "detail": "Request is too large: at most 41943040 bytes for all files of a request, as sent." }))
    );
    assert_eq!(text.whole(), (413, json!({ "detail": "Request body is too large: at most 8388608 bytes." })));
    assert_eq!(nobody.status, 401);
}

#[tokio::test]
async fn a_link_gives_the_bytes_back_without_any_header() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let bytes: Vec<u8> = (0..=255).collect();
    let body = json!({ "conversation_id": "c-1", "attachments": [{ "filename": "šime \"1\".png", "mime_type": "image/png", "data": base64(&bytes) }] });
    let url = bot.post("/api/attachments/", body).await.json()["attachments"][0]["file_url"].clone();

    let file = app.stranger().get(&local(&url)).await;

    assert_eq!((file.status, &file.body), (200, &bytes));
    assert_eq!(file.header("content-type"), Some("image/png"));
    assert_eq!(
        file.header("content-disposition"),
        Some("inline; filename=\"_ime _1_.png\"; filename*=UTF-8''%C5%A1ime%20%221%22.png")
    );
    assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(file.header("content-security-policy"), Some("default-src 'none'; sandbox"));
}

#[tokio::test]
async fn what_could_run_in_a_browser_is_downloaded() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for mime_type in ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript"] {
        let body = json!({ "conversation_id": "c-1", "attachments": [{ "filename": "x", "mime_type": mime_type, "data": "aGk=" }] });
        let url = bot.post("/api/attachments/", body).await.json()["attachments"][0]["file_url"].clone();
        let file = app.stranger().get(&local(&url)).await;
        assert_eq!(file.header("content-type"), Some(mime_type));
        assert!(file.header("content-disposition").unwrap().starts_with("attachment;"), "{mime_type}");
    }
}

#[tokio::test]
async fn a_link_ends_after_an_hour_and_cannot_be_altered() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    let files = json!([{ "filename": "a", "data": "aGk=" }, { "filename": "b", "data": "aG8=" }]);
    let answer = bot.post("/api/attachments/", json!({ "conversation_id": "c-1", "attachments": files })).await.json();
    let path = local(&answer["attachments"][0]["file_url"]);
    let (id, next) = (answer["id"].to_string(), (answer["id"].as_i64().unwrap() + 1).to_string());
    let invalid = (403, json!({ "detail": "This link is not valid." }));
    let (place, query) = path.split_once('?').unwrap();
    for altered in [
        place.to_owned(),
        format!("{place}?expires=9999999999"),
        path.replace("expires=1772447400", "expires=1772447401"),
        path.replace(&format!("/{id}?"), &format!("/{next}?")),
        path.replace("/files/1/", "/files/2/"),
        path.replace("expires=1772447400", "expires=soon"),
        format!("{}0", &path[..path.len() - 1]).replace("sig=", "sig=0"),
    ] {
        assert_eq!(app.stranger().get(&altered).await.whole(), invalid, "{altered}");
    }
    for nonsense in [
        format!("/files/x/y/z?{query}"),
        format!("/files/1/1/99999999999999999999?{query}"),
        "/files/%FF/1/1".to_owned(),
    ] {
        let answer = app.stranger().get(&nonsense).await;
        assert!(answer.status == 404 || answer.status == 403, "{nonsense} {}", answer.status);
    }
    app.advance(Duration::from_secs(60 * 60));
    assert_eq!(app.stranger().get(&path).await.status, 200);
    app.advance(Duration::from_secs(1));
    let expired = app.stranger().get(&path).await;
    assert_eq!(
        expired.whole(),
        (403, json!({ "detail": "This link has expired; fetch the conversation again for a new one." }))
    );
}

#[tokio::test]
async fn names_are_data_and_never_paths() {
    let app = TestApp::start().await;
    let bot = app.bot().await;
    for name in [
        "../../../../etc/passwd",
        "/etc/passwd",
        "..\\..\\x",
        "a\r\nSet-Cookie: x",
        "con",
        ".",
        "%2e%2e%2f",
        "\u{202e}gpj.exe",
    ] {
        let body = json!({ "conversation_id": "c-1", "attachments": [{ "filename": name, "mime_type": "text/plain", "data": "aGk=" }] });
        let answer = bot.post("/api/attachments/", body).await;
        assert_eq!(answer.status, 201, "{name}");
        let file = app.stranger().get(&local(&answer.json()["attachments"][0]["file_url"])).await;
        assert_eq!((file.status, file.body.as_slice()), (200, b"hi".as_slice()), "{name}");
        assert!(file.header("set-cookie").is_none());
    }
    let mut files: Vec<_> = std::fs::read_dir(app.folder()).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.retain(|name| !["agentsight.db", "search.db"].iter().any(|own| name.to_string_lossy().starts_with(own)));
    assert_eq!(files, ["blobs"]);
    let long = format!("{}.pdf", "ä".repeat(300));
    let body = json!({ "conversation_id": "c-1", "attachments": [{ "filename": long, "data": "aGk=" }] });
    let name =
        bot.post("/api/attachments/", body).await.json()["attachments"][0]["filename"].as_str().unwrap().to_owned();
    assert_eq!((name.chars().count(), name.ends_with("ä.pdf")), (255, true));
}

/// A link to a file of these bytes.
async fn link(bot: &Bot<'_>, bytes: &[u8]) -> String {
    let form = Form::default()
        .text("timestamp", "2026-03-02T09:16:00+00:00")
        .text("conversation_id", "c-1")
        .text("sender", "end_user")
        .file("attachment_0", "sound.mp3", "audio/mpeg", bytes);
    local(&bot.form("/api/attachments/", &form).await.json()["attachments"][0]["file_url"])
}

#[tokio::test]
async fn a_player_gets_the_part_that_it_asks_for() {
    let app = TestApp::start().await;
    let path = link(&app.bot().await, b"abcdefghij").await;
    let ask = async |range: &str| app.stranger().send("GET", &path, &[("Range", range)], Vec::new()).await;

    let whole = app.stranger().get(&path).await;
    assert_eq!(
        (whole.status, whole.header("accept-ranges"), &whole.body[..]),
        (200, Some("bytes"), &b"abcdefghij"[..])
    );
    assert_eq!(whole.header("content-range"), None);
    for (range, shown, bytes) in [
        ("bytes=0-", "bytes 0-9/10", "abcdefghij"),
        ("bytes=2-4", "bytes 2-4/10", "cde"),
        ("bytes=8-99", "bytes 8-9/10", "ij"),
        ("bytes=-3", "bytes 7-9/10", "hij"),
    ] {
        let part = ask(range).await;
        assert_eq!(
            (part.status, part.header("content-range"), part.text()),
            (206, Some(shown), bytes.to_owned()),
            "{range}"
        );
        assert_eq!(part.header("content-type"), Some("audio/mpeg"));
    }
    for range in ["bytes=10-", "bytes=99-100", "bytes=-0"] {
        let nothing = ask(range).await;
        assert_eq!(nothing.whole(), (416, json!({ "detail": "The file has 10 bytes." })), "{range}");
        assert_eq!(nothing.header("content-range"), Some("bytes */10"));
    }
    for range in ["bytes=0-1,4-5", "bytes=4-2", "lines=0-1", "bytes", ""] {
        let whole = ask(range).await;
        assert_eq!((whole.status, whole.text()), (200, "abcdefghij".to_owned()), "{range}");
    }
}

#[tokio::test]
async fn the_head_of_a_file_says_how_long_it_is() {
    let app = TestApp::start().await;
    let path = link(&app.bot().await, b"abcdefghij").await;

    let head = app.stranger().send("HEAD", &path, &[], Vec::new()).await;

    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("10"), 0));
}

#[tokio::test]
async fn a_file_goes_out_in_pieces_and_waits_for_its_reader() {
    let app = TestApp::start().await;
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    let path = link(&app.bot().await, &bytes).await;
    let mut stream = app.connect().await;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();

    let mut first = [0; 16];
    within(stream.read_exact(&mut first)).await.unwrap();
    // The rest is still on disk: what is removed there is missing here, and the connection is cut.
    for shelf in std::fs::read_dir(app.folder().join("blobs")).unwrap() {
        for file in std::fs::read_dir(shelf.unwrap().path()).unwrap() {
            std::fs::OpenOptions::new().write(true).open(file.unwrap().path()).unwrap().set_len(0).unwrap();
        }
    }
    let mut rest = Vec::new();
    let _ = within(stream.read_to_end(&mut rest)).await;

    assert!(rest.len() < bytes.len(), "{} bytes were held for a reader who did not read", rest.len());
}

#[tokio::test]
async fn a_file_that_is_lost_is_a_failure_of_the_server() {
    let app = TestApp::start().await;
    let path = link(&app.bot().await, b"abc").await;
    std::fs::remove_dir_all(app.folder().join("blobs")).unwrap();

    let answer = app.stranger().get(&path).await;

    assert_eq!(answer.whole(), (500, json!({ "detail": "The server failed to do this; its log says why." })));
}

#[tokio::test]
async fn a_bucket_that_is_away_is_told_and_nothing_is_stored() {
    let bucket = BucketConfig {
        // Nobody listens there.
        endpoint: Some("http://127.0.0.1:1".to_owned()),
        region: Some("eu-central-1".to_owned()),
        allow_http: true,
        access_key: Some("somebody".to_owned().into()),
        secret_key: Some("something".to_owned().into()),
        ..BucketConfig::new("s3://files/prefix".parse().unwrap())
    };
    let app = TestApp::over(bucket).await;
    let bot = app.bot().await;
    let before = app.contents();

    let body = json!({ "conversation_id": "c-1", "attachments": [{ "filename": "x", "data": "aGk=" }] });
    let upload = bot.post("/api/attachments/", body).await;
    let ready = app.stranger().get("/readyz").await;

    let detail = json!({ "detail": "The attachment storage is not available, try again later." });
    assert_eq!((upload.whole(), upload.header("retry-after")), ((503, detail), Some("5")));
    assert_eq!(app.contents(), before);
    let (status, body) = ready.whole();
    assert_eq!((status, &body["status"]), (503, &json!("failing")));
    let failing: Vec<_> = body["failing"].as_object().unwrap().keys().collect();
    assert_eq!(failing, ["attachments"]);
    let sentence = body["failing"]["attachments"].as_str().unwrap();
    assert!(sentence.starts_with("attachment storage failed: s3://files/prefix cannot be reached: "), "{sentence}");
    assert!(!sentence.contains("something"), "{sentence}");
    assert_eq!(app.stranger().get("/healthz").await.status, 200);
    bot.post("/api/track/", json!({ "conversation_id": "c-1", "sender": "end_user", "content": "hi" })).await.id();
}
