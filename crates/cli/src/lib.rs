//! The `agentsight` command: arguments → configuration → one call.
//!
//! A library, because the binary is not the only way in: the Python package carries the same command.

#![deny(clippy::print_stdout)]

mod backup;
mod blobs;
mod config;
mod demo;
mod environment;
mod fetch;
mod key;
mod log;
mod migrate;
mod out;
mod prices;
mod progress;
mod serve;

use std::ffi::OsString;
use std::time::Duration;

use agentsight_store::{Store, StoreConfig};
use clap::{Parser, Subcommand};

/// The database, API and dashboard for what AI agents and chatbots say and do.
///
/// Start a server with `agentsight serve`, make a key with `agentsight key create --agent my-bot`,
/// and point any AgentSight SDK at it with AGENTSIGHT_API_ENDPOINT and AGENTSIGHT_API_KEY.
#[derive(Parser)]
#[command(name = "agentsight", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server: API, documentation and file links on one port.
    Serve(config::ServeArgs),
    /// Make, list and revoke API keys. Works while the server runs.
    Key(key::KeyArgs),
    Environment(environment::EnvironmentArgs),
    /// Compare attachments with what names them, and remove those that nothing names. Works while the server runs.
    Blobs(blobs::BlobsArgs),
    Prices(prices::PricesArgs),
    /// Fetch one whole conversation as JSON, over HTTP.
    Fetch(fetch::FetchArgs),
    // What these do is said beside their flags, at length.
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    Migrate(migrate::MigrateArgs),
    /// Serve a generated workspace, and show one conversation fetched back.
    Demo(demo::DemoArgs),
}

/// Runs the command to its end, the first argument being the program's name, and gives the exit code.
///
/// Ends the process itself for `--help`, `--version` and arguments that cannot be read.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = Arguments::parse_from(arguments);
    let done = match arguments.command {
        Command::Serve(args) => serve::run(&args),
        Command::Key(args) => key::run(&args),
        Command::Environment(args) => environment::run(&args),
        Command::Blobs(args) => blobs::run(&args),
        Command::Prices(args) => prices::run(&args),
        Command::Fetch(args) => fetch::run(&args),
        Command::Backup(args) => backup::back_up(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Demo(args) => demo::run(&args),
    };
    match done.and_then(|()| out::finish()) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("agentsight: {error}");
            1
        }
    }
}

/// Why a command failed: a sentence for the person who typed it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The store says why.
    #[error("{0}")]
    Store(#[from] agentsight_store::Error),
    /// A store was not moved, and why.
    #[error("{0}")]
    Moving(#[from] agentsight_store::moving::Trouble),
    /// Every problem of the configuration, a line each.
    #[error("{}", .0.join("\n            "))]
    Configuration(Vec<String>),
    /// Anything else, in its own words.
    #[error("{0}")]
    Other(String),
}

/// Runs a command on the store of a place, beside a server that may run there. What needs no attachments leaves the
/// place's bucket out. Where there is no store, it is refused or made.
pub(crate) fn on_store<T>(
    place: config::Place,
    make: bool,
    work: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    block_on(async {
        let named = config::named(place.database.as_ref(), &place.data_dir);
        let config = StoreConfig {
            make,
            search_index: false,
            database: place.database,
            bucket: place.bucket,
            // Nobody waits for these reads but the person who asked for them.
            query_time: Duration::from_secs(10 * 60),
            ..StoreConfig::default()
        };
        let store = Store::open(&place.data_dir, &config)?;
        if store.is_new() {
            eprintln!("Made a new store in {named}.");
        }
        let done = work(&store).await;
        store.close().await;
        done
    })
}

/// Runs asynchronous work to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|e| Failure::Other(format!("cannot start threads: {e}")))?.block_on(work)
}
