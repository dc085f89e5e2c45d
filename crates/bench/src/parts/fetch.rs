//! One conversation, whole, by the server's key and by the sender's id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Bench;
use crate::dataset::conversation_id;
use crate::error::Result;
use crate::http::{Connection, write_get};
use crate::load::{self, Measured, Source};
use crate::process::Process;
use crate::report::{Bound, Unit, percent, spread, times};
use crate::rng::Rng;
use crate::stats::{Spread, percentile};
use crate::store::Store;
use crate::{bare, sqlite};

/// How a conversation is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Id,
    Text,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Id => "by id",
            Self::Text => "by string",
        }
    }

    /// Writes the request for conversation `index`, whose key at the server is `key`.
    fn write(self, request: &mut Vec<u8>, index: u64, key: u64) {
        match self {
            Self::Id => write_get(request, format_args!("/api/conversations/{key}/")),
            Self::Text => {
                write_get(request, format_args!("/api/conversations/?conversation_id={}", conversation_id(index)));
            }
        }
    }
}

/// Runs of one combination, in the order in which they were taken.
#[derive(Debug, Default)]
struct Series {
    small: Vec<Measured>,
    bare: Vec<Measured>,
    large: Vec<Measured>,
}

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let small = bench.store(bench.options.small).await?;
    let large = bench.store(bench.options.large).await?;
    bench.report.section("Fetch");
    let small_server = small.serve(&bench.options).await?;
    let large_server = large.serve(&bench.options).await?;
    let mut rows = Vec::new();
    let mut sqlite_rows = Vec::new();
    for by in [By::Id, By::Text] {
        let body = mean_body(&small, &small_server, by).await?;
        let bare_server = bare::start(body, &bench.scratch).await?;
        if by == By::Id {
            bench.report.say(&format!(
                "A random conversation for each request, 10 messages and 2 actions, {body} bytes on average by id. Beside \
                 it axum answering a fixed body of the same size, two workers, no key.",
            ));
        }
        for connections in [1, 16] {
            let mut series = Series::default();
            for run in 0..bench.options.runs {
                // Small, bare, large: either store has the bare server next to it.
                let length = bench.options.run;
                series.small.push(measure(&[&small_server], &small, by, connections, run, length).await?);
                series.bare.push(measure(&[&bare_server], &small, by, connections, run, length).await?);
                series.large.push(measure(&[&large_server], &large, by, connections, run, length).await?);
            }
            tell(bench, by, connections, &series, &mut rows);
        }
        bare_server.stop().await?;
    }
    for store in [&small, &large] {
        sqlite_rows.push(bare_reads(store, bench.options.runs, bench.options.run)?);
    }
    small_server.stop().await?;
    large_server.stop().await?;
    let header = [
        "read",
        "connections",
        "store",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU ms/request",
        "of bare requests/s",
        "of bare p99",
        "targets",
    ];
    bench.report.table(&header, &rows);
    bench.report.say("SQLite alone reading the same conversations by key into the same JSON, one thread, no HTTP:");
    bench.report.table(&["store", "reads/s", "p50 ms", "p99 ms"], &sqlite_rows);
    Ok(())
}

/// Adds the three rows of one combination, and holds the promised figures against their bounds.
fn tell(bench: &mut Bench, by: By, connections: u64, series: &Series, rows: &mut Vec<Vec<String>>) {
    let rates = |runs: &[Measured]| runs.iter().map(|run| run.rate).collect::<Vec<_>>();
    let slowest = |runs: &[Measured]| runs.iter().map(|run| run.p99_us).collect::<Vec<_>>();
    let growth = Spread::of_ratios(&rates(&series.large), &rates(&series.small));
    let stores =
        [(&series.small, bench.options.small, None), (&series.large, bench.options.large, Some(growth.median))];
    for (runs, size, growth) in stores {
        let share = Spread::of_ratios(&rates(runs), &rates(&series.bare));
        let tail = Spread::of_ratios(&slowest(runs), &slowest(&series.bare));
        let mut goals = Vec::new();
        let mut goal = |what: &str, value, bound, unit| {
            let what = format!("fetch {}, {connections} connection(s), {size} stored, {what}", by.name());
            goals.push(bench.report.goal(&what, value, bound, unit));
        };
        if by == By::Id && connections == 16 {
            goal("of bare requests/s", share.median, Bound::AtLeast(0.35), Unit::Percent);
            goal("p99 of bare p99", tail.median, Bound::AtMost(3.0), Unit::Times);
            if let Some(growth) = growth {
                goal("of the small store's requests/s", growth, Bound::AtLeast(0.85), Unit::Percent);
            }
        }
        let mut row = figures(by, connections, &size.to_string(), runs);
        row.extend([percent(share), times(tail), goals.join("; ")]);
        rows.push(row);
    }
    let mut row = figures(by, connections, "bare", &series.bare);
    row.extend(["".to_owned(), "".to_owned(), format!("large store of small: {}", percent(growth))]);
    rows.push(row);
}

/// The cells that every server has.
fn figures(by: By, connections: u64, store: &str, runs: &[Measured]) -> Vec<String> {
    vec![
        by.name().to_owned(),
        connections.to_string(),
        store.to_owned(),
        spread(Spread::of(runs.iter().map(|run| run.rate))),
        spread(Spread::of(runs.iter().map(|run| run.p50_us / 1e3))),
        spread(Spread::of(runs.iter().map(|run| run.p99_us / 1e3))),
        spread(Spread::of(runs.iter().map(|run| run.cpu_ms))),
    ]
}

/// One run, after a short one that is not counted: caches are filled, threads are awake.
pub(super) async fn measure(
    servers: &[&Process],
    store: &Store,
    by: By,
    connections: u64,
    run: u32,
    length: Duration,
) -> Result<Measured> {
    let sources = |stream: u64| (0..connections).map(|number| source(store, by, stream, number)).collect::<Vec<_>>();
    load::run_over(servers, sources(u64::from(run) * 2 + 100), length / 10).await?;
    load::run_over(servers, sources(u64::from(run) * 2 + 101), length).await
}

/// Requests for random conversations of the store.
fn source(store: &Store, by: By, stream: u64, number: u64) -> Source {
    let mut rng = Rng::new(stream, number);
    let keys = Arc::clone(&store.keys);
    Box::new(move |request| {
        let index = rng.below(keys.len().max(1) as u64);
        by.write(request, index, keys.get(index as usize).copied().unwrap_or(0));
    })
}

/// The mean length of 200 answers.
async fn mean_body(store: &Store, server: &Process, by: By) -> Result<usize> {
    const SAMPLE: usize = 200;
    let mut connection = Connection::open(server.address()).await?;
    let mut next = source(store, by, 7, 7);
    let mut request = Vec::new();
    let mut sum = 0;
    for _ in 0..SAMPLE {
        next(&mut request);
        let answer = connection.send(&request).await?;
        if !answer.is_success() {
            return Err(format!("fetch {}: answer {}", by.name(), answer.status).into());
        }
        sum += answer.body.len();
    }
    Ok(sum / SAMPLE)
}

/// SQLite alone over the bare tables of the same store.
fn bare_reads(store: &Store, runs: u32, length: Duration) -> Result<Vec<String>> {
    let reads = sqlite::Reads::open(&store.bare_tables())?;
    let mut rng = Rng::new(200, store.dataset.conversations);
    let (mut rates, mut p50, mut p99) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let mut latencies = Vec::new();
        let begin = Instant::now();
        while begin.elapsed() < length {
            let key = 1 + rng.below(store.dataset.conversations);
            let asked = Instant::now();
            let found = reads.fetch(key)?;
            latencies.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
            if found.is_none() {
                return Err(format!("conversation {key} is not in the bare tables").into());
            }
        }
        rates.push(latencies.len() as f64 / begin.elapsed().as_secs_f64());
        latencies.sort_unstable();
        p50.push(f64::from(percentile(&latencies, 0.5)) / 1e3);
        p99.push(f64::from(percentile(&latencies, 0.99)) / 1e3);
    }
    Ok(vec![
        store.dataset.conversations.to_string(),
        spread(Spread::of(rates)),
        spread(Spread::of(p50)),
        spread(Spread::of(p99)),
    ])
}
