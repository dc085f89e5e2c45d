//! AgentSight over HTTP: who may ask, and in which shape.
//!
//! [`router::router`] is the table of contents. A request goes `transport` → `router` → a handler,
//! which takes it apart (`body`, [`auth`]), asks the store once, and answers (`answer`, `error`).
//! Nothing here knows SQL; nothing in the store knows HTTP.

mod answer;
mod auth;
mod body;
mod docs;
mod error;
mod files;
mod health;
mod managing;
mod metrics;
mod rates;
mod reading;
mod request_id;
mod router;
mod throttle;
mod tracking;
mod transport;
mod urls;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agentsight_model::ids::AgentId;
use agentsight_model::limits::AttachmentLimits;
use agentsight_store::{Error, Result, Store};

use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

pub use docs::openapi;

/// How the server answers.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// How the world calls us, such as `https://bots.example.com`; taken from each request when not set.
    pub public_url: Option<String>,
    /// Limits on files; each may be set.
    pub attachments: AttachmentLimits,
    /// A file of currency rates, read again when it was replaced; without one nothing is shown in euros.
    pub currency_rates: Option<PathBuf>,
    /// Reads per minute and key; `None` is no limit.
    pub reads_per_minute: Option<u32>,
    /// Writes per minute and key; `None` is no limit. SDK 0.0.x loses what is throttled.
    pub writes_per_minute: Option<u32>,
    /// How long a request's head may take, and an idle connection may stay.
    pub head_timeout: Duration,
    /// How long a request may take to arrive whole.
    pub body_timeout: Duration,
    /// How long running requests may take to end once the server was asked to stop.
    pub shutdown_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            public_url: None,
            attachments: AttachmentLimits::default(),
            currency_rates: None,
            reads_per_minute: None,
            writes_per_minute: None,
            head_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(60),
            shutdown_timeout: Duration::from_secs(20),
        }
    }
}

/// What every handler may use.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) config: ServerConfig,
    pub(crate) keys: auth::KeyCache,
    pub(crate) signer: files::Signer,
    /// Currency rates, where the operator named a file of them.
    pub(crate) rates: Option<Arc<rates::RatesFile>>,
    pub(crate) metrics: metrics::Metrics,
    pub(crate) throttle: throttle::Throttle,
    /// Requests that carry files at once: each may hold the largest request in memory.
    pub(crate) uploads: tokio::sync::Semaphore,
    /// Room for bodies of spans.
    pub(crate) spans: tokio::sync::Semaphore,
}

/// What every handler holds: a handle on [`Shared`].
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Requests that carry files at once.
const UPLOADS: usize = 16;

/// A server over a store, ready to take connections.
#[derive(Clone)]
pub struct Server(App);

impl Server {
    /// Prepares a server.
    ///
    /// # Errors
    /// When the secret that signs links can be neither read nor made, the shipped prices cannot be written, or the file
    /// of currency rates cannot be read.
    pub async fn new(store: Store, config: ServerConfig) -> Result<Self> {
        let signer = files::Signer::new(&store.secret("file_links").await?);
        let rates = config.currency_rates.clone().map(rates::RatesFile::open).transpose()?.map(Arc::new);
        match store.renew_default_prices().await {
            // What is there can still be read.
            Err(Error::Full) => tracing::error!("no space left for the prices that come with this version"),
            renewed => drop(renewed?),
        }
        Ok(Self(App(Arc::new(Shared {
            store,
            config,
            keys: auth::KeyCache::default(),
            signer,
            rates,
            metrics: metrics::Metrics::default(),
            throttle: throttle::Throttle::default(),
            uploads: tokio::sync::Semaphore::new(UPLOADS),
            spans: tokio::sync::Semaphore::new(tracking::spans::SPANS_ROOM),
        }))))
    }

    /// Serves until `stop` is done; then takes no more connections and finishes what runs, within
    /// the configured time. The store stays open: whoever opened it closes it.
    pub async fn serve(self, listener: tokio::net::TcpListener, stop: impl Future<Output = ()>) {
        let store = self.0.store.clone();
        let restating = tokio::spawn(async move { store.keep_restated().await });
        transport::serve(listener, self.0, stop).await;
        // What it was at is whole or not there, and goes on with the next start.
        restating.abort();
    }
}

/// The whole API without a socket and without a key, for a program that holds the store itself: the same
/// routes, so the same answers. Cheap to clone.
#[derive(Clone)]
pub struct InProcess {
    router: axum::Router,
    caller: auth::Caller,
}

impl Server {
    /// The API as a program in this process may call it, for one agent, with all that a write key may do.
    #[must_use]
    pub fn in_process(&self, agent: AgentId) -> InProcess {
        InProcess { router: router::router(self.0.clone()), caller: auth::Caller(agent) }
    }
}

impl InProcess {
    /// Answers one request, whose path is in its routed form (`/api/conversations/42/`).
    pub async fn call(&self, request: Request<Bytes>) -> (StatusCode, HeaderMap, Bytes) {
        let mut request = request.map(axum::body::Body::from);
        request.extensions_mut().insert(self.caller.clone());
        let answered = self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let (parts, body) = answered.into_parts();
        match body.collect().await {
            Ok(body) => (parts.status, parts.headers, body.to_bytes()),
            // Files are streamed: one may end before its announced length.
            Err(error) => {
                let said = serde_json::json!({ "detail": format!("the answer broke off: {error}") });
                (StatusCode::INTERNAL_SERVER_ERROR, HeaderMap::new(), said.to_string().into())
            }
        }
    }
}
