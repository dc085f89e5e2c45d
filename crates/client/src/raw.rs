//! Requests as they are, for programs that bring their own shapes: other languages' clients on this one.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderValue;

use crate::transport::{Call, Repeat};
use crate::{AgentSight, Error, Result};

/// A request in the words of the API.
#[derive(Clone, Debug, Default)]
pub struct RawRequest {
    /// `GET`, `POST`, `PATCH` or `DELETE`.
    pub method: String,
    /// Such as `/api/conversations/42/`; with a query, where there is one, percent-encoded.
    pub path: String,
    /// Content type and bytes.
    pub body: Option<(String, Bytes)>,
    /// Waits this many times as long as usual for the answer; 0 counts as 1.
    pub patience: u32,
}

/// The answer to a [`RawRequest`], whatever its status.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
}

/// Where the server knows a body that comes again (contract: tracking-v0 §9).
const TRACKED: [&str; 5] =
    ["/api/conversations/", "/api/track/", "/api/action_logs/", "/api/buttons/", "/api/attachments/"];

impl AgentSight {
    /// Sends a request as it is, again where that is safe and may help, and gives the answer as it is.
    ///
    /// # Errors
    /// [`Error::Network`] where there was no answer, [`Error::Input`] for a method or path that cannot be sent.
    /// A refusal is an answer.
    pub async fn send_raw(&self, request: RawRequest) -> Result<RawAnswer> {
        let answer = self.send_whole(&self.raw_call(request)?).await?;
        Ok(RawAnswer { status: answer.status, body: answer.body })
    }

    fn raw_call(&self, request: RawRequest) -> Result<Call> {
        let method: Method = request.method.parse().map_err(|_| input(&format!("method {:?}", request.method)))?;
        let path = request.path.split('?').next().unwrap_or_default();
        let call = match request.body {
            _ if method == Method::GET => self.get(&request.path, &[])?,
            _ if method == Method::DELETE => self.remove(&request.path)?,
            body => {
                let (content_type, bytes) = body.unwrap_or_else(|| ("application/json".to_owned(), Bytes::new()));
                let content_type = HeaderValue::try_from(&content_type)
                    .map_err(|_| input(&format!("content type {content_type:?}")))?;
                let known = method == Method::POST && TRACKED.contains(&path);
                let repeat = if known { Repeat::Tracked } else { Repeat::Unseen };
                self.write_bytes(method, &request.path, content_type, bytes, repeat)?
            }
        };
        Ok(call.patient(request.patience.max(1)))
    }
}

fn input(what: &str) -> Error {
    Error::Input(format!("{what} cannot be sent"))
}
