//! Files by signed links: valid for an hour, for whoever holds them, without any header (contract: reading §3.4).

use agentsight_model::attachment::Attachment;
use agentsight_model::conversation::Conversation;
use agentsight_model::filter::Query;
use agentsight_model::ids::{AgentId, AttachmentId, ConversationId};
use agentsight_model::message::Message;
use agentsight_model::time::Timestamp;
use agentsight_store::{Part, StoredFile};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use futures_util::TryStreamExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::App;
use crate::error::{ApiError, Result};
use crate::reading::query;
use crate::request_id;

/// How long a link works.
const LINK_SECONDS: i64 = 60 * 60;

/// Signs and checks links.
pub(crate) struct Signer(Hmac<Sha256>);

impl Signer {
    pub(crate) fn new(secret: &[u8]) -> Self {
        // A key of any length is fine for this construction; the empty one stands in for none.
        Self(Hmac::new_from_slice(secret).unwrap_or_else(|_| Hmac::new(&Default::default())))
    }

    fn sign(&self, agent: AgentId, conversation: ConversationId, file: AttachmentId, expires: i64) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{agent}/{conversation}/{file}/{expires}").as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

/// Writes links into answers.
pub(crate) struct Links<'a> {
    app: &'a App,
    base: &'a str,
    expires: i64,
}

impl<'a> Links<'a> {
    pub(crate) fn new(app: &'a App, base: &'a str) -> Self {
        Self { app, base, expires: app.store.clock().now().0 / Timestamp::SECOND + LINK_SECONDS }
    }

    pub(crate) fn fill(&self, agent: AgentId, conversation: ConversationId, files: &mut [Attachment]) {
        for file in files {
            let signature = self.app.signer.sign(agent, conversation, file.id, self.expires);
            file.file_url = format!(
                "{}/files/{agent}/{conversation}/{}?expires={}&sig={signature}",
                self.base, file.id, self.expires
            );
        }
    }

    pub(crate) fn fill_message(&self, agent: AgentId, message: &mut Message) {
        self.fill(agent, message.conversation, &mut message.attachments);
    }

    pub(crate) fn fill_conversation(&self, conversation: &mut Conversation) {
        for message in &mut conversation.messages {
            self.fill(conversation.agent, conversation.id, &mut message.attachments);
        }
    }
}

/// `GET /files/{agent}/{conversation}/{id}`: the bytes of a file, to whoever holds its link. A `Range` of one part is
/// answered with that part, as players of audio and video ask for it.
#[utoipa::path(get, path = "/files/{agent}/{conversation}/{id}", tag = "files",
    params(("agent" = i64, Path), ("conversation" = i64, Path), ("id" = i64, Path), ("expires" = i64, Query, description = "Seconds since 1970"), ("sig" = String, Query)),
    responses((status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, description = "The part that `Range` asks for", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 416, description = "The file has nothing of the part", body = crate::error::Detail<'static>),
        (status = 500, description = "The file is lost", body = crate::error::Detail<'static>),
        (status = 503, description = "The storage of attachments is not available", body = crate::error::Detail<'static>), (status = 403, description = "Expired or altered", body = crate::error::Detail<'static>),
        (status = 404, description = "No such file", body = crate::error::Detail<'static>)),
    security(()))]
pub(crate) async fn download(
    State(app): State<App>,
    path: Result<Path<(i64, i64, i64)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result {
    let Path(path) = path.map_err(|_| ApiError::NotFound)?;
    let (agent, conversation, file) = (AgentId(path.0), ConversationId(path.1), AttachmentId(path.2));
    let query: Query = query(&uri);
    let expires =
        query.get("expires").and_then(|text| text.parse::<i64>().ok()).ok_or(ApiError::Forbidden(UNSIGNED))?;
    let expected = app.signer.sign(agent, conversation, file, expires);
    let given = query.get("sig").unwrap_or_default();
    if !bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
        return Err(ApiError::Forbidden(UNSIGNED));
    }
    if expires < app.store.clock().now().0 / Timestamp::SECOND {
        return Err(ApiError::Forbidden("This link has expired; fetch the conversation again for a new one."));
    }
    let part = part(&headers);
    Ok(respond(app.store.fetch_file(agent, conversation, file, part).await?, part != Part::Whole))
}

/// The part that a `Range` header asks for.
///
/// What is no single range of bytes is passed over, as HTTP allows. So is a range with a condition: there is
/// nothing it could name, because answers carry neither a tag nor a date.
fn part(headers: &HeaderMap) -> Part {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(range), None, None) = (ranges.next(), ranges.next(), headers.get(header::IF_RANGE)) else {
        return Part::Whole;
    };
    range.to_str().ok().and_then(read_range).unwrap_or(Part::Whole)
}

fn read_range(text: &str) -> Option<Part> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    // More digits than fit are past every end.
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (first, last) {
        ("", count) => number(count).map(Part::Last),
        (first, "") => number(first).map(Part::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Part::Between(first, last))
        }
    }
}

const UNSIGNED: &str = "This link is not valid.";

/// What a file name may show plainly in a header; the rest is percent-encoded.
const FILENAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

fn respond(file: StoredFile, is_part: bool) -> Response {
    let length = file.range.end - file.range.start;
    // The status is gone by the time that bytes fail to come: the connection is cut, so that nobody takes
    // what came for all of it.
    let id = request_id::current();
    let bytes = file.bytes.inspect_err(move |error| tracing::error!(id, %error, "a download was cut off"));
    let mut response = Response::new(Body::from_stream(bytes));
    if is_part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let headers = response.headers_mut();
    let mut set = |name, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, &file.mime_type);
    set(header::CONTENT_DISPOSITION, &disposition(&file.filename, &file.mime_type));
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    set(header::CACHE_CONTROL, "private, max-age=3600");
    set(header::ACCEPT_RANGES, "bytes");
    set(header::CONTENT_LENGTH, &length.to_string());
    if is_part {
        let last = file.range.end.saturating_sub(1);
        set(header::CONTENT_RANGE, &format!("bytes {}-{last}/{}", file.range.start, file.size_bytes));
    }
    response
}

/// Whether a file opens or is downloaded, and under which name.
fn disposition(filename: &str, mime_type: &str) -> String {
    let place = if opens_safely(mime_type) { "inline" } else { "attachment" };
    let plain: String =
        filename.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_ ".contains(c) { c } else { '_' }).collect();
    format!("{place}; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(filename, FILENAME))
}

/// Whether a browser can show a type without running anything that its sender wrote.
fn opens_safely(mime_type: &str) -> bool {
    let essence = mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (class, subtype) = essence.split_once('/').unwrap_or_default();
    match class {
        "image" => !subtype.contains("svg") && !subtype.contains("xml"),
        "audio" | "video" => true,
        "text" => subtype == "plain",
        _ => essence == "application/pdf",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_run_is_downloaded() {
        for mime in
            ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/javascript", "nonsense"]
        {
            assert!(!opens_safely(mime), "{mime}");
        }
        for mime in ["image/png", "text/plain; charset=utf-8", "application/pdf", "video/mp4"] {
            assert!(opens_safely(mime), "{mime}");
        }
    }

    #[test]
    fn a_range_of_one_part_is_understood_and_others_are_passed_over() {
        for (text, asked) in [
            ("bytes=0-", Part::From(0)),
            ("bytes=5-9", Part::Between(5, 9)),
            ("Bytes = 7-7", Part::Between(7, 7)),
            ("bytes=-4", Part::Last(4)),
            ("bytes=99999999999999999999-", Part::From(u64::MAX)),
            ("bytes=9-5", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("", Part::Whole),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_str(text).unwrap());
            assert_eq!(part(&headers), asked, "{text}");

            headers.insert(header::IF_RANGE, HeaderValue::from_static("\"tag\""));
            assert_eq!(part(&headers), Part::Whole);
        }
    }

    #[test]
    fn names_cannot_break_out_of_their_header() {
        let shown = disposition("a\"; x=\"\r\nSet-Cookie: 1/š.html", "text/html");
        assert_eq!(
            shown,
            "attachment; filename=\"a__ x=___Set-Cookie_ 1__.html\"; filename*=UTF-8''a%22%3B%20x%3D%22%0D%0ASet%2DCookie%3A%201%2F%C5%A1.html"
                .replace("x=___", "x____")
                .replace("Set%2DCookie", "Set-Cookie")
        );
    }
}
