//! Lists and search, one request after another on one connection, as a person clicking would cause.
//!
//! Each is also given as a multiple of one fetch on the same connection in the same seconds: that
//! tells a slow query from a slow machine.

use std::time::Instant;

use serde::Deserialize;

use super::Bench;
use crate::dataset::{ABSENT, COMMON, Dataset, RARE};
use crate::error::{Context, Result};
use crate::http::{Connection, write_get};
use crate::load;
use crate::process::Process;
use crate::report::{Bound, Unit, spread, times};
use crate::rng::Rng;
use crate::stats::{Spread, percentile};
use crate::store::Store;

/// Fetches whose median a query is compared with, taken right before it.
const FETCHES: usize = 100;
/// Repeats of a query in one run: at least, and at most within the seconds of a run.
const REPEATS: (usize, usize) = (3, 100);

/// A list request and what it must find.
pub(super) struct Query {
    name: &'static str,
    path: String,
    expected: u64,
    /// The promised multiple of one fetch.
    pub(super) target: Option<f64>,
}

/// Filtered lists.
pub(crate) async fn run_lists(bench: &mut Bench) -> Result<()> {
    run(bench, "Lists", lists).await
}

/// Substring search.
pub(crate) async fn run_search(bench: &mut Bench) -> Result<()> {
    run(bench, "Search", searches).await
}

pub(super) fn lists(set: Dataset) -> Vec<Query> {
    let query = |name, parameters: &str, expected, target| Query {
        name,
        path: format!("/api/conversations/?page_size=10{parameters}"),
        expected,
        target,
    };
    // The newest tenth.
    let recent = set.facts(set.conversations * 9 / 10).started_at_us;
    let since = jiff::Timestamp::from_microsecond(recent).unwrap_or_default();
    vec![
        query("newest 10, full", "", set.conversations, Some(4.0)),
        query("newest 10, lean", "&full=false", set.conversations, None),
        query("device=mobile", "&full=false&device=mobile", set.count(|facts| facts.device == "mobile"), None),
        query("is_marked=true", "&full=false&is_marked=true", set.count(|facts| facts.is_marked), None),
        query("metadata=plan:pro", "&full=false&metadata=plan:pro", set.count(|facts| facts.plan == "pro"), None),
        query(
            "started_at_after, newest tenth",
            &format!("&full=false&started_at_after={since:.6}"),
            set.count(|facts| facts.started_at_us >= recent),
            None,
        ),
        query(
            "feedback_sentiment=negative",
            "&full=false&feedback_sentiment=negative",
            set.count(|facts| facts.sentiment == Some("negative")),
            None,
        ),
    ]
}

pub(super) fn searches(set: Dataset) -> Vec<Query> {
    let query = |name, needle: &str, expected, target| Query {
        name,
        path: format!("/api/conversations/?page_size=10&full=false&message_contains={needle}"),
        expected,
        target,
    };
    vec![
        query("rare", RARE, set.count(|facts| facts.has_rare), Some(20.0)),
        query("absent", ABSENT, 0, None),
        query("common", COMMON, set.count(|facts| facts.has_common), None),
    ]
}

async fn run(bench: &mut Bench, title: &str, queries: fn(Dataset) -> Vec<Query>) -> Result<()> {
    let stores = [bench.store(bench.options.small).await?, bench.store(bench.options.large).await?];
    bench.report.section(title);
    bench.report.say(
        "One connection, one request after another; `count` is compared with what the data set holds. The last columns \
         are multiples of one fetch by id on the same connection.",
    );
    let mut rows = Vec::new();
    for store in stores {
        let server = store.serve(&bench.options).await?;
        for query in queries(store.dataset) {
            rows.push(measure(bench, &store, &server, &query).await.context(query.name)?);
        }
        server.stop().await?;
    }
    let header = ["query", "messages stored", "found", "p50 ms", "p99 ms", "one fetch, ms", "of one fetch", "target"];
    bench.report.table(&header, &rows);
    Ok(())
}

#[derive(Deserialize)]
struct Page {
    count: u64,
}

/// One query: fetches and repeats in turn, run by run.
pub(super) async fn measure(bench: &mut Bench, store: &Store, server: &Process, query: &Query) -> Result<Vec<String>> {
    let mut connection = Connection::open(server.address()).await?;
    let found: Page = connection.get(&query.path).await?.json()?;
    let mut request = Vec::new();
    write_get(&mut request, format_args!("{}", query.path));
    let mut rng = Rng::new(300, store.dataset.conversations);
    let (mut medians, mut slowest, mut fetches) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.options.runs {
        let fetch = load::repeat(&mut connection, &fetch_requests(store, &mut rng)).await?;
        fetches.push(f64::from(percentile(&fetch, 0.5)) / 1e3);
        let mut latencies = Vec::new();
        let begin = Instant::now();
        while latencies.len() < REPEATS.0 || (latencies.len() < REPEATS.1 && begin.elapsed() < bench.options.run) {
            latencies.append(&mut load::repeat(&mut connection, std::slice::from_ref(&request)).await?);
        }
        latencies.sort_unstable();
        medians.push(f64::from(percentile(&latencies, 0.5)) / 1e3);
        slowest.push(f64::from(percentile(&latencies, 0.99)) / 1e3);
    }
    let ratio = Spread::of_ratios(&medians, &fetches);
    let messages = store.dataset.conversations * crate::dataset::MESSAGES;
    let goal = query.target.map(|target| {
        let what = format!("{}, {messages} messages, of one fetch", query.name);
        bench.report.goal(&what, ratio.median, Bound::AtMost(target), Unit::Times)
    });
    let found = if found.count == query.expected {
        found.count.to_string()
    } else {
        let wrong = format!("{} in {messages} messages: found {}, not {}", query.name, found.count, query.expected);
        bench.report.fail(&wrong);
        format!("**{}**", found.count)
    };
    Ok(vec![
        query.name.to_owned(),
        messages.to_string(),
        found,
        spread(Spread::of(medians)),
        spread(Spread::of(slowest)),
        spread(Spread::of(fetches)),
        times(ratio),
        goal.unwrap_or_default(),
    ])
}

/// Fetches by id of random conversations.
fn fetch_requests(store: &Store, rng: &mut Rng) -> Vec<Vec<u8>> {
    let one = |_| {
        let mut request = Vec::new();
        let key = store.key(rng.below(store.dataset.conversations));
        write_get(&mut request, format_args!("/api/conversations/{key}/"));
        request
    };
    (0..FETCHES).map(one).collect()
}
