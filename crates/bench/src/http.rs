//! A minimal HTTP/1.1 client: one kept-alive connection, bytes in, bytes out.
//!
//! Server and load share the machine, so every microsecond spent here is missing there. A general
//! client would cost about as much as the server does. What is absent on purpose: chunked bodies
//! (the product answers with a length), redirects, compression (the bare server does not compress
//! either, and both must send the same bytes), reconnecting (a closed connection is a finding).

use std::fmt::{Arguments, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use memchr::memmem;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::{Context, Result};

/// The key that the server is seeded with. Fixed, so that a kept store can be opened again.
pub(crate) const API_KEY: &str = "ags_00be4c0000be4c0000be4c0000be4c00_be4c00";

/// How long an answer may take outside of a measurement, where nothing else would notice a hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// Writes a GET into `out`, replacing what was there.
pub(crate) fn write_get(out: &mut Vec<u8>, path: Arguments<'_>) {
    let mut text = reuse(out);
    let _infallible = write!(
        text,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Api-Key {API_KEY}\r\nAccept: */*\r\n\r\n"
    );
    *out = text.into_bytes();
}

/// Writes a POST with a JSON body into `out`, replacing what was there.
pub(crate) fn write_post(out: &mut Vec<u8>, path: Arguments<'_>, body: &str) {
    let mut text = reuse(out);
    let _infallible = write!(
        text,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Api-Key {API_KEY}\r\nAccept: */*\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    *out = text.into_bytes();
}

/// The buffer's memory as an empty text.
fn reuse(out: &mut Vec<u8>) -> String {
    let mut bytes = std::mem::take(out);
    bytes.clear();
    String::from_utf8(bytes).unwrap_or_default()
}

/// What stands before a body.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Bytes of the head, the blank line included.
    length: usize,
    body_length: usize,
}

/// Reads the head of an answer; `None` while its end has not arrived.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(bytes.get(..end).unwrap_or_default()).context("head of an answer")?;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| format!("not a status line of HTTP/1.1: {first:?}"))?;
    let length_line = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.trim());
    let body_length = match (length_line, status) {
        (Some(value), _) => value.parse().context("content-length")?,
        (None, 204 | 304) => 0,
        (None, _) => return Err(format!("answer {status} without content-length").into()),
    };
    Ok(Some(Head { status, length: end + 4, body_length }))
}

/// One answer, borrowed from the connection's buffer.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// 200 or 201: what the contract answers when it did what was asked.
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.status, 200 | 201)
    }

    /// The body as `T`, or an error that quotes what came instead.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let quote = || String::from_utf8_lossy(self.body.get(..300).unwrap_or(self.body)).into_owned();
        if !self.is_success() {
            return Err(format!("answer {}: {}", self.status, quote()).into());
        }
        serde_json::from_slice(self.body).context(format_args!("answer {}", quote()))
    }
}

/// A kept-alive connection with at most one request under way.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the last answer's body stands in the buffer.
    body: Range<usize>,
}

impl Connection {
    /// Connects, with small packets sent at once.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context(format_args!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024), body: 0..0 })
    }

    /// Sends one prepared request and waits for the whole answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await.context("send a request")?;
        self.buffer.clear();
        let mut head: Option<Head> = None;
        loop {
            if head.is_none() {
                head = parse_head(&self.buffer)?;
            }
            if let Some(Head { status, length, body_length }) = head
                && self.buffer.len() >= length + body_length
            {
                self.body = length..length + body_length;
                return Ok(self.last(status));
            }
            self.buffer.reserve(16 * 1024);
            if self.stream.read_buf(&mut self.buffer).await.context("read an answer")? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }

    /// The answer that [`Self::send`] gave last, for whoever could not keep it borrowed.
    pub(crate) fn last(&self, status: u16) -> Answer<'_> {
        Answer { status, body: self.buffer.get(self.body.clone()).unwrap_or_default() }
    }

    /// A GET outside of a measurement.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer<'_>> {
        let mut request = Vec::new();
        write_get(&mut request, format_args!("{path}"));
        timeout(PATIENCE, self.send(&request)).await.context(format_args!("GET {path}"))?
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let answer = b"HTTP/1.1 201 Created\r\nX-A: b\r\ncontent-LENGTH:  12 \r\n\r\n{\"id\": 1234}";
        let head = parse_head(answer).unwrap().unwrap();
        assert_eq!(head, Head { status: 201, length: answer.len() - 12, body_length: 12 });
        for cut in 0..head.length {
            assert_eq!(parse_head(&answer[..cut]).unwrap(), None, "at {cut}");
        }
    }

    #[test]
    fn a_missing_length_is_an_error_unless_no_body_can_follow() {
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert_eq!(parse_head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap().body_length, 0);
        assert!(parse_head(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n").is_err());
        assert!(parse_head(b"SSH-2.0-x\r\n\r\n").is_err());
    }

    #[test]
    fn requests_reuse_their_buffer() {
        let mut request = b"something longer that was there before, much longer than needed".to_vec();
        write_post(&mut request, format_args!("/api/{}/", "track"), "{}");
        let text = String::from_utf8(request.clone()).unwrap();
        assert!(text.starts_with("POST /api/track/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Api-Key ags_"));
        assert!(text.ends_with("Content-Length: 2\r\n\r\n{}"));
        write_get(&mut request, format_args!("/x"));
        assert!(request.starts_with(b"GET /x HTTP/1.1\r\n") && request.ends_with(b"\r\n\r\n"));
    }

    #[tokio::test]
    async fn answers_may_arrive_in_pieces() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            for answer in [
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            ] {
                let mut request = [0; 1024];
                assert!(socket.read(&mut request).await.unwrap() > 0);
                for byte in answer.as_bytes() {
                    socket.write_all(&[*byte]).await.unwrap();
                    socket.flush().await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut connection = Connection::open(address).await.unwrap();
        let first = connection.get("/one").await.unwrap();
        assert_eq!((first.status, first.body), (200, &b"hello"[..]));
        let second = connection.get("/two").await.unwrap();
        assert_eq!((second.status, second.body), (404, &b""[..]));
        assert!(connection.get("/three").await.is_err());
    }
}
