//! Addresses: the form in which paths are routed, and the absolute ones that answers carry.

use std::fmt::Write as _;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderMap, header};

use crate::App;

/// Makes a path the one that is routed: repeated slashes are one, and an API path ends in a slash
/// (contract: README §5). `None` where it is that already.
pub(crate) fn canonical(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let api = path.starts_with("/api/") || path.starts_with("//");
    if !path.contains("//") && (!api || path.ends_with('/')) {
        return None;
    }
    let mut tidy = String::with_capacity(path.len() + 1);
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        tidy.push('/');
        tidy.push_str(segment);
    }
    if tidy.is_empty() || tidy.starts_with("/api/") {
        tidy.push('/');
    }
    if let Some(query) = uri.query() {
        let _ = write!(tidy, "?{query}");
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(tidy).ok()?);
    Uri::from_parts(parts).ok()
}

/// How the caller reached us, for absolute links: `https://bots.example.com`, without a slash at the end.
pub(crate) struct Base(pub(crate) String);

impl FromRequestParts<App> for Base {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        Ok(match &app.config.public_url {
            Some(url) => Self(url.trim_end_matches('/').to_owned()),
            None => Self(from_headers(&parts.headers)),
        })
    }
}

fn from_headers(headers: &HeaderMap) -> String {
    let get = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(|text| text.split(',').next().unwrap_or(text).trim())
    };
    let host = get("x-forwarded-host")
        .or_else(|| get(header::HOST.as_str()))
        .filter(|host| is_host(host))
        .unwrap_or("localhost");
    let scheme = if get("x-forwarded-proto") == Some("https") { "https" } else { "http" };
    format!("{scheme}://{host}")
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(uri: &str) -> String {
        let uri: Uri = uri.parse().unwrap();
        canonical(&uri).unwrap_or(uri).to_string()
    }

    #[test]
    fn both_forms_of_a_path_lead_to_one() {
        for (given, meant) in [
            ("/api/track/", "/api/track/"),
            ("/api/track", "/api/track/"),
            ("//api/track/", "/api/track/"),
            ("/api//track?x=1//2", "/api/track/?x=1//2"),
            ("/healthz", "/healthz"),
            ("/", "/"),
            ("//", "/"),
            ("/docs/swagger-ui.css", "/docs/swagger-ui.css"),
        ] {
            assert_eq!(routed(given), meant, "{given}");
        }
    }
}
