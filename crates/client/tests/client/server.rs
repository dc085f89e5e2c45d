//! A server of one port that remembers every request and answers as it was told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentsight::{AgentSight, Builder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const KEY: &str = "ags_0123456789abcdef0123456789abcdef_00ff00";

/// What the server does with a request.
pub(crate) enum Play {
    /// Status, further header lines, body.
    Answer(u16, &'static str, Vec<u8>),
    /// Closes the connection without a word.
    HangUp,
    /// Promises more bytes than it sends.
    BreakOff,
    /// Says nothing.
    Silence,
}

pub(crate) fn ok(body: &Value) -> Play {
    status(200, body)
}

pub(crate) fn status(status: u16, body: &Value) -> Play {
    Play::Answer(status, "", body.to_string().into_bytes())
}

pub(crate) fn refused(code: u16) -> Play {
    status(code, &json!({ "detail": "no" }))
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `GET /path?query`
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body, its timestamp checked and taken out.
    pub(crate) fn json(&self) -> Value {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap();
        if let Some(timestamp) = body.as_object_mut().unwrap().remove("timestamp") {
            timestamp.as_str().unwrap().parse::<agentsight::Timestamp>().unwrap();
        }
        body
    }
}

/// Ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Plays these answers, one per request; past the last it answers 599.
    pub(crate) async fn playing(plays: impl IntoIterator<Item = Play>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut plays: VecDeque<Play> = plays.into_iter().collect();
        let requests = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(request) = read(&mut stream).await else { continue };
                requests.lock().unwrap().push(request);
                let (code, headers, body) = match plays.pop_front() {
                    None => (599, "", b"{\"detail\": \"the script is over\"}".to_vec()),
                    Some(Play::Answer(code, headers, body)) => (code, headers, body),
                    Some(Play::HangUp) => continue,
                    Some(Play::BreakOff) => {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{").await;
                        continue;
                    }
                    Some(Play::Silence) => {
                        silent.push(stream);
                        continue;
                    }
                };
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {code} X\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n");
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(&body).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { endpoint, seen }
    }

    /// A client with short pauses.
    pub(crate) fn builder(&self) -> Builder {
        AgentSight::builder().api_key(KEY).endpoint(&self.endpoint).backoff(Duration::from_millis(1))
    }

    pub(crate) fn client(&self) -> AgentSight {
        self.builder().build().unwrap()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// First lines of all requests.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.line).collect()
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut request = Request {
        line: head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned(),
        head,
        body: bytes.split_off(end + 4),
    };
    let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    while request.body.len() < length {
        if stream.read_buf(&mut request.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(request)
}

/// A row as the list answers it, without a transcript.
pub(crate) fn row(id: i64, name: &str) -> Value {
    json!({
        "id": id, "agent": 3, "conversation_id": name, "name": "Late parcel", "customer_id": "c-204",
        "customer_ip_address": null, "device": "mobile", "source": "whatsapp", "language": "hr",
        "environment": "production", "environment_id": 5, "metadata": {"tier": "gold"},
        "started_at": "2026-03-02T09:15:00.000001Z", "ended_at": "2026-03-02T09:15:00.000001Z",
        "message_count": 0, "feedback_count": 0, "is_marked": false, "is_used": true,
        "is_deleted": false, "deleted_at": null, "geo_location": null
    })
}

/// A whole conversation as it is answered.
pub(crate) fn whole(id: i64, name: &str) -> Value {
    let mut whole = row(id, name);
    whole["messages"] = json!([message(103)]);
    whole["feedbacks"] = json!([]);
    whole
}

pub(crate) fn message(id: i64) -> Value {
    json!({
        "id": id, "conversation": 42, "timestamp": "2026-03-02T09:15:02.100000Z", "sender": "end_user",
        "content": "Where is my parcel?", "action_name": null, "metadata": {"channel": "wa"},
        "attachments": [], "action_logs": [], "button": null, "feedback": null
    })
}

pub(crate) fn action_log() -> Value {
    json!({
        "id": 50, "action": 7, "message": 104, "started_at": "2026-03-02T09:15:02.400000Z",
        "ended_at": "2026-03-02T09:15:02.550000Z", "duration_ms": 150, "tools_used": {"order": "A-9"},
        "response": "shipped", "error_message": "", "metadata": {}
    })
}

pub(crate) fn stored(endpoint: &str) -> Value {
    json!({
        "id": 201, "message": 103, "conversation": 42, "conversation_id": "order-chat-7781",
        "attachments": [{
            "id": 201, "message": 103, "type": "image", "filename": "photo.png", "mime_type": "image/png",
            "size_bytes": 4, "file_url": format!("{endpoint}/files/201?sig=abc")
        }]
    })
}

/// A page of `rows`, one of `total` pages of two rows.
pub(crate) fn page(rows: &[Value], number: u32, total: u32) -> Value {
    let next = (number < total).then(|| "http://elsewhere.example/api/conversations/?page=9".to_owned());
    json!({
        "count": total * 2, "page_size": 2, "total_pages": total, "current_page": number,
        "next": next, "previous": null, "results": rows
    })
}
