//! `agentsight backup` and `agentsight restore`: the embedded store into a folder and back.

use std::path::{Path, PathBuf};

use agentsight_model::time::Clock;
use agentsight_store::moving::{self, BackupOptions, Manifest, Trouble};
use clap::Args;

use crate::Failure;
use crate::config::{DataArgs, Place, place};
use crate::out::say;
use crate::progress::Progress;

const EXAMPLES: &str = "Examples:
  agentsight backup /backups/agentsight-monday
  agentsight restore /backups/agentsight-monday --data-dir agentsight-data";

/// Copy the whole store, database and attachments, into a new folder, while the server runs.
///
/// The copy shows one moment, is checked after it was written, and is itself a data folder. Attachments
/// take no more space where the folder is on the same file system. A folder without its backup.json,
/// which is written last, is no backup. Attachments in a bucket stay there; that they are is checked.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct BackupArgs {
    /// Folder of the backup: a new one, or an empty one
    #[arg(value_name = "FOLDER")]
    into: PathBuf,
    /// Read every attachment back and compare its hash, and not only its size
    #[arg(long)]
    verify_blobs: bool,
    /// Make the backup although the store has lost some attachments
    #[arg(long)]
    allow_missing_files: bool,
    #[command(flatten)]
    data: DataArgs,
}

/// Make a data folder of a backup.
///
/// The data folder must be missing or empty. Every byte is compared with its hash on the way, and the
/// folder is there only when it is whole.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct RestoreArgs {
    /// Folder of the backup
    #[arg(value_name = "FOLDER")]
    backup: PathBuf,
    #[command(flatten)]
    data: DataArgs,
}

/// Where the embedded store is; what a database needs is said instead.
fn embedded(data: &DataArgs) -> Result<Place, Failure> {
    let place = place(data)?;
    let Some(database) = &place.database else { return Ok(place) };
    let attachments = match &place.bucket {
        Some(bucket) => bucket.url.to_string(),
        None => place.data_dir.join("blobs").display().to_string(),
    };
    Err(Failure::Other(format!(
        "the data is in {}: back it up and restore it with pg_dump and pg_restore, or with the server's own point-in-time recovery, and copy the attachments in {attachments} after the database",
        database.url
    )))
}

pub(crate) fn back_up(args: &BackupArgs) -> Result<(), Failure> {
    let place = embedded(&args.data)?;
    let options = BackupOptions {
        clock: Clock::system(),
        verify_files: args.verify_blobs,
        allow_missing_files: args.allow_missing_files,
        bucket: place.bucket,
    };
    let mut progress = Progress::start();
    let made = moving::backup(&place.data_dir, &args.into, &options, &mut progress);
    progress.end();
    let manifest = made.map_err(|trouble| explain(trouble, "stopped; there is no backup"))?;
    tell(&manifest, "Backup", &args.into);
    Ok(())
}

pub(crate) fn restore(args: &RestoreArgs) -> Result<(), Failure> {
    let data = embedded(&args.data)?.data_dir;
    let mut progress = Progress::start();
    let restored = moving::restore(&args.backup, &data, &mut progress);
    progress.end();
    let manifest = restored.map_err(|trouble| explain(trouble, "stopped; nothing was restored"))?;
    tell(&manifest, "Restored", &data);
    Ok(())
}

fn explain(trouble: Trouble, stopped: &str) -> Failure {
    match trouble {
        Trouble::Stopped => Failure::Other(stopped.to_owned()),
        other => other.into(),
    }
}

fn tell(manifest: &Manifest, what: &str, folder: &Path) {
    let rows = |table: &str| manifest.rows.get(table).copied().unwrap_or(0);
    say!("{what}  {}", folder.display());
    say!("  as of          {}", manifest.made_at);
    say!("  conversations  {}", rows("conversations"));
    say!("  messages       {}", rows("messages"));
    let place = manifest.files_in.as_ref().map(|bucket| format!(", which stay in {bucket}"));
    say!("  attachments    {} ({} bytes){}", manifest.files.count, manifest.files.bytes, place.unwrap_or_default());
    say!("  database       {} bytes, SHA-256 {}", manifest.database_bytes, manifest.database_sha256);
    if !manifest.missing_files.is_empty() {
        say!("  missing        {} attachments that the store had lost", manifest.missing_files.len());
    }
}
