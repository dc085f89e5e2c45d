//! Spans of SDK 0.1.x (contract: ingest-v1).

use std::io::Read as _;

use agentsight_model::body::Body;
use agentsight_model::json::repair;
use agentsight_model::limits::SPANS_BODY_BYTES;
use agentsight_model::refusal::Refusal;
use agentsight_model::span::{BatchStored, SpanBatch};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use bytes::Bytes;
use tokio::sync::SemaphorePermit;

use crate::App;
use crate::answer::ok;
use crate::auth::Writer;
use crate::body::collect;
use crate::docs::{BadRequest, schemas};
use crate::error::{ApiError, Result};
use crate::request_id;

/// A body that is larger is taken apart on a thread for long work.
const READ_NOW_BYTES: usize = 128 * 1024;
/// Memory of all bodies of spans that come in or are being worked on, in units of 1 KiB. Who finds no room is told to come
/// again. What is made of a body takes some fifteen times its size until it is stored.
pub(crate) const SPANS_ROOM: usize = 64 * 1024;
/// Bytes that a byte of gzip holds at most.
const MOST_PACKED: usize = 1_032;
/// Bytes of a unit.
const UNIT: usize = 1024;
/// How soon who found no room may come again, in seconds.
const COME_AGAIN: u64 = 1;

/// Stores spans, and what they tell: messages, action logs, clicks, token usage. All blocks of a request, or none.
#[utoipa::path(post, path = "/api/ingest/", tag = "tracking", request_body = schemas::SpansIn,
    responses((status = 200, description = "Stored and readable", body = BatchStored), BadRequest))]
pub(crate) async fn ingest(caller: Writer, State(app): State<App>, request: Request) -> Result {
    let (bytes, _room) = spans_body(&app, request).await?;
    let batch = apart(bytes.len(), move || read(&bytes)).await?;
    Ok(ok(&app.store.ingest(caller.agent, batch).await.map_err(busy_is_throttled)?))
}

fn read(bytes: &[u8]) -> Result<SpanBatch> {
    let repaired = repair(bytes).map_err(|e| Refusal::Detail(format!("JSON parse error - {e}").into()))?;
    Ok(SpanBatch::read(&Body::parse(&repaired)?)?)
}

/// Does long work on a thread for that, and short work at once.
pub(crate) async fn apart<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if bytes <= READ_NOW_BYTES {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => {
            tracing::error!(id = request_id::current(), %error, "a body could not be read");
            Err(ApiError::Failed)
        }
    }
}

/// A full queue: spans are sent by exporters, which wait and send again what is throttled.
pub(crate) fn busy_is_throttled(error: agentsight_store::Error) -> ApiError {
    match error {
        agentsight_store::Error::Busy { retry_after } => ApiError::Throttled { seconds: retry_after.as_secs().max(1) },
        other => other.into(),
    }
}

/// A body of spans, decompressed, with the room that it takes.
pub(crate) async fn spans_body(app: &App, request: Request) -> Result<(Bytes, SemaphorePermit<'_>)> {
    let encoding = request.headers().get(CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase());
    let is_packed = match encoding.as_deref() {
        None | Some(b"identity" | b"") => false,
        Some(b"gzip" | b"x-gzip") => true,
        Some(_) => return Err(ApiError::Unsupported("Content-Encoding must be gzip or absent.")),
    };
    let too_large = |limit: usize| format!("Request body is too large: at most {limit} bytes, decompressed.");
    // Before the body is here: what many senders send at once would fill the memory while it comes.
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let declared = declared.unwrap_or(0).min(SPANS_BODY_BYTES);
    let mut taken = room(app, declared)?;
    let bytes = collect(app, request, SPANS_BODY_BYTES, too_large).await?;
    if is_packed && !may_be_packed(&bytes) {
        return Err(broken("it does not begin and end as one."));
    }
    let length = if is_packed { unpacked_length(&bytes) } else { bytes.len() };
    if length > SPANS_BODY_BYTES {
        return Err(ApiError::TooLarge(too_large(SPANS_BODY_BYTES)));
    }
    if length > declared {
        taken.merge(room(app, length - declared)?);
    }
    if !is_packed {
        return Ok((bytes, taken));
    }
    let unpacked = apart(length, move || unpack(&bytes, length)).await?;
    Ok((unpacked, taken))
}

/// Room for a body of that length.
pub(crate) fn room(app: &App, length: usize) -> Result<SemaphorePermit<'_>> {
    let units = u32::try_from(length / UNIT + 1).unwrap_or(u32::MAX);
    app.spans.try_acquire_many(units).map_err(|_| ApiError::Throttled { seconds: COME_AGAIN })
}

/// Whether a body begins as gzip and says no more of its length than so many bytes can hold: what was cut off ends in
/// bytes that are no length.
fn may_be_packed(packed: &[u8]) -> bool {
    packed.starts_with(&[0x1f, 0x8b]) && unpacked_length(packed) / MOST_PACKED <= packed.len()
}

fn broken(why: &str) -> ApiError {
    Refusal::Detail(format!("The body is no valid gzip: {why}").into()).into()
}

/// What the last four bytes of a gzip stream say of its length.
fn unpacked_length(packed: &[u8]) -> usize {
    packed.last_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize)
}

/// Unpacks one gzip stream of exactly that length: what says less than it holds is a bomb, or broken.
fn unpack(packed: &[u8], length: usize) -> Result<Bytes> {
    let mut decoder = flate2::bufread::GzDecoder::new(packed);
    let mut unpacked = Vec::with_capacity(length);
    let most = length as u64 + 1;
    (&mut decoder).take(most).read_to_end(&mut unpacked).map_err(|e| broken(&format!("{e}.")))?;
    if unpacked.len() != length || !decoder.into_inner().is_empty() {
        return Err(broken("it has another length than it says."));
    }
    Ok(unpacked.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_body_is_unpacked_and_never_further_than_it_says() {
        let honest = packed(b"{}");
        assert_eq!(unpack(&honest, unpacked_length(&honest)).unwrap(), "{}");

        let mut liar = packed(&vec![b' '; 1 << 20]);
        let end = liar.len() - 4;
        liar[end..].copy_from_slice(&2_u32.to_le_bytes());
        assert!(matches!(unpack(&liar, unpacked_length(&liar)), Err(ApiError::Refused(Refusal::Detail(_)))));

        let mut broken = packed(b"{}");
        broken[12] ^= 0xff;
        assert!(unpack(&broken, unpacked_length(&broken)).is_err());
        assert!(unpack(b"{}", unpacked_length(b"{}")).is_err());
        let two = [packed(b"{}"), packed(b"{}")].concat();
        assert!(unpack(&two, unpacked_length(&two)).is_err());
    }
}
