//! What the figures were taken on.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The machine in a few lines: processor, memory, kernel, file system, SQLite, server.
pub(crate) fn describe(scratch: &Path, server: &Path) -> Vec<String> {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let gibibytes = field(&memory, "MemTotal").split(' ').next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0)
        / f64::from(1 << 20);
    let shown_path = scratch.display().to_string();
    vec![
        format!("{cores} cores, {}, {gibibytes:.1} GiB of memory", field(&processors, "model name")),
        format!(
            "Linux {}, stores on {}",
            kernel.trim(),
            output_of("stat", &["--file-system", "--format=%T", &shown_path])
        ),
        format!("SQLite {} in the baseline; {}", rusqlite::version(), output_of_path(server, "--version")),
        "load generator, server and baselines share the machine".to_owned(),
    ]
}

/// The value of the first line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map_or("unknown", |(_, value)| value.trim())
}

fn output_of(program: &str, arguments: &[&str]) -> String {
    first_line(Command::new(program).args(arguments))
}

fn output_of_path(program: &Path, argument: &str) -> String {
    first_line(Command::new(program).arg(argument))
}

/// The first line that a command prints; `unknown` when it does not run.
fn first_line(command: &mut Command) -> String {
    let output = command.output().ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let line = output.as_deref().and_then(|text| text.lines().next()).unwrap_or("unknown");
    line.trim().to_owned()
}
