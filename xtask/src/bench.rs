//! `cargo xtask bench`: the benchmark against the server as it ships.

use std::ffi::OsString;

use crate::command::{self, Result, built, cargo};

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Handed to `agentsight-bench` as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    arguments: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    command::run(&mut cargo("build --release --locked --package agentsight-cli --package agentsight-bench"))?;
    command::run(
        command::command(built("release", "agentsight-bench")?)
            .args(&args.arguments)
            .env("AGENTSIGHT_BIN", built("release", "agentsight")?),
    )
}
