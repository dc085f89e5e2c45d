//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures a release build of the server over HTTP, side by side with a bare HTTP server and with
/// bare SQLite, and prints a Markdown report.
///
/// Build the server first (`cargo build --release`). A whole run takes about half an hour, most of it
/// loading 200 000 conversations; with --keep that is paid once.
#[derive(Debug, Parser)]
#[command(name = "agentsight-bench", args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) given: Given,
    #[command(subcommand)]
    pub(crate) mode: Option<Mode>,
}

/// What this binary runs itself as.
#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Serves a fixed body, as the baseline of HTTP.
    #[command(hide = true)]
    Bare {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        body_bytes: usize,
    },
}

/// One part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Messages a second, one message a request, 1 and 16 clients; beside bare SQLite.
    Ingest,
    /// Spans a second through /api/ingest/ and /v1/traces, one a request and in batches, 1 and 16 clients.
    Spans,
    /// Conversations a second, by id and by string, 1 and 16 connections; beside the bare server.
    Fetch,
    /// Filtered lists, in milliseconds and as a multiple of one fetch.
    List,
    /// Substring search, in the same measures.
    Search,
    /// Start, idle, memory and disk; beside bare tables.
    Start,
    /// Ingest, fetch, lists and search on a PostgreSQL (--postgres) beside SQLite, and two nodes beside one.
    Postgres,
}

/// Arguments as typed; numbers that --quick changes are still open.
#[derive(Args, Debug)]
pub(crate) struct Given {
    /// The server binary.
    #[arg(long, value_name = "PATH", default_value = "target/release/agentsight")]
    server: PathBuf,
    /// A PostgreSQL that may be filled, for the part of that name; each run makes schemas `bench_…` in it.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Parts to run, separated by commas; all when not given.
    #[arg(long, value_name = "PARTS", value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Keep the loaded stores in this folder, and use the ones that are there.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Where stores are put when they are not kept; not a RAM disk, or durable writes cost nothing.
    #[arg(long, value_name = "DIR", default_value = "target")]
    scratch: PathBuf,
    /// Also write the report to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A smoke run of about a minute: tiny stores, one short run each. Its figures mean little.
    #[arg(long)]
    quick: bool,
    /// Runs of each measurement; medians are printed [default: 3, quick: 1].
    #[arg(long, value_name = "N")]
    runs: Option<u32>,
    /// Seconds of one run [default: 4, quick: 0.5].
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Conversations in the small store [default: 10000, quick: 500].
    #[arg(long, value_name = "N")]
    small: Option<u64>,
    /// Conversations in the large store [default: 200000, quick: 2000].
    #[arg(long, value_name = "N")]
    large: Option<u64>,
    /// Seconds over which idle CPU is taken [default: 10, quick: 2].
    #[arg(long, value_name = "S")]
    idle_seconds: Option<f64>,
    /// Connections that load a store.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    load_connections: u16,
}

/// Arguments as meant.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) server: PathBuf,
    pub(crate) parts: Vec<Part>,
    pub(crate) postgres: Option<String>,
    pub(crate) keep: Option<PathBuf>,
    pub(crate) scratch: PathBuf,
    pub(crate) out: Option<PathBuf>,
    pub(crate) quick: bool,
    pub(crate) runs: u32,
    pub(crate) run: Duration,
    pub(crate) small: u64,
    pub(crate) large: u64,
    pub(crate) idle: Duration,
    pub(crate) load_connections: u16,
}

impl Given {
    /// Fills in what was not given and checks what was.
    pub(crate) fn settle(self) -> Result<Options, String> {
        let by_speed = |normal, quick| if self.quick { quick } else { normal };
        let duration = |name: &str, seconds: f64| {
            Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|duration| !duration.is_zero())
                .ok_or_else(|| format!("--{name}: {seconds} is not a number of seconds above 0"))
        };
        let run = duration("seconds", self.seconds.unwrap_or(by_speed(4.0, 0.5)))?;
        let idle = duration("idle-seconds", self.idle_seconds.unwrap_or(by_speed(10.0, 2.0)))?;
        let options = Options {
            run,
            idle,
            runs: self.runs.unwrap_or(if self.quick { 1 } else { 3 }),
            small: self.small.unwrap_or(if self.quick { 500 } else { 10_000 }),
            large: self.large.unwrap_or(if self.quick { 2_000 } else { 200_000 }),
            parts: match (self.only.is_empty(), &self.postgres) {
                (false, _) => self.only,
                (true, Some(_)) => Part::value_variants().to_vec(),
                (true, None) => Part::value_variants().iter().copied().filter(|part| *part != Part::Postgres).collect(),
            },
            postgres: self.postgres,
            server: self.server,
            keep: self.keep,
            scratch: self.scratch,
            out: self.out,
            quick: self.quick,
            load_connections: self.load_connections,
        };
        if options.runs == 0 {
            return Err("--runs: at least 1".to_owned());
        }
        if options.parts.contains(&Part::Postgres) && options.postgres.is_none() {
            return Err("the part `postgres` needs --postgres URL".to_owned());
        }
        if options.small < 20 || options.large <= options.small {
            return Err("--small must be at least 20 and --large larger than it".to_owned());
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn quick_changes_only_what_was_not_given() {
        let cli = Cli::parse_from(["agentsight-bench", "--quick", "--runs", "2", "--only", "fetch,list"]);
        let options = cli.given.settle().unwrap();
        assert_eq!((options.runs, options.small, options.large), (2, 500, 2_000));
        assert_eq!(options.parts, [Part::Fetch, Part::List]);
        assert_eq!(options.run, Duration::from_millis(500));
    }

    #[test]
    fn nonsense_is_refused() {
        for arguments in [["--seconds", "0"], ["--runs", "0"], ["--large", "5"]] {
            let cli = Cli::parse_from(["agentsight-bench"].into_iter().chain(arguments));
            assert!(cli.given.settle().is_err(), "{arguments:?}");
        }
    }
}
