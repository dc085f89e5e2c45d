//! When conversations that wait are indexed for search: the same rules for the thread that does nothing else, of the
//! embedded engine, and for the writer to a server, who does it in its pauses.

use std::time::{Duration, Instant};

use crate::error::Error;

/// A pause this long between writes is a good moment to index.
pub(super) const QUIET: Duration = Duration::from_millis(25);
/// Conversations that wait to be indexed past which indexing no longer waits for a pause: a search reads all of them,
/// which takes some 50 ms for this many.
pub(super) const DEBT: u64 = 5_000;
/// How long indexing rests after it failed, at first and at most.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// The rest that indexing takes after a failure, ever longer.
#[derive(Default)]
pub(super) struct Rest(Option<(Instant, Duration)>);

impl Rest {
    /// What is left of it.
    pub(super) fn left(&self) -> Option<Duration> {
        let (since, rest) = self.0?;
        rest.checked_sub(since.elapsed()).filter(|left| !left.is_zero())
    }

    /// Indexing works.
    pub(super) fn end(&mut self) {
        if self.0.take().is_some() {
            tracing::info!("the search index goes on");
        }
    }

    /// Indexing failed.
    pub(super) fn begin(&mut self, error: &Error) {
        match error {
            Error::Unavailable { why } => tracing::warn!(why, "the search index waits for the database"),
            error => {
                tracing::error!(%error, "the search index could not be brought up to date; searches read what is missing");
            }
        }
        let rest = self.0.map_or(FIRST_REST, |(_, last)| (last * 2).min(LONGEST_REST));
        self.0 = Some((Instant::now(), rest));
    }
}
