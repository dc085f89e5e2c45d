//! What the server costs when nobody asks it anything: start, memory, idle CPU, disk.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Bench;
use crate::dataset::MESSAGES;
use crate::error::{Context, Result};
use crate::process::{Memory, Process};
use crate::report::{Bound, Unit, mebibytes, spread};
use crate::sqlite::{self, Pages};
use crate::stats::Spread;
use crate::store::Store;

/// Starts are short, so more of them than runs of a load.
const STARTS: u32 = 5;
/// From the first answer until the server counts as idle.
const CALM: Duration = Duration::from_secs(2);

pub(crate) async fn run(bench: &mut Bench) -> Result<()> {
    let store = bench.store(bench.options.large).await?;
    bench.report.section("Start, memory, disk");
    let size = store.dataset.conversations;
    bench.report.say(&format!(
        "A store of {size} conversations, {} messages. A start is from the process until it answered a fetch, with the \
         files in the page cache; idle is {} s after that. Memory after loading was taken when all was written and indexed.",
        size * MESSAGES,
        CALM.as_secs()
    ));
    let mut starts = Vec::new();
    for _ in 1..STARTS {
        starts.push(start(bench, &store).await?.0);
    }
    let (last, process) = start(bench, &store).await?;
    starts.push(last);
    sleep(CALM).await;
    let memory = process.memory()?;
    let idle = idle_cpu(&process, bench.options.idle).await?;
    process.stop().await?;
    let mut rows = start_rows(bench, &store, Spread::of(starts), memory, idle);
    rows.extend(disk_rows(bench, &store)?);
    bench.report.table(&["what", "measured", "target"], &rows);
    Ok(())
}

/// Starts the server and asks for one conversation; gives the milliseconds until it came.
async fn start(bench: &Bench, store: &Store) -> Result<(f64, Process)> {
    let key = store.key(store.dataset.conversations / 2);
    let begin = Instant::now();
    let mut process = store.spawn(&bench.options)?;
    process.answers(&format!("/api/conversations/{key}/")).await?;
    Ok((begin.elapsed().as_secs_f64() * 1e3, process))
}

/// The share of one core that an idle server uses.
async fn idle_cpu(process: &Process, length: Duration) -> Result<f64> {
    let before = process.cpu_time()?;
    sleep(length).await;
    let used = process.cpu_time()?.saturating_sub(before);
    Ok(used.as_secs_f64() / length.as_secs_f64())
}

fn start_rows(bench: &mut Bench, store: &Store, starts: Spread, idle: Memory, idle_cpu: f64) -> Vec<Vec<String>> {
    let loading = &store.loading;
    let report = &mut bench.report;
    let in_time = report.goal("cold start to the first fetch", starts.median, Bound::Below(200.0), Unit::Milliseconds);
    let small = report.goal("memory when idle (RSS)", mebibytes(idle.rss), Bound::Below(40.0), Unit::Mebibytes);
    let after = mebibytes(loading.rss_after);
    let loaded = report.goal("memory after loading (RSS)", after, Bound::Below(150.0), Unit::Mebibytes);
    let memory = |rss: u64, pss: u64| format!("{:.1} MiB (PSS {:.1})", mebibytes(rss), mebibytes(pss));
    let settled = match loading.settled_after_seconds {
        Some(seconds) => format!("search index {seconds:.1} s after the last answer"),
        None => "the server does not say when its search index is settled".to_owned(),
    };
    let rate = loading.requests as f64 / loading.seconds;
    vec![
        vec!["start to first fetch, ms".to_owned(), spread(starts), in_time],
        vec!["memory when idle, RSS".to_owned(), memory(idle.rss, idle.pss), small],
        vec!["memory after loading, RSS".to_owned(), memory(loading.rss_after, loading.pss_after), loaded],
        vec!["CPU when idle".to_owned(), format!("{:.2} % of a core", idle_cpu * 100.0), String::new()],
        vec![
            "loading".to_owned(),
            format!("{:.0} s, {rate:.0} requests/s, {} refused; {settled}", loading.seconds, loading.refused),
            String::new(),
        ],
    ]
}

/// Disk, in bytes for each message that was sent.
fn disk_rows(bench: &mut Bench, store: &Store) -> Result<Vec<Vec<String>>> {
    let messages = (store.dataset.conversations * MESSAGES) as f64;
    let mut total = 0;
    let mut sum = Pages::default();
    for file in files(&store.data())? {
        total += fs::metadata(&file)?.len();
        if is_sqlite(&file)? {
            let pages = sqlite::pages(&file)?;
            sum.search += pages.search;
            sum.other += pages.other;
        }
    }
    let bare = fs::metadata(store.bare_tables()).context("bare tables")?.len();
    let ratio = total as f64 / bare as f64;
    let goal = bench.report.goal("disk, of bare tables", ratio, Bound::AtMost(1.5), Unit::Times);
    let per_message = |bytes: u64| format!("{:.0} bytes/message", bytes as f64 / messages);
    Ok(vec![
        vec![
            "disk, the whole data folder".to_owned(),
            format!("{}, {ratio:.2}× bare tables", per_message(total)),
            goal,
        ],
        vec!["… of it tables named search…".to_owned(), per_message(sum.search), String::new()],
        vec!["… of it all other tables".to_owned(), per_message(sum.other), String::new()],
        vec!["bare tables with the same rows".to_owned(), per_message(bare), String::new()],
    ])
}

/// All files below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).context(folder.display())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    Ok(found)
}

/// Whether a file is a SQLite database, by its first bytes: its name is the server's business.
fn is_sqlite(path: &Path) -> Result<bool> {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let mut start = Vec::with_capacity(MAGIC.len());
    File::open(path).context(path.display())?.take(MAGIC.len() as u64).read_to_end(&mut start)?;
    Ok(start == MAGIC)
}
