//! A server process under test: started, looked at from outside through `/proc`, stopped.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::error::{Context, Result};
use crate::http::Connection;
use crate::load::free_address;

/// How long a server may take to become ready, and to end when told to.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    ticks_per_second: f64,
}

/// Resident and proportional set size, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) rss: u64,
    /// Pages that are shared with other processes count in part only.
    pub(crate) pss: u64,
}

impl Process {
    /// Starts `program` on a free port; `arguments` get the address to listen on. Output goes to `log`.
    pub(crate) fn start(program: &Path, arguments: impl FnOnce(&mut Command, SocketAddr), log: &Path) -> Result<Self> {
        let address = free_address()?;
        let output = File::create(log).context(format_args!("create {}", log.display()))?;
        let mut command = Command::new(program);
        arguments(&mut command, address);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().context(format_args!("start {}", program.display()))?;
        Ok(Self { child, address, ticks_per_second: ticks_per_second() })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until `GET path` answers 200, asking every millisecond.
    pub(crate) async fn answers(&mut self, path: &str) -> Result<()> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended before it was ready: {status}").into());
            }
            if let Ok(mut connection) = Connection::open(self.address).await
                && let Ok(answer) = connection.get(path).await
                && answer.status == 200
            {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("GET {path} did not answer 200 within {} s", PATIENCE.as_secs()).into());
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// User and system time of all threads, ended ones included, in steps of usually 10 ms.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(&path).context(&path)?;
        let ticks = cpu_ticks(&stat).ok_or_else(|| format!("{path} reads {stat:?}"))?;
        Ok(Duration::from_secs_f64(ticks as f64 / self.ticks_per_second))
    }

    /// Memory of the process now.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = fs::read_to_string(&path).context(&path)?;
        let field = |name: &str| kibibytes(&text, name).ok_or_else(|| format!("{path} has no {name}"));
        Ok(Memory { rss: field("Rss:")? * 1024, pss: field("Pss:")? * 1024 })
    }

    /// Asks the process to end and waits, so that its store is closed in order.
    ///
    /// The signal goes through `kill`, as sending one from here would need unsafe code.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().context("kill -TERM")?;
        let begin = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begin.elapsed() > PATIENCE {
                return Err(format!("the server did not end within {} s of SIGTERM", PATIENCE.as_secs()).into());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After `stop` both fail, which is what is wanted.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Fields 14 and 15 of `/proc/PID/stat`: the ticks in user and in system mode.
fn cpu_ticks(stat: &str) -> Option<u64> {
    // Field 2 is the program's name in parentheses and may hold blanks.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The value of a line such as `Rss:   1234 kB`.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// What the kernel counts CPU time in; 100 on nearly every machine.
fn ticks_per_second() -> f64 {
    Command::new("getconf")
        .arg("CLK_TCK")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse().ok())
        .unwrap_or(100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read() {
        let stat = "4242 (odd) name) S 1 4242 4242 0 -1 4194560 1016 0 0 0 123 45 0 0 20 0 9 0 177";
        assert_eq!(cpu_ticks(stat), Some(168));
        assert_eq!(cpu_ticks("nothing"), None);
        assert_eq!(kibibytes("Rss:   2048 kB\nPss:   17 kB\n", "Pss:"), Some(17));
    }
}
