//! `agentsight migrate`: the whole store from one engine to the other.

use std::path::PathBuf;

use agentsight_model::time::Clock;
use agentsight_store::moving::{self, Compared, MoveOptions, Place, Sum, Trouble, Verdict};
use clap::Args;

use crate::Failure;
use crate::config::{BucketArgs, buckets};
use crate::out::say;
use crate::progress::Progress;

const EXAMPLES: &str = "Examples:
  agentsight migrate --from sqlite:agentsight-data --to postgres://user:password@db/agentsight
  agentsight migrate --from postgres://user:password@db/agentsight --to sqlite:new-data
  agentsight migrate --from sqlite:old-data --to sqlite:new-data";

/// Move a store between the embedded database and PostgreSQL, ids and bytes kept.
///
/// Stop every server on both sides first. The target must be empty; the source is left as it is. When it
/// is interrupted, the same command goes on where it stopped. At the end every row and every attachment
/// of both sides is read and compared; only then will a server open the target.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct MigrateArgs {
    /// Where the store is: sqlite:FOLDER (or the agentsight.db in it), or postgres://user:password@host/database
    ///
    /// With a password it is better given as the variable, where other users of the machine cannot see it.
    #[arg(long, env = "AGENTSIGHT_MIGRATE_FROM", value_name = "URL", hide_env_values = true)]
    from: String,
    /// Where it goes, written the same way; an empty database or folder, which is made when missing
    #[arg(long, env = "AGENTSIGHT_MIGRATE_TO", value_name = "URL", hide_env_values = true)]
    to: String,
    /// Folder of the attachments of a source on PostgreSQL; where both sides have the same, none is copied
    #[arg(long, value_name = "DIR", default_value = "agentsight-data")]
    from_data_dir: PathBuf,
    /// Folder of the attachments of a target on PostgreSQL
    #[arg(long, value_name = "DIR", default_value = "agentsight-data")]
    to_data_dir: PathBuf,
    /// Bucket of the source's attachments, where they are not in a folder: s3://bucket/prefix, gs://… or az://…
    #[arg(long, value_name = "URL")]
    from_blobs: Option<String>,
    /// Bucket for the target's attachments; how buckets are spoken to counts for both
    #[arg(long, value_name = "URL")]
    to_blobs: Option<String>,
    #[command(flatten)]
    bucket: BucketArgs,
    /// Count the store as moved although the source itself has lost some attachments
    #[arg(long)]
    allow_missing_files: bool,
}

pub(crate) fn run(args: &MigrateArgs) -> Result<(), Failure> {
    let mut problems = Vec::new();
    let mut place = |flag: &str, url: &str, folder: &PathBuf| {
        // The text itself may hold a password.
        Place::of(url, folder).map_err(|problem| problems.push(format!("--{flag}: {problem}"))).ok()
    };
    let (from, to) = (place("from", &args.from, &args.from_data_dir), place("to", &args.to, &args.to_data_dir));
    let addresses = [("--from-blobs", args.from_blobs.as_deref()), ("--to-blobs", args.to_blobs.as_deref())];
    let [from_bucket, to_bucket] = buckets(addresses, &args.bucket, &mut problems)?;
    let (Some(from), Some(to), true) = (from, to, problems.is_empty()) else {
        return Err(Failure::Configuration(problems));
    };
    let (from, to) = (Place { bucket: from_bucket, ..from }, Place { bucket: to_bucket, ..to });
    let options = MoveOptions { clock: Clock::system(), allow_missing_files: args.allow_missing_files };
    let mut progress = Progress::start();
    let moved = moving::migrate(&from, &to, &options, &mut progress);
    progress.end();
    let verdict = moved.map_err(|trouble| match trouble {
        Trouble::Stopped => Failure::Other("stopped; run the same command again to go on from here".to_owned()),
        other => other.into(),
    })?;
    report(&verdict, &to)
}

fn report(verdict: &Verdict, to: &Place) -> Result<(), Failure> {
    say!("{:<22}  {:>12}  {:<16}  COMPARED", "TABLE", "ROWS", "SHA-256");
    for Compared { table, source, target } in &verdict.tables {
        let compared = if source == target {
            "the same".to_owned()
        } else {
            format!("DIFFERENT: the target has {} rows, {}", target.rows, short(target))
        };
        say!("{table:<22}  {:>12}  {:<16}  {compared}", source.rows, short(source));
    }
    let files = &verdict.files;
    let compared = match (files.different.len(), files.missing.len()) {
        (0, 0) => "the same".to_owned(),
        (0, missing) => format!("{missing} are missing in the source too"),
        (different, 0) => format!("DIFFERENT: {different} are not in the target"),
        (different, missing) => {
            format!("DIFFERENT: {different} are not in the target; {missing} are missing in the source too")
        }
    };
    say!("{:<22}  {:>12}  {:<16}  {compared}", "(attachments)", files.named.count, "each by its own");
    for hash in files.different.iter().chain(&files.missing) {
        eprintln!("not there, or not whole: {hash}");
    }
    if verdict.is_verified {
        match verdict.finished_before {
            Some(at) => {
                eprintln!("This move was finished on {at}; nothing was copied now, and both still hold the same.");
            }
            None => eprintln!("Moved and verified: {to} holds the same, and may be served."),
        }
        if verdict.to_index > 0 {
            eprintln!(
                "The search index is built anew: {} conversations wait for it, which a server does in its pauses; until then searches read them one by one.",
                verdict.to_index
            );
        }
        return Ok(());
    }
    let same_rows = verdict.tables.iter().all(|table| table.source == table.target);
    Err(Failure::Other(if same_rows && files.different.is_empty() {
        "the source itself has lost attachments; to move it without them, run again with --allow-missing-files"
            .to_owned()
    } else if verdict.finished_before.is_some() {
        "both were the same when the move was finished, and one has been written to since".to_owned()
    } else {
        "not verified: source and target differ. If a server was writing to the source meanwhile, stop it and move again into an empty target".to_owned()
    }))
}

fn short(sum: &Sum) -> String {
    sum.sha256.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
