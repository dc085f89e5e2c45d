//! A throw-away S3 server for the tests: the one of the store's own tests, in a process.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Stdio};

use crate::command::{Failure, Result, cargo, command, run};

/// A server that runs until it is dropped.
pub(crate) struct Bucket {
    /// What leads to it, as variables of the server binary, `NAME=value` with spaces between them.
    pub(crate) settings: String,
    /// Its end is the server's.
    input: Option<ChildStdin>,
    process: Child,
}

pub(crate) fn start() -> Result<Bucket> {
    run(&mut cargo("build --workspace --locked --example s3_server"))?;
    println!("starting an S3 server");
    let failed = |why: String| Failure(format!("the S3 server of the tests does not start: {why}"));
    let program = crate::command::built("debug", "examples/s3_server")?;
    let mut process = command(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut settings = Vec::new();
    let output = process.stdout.take().ok_or_else(|| failed("it has no output".to_owned()))?;
    for line in BufReader::new(output).lines() {
        match line.map_err(|error| failed(error.to_string()))? {
            line if line.is_empty() => break,
            line => settings.push(line),
        }
    }
    Ok(Bucket { settings: settings.join(" "), input: process.stdin.take(), process })
}

impl Drop for Bucket {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}
