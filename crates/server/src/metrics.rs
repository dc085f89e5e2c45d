//! Numbers for Prometheus, at `/metrics`.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::App;

/// Upper bounds of the buckets of request times, in seconds.
const BUCKETS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

#[derive(Default)]
pub(crate) struct Metrics {
    /// Requests by the first digit of their status.
    by_class: [AtomicU64; 6],
    micros: AtomicU64,
    buckets: [AtomicU64; BUCKETS.len()],
}

impl Metrics {
    pub(crate) fn record(&self, status: StatusCode, took: Duration) {
        if let Some(class) = self.by_class.get(usize::from(status.as_u16() / 100)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound);
        if let Some(bucket) = bucket.and_then(|at| self.buckets.get(at)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn render(&self, search_pending: Option<u64>) -> String {
        let mut text = String::with_capacity(2_048);
        let mut total = 0;
        text.push_str("# HELP agentsight_requests_total Requests answered, by class of status.\n# TYPE agentsight_requests_total counter\n");
        for (class, count) in self.by_class.iter().enumerate().skip(1) {
            let count = count.load(Ordering::Relaxed);
            total += count;
            let _ = writeln!(text, "agentsight_requests_total{{status=\"{class}xx\"}} {count}");
        }
        text.push_str("# HELP agentsight_request_seconds Time from the request's head to the answer's.\n# TYPE agentsight_request_seconds histogram\n");
        let mut below = 0;
        for (bound, count) in BUCKETS.iter().zip(&self.buckets) {
            below += count.load(Ordering::Relaxed);
            let _ = writeln!(text, "agentsight_request_seconds_bucket{{le=\"{bound}\"}} {below}");
        }
        let seconds = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        let _ = writeln!(text, "agentsight_request_seconds_bucket{{le=\"+Inf\"}} {total}");
        let _ = writeln!(text, "agentsight_request_seconds_sum {seconds}\nagentsight_request_seconds_count {total}");
        if let Some(search_pending) = search_pending {
            let _ = writeln!(
                text,
                "# HELP agentsight_search_pending Conversations with texts that the search index does not hold yet.\n# TYPE agentsight_search_pending gauge\nagentsight_search_pending {search_pending}"
            );
        }
        text
    }
}

/// `GET /metrics`: numbers for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain")), security(()))]
pub(crate) async fn show(State(app): State<App>) -> Response {
    const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");
    // A database that is away is no reason to hide the other numbers.
    let pending = app.store.search_pending().await.ok();
    ([(header::CONTENT_TYPE, PROMETHEUS)], app.metrics.render(pending)).into_response()
}
