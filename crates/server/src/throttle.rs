//! Requests per minute and key, where the operator set a limit (contract: README §9).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use agentsight_model::ids::KeyId;
use parking_lot::Mutex;

use crate::error::ApiError;

/// Reads and writes are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Plane {
    Read,
    Write,
}

const MINUTE: Duration = Duration::from_secs(60);

/// A bucket per key and plane: it holds a minute's worth of requests and fills up evenly.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<HashMap<(KeyId, Plane), Bucket>>);

struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Throttle {
    /// Takes one request off the bucket.
    pub(crate) fn admit(&self, key: KeyId, plane: Plane, per_minute: Option<u32>) -> Result<(), ApiError> {
        let Some(limit) = per_minute.filter(|limit| *limit > 0) else { return Ok(()) };
        self.take((key, plane), f64::from(limit), Instant::now()).map_err(|seconds| ApiError::Throttled { seconds })
    }

    fn take(&self, of: (KeyId, Plane), limit: f64, now: Instant) -> Result<(), u64> {
        let per_second = limit / MINUTE.as_secs_f64();
        let mut buckets = self.0.lock();
        let bucket = buckets.entry(of).or_insert(Bucket { tokens: limit, filled_at: now });
        let passed = now.saturating_duration_since(bucket.filled_at).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * per_second).min(limit);
        bucket.filled_at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            Ok(())
        } else {
            Err(((1.0 - bucket.tokens) / per_second).ceil().max(1.0) as u64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_up_evenly() {
        let (throttle, of, start) = (Throttle::default(), (KeyId(1), Plane::Read), Instant::now());
        assert!((0..6).all(|_| throttle.take(of, 6.0, start).is_ok()));
        assert_eq!(throttle.take(of, 6.0, start), Err(10));
        assert_eq!(throttle.take(of, 6.0, start + Duration::from_secs(4)), Err(6));
        assert_eq!(throttle.take(of, 6.0, start + Duration::from_secs(10)), Ok(()));
        assert_eq!(throttle.take((KeyId(1), Plane::Write), 6.0, start), Ok(()));
    }
}
