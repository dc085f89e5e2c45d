//! Every GET (contract: reading).

pub(crate) mod actions;
pub(crate) mod buttons;
pub(crate) mod conversations;
pub(crate) mod feedbacks;
pub(crate) mod me;
pub(crate) mod messages;
pub(crate) mod metadata;
pub(crate) mod pages;
pub(crate) mod prices;
pub(crate) mod spans;
pub(crate) mod tickets;
pub(crate) mod usage;

use agentsight_model::filter::Query;
use agentsight_model::refusal::{FieldErrors, Refusal};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::Response;

use crate::error::{ApiError, Result};

/// The parameters of a query, as they were sent. A plus sign is a space, as forms write it.
pub(crate) fn query(uri: &Uri) -> Query {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    // PostgreSQL takes no NUL, and no text that is stored holds one. What was nothing else still asks for something.
    let plain = |value: &str| match value.replace('\0', "") {
        plain if plain.is_empty() && !value.is_empty() => char::REPLACEMENT_CHARACTER.to_string(),
        plain => plain,
    };
    Query(pairs.map(|(name, value)| (name.into_owned(), plain(&value))).collect())
}

/// The integer of a path; anything else is no row's.
pub(crate) struct RowId(pub(crate) i64);

impl<S: Send + Sync> FromRequestParts<S> for RowId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let path =
            axum::extract::Path::<String>::from_request_parts(parts, state).await.map_err(|_| ApiError::NotFound)?;
        let digits = !path.is_empty() && path.bytes().all(|b| b.is_ascii_digit());
        path.parse().ok().filter(|_| digits).map(Self).ok_or(ApiError::NotFound)
    }
}

/// Warnings about parameters that mean nothing here (contract: open-questions row 96).
pub(crate) struct Warnings(Vec<String>);

impl Warnings {
    /// Looks for parameters that are not among `known`: a warning, or 400 where the caller asked
    /// for strictness (`Prefer: handling=strict`).
    pub(crate) fn look(query: &Query, known: &[&str], headers: &HeaderMap) -> Result<Self> {
        let unknown = query.unknown(known);
        if unknown.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let strict = headers
            .get("prefer")
            .and_then(|value| value.to_str().ok())
            .is_some_and(|text| text.contains("handling=strict"));
        if strict {
            let mut errors = FieldErrors::default();
            unknown.iter().for_each(|name| errors.add((*name).to_owned(), "Unknown parameter."));
            return Err(Refusal::Fields(errors).into());
        }
        Ok(Self(unknown.iter().map(|name| format!("unknown parameter: {name}")).collect()))
    }

    /// Adds a warning.
    pub(crate) fn add(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }

    /// Writes them into an answer.
    pub(crate) fn onto(self, mut response: Response) -> Response {
        /// More of them would not fit the head of an answer.
        const MOST: usize = 16;
        for text in self.0.into_iter().take(MOST) {
            let plain: String = text
                .chars()
                .take(200)
                .map(|c| if c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ' { c } else { '?' })
                .collect();
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{plain}\"")) {
                response.headers_mut().append(header::WARNING, value);
            }
        }
        response
    }
}
