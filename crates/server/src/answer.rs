//! Writing answers.

use agentsight_store::Stored;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use crate::request_id;

/// What a usual answer fits in without growing.
const CAPACITY: usize = 8 * 1024;

/// A JSON answer.
pub(crate) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    let mut bytes = Vec::with_capacity(CAPACITY);
    // Our own types always serialise: their maps have text keys and their writers cannot fail.
    if let Err(error) = serde_json::to_writer(&mut bytes, value) {
        tracing::error!(id = request_id::current(), %error, "an answer could not be written");
        bytes.clear();
        bytes.extend_from_slice(br#"{"detail": "The server failed to do this; its log says why."}"#);
        return with_body(StatusCode::INTERNAL_SERVER_ERROR, bytes);
    }
    with_body(status, bytes)
}

fn with_body(status: StatusCode, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 200 with JSON that is written already.
pub(crate) fn json_text(text: String) -> Response {
    with_body(StatusCode::OK, text.into_bytes())
}

/// 200 with a JSON body.
pub(crate) fn ok<T: Serialize + ?Sized>(value: &T) -> Response {
    json(StatusCode::OK, value)
}

/// 204: done, and nothing to say of it.
pub(crate) fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// 201 for a row that was made, 200 for one that was there.
pub(crate) fn stored<T: Serialize>(stored: &Stored<T>) -> Response {
    json(if stored.created { StatusCode::CREATED } else { StatusCode::OK }, &stored.value)
}
