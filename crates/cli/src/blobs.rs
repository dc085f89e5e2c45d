//! `agentsight blobs …`: attachments against the rows that name them.

use std::io::IsTerminal as _;
use std::time::Duration;

use agentsight_store::{BlobEvent, BlobTotals, Prune, Store};
use clap::{Args, Subcommand};

use crate::config::{DataArgs, place};
use crate::out::say;
use crate::{Failure, on_store};

#[derive(Args)]
pub(crate) struct BlobsArgs {
    #[command(subcommand)]
    command: BlobsCommand,
}

#[derive(Subcommand)]
enum BlobsCommand {
    /// List files that are missing, and files that no conversation has. Fails when some are missing.
    Check {
        #[command(flatten)]
        data: DataArgs,
    },
    /// Remove files that no conversation has: what uploads leave that were cut off.
    Prune {
        /// Only what was written so long ago: 90m, 24h, 7d
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
        older_than: Duration,
        /// Only list what would be removed
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: DataArgs,
    },
}

pub(crate) fn run(args: &BlobsArgs) -> Result<(), Failure> {
    let (BlobsCommand::Check { data } | BlobsCommand::Prune { data, .. }) = &args.command;
    let place = place(data)?;
    on_store(place, false, async |store| run_on(store, &args.command).await)
}

async fn run_on(store: &Store, command: &BlobsCommand) -> Result<(), Failure> {
    let shows_progress = std::io::stderr().is_terminal();
    let mut tell = |event: BlobEvent| match event {
        BlobEvent::Looked { shelves } => {
            if shows_progress {
                eprint!("\r{shelves} of 256 shelves{}", if shelves == 256 { "\n" } else { "" });
            }
        }
        BlobEvent::Waiting { files, wait } => {
            eprintln!(
                "Set {files} files aside; asking once more in {} s whether something names them.",
                wait.as_secs()
            );
        }
        other => {
            if let Some(line) = line(&other) {
                say!("{line}");
            }
        }
    };
    match command {
        BlobsCommand::Check { .. } => {
            let totals = store.check_blobs(&mut tell).await?;
            eprintln!("{}", found(&totals));
            match totals.missing {
                0 => Ok(()),
                missing => Err(Failure::Other(format!("{missing} files are missing; a backup may have them"))),
            }
        }
        BlobsCommand::Prune { older_than, dry_run, .. } => {
            let prune = Prune { older_than: *older_than, dry_run: *dry_run, ..Prune::default() };
            let totals = store.prune_blobs(prune, &mut tell).await?;
            eprintln!("{}", found(&totals));
            if !dry_run {
                eprintln!("Removed {} files with {} bytes.", totals.removed, totals.removed_bytes);
            }
            Ok(())
        }
    }
}

fn found(totals: &BlobTotals) -> String {
    format!(
        "{} files with {} bytes are in order, {} missing, {} orphans with {} bytes, {} drafts, {} files of others.",
        totals.files, totals.bytes, totals.missing, totals.orphans, totals.orphan_bytes, totals.drafts, totals.foreign
    )
}

/// An event as a line that machines can take apart too.
fn line(event: &BlobEvent) -> Option<String> {
    Some(match event {
        BlobEvent::Missing { hash, size } => format!("missing\t{hash}\t{size} bytes"),
        BlobEvent::Orphan { hash, size, age } => format!("orphan\t{hash}\t{size} bytes\t{}", ago(*age)),
        BlobEvent::Draft { name, size, age } => format!("draft\t{name}\t{size} bytes\t{}", ago(*age)),
        BlobEvent::Foreign { name } => format!("foreign\t{name}"),
        BlobEvent::PutBack { hash } => format!("put back\t{hash}"),
        BlobEvent::Removed { hash } => format!("removed\t{hash}"),
        BlobEvent::Looked { .. } | BlobEvent::Waiting { .. } => return None,
    })
}

fn ago(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..60 => format!("{seconds} s old"),
        seconds @ 60..3_600 => format!("{} min old", seconds / 60),
        seconds @ 3_600..172_800 => format!("{} h old", seconds / 3_600),
        seconds => format!("{} days old", seconds / 86_400),
    }
}

/// A whole number with its unit.
fn duration(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let read = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds).map(Duration::from_secs)
    });
    read.ok_or_else(|| "a time is a whole number with s, m, h or d behind it, such as 24h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, seconds) in [("0s", 0), ("90m", 5_400), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "h", "24", "-1h", "1.5h", "1 h", "99999999999999999999d", "9999999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
