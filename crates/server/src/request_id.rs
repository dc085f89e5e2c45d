//! Ids by which a line of the log and an answer are matched.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::HeaderValue;

tokio::task_local! {
    static CURRENT: HeaderValue;
}

/// Makes them: a word of this process, and a number.
pub(crate) struct RequestIds {
    process: u32,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        let mut random = [0; 4];
        // Without randomness ids of two processes may be equal, which only readers of logs would notice.
        let _ = getrandom::fill(&mut random);
        Self { process: u32::from_le_bytes(random), next: AtomicU64::new(1) }
    }

    pub(crate) fn next(&self) -> HeaderValue {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        HeaderValue::from_str(&format!("{:08x}-{number}", self.process)).unwrap_or(HeaderValue::from_static("0"))
    }
}

/// Answers a request under its id, which [`current`] then knows.
pub(crate) async fn within<T>(id: HeaderValue, answering: impl Future<Output = T>) -> T {
    CURRENT.scope(id, answering).await
}

/// The id of the request that is being answered here, for the log; none where it came over no connection.
pub(crate) fn current() -> Option<String> {
    CURRENT.try_with(|id| id.to_str().unwrap_or_default().to_owned()).ok()
}
