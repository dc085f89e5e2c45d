//! One request and its repeats: the only place that talks HTTP.

use std::fmt;
use std::time::Duration;

use agentsight_model::time::Clock;
use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::innermost;
use crate::error::NetworkFailure;
use crate::track::{Counters, Stamps};
use crate::{AgentSight, Error, Result};

/// Longest pause before a repeat, whatever the server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What all clones of a client share.
pub(crate) struct Shared {
    pub(crate) http: reqwest::Client,
    /// Without a slash at its end.
    pub(crate) endpoint: String,
    pub(crate) authorization: HeaderValue,
    pub(crate) environment: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) backoff: Duration,
    pub(crate) clock: Clock,
    pub(crate) stamps: Stamps,
    pub(crate) counters: Counters,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentSight")
            .field("endpoint", &self.endpoint)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

/// After which failures a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing.
    Read,
    /// The server knows a body that comes again: by the conversation's name, or byte for byte with
    /// its timestamp (contract: tracking-v0 §9).
    Tracked,
    /// A second one would count: only when the server has not seen the first.
    Unseen,
}

impl Repeat {
    fn allows(self, error: &Error) -> bool {
        match (self, error) {
            (_, Error::Network { failure: NetworkFailure::NotConnected, .. }) => true,
            (Self::Unseen, _) => false,
            (Self::Read, Error::Server { status: 500, .. }) => true,
            _ => error.is_retryable(),
        }
    }
}

/// A request, complete, so that a repeat sends the same bytes.
pub(crate) struct Call {
    method: Method,
    url: Url,
    body: Option<(HeaderValue, Bytes)>,
    repeat: Repeat,
    timeout: Duration,
    /// The key goes to the endpoint and nowhere else.
    with_key: bool,
}

impl Call {
    /// Waits this many times as long as others.
    pub(crate) fn patient(mut self, times: u32) -> Self {
        self.timeout = self.timeout.saturating_mul(times);
        self
    }
}

impl AgentSight {
    /// `GET` of a path that begins with a slash.
    pub(crate) fn get(&self, path: &str, query: &[(String, String)]) -> Result<Call> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(Call { method: Method::GET, url, body: None, repeat: Repeat::Read, timeout: self.0.timeout, with_key: true })
    }

    /// `GET` of a signed address, which works without the key and must not see it.
    pub(crate) fn get_signed(&self, address: &str) -> Result<Call> {
        let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| Error::Input("address of the file is not an http or https address".to_owned()))?;
        Ok(Call {
            method: Method::GET,
            url,
            body: None,
            repeat: Repeat::Read,
            timeout: self.0.timeout,
            with_key: false,
        })
    }

    /// A write with a JSON body.
    pub(crate) fn write(&self, method: Method, path: &str, body: &impl Serialize, repeat: Repeat) -> Result<Call> {
        let body = serde_json::to_vec(body).map_err(|e| Error::Input(e.to_string()))?;
        self.write_bytes(method, path, HeaderValue::from_static("application/json"), body.into(), repeat)
    }

    /// A write with any body.
    pub(crate) fn write_bytes(
        &self,
        method: Method,
        path: &str,
        content_type: HeaderValue,
        body: Bytes,
        repeat: Repeat,
    ) -> Result<Call> {
        Ok(Call {
            method,
            url: self.url(path)?,
            body: Some((content_type, body)),
            repeat,
            timeout: self.0.timeout,
            with_key: true,
        })
    }

    /// `DELETE` of a path.
    pub(crate) fn remove(&self, path: &str) -> Result<Call> {
        Ok(Call {
            method: Method::DELETE,
            url: self.url(path)?,
            body: None,
            repeat: Repeat::Unseen,
            timeout: self.0.timeout,
            with_key: true,
        })
    }

    fn url(&self, path: &str) -> Result<Url> {
        Url::parse(&format!("{}{path}", self.0.endpoint)).map_err(|e| Error::Input(format!("{path}: {e}")))
    }

    /// Sends a call and reads the JSON of its answer.
    pub(crate) async fn answer<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let (status, body) = self.send(call).await?;
        serde_json::from_slice(&body).map_err(|e| Error::Decode { status, reason: e.to_string() })
    }

    /// Sends a call, and sends it again where that is safe and may help.
    pub(crate) async fn send(&self, call: Call) -> Result<(u16, Bytes)> {
        self.send_whole(&call).await?.accepted()
    }

    /// As [`AgentSight::send`]; a refusal comes back as it was answered.
    pub(crate) async fn send_whole(&self, call: &Call) -> Result<Answer> {
        let mut pause = self.0.backoff;
        for _ in 0..self.0.retries {
            let settled = self.attempt(call).await;
            let asked = match &settled {
                Ok(answer) if answer.repeats(call.repeat) => answer.retry_after,
                Err(error) if call.repeat.allows(error) => None,
                _ => return settled,
            };
            tokio::time::sleep(asked.unwrap_or(pause).min(LONGEST_PAUSE)).await;
            pause = pause.saturating_mul(4);
        }
        self.attempt(call).await
    }

    async fn attempt(&self, call: &Call) -> Result<Answer> {
        let mut request = self.0.http.request(call.method.clone(), call.url.clone()).timeout(call.timeout);
        if call.with_key {
            request = request
                .header(AUTHORIZATION, self.0.authorization.clone())
                .header(ACCEPT, HeaderValue::from_static("application/json"));
        }
        if let Some((content_type, body)) = &call.body {
            request = request.header(CONTENT_TYPE, content_type.clone()).body(body.clone());
        }
        let response = request.send().await.map_err(|e| no_answer(&call.url, &e))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), &self.0.clock);
        let body = response.bytes().await.map_err(|e| no_answer(&call.url, &e))?;
        Ok(Answer { status, retry_after, body })
    }
}

/// What the server said, whatever it said.
pub(crate) struct Answer {
    pub(crate) status: u16,
    retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

impl Answer {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn repeats(&self, repeat: Repeat) -> bool {
        !self.is_success() && repeat.allows(&Error::of_answer(self.status, self.retry_after, &[]))
    }

    fn accepted(self) -> Result<(u16, Bytes)> {
        if self.is_success() {
            Ok((self.status, self.body))
        } else {
            Err(Error::of_answer(self.status, self.retry_after, &self.body))
        }
    }
}

/// The address is named without its path and query, which may hold a signature.
fn no_answer(url: &Url, error: &reqwest::Error) -> Error {
    let failure = if error.is_connect() {
        NetworkFailure::NotConnected
    } else if error.is_timeout() {
        NetworkFailure::TimedOut
    } else {
        NetworkFailure::Broken
    };
    Error::Network { endpoint: url.origin().ascii_serialization(), failure, reason: innermost(error) }
}

/// Seconds or an HTTP date.
fn retry_after(headers: &HeaderMap, clock: &Clock) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let micros = at.as_microsecond().saturating_sub(clock.now().0);
    Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_is_read_as_seconds_or_as_a_date() {
        let clock = Clock::fixed("1994-11-15T08:12:01Z".parse().unwrap());
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            retry_after(&headers, &clock).map(|pause| pause.as_secs())
        };
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("Tue, 15 Nov 1994 08:12:31 GMT"), Some(30));
        assert_eq!(read("Tue, 15 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn a_write_that_may_have_been_seen_is_never_repeated() {
        let network = |failure| Error::Network { endpoint: String::new(), failure, reason: String::new() };
        let answer = |status| Error::of_answer(status, None, b"{}");
        for error in [network(NetworkFailure::TimedOut), network(NetworkFailure::Broken), answer(429), answer(503)] {
            assert!(!Repeat::Unseen.allows(&error));
            assert!(Repeat::Tracked.allows(&error));
            assert!(Repeat::Read.allows(&error));
        }
        assert!(Repeat::Unseen.allows(&network(NetworkFailure::NotConnected)));
        assert!(Repeat::Read.allows(&answer(500)));
        assert!(!Repeat::Tracked.allows(&answer(500)));
        assert!(!Repeat::Read.allows(&answer(404)));
    }
}
