//! A PostgreSQL beside the embedded database, and two nodes beside one.
//!
//! Server, database and load share the machine, so that a second node can add little where there are
//! few cores: the CPU time of a request tells what it would add elsewhere. The database's own CPU time
//! is not in it.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use super::fetch::{self, By};
use super::{Bench, ingest, list};
use crate::dataset::{Conversation, Dataset, EPOCH_US};
use crate::error::{Context, Result};
use crate::load::{self, Measured};
use crate::process::Process;
use crate::report::{percent, spread};
use crate::server::{self, Place};
use crate::stats::Spread;
use crate::store::{fresh_schema, with_schema};

/// Clients of the single-item ingest, and connections of the fetch.
const CLIENTS: [u64; 2] = [1, 16];

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let url = bench.options.postgres.clone().ok_or("no --postgres was given")?;
    bench.report.section("PostgreSQL beside SQLite");
    ingest(bench, &url).await?;
    fetches(bench, &url).await?;
    queries(bench, &url).await
}

/// Runs of one combination on both engines, in turn.
#[derive(Default)]
struct Pair {
    sqlite: Vec<Measured>,
    postgres: Vec<Measured>,
}

impl Pair {
    fn rows(&self, what: &str, clients: u64, rows: &mut Vec<Vec<String>>) {
        let share = Spread::of_ratios(&rates(&self.postgres), &rates(&self.sqlite));
        rows.push(row(what, clients, "SQLite", &self.sqlite, String::new()));
        rows.push(row(what, clients, "PostgreSQL", &self.postgres, format!("{} of SQLite", percent(share))));
    }
}

fn rates(runs: &[Measured]) -> Vec<f64> {
    runs.iter().map(|run| run.rate).collect()
}

fn row(what: &str, clients: u64, engine: &str, runs: &[Measured], remark: String) -> Vec<String> {
    vec![
        what.to_owned(),
        clients.to_string(),
        engine.to_owned(),
        spread(Spread::of(rates(runs))),
        spread(Spread::of(runs.iter().map(|run| run.p50_us / 1e3))),
        spread(Spread::of(runs.iter().map(|run| run.p99_us / 1e3))),
        spread(Spread::of(runs.iter().map(|run| run.cpu_ms))),
        remark,
    ]
}

const HEADER: [&str; 8] =
    ["what", "clients", "engine", "requests/s", "p50 ms", "p99 ms", "server CPU ms/request", "ratio"];

/// Single messages, durable when they are answered, into new stores.
async fn ingest(bench: &mut Bench, url: &str) -> Result<()> {
    let pool: Arc<Vec<Conversation>> =
        Arc::new((0..ingest::POOL).map(|index| Dataset { conversations: ingest::POOL }.conversation(index)).collect());
    let mut rows = Vec::new();
    for clients in CLIENTS {
        let folder = bench.scratch.join(format!("engines-{clients}"));
        let (embedded, blobs) = (folder.join("sqlite"), folder.join("postgres"));
        for data in [&embedded, &blobs] {
            std::fs::create_dir_all(data).context(data.display())?;
        }
        let database = with_schema(url, &fresh_schema("ingest"));
        let sqlite = Place { data: &embedded, database: None, log: &folder.join("sqlite.log") };
        let postgres = Place { data: &blobs, database: Some(&database), log: &folder.join("postgres.log") };
        let sqlite = server::start(&bench.options.server, sqlite).await?;
        let postgres = server::start(&bench.options.server, postgres).await?;
        let clock = Arc::new(AtomicI64::new(EPOCH_US));
        let mut pair = Pair::default();
        for run in 0..bench.options.runs {
            for (server, measured) in [(&sqlite, &mut pair.sqlite), (&postgres, &mut pair.postgres)] {
                let sources = (0..clients)
                    .map(|client| ingest::source(Arc::clone(&pool), Arc::clone(&clock), run, client))
                    .collect();
                measured.push(load::run(server, sources, bench.options.run).await?);
                server::settle(server).await?;
            }
        }
        sqlite.stop().await?;
        postgres.stop().await?;
        pair.rows("one message", clients, &mut rows);
    }
    bench.report.table(&HEADER, &rows);
    Ok(())
}

/// Fetches by id: both engines, both sizes, one node and two.
async fn fetches(bench: &mut Bench, url: &str) -> Result<()> {
    let sqlite_store = bench.store(bench.options.small).await?;
    let small_store = bench.postgres_store(url, bench.options.small).await?;
    let large_store = bench.postgres_store(url, bench.options.large).await?;
    let sqlite = sqlite_store.serve(&bench.options).await?;
    let small = small_store.serve(&bench.options).await?;
    let second = small_store.serve(&bench.options).await?;
    let large = large_store.serve(&bench.options).await?;
    let mut rows = Vec::new();
    for connections in CLIENTS {
        let (mut pair, mut both, mut grown) = (Pair::default(), Vec::new(), Vec::new());
        for run in 0..bench.options.runs {
            let length = bench.options.run;
            let at = async |servers: &[&Process], store| {
                fetch::measure(servers, store, By::Id, connections, run, length).await
            };
            pair.sqlite.push(at(&[&sqlite], &sqlite_store).await?);
            pair.postgres.push(at(&[&small], &small_store).await?);
            both.push(at(&[&small, &second], &small_store).await?);
            grown.push(at(&[&large], &large_store).await?);
        }
        let of_one = |runs: &[Measured]| percent(Spread::of_ratios(&rates(runs), &rates(&pair.postgres)));
        let cost = |runs: &[Measured]| runs.iter().map(|run| run.cpu_ms).collect::<Vec<_>>();
        pair.rows("fetch by id", connections, &mut rows);
        let remark = format!(
            "{} of one node; {} of its CPU a request",
            of_one(&both),
            percent(Spread::of_ratios(&cost(&both), &cost(&pair.postgres)))
        );
        rows.push(row("fetch by id", connections, "PostgreSQL, two nodes", &both, remark));
        let engine = format!("PostgreSQL, {} stored", bench.options.large);
        let remark = format!(
            "{} of {} stored; {} of its CPU a request",
            of_one(&grown),
            bench.options.small,
            percent(Spread::of_ratios(&cost(&grown), &cost(&pair.postgres)))
        );
        rows.push(row("fetch by id", connections, &engine, &grown, remark));
    }
    for server in [sqlite, small, second, large] {
        server.stop().await?;
    }
    bench.report.table(&HEADER, &rows);
    Ok(())
}

/// Lists and searches over the small stores of both engines, and the large one of PostgreSQL.
async fn queries(bench: &mut Bench, url: &str) -> Result<()> {
    let stores = [
        ("SQLite", bench.store(bench.options.small).await?),
        ("PostgreSQL", bench.postgres_store(url, bench.options.small).await?),
        ("PostgreSQL", bench.postgres_store(url, bench.options.large).await?),
    ];
    let mut rows = Vec::new();
    for (engine, store) in stores {
        let server = store.serve(&bench.options).await?;
        for mut query in list::lists(store.dataset).into_iter().chain(list::searches(store.dataset)) {
            // What was promised was promised of the embedded database.
            query.target = None;
            let mut row = list::measure(bench, &store, &server, &query).await?;
            row.insert(0, engine.to_owned());
            rows.push(row);
        }
        server.stop().await?;
    }
    let header =
        ["engine", "query", "messages stored", "found", "p50 ms", "p99 ms", "one fetch, ms", "of one fetch", ""];
    bench.report.table(&header, &rows);
    Ok(())
}
