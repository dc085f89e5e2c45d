//! Making a client: from the environment's variables, or by hand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use agentsight_model::key::ApiKey;
use agentsight_model::time::Clock;
use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::track::{Counters, Stamps};
use crate::transport::Shared;
use crate::{AgentSight, Error, Result};

/// Where requests go when nothing else is said, as in the original SDKs.
const ENDPOINT: &str = "https://api.agentsight.io";
/// How long an answer is awaited, as in the original SDKs.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Repeats after the first attempt.
const RETRIES: u32 = 2;
/// Pause before the first repeat; the second is four times as long.
const BACKOFF: Duration = Duration::from_millis(500);

/// Everything that a client can be told, each with a default but the key.
///
/// ```
/// use std::time::Duration;
/// use agentsight::AgentSight;
///
/// let agentsight = AgentSight::builder()
///     .api_key("ags_0123456789abcdef0123456789abcdef_00ff00")
///     .endpoint("http://localhost:8080")
///     .environment("development")
///     .timeout(Duration::from_secs(5))
///     .build()?;
/// # Ok::<(), agentsight::Error>(())
/// ```
#[derive(Clone)]
pub struct Builder {
    api_key: Option<String>,
    endpoint: String,
    environment: Option<String>,
    timeout: Duration,
    retries: u32,
    backoff: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            api_key: None,
            endpoint: ENDPOINT.to_owned(),
            environment: None,
            timeout: TIMEOUT,
            retries: RETRIES,
            backoff: BACKOFF,
        }
    }
}

/// Without the key.
impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("endpoint", &self.endpoint)
            .field("environment", &self.environment)
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// What the variables `AGENTSIGHT_API_KEY`, `AGENTSIGHT_API_ENDPOINT` and
    /// `AGENTSIGHT_ENVIRONMENT` say; an empty one counts as unset.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let given = |name| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        Self {
            api_key: given("AGENTSIGHT_API_KEY"),
            endpoint: given("AGENTSIGHT_API_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()),
            environment: given("AGENTSIGHT_ENVIRONMENT"),
            ..Self::default()
        }
    }

    /// The key: `ags_`, 32 hex digits, `_`, 6 hex digits. Required.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Where the server is, such as `http://localhost:8080`. Default: `https://api.agentsight.io`.
    ///
    /// An endpoint on this very machine (`localhost`, a loopback address) is never asked through a
    /// proxy; for any other the usual proxy variables count.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// Environment of the conversations that this client makes, by its slug. Default: none is sent,
    /// which the server takes for `production`.
    #[must_use]
    pub fn environment(mut self, slug: impl Into<String>) -> Self {
        self.environment = Some(slug.into());
        self
    }

    /// How long each attempt waits for its answer. Default: 15 seconds. Files get more: twice as
    /// long in JSON, three times in multipart and in downloads.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a request is repeated where that is safe. Default: 2; 0 never repeats.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Pause before the first repeat; each further one is four times as long, 30 seconds at most.
    /// Default: half a second. A server that says how long to wait is obeyed instead.
    #[must_use]
    pub fn backoff(mut self, first: Duration) -> Self {
        self.backoff = first;
        self
    }

    /// The client. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::Config`] without a key, for a key of another shape or an endpoint that is no
    /// `http` or `https` address.
    pub fn build(self) -> Result<AgentSight> {
        let key = self.api_key.ok_or_else(|| config("no API key: set AGENTSIGHT_API_KEY or call api_key"))?;
        let key: ApiKey = key.parse().map_err(|e| config(format!("API key: {e}")))?;
        let mut authorization = HeaderValue::try_from(format!("Api-Key {}", key.reveal()))
            .map_err(|_| config("API key cannot be sent in a header"))?;
        authorization.set_sensitive(true);

        let endpoint = self.endpoint.trim().trim_end_matches('/').to_owned();
        let url = checked(&endpoint)?;
        let http = http_client(&url)?;
        Ok(AgentSight(Arc::new(Shared {
            http,
            endpoint,
            authorization,
            environment: self.environment.map(|slug| slug.trim().to_owned()).filter(|slug| !slug.is_empty()),
            timeout: self.timeout,
            retries: self.retries,
            backoff: self.backoff,
            clock: Clock::system(),
            stamps: Stamps::default(),
            counters: Counters::default(),
        })))
    }

    /// The client for programs without an async runtime. Nothing is sent.
    ///
    /// # Errors
    /// As [`Builder::build`].
    #[cfg(feature = "blocking")]
    pub fn build_blocking(self) -> Result<crate::blocking::AgentSight> {
        crate::blocking::AgentSight::new(self.build()?)
    }
}

fn checked(endpoint: &str) -> Result<Url> {
    let bad = |why: &str| config(format!("endpoint {endpoint:?} {why}, try http://localhost:8080"));
    let url = Url::parse(endpoint).map_err(|_| bad("is not an address"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(bad("is not an http or https address"));
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(config("endpoint must be scheme, host, port and path, without user name or query"));
    }
    Ok(url)
}

fn http_client(endpoint: &Url) -> Result<reqwest::Client> {
    let with_defaults = || {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("agentsight-rust/", env!("CARGO_PKG_VERSION")))
            // The API never redirects, and following would turn a POST into a GET.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(endpoint) { builder.no_proxy() } else { builder }
    };
    match with_defaults().build() {
        // A small container may have no certificates at all, which need not hinder plain HTTP.
        Err(_) if endpoint.scheme() == "http" => with_defaults().tls_certs_only([]).build(),
        made => made,
    }
    .map_err(|e| config(format!("HTTP client cannot be made: {}", innermost(&e))))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn config(reason: impl Into<String>) -> Error {
    Error::Config(reason.into())
}

/// The cause at the bottom, which says what happened; the layers above only say where.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ags_0123456789abcdef0123456789abcdef_00ff00";

    fn refused(builder: Builder) -> String {
        match builder.build() {
            Err(Error::Config(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_wrong_key_or_endpoint_is_refused_before_anything_is_sent() {
        let with_key = || Builder::default().api_key(KEY);
        assert!(refused(Builder::default()).contains("AGENTSIGHT_API_KEY"));
        assert!(!refused(Builder::default().api_key("ags_secret")).contains("secret"));
        for endpoint in ["", "localhost:8080", "ftp://host", "http://", "http://u:p@host", "http://host/?a=1"] {
            let reason = refused(with_key().endpoint(endpoint));
            assert!(reason.starts_with("endpoint"), "{endpoint}: {reason}");
        }
    }

    #[test]
    fn the_environments_variables_are_those_of_the_original_sdks() {
        let set = |name: &str| match name {
            "AGENTSIGHT_API_KEY" => Some(format!(" {KEY}\n")),
            "AGENTSIGHT_API_ENDPOINT" => Some("http://localhost:8080//".to_owned()),
            "AGENTSIGHT_ENVIRONMENT" => Some("staging".to_owned()),
            _ => None,
        };
        let client = Builder::from_variables(set).build().unwrap();
        assert_eq!(client.0.endpoint, "http://localhost:8080");
        assert_eq!(client.0.environment.as_deref(), Some("staging"));
        assert_eq!(Builder::from_variables(|_| Some(String::new())).endpoint, "https://api.agentsight.io");
    }

    #[test]
    fn the_key_is_in_no_debug_output() {
        let builder = Builder::default().api_key(KEY);
        assert!(!format!("{builder:?}").contains("0123456789"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("0123456789"));
    }

    #[test]
    fn only_this_machine_is_asked_without_a_proxy() {
        let local = |text| is_loopback(&Url::parse(text).unwrap());
        assert_eq!(["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"].map(local), [true; 3]);
        assert_eq!(["http://localhost.example", "http://10.0.0.1"].map(local), [false; 2]);
    }
}
