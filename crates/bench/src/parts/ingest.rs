//! Messages a second, one message a request, each durable when it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::{Bench, read_back};
use crate::dataset::{Conversation, Dataset, EPOCH_US, MESSAGES};
use crate::error::{Context, Result};
use crate::http::write_post;
use crate::load::{self, Measured, Source};
use crate::process::Process;
use crate::report::{Bound, Unit, percent, spread};
use crate::server::Place;
use crate::stats::Spread;
use crate::{server, sqlite, wire};

/// Conversations whose text is made beforehand and sent again and again under new ids.
pub(super) const POOL: u64 = 1_000;

/// Clients, what SQLite is given at a time, and the share of its rate that is promised.
const STEPS: [(u64, f64); 2] = [(1, 0.5), (16, 0.25)];

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    bench.report.section("Ingest");
    bench.report.say(
        "`POST /api/track/`, one message a request, conversations of 10 messages, a new store. Beside it SQLite alone \
         (WAL, `synchronous=FULL`) inserting the same rows: 1 a transaction for 1 client, 16 a transaction for 16. \
         `index late` is how long after the last answer the search index had caught up.",
    );
    let pool: Arc<Vec<Conversation>> =
        Arc::new((0..POOL).map(|index| Dataset { conversations: POOL }.conversation(index)).collect());
    let mut rows = Vec::new();
    for (clients, share) in STEPS {
        let folder = bench.scratch.join(format!("ingest-{clients}"));
        let data = folder.join("data");
        std::fs::create_dir_all(&data).context(data.display())?;
        let process = server::start(
            &bench.options.server,
            Place { data: &data, database: None, log: &folder.join("server.log") },
        )
        .await?;
        let mut bare = sqlite::Inserts::new(&folder.join("bare.db"), pool.to_vec())?;
        let clock = Arc::new(AtomicI64::new(EPOCH_US));
        let (mut ours, mut base): (Vec<Measured>, Vec<f64>) = (Vec::new(), Vec::new());
        let mut index_late = Vec::new();
        for run in 0..bench.options.runs {
            let sources =
                (0..clients).map(|client| source(Arc::clone(&pool), Arc::clone(&clock), run, client)).collect();
            ours.push(load::run(&process, sources, bench.options.run).await?);
            // Indexing that was put off is shown as such, and must not run beside the baseline.
            index_late.extend(server::settle(&process).await?.map(|late| late.as_secs_f64()));
            base.push(bare.run(clients, bench.options.run)?);
            check(&process, run, clients).await?;
        }
        process.stop().await?;
        let rates: Vec<f64> = ours.iter().map(|run| run.rate).collect();
        let ratio = Spread::of_ratios(&rates, &base);
        let what = format!("ingest, {clients} client(s), of SQLite's rows/s");
        let goal = bench.report.goal(&what, ratio.median, Bound::AtLeast(share), Unit::Percent);
        let index_late = if index_late.is_empty() { "unknown".to_owned() } else { spread(Spread::of(index_late)) };
        rows.push(vec![
            clients.to_string(),
            spread(Spread::of(rates)),
            spread(Spread::of(ours.iter().map(|run| run.p50_us / 1e3))),
            spread(Spread::of(ours.iter().map(|run| run.p99_us / 1e3))),
            spread(Spread::of(ours.iter().map(|run| run.cpu_ms))),
            index_late,
            spread(Spread::of(base)),
            percent(ratio),
            goal,
        ]);
    }
    let header = [
        "clients",
        "messages/s",
        "p50 ms",
        "p99 ms",
        "CPU ms/message",
        "index late, s",
        "SQLite rows/s",
        "share",
        "target",
    ];
    bench.report.table(&header, &rows);
    Ok(())
}

/// The id of a client's `number`th conversation.
fn conversation_id(run: u32, client: u64, number: u64) -> String {
    format!("ingest-{run}-{client}-{number}")
}

/// One client: conversations of 10 messages, every message with a microsecond of its own.
pub(super) fn source(pool: Arc<Vec<Conversation>>, clock: Arc<AtomicI64>, run: u32, client: u64) -> Source {
    let mut sent = 0_u64;
    let mut id = String::new();
    let mut body = String::new();
    Box::new(move |request| {
        let (number, position) = (sent / MESSAGES, sent % MESSAGES);
        if position == 0 {
            id = conversation_id(run, client, number);
        }
        // Clients start apart, so that they do not all send the same text at once.
        let from = pool.get(((number + client * 61) % POOL) as usize);
        let at_us = clock.fetch_add(1, Ordering::Relaxed);
        body.clear();
        if let Some(message) = from.and_then(|conversation| conversation.messages.get(position as usize)) {
            wire::message(&mut body, &id, None, at_us, message.sender, &message.content);
        }
        write_post(request, format_args!("/api/track/"), &body);
        sent += 1;
    })
}

/// Reads back the first conversation of every client: what was counted must also be there.
async fn check(process: &Process, run: u32, clients: u64) -> Result<()> {
    for client in 0..clients {
        // A very slow run may not have got to the tenth message.
        read_back(process, &conversation_id(run, client, 0), 1..=10).await?;
    }
    Ok(())
}
