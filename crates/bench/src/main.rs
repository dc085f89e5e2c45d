//! The project's benchmark: the release server as a black box over HTTP, beside what the machine
//! itself can do.
//!
//! Absolute figures say as much about the machine as about the program. So every part runs the
//! product and a baseline in turn, within seconds of each other, and the promise is about the
//! ratio. See `README.md` for the method.

mod bare;
mod dataset;
mod error;
mod http;
mod load;
mod machine;
mod options;
mod parts;
mod process;
mod report;
mod rng;
mod server;
mod sqlite;
mod stats;
mod store;
mod text;
mod wire;

use std::process::ExitCode;

use clap::Parser;

use crate::error::{Context, Result};
use crate::options::{Cli, Mode, Options, Part};
use crate::parts::{Bench, fetch, ingest, list, postgres, spans, start};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.mode {
        Some(Mode::Bare { listen, body_bytes }) => bare::serve(listen, body_bytes).map(|()| true),
        None => cli.given.settle().map_err(Into::into).and_then(measure),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("agentsight-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the parts and prints the report; false when a part failed or an answer was wrong.
fn measure(options: Options) -> Result<bool> {
    if !options.server.is_file() {
        return Err(format!("there is no server at {}, try `cargo build --release`", options.server.display()).into());
    }
    std::fs::create_dir_all(&options.scratch).context(format_args!("create {}", options.scratch.display()))?;
    let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(&options.scratch).context("scratch folder")?;
    let machine = machine::describe(scratch.path(), &options.server);
    let method = method(&options);
    let out = options.out.clone();
    let mut bench = Bench::new(options, scratch.path().to_owned());
    // The load is one thread: it must not take both cores from the server.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for part in bench.options.parts.clone() {
        let done = runtime.block_on(async {
            match part {
                Part::Ingest => ingest::run(&mut bench).await,
                Part::Spans => spans::run(&mut bench).await,
                Part::Fetch => fetch::run(&mut bench).await,
                Part::List => list::run_lists(&mut bench).await,
                Part::Search => list::run_search(&mut bench).await,
                Part::Start => start::run(&mut bench).await,
                Part::Postgres => postgres::run(&mut bench).await,
            }
        });
        // One part that fails must not cost the figures of the others.
        if let Err(error) = done {
            bench.report.fail(&format!("{part:?} could not be measured: {error}"));
        }
    }
    let text = bench.report.render(&machine, &method);
    println!("{text}");
    if let Some(path) = out {
        std::fs::write(&path, text).context(format_args!("write {}", path.display()))?;
    }
    Ok(!bench.report.has_failures())
}

/// How the figures were taken, in a paragraph.
fn method(options: &Options) -> String {
    let runs = format!(
        "Runs of each measurement: {}, of {:.1} s, product and baseline in turn. Medians, with minimum and maximum in parentheses; ratios are \
         taken between neighbouring runs. Closed loop over kept-alive connections on 127.0.0.1, load generator in a process \
         of its own with one thread.",
        options.runs,
        options.run.as_secs_f64()
    );
    if options.quick {
        format!("**A quick run: it shows that all parts work, not how fast they are.** {runs}")
    } else {
        runs
    }
}
