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
use flate2::bufread::MultiGzDecoder;
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
    let packed = bytes.clone();
    if let Some(unpacked) = apart(length, move || unpack(&packed, length)).await? {
        return Ok((unpacked, taken));
    }
    // Of several members the last says nothing of the others: all are measured before there is room for them.
    let packed = bytes.clone();
    let whole = apart(SPANS_BODY_BYTES, move || measure(&packed)).await?;
    if whole > SPANS_BODY_BYTES {
        return Err(ApiError::TooLarge(too_large(SPANS_BODY_BYTES)));
    }
    taken.merge(room(app, whole.saturating_sub(length.max(declared)))?);
    let unpacked = apart(whole, move || unpack(&bytes, whole)).await?;
    unpacked.map(|unpacked| (unpacked, taken)).ok_or(ApiError::Failed)
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

/// What the last four bytes of a gzip stream say of its length: that of its last member, and most have one.
fn unpacked_length(packed: &[u8]) -> usize {
    packed.last_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize)
}

/// Unpacks what has exactly that length; `None` where it has another. It is never unpacked further.
fn unpack(packed: &[u8], length: usize) -> Result<Option<Bytes>> {
    let mut unpacked = Vec::with_capacity(length);
    let read = MultiGzDecoder::new(packed).take(length as u64 + 1).read_to_end(&mut unpacked);
    read.map_err(|e| broken(&format!("{e}.")))?;
    Ok((unpacked.len() == length).then(|| unpacked.into()))
}

/// The length of all members, of which nothing is kept; what is past the limit is not read.
fn measure(packed: &[u8]) -> Result<usize> {
    let mut within = MultiGzDecoder::new(packed).take(SPANS_BODY_BYTES as u64 + 1);
    let length = std::io::copy(&mut within, &mut std::io::sink()).map_err(|e| broken(&format!("{e}.")))?;
    Ok(usize::try_from(length).unwrap_or(usize::MAX))
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
        assert_eq!(unpack(&honest, unpacked_length(&honest)).unwrap().unwrap(), "{}");

        let mut liar = packed(&vec![b' '; 1 << 20]);
        let end = liar.len() - 4;
        liar[end..].copy_from_slice(&2_u32.to_le_bytes());
        assert_eq!(unpack(&liar, unpacked_length(&liar)).unwrap(), None);
        assert!(matches!(measure(&liar), Err(ApiError::Refused(Refusal::Detail(_)))));

        let mut broken = packed(b"{}");
        broken[12] ^= 0xff;
        for no_gzip in [broken.as_slice(), b"{}"] {
            assert!(!matches!(unpack(no_gzip, unpacked_length(no_gzip)), Ok(Some(_))));
            assert!(matches!(measure(no_gzip), Err(ApiError::Refused(Refusal::Detail(_)))));
        }
    }

    #[test]
    fn several_members_are_one_body() {
        for parts in [["{\"conversations\"", ": []}", ""], ["", "", "{}"], ["{}", "{}", "{}"]] {
            let members = parts.map(|part| packed(part.as_bytes())).concat();
            let length = measure(&members).unwrap();
            assert_eq!(unpack(&members, length).unwrap().unwrap(), parts.concat());
        }
        let bomb = [packed(&vec![b' '; SPANS_BODY_BYTES]), packed(b"{}")].concat();
        assert_eq!(measure(&bomb).unwrap(), SPANS_BODY_BYTES + 1);
        let trailing = [packed(b"{}"), b"{}".to_vec()].concat();
        assert!(measure(&trailing).is_err());
    }
}
