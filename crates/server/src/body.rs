//! Taking bodies in: bounded in size and time, repaired, and multipart forms turned into the JSON
//! body that they mean.

use agentsight_model::body::Body as Fields;
use agentsight_model::json::{JsonText, repair};
use agentsight_model::limits::{AttachmentLimits, JSON_BODY_BYTES, METADATA_BYTES};
use agentsight_model::refusal::Refusal;
use agentsight_model::track::{NewFile, Receipt, check_file_count, no_files};

use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::App;
use crate::error::{ApiError, Result};

/// A whole JSON body of a route without files.
pub(crate) async fn json_body(app: &App, request: Request) -> Result<Bytes> {
    refuse_encoding(&request)?;
    collect(app, request, JSON_BODY_BYTES, |limit| format!("Request body is too large: at most {limit} bytes.")).await
}

fn refuse_encoding(request: &Request) -> Result<()> {
    let encoding = request.headers().get(CONTENT_ENCODING);
    if encoding.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(ApiError::Unsupported("This route takes no Content-Encoding."));
    }
    Ok(())
}

/// A whole body as it was sent, within a limit and the time that one may take.
pub(crate) async fn collect(
    app: &App,
    request: Request,
    limit: usize,
    too_large: impl Fn(usize) -> String,
) -> Result<Bytes> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(ApiError::TooLarge(too_large(limit)));
    }
    let body = Limited::new(request.into_body(), limit).collect();
    match tokio::time::timeout(app.config.body_timeout, body).await {
        Err(_) => Err(ApiError::Slow),
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::TooLarge(too_large(limit))),
        Ok(Err(error)) => Err(Refusal::Detail(format!("The request body ended early: {error}").into()).into()),
    }
}

/// Reads a body's fields with `read`.
pub(crate) fn read_fields<T>(bytes: &[u8], read: impl FnOnce(Fields<'_>) -> Result<T, Refusal>) -> Result<T> {
    let repaired = repair(bytes).map_err(|e| Refusal::Detail(format!("JSON parse error - {e}").into()))?;
    Ok(read(Fields::parse(&repaired)?)?)
}

/// What a multipart form or a JSON body of the attachments route holds.
pub(crate) enum Upload {
    /// A JSON body, files included.
    Json(Bytes),
    /// The text parts as a JSON body, and the files.
    Form { fields: String, files: Vec<NewFile>, receipt: Receipt },
}

/// Takes in a request of the attachments route.
pub(crate) async fn upload(app: &App, request: Request) -> Result<Upload> {
    refuse_encoding(&request)?;
    let limits = app.config.attachments;
    let content_type =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let too_large = |limit| format!("Request is too large: at most {limit} bytes for all files of a request, as sent.");
    let bytes = collect(app, request, limits.request_bytes, too_large).await?;
    if !content_type.trim_start().to_ascii_lowercase().starts_with("multipart/form-data") {
        return Ok(Upload::Json(bytes));
    }
    let boundary = multer::parse_boundary(&content_type).map_err(|e| malformed(&e))?;
    read_form(bytes, boundary, limits).await
}

fn malformed(error: &multer::Error) -> ApiError {
    Refusal::Detail(format!("Multipart form parse error - {error}").into()).into()
}

/// Text parts that mean something, in any order; the SDK sends `message` after the files.
const TEXT_PARTS: [&str; 7] = ["timestamp", "conversation", "conversation_id", "sender", "mode", "metadata", "message"];
/// Parts of a form at most, files and texts together.
const FORM_PARTS: usize = 64;

async fn read_form(bytes: Bytes, boundary: String, limits: AttachmentLimits) -> Result<Upload> {
    let whole = futures_util::stream::once(std::future::ready(Ok::<_, std::io::Error>(bytes)));
    let mut form = multer::Multipart::new(whole, boundary);
    let mut texts: Vec<(String, String)> = Vec::new();
    let mut files = Vec::new();
    let mut identity: Vec<Bytes> = vec![Bytes::from_static(b"form")];
    let mut parts = 0;
    while let Some(part) = form.next_field().await.map_err(|e| malformed(&e))? {
        parts += 1;
        if parts > FORM_PARTS {
            return Err(Refusal::Detail(format!("Multipart form has more than {FORM_PARTS} parts.").into()).into());
        }
        let name = part.name().unwrap_or_default().to_owned();
        let filename = part.file_name().map(str::to_owned);
        let mime_type = part.content_type().map(ToString::to_string);
        let data = part.bytes().await.map_err(|e| malformed(&e))?;
        identity.extend([Bytes::from(name.clone()), Bytes::from(filename.clone().unwrap_or_default()), data.clone()]);
        if filename.is_some() || (name.starts_with("attachment") && !TEXT_PARTS.contains(&name.as_str())) {
            check_file_count(files.len() + 1, limits)?;
            files.push(NewFile::new(filename.as_deref(), mime_type.as_deref(), data, files.len(), limits)?);
        } else if TEXT_PARTS.contains(&name.as_str()) {
            if data.len() > METADATA_BYTES {
                return Err(
                    Refusal::Detail(format!("Part \"{name}\" is longer than {METADATA_BYTES} bytes.").into()).into()
                );
            }
            texts.push((name, String::from_utf8_lossy(&data).into_owned()));
        }
    }
    if files.is_empty() {
        return Err(no_files().into());
    }
    let receipt = Receipt::of(identity.iter().map(AsRef::as_ref));
    Ok(Upload::Form { fields: as_json(&texts), files, receipt })
}

/// Text parts as the JSON body that says the same: texts as strings, metadata as the JSON that it is.
fn as_json(texts: &[(String, String)]) -> String {
    let pairs: Vec<String> = texts
        .iter()
        .map(|(name, text)| {
            let is_json = name == "metadata" && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            let value = if is_json { text.trim().to_owned() } else { JsonText::of(text).as_str().to_owned() };
            format!("{}: {value}", JsonText::of(name).as_str())
        })
        .collect();
    format!("{{{}}}", pairs.join(", "))
}
