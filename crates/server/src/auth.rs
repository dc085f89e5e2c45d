//! Who is asking: the gate that stands in every handler's signature.
//!
//! [`Reader`] exists only for a valid key, [`Writer`] only for one that may write; both carry the one
//! agent that every store call needs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use agentsight_model::ids::{AgentId, KeyId};
use agentsight_model::key::{ApiKey, Role};
use agentsight_store::Identity;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};

use crate::App;
use crate::error::{ApiError, NO_PERMISSION};
use crate::throttle::Plane;

/// How long a key's row is believed without another look: a key that was revoked, on whichever node,
/// stops within this time.
const BELIEVED: Duration = Duration::from_secs(1);
/// Keys remembered; past it everything is forgotten, which costs a look each.
const REMEMBERED: usize = 4_096;

/// A caller in this very process, put into the extensions of its requests by [`crate::InProcess`] alone.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) AgentId);

impl Caller {
    /// It may do what a write key may, and is nobody's key: no row has this id.
    fn identity(&self) -> Identity {
        Identity { agent: self.0, key: KeyId(0), role: Role::Write, name: None, expires_at: None, revoked: false }
    }
}

/// Rows of keys that were used within the last moments.
#[derive(Default)]
pub(crate) struct KeyCache(RwLock<HashMap<Sighting, (Identity, Instant)>>);

/// What stands for a header in the cache: its SHA-256, so that no key lies in memory in clear, and
/// comparing takes no longer for a key that is nearly right.
type Sighting = [u8; 32];

impl KeyCache {
    fn get(&self, hash: &Sighting) -> Option<Identity> {
        let known = self.0.read();
        known.get(hash).filter(|(_, since)| since.elapsed() < BELIEVED).map(|(identity, _)| identity.clone())
    }

    fn put(&self, hash: Sighting, identity: Identity) {
        let mut known = self.0.write();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(hash, (identity, Instant::now()));
    }
}

/// A caller that may read.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    /// The one agent that it sees.
    pub(crate) agent: AgentId,
    /// Who it is.
    pub(crate) identity: Identity,
}

/// A caller that may write.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    /// The one agent that it writes for.
    pub(crate) agent: AgentId,
    /// Who it is.
    pub(crate) identity: Identity,
}

/// A key by itself.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// How a key may be announced: as the SDKs do, and as exporters of OpenTelemetry do.
const SCHEMES: [&str; 2] = ["api-key", "bearer"];

async fn identify(headers: &HeaderMap, app: &App, plane: Plane) -> Result<Identity, ApiError> {
    const ABSENT: ApiError = ApiError::Unauthorized("Authentication credentials were not provided.");
    const INVALID: ApiError = ApiError::Unauthorized("Invalid API key.");
    // What exporters of OpenTelemetry can be told to send: a header of any name.
    let bare = headers.get(API_KEY);
    let header = headers.get(AUTHORIZATION).or(bare).ok_or(ABSENT)?;
    let is_bare = bare.is_some() && !headers.contains_key(AUTHORIZATION);
    // The same text means something else in the other header.
    let sighting: Sighting =
        Sha256::new_with_prefix([u8::from(is_bare)]).chain_update(header.as_bytes()).finalize().into();
    let identity = match app.keys.get(&sighting) {
        Some(identity) => identity,
        None => {
            let text = header.to_str().map_err(|_| INVALID)?.trim();
            let key = match text.split_once(' ') {
                Some((scheme, key)) if SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) => key.trim(),
                // As Langfuse's SDKs do: the public key is a user's name, the secret key a password.
                Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => {
                    &password(pair.trim()).ok_or(INVALID)?
                }
                None if is_bare => text,
                _ => return Err(INVALID),
            };
            let key: ApiKey = key.parse().map_err(|_| INVALID)?;
            let found = match plane {
                Plane::Read => app.store.identify(&key.hash()).await?,
                Plane::Write => app.store.identify_writer(&key.hash()).await?,
            };
            let identity = found.ok_or(INVALID)?;
            app.keys.put(sighting, identity.clone());
            identity
        }
    };
    let expired = identity.expires_at.is_some_and(|at| at <= app.store.clock().now());
    if identity.revoked || expired {
        return Err(ApiError::Unauthorized("API key is inactive, expired or revoked."));
    }
    Ok(identity)
}

/// The password of `name:password` in base64.
fn password(pair: &str) -> Option<String> {
    let pair = base64::engine::general_purpose::STANDARD.decode(pair).ok()?;
    let (_, password) = str::from_utf8(&pair).ok()?.split_once(':')?;
    Some(password.to_owned())
}

impl FromRequestParts<App> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if let Some(caller) = parts.extensions.get::<Caller>() {
            return Ok(Self { agent: caller.0, identity: caller.identity() });
        }
        let identity = identify(&parts.headers, app, Plane::Read).await?;
        app.throttle.admit(identity.key, Plane::Read, app.config.reads_per_minute)?;
        Ok(Self { agent: identity.agent, identity })
    }
}

impl FromRequestParts<App> for Writer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if let Some(caller) = parts.extensions.get::<Caller>() {
            return Ok(Self { agent: caller.0, identity: caller.identity() });
        }
        Self::of(&parts.headers, app).await
    }
}

impl Writer {
    /// Who these headers speak for, if they may write.
    pub(crate) async fn of(headers: &HeaderMap, app: &App) -> Result<Self, ApiError> {
        let identity = identify(headers, app, Plane::Write).await?;
        if identity.role != Role::Write {
            return Err(ApiError::Forbidden(NO_PERMISSION));
        }
        app.throttle.admit(identity.key, Plane::Write, app.config.writes_per_minute)?;
        Ok(Self { agent: identity.agent, identity })
    }
}
