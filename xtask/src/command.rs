//! Running other programs, always from the repository's root and never silently.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Why a chore ended early, in words for the person at the terminal.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// The repository's root: the folder above this crate.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Where everything that the tests install for themselves lies; git ignores it.
pub(crate) fn test_deps() -> PathBuf {
    root().join(".test-deps")
}

/// A command that runs in the repository's root.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The cargo that runs this chore, with its arguments split at spaces.
pub(crate) fn cargo(arguments: &str) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments.split_whitespace());
    cargo
}

/// Where cargo leaves the binaries of a profile (`debug`, `release`): beside the folder of this one.
pub(crate) fn built(profile: &str, binary: &str) -> Result<PathBuf> {
    let own =
        std::env::current_exe().map_err(|error| Failure(format!("cannot tell where xtask runs from: {error}")))?;
    let profiles = own.parent().and_then(Path::parent).unwrap_or(root());
    Ok(profiles.join(profile).join(format!("{binary}{}", std::env::consts::EXE_SUFFIX)))
}

thread_local! {
    /// Whether somebody else has the terminal.
    static IS_BESIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` beside something else that has the terminal: what its commands say is shown when they have ended.
pub(crate) fn beside<T>(work: impl FnOnce() -> T) -> T {
    IS_BESIDE.set(true);
    let done = work();
    IS_BESIDE.set(false);
    done
}

/// Shows the command, runs it with this terminal, and fails when it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    if IS_BESIDE.get() {
        let output = command.stdin(Stdio::null()).output();
        return show(&Shown(command).to_string(), output);
    }
    println!("$ {}", Shown(command));
    let status = command.status().map_err(|error| Failure(format!("cannot run `{}`: {error}", Shown(command))))?;
    if status.success() { Ok(()) } else { Err(Failure(format!("`{}` failed: {status}", Shown(command)))) }
}

/// Shows the commands, runs all of them at once, and shows what each said when it has ended; fails when any does.
pub(crate) fn run_together(commands: Vec<Command>) -> Result<()> {
    let ended = std::thread::scope(|scope| {
        let running: Vec<_> = commands
            .into_iter()
            .map(|mut command| {
                println!("$ {}", Shown(&command));
                scope.spawn(move || {
                    let output = command.stdin(Stdio::null()).output();
                    (Shown(&command).to_string(), output)
                })
            })
            .collect();
        running.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let mut result = Ok(());
    for one in ended {
        let (shown, output) = one.map_err(|_| Failure("a command could not be waited for".to_owned()))?;
        result = result.and(show(&shown, output));
    }
    result
}

/// Shows what a command said that has ended, and fails when it did.
fn show(shown: &str, output: std::io::Result<Output>) -> Result<()> {
    let output = output.map_err(|error| Failure(format!("cannot run `{shown}`: {error}")))?;
    println!("\n$ {shown}\n{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(Failure(format!("`{shown}` failed: {}", output.status))) }
}

/// Shows the command, runs it, and hands back what it said, whatever it said.
pub(crate) fn capture(command: &mut Command) -> Result<Output> {
    println!("$ {}", Shown(command));
    command.output().map_err(|error| Failure(format!("cannot run `{}`: {error}", Shown(command))))
}

/// True when the program exists and agrees; its output is not shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A command as one would type it in the repository's root: the variables given to it, short paths, quotes where needed.
struct Shown<'a>(&'a Command);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.0.get_envs() {
            if let Some(value) = value {
                write!(f, "{}={} ", name.display(), word(value))?;
            }
        }
        let program = Path::new(self.0.get_program());
        if program.file_stem().is_some_and(|stem| stem == "cargo") {
            f.write_str("cargo")?;
        } else {
            f.write_str(&word(program.as_os_str()))?;
        }
        for argument in self.0.get_args() {
            write!(f, " {}", word(argument))?;
        }
        Ok(())
    }
}

fn word(text: &OsStr) -> String {
    let path = Path::new(text);
    let short = path.strip_prefix(root()).unwrap_or(path).to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./,:@%".contains(c);
    if !short.is_empty() && short.chars().all(plain) {
        short.into_owned()
    } else {
        format!("'{}'", short.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut pytest = command(test_deps().join("venv/bin/python"));
        pytest.args(["-k", "seed or it's"]).env("AGENTSIGHT_BIN", root().join("target/debug/agentsight"));

        let shown = Shown(&pytest).to_string();

        assert_eq!(shown, r"AGENTSIGHT_BIN=target/debug/agentsight .test-deps/venv/bin/python -k 'seed or it'\''s'");
    }
}
