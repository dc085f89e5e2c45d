//! The server under test, known by its command line and its HTTP interface only.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::error::{Context, Result};
use crate::http::{API_KEY, Connection};
use crate::process::Process;

/// How long the search index may take to catch up after loading.
const SETTLING: Duration = Duration::from_secs(1800);

/// Where a server keeps what it is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) data: &'a Path,
    /// A PostgreSQL; without one the embedded database in `data`.
    pub(crate) database: Option<&'a str>,
    /// For the server's output.
    pub(crate) log: &'a Path,
}

/// Starts `agentsight serve` over a place, without waiting until it is ready.
pub(crate) fn spawn(binary: &Path, place: Place<'_>) -> Result<Process> {
    Process::start(
        binary,
        |command, address| {
            // What the caller has set for a server of their own must not reach this one.
            for (name, _) in std::env::vars_os() {
                if name.to_string_lossy().starts_with("AGENTSIGHT_") {
                    command.env_remove(name);
                }
            }
            command.env("AGENTSIGHT_BOOTSTRAP_API_KEY", API_KEY);
            command.args(["serve", "--listen", &address.to_string(), "--data-dir"]).arg(place.data);
            if let Some(url) = place.database {
                command.env("AGENTSIGHT_DATABASE_URL", url);
            }
        },
        place.log,
    )
}

/// Starts `agentsight serve` over a place and waits until it is ready.
pub(crate) async fn start(binary: &Path, place: Place<'_>) -> Result<Process> {
    let mut process = spawn(binary, place)?;
    let ready = process.answers("/readyz").await;
    ready.context(format_args!("{} (see {})", binary.display(), place.log.display()))?;
    Ok(process)
}

/// Waits until the search index holds all that was written.
///
/// Returns how long that took, or `None` when the server does not say.
pub(crate) async fn settle(process: &Process) -> Result<Option<Duration>> {
    let begin = Instant::now();
    let mut connection = Connection::open(process.address()).await?;
    loop {
        let answer = connection.get("/metrics").await?;
        let text = String::from_utf8_lossy(answer.body);
        match pending(&text) {
            None => return Ok(None),
            Some(0) => return Ok(Some(begin.elapsed())),
            Some(rows) if begin.elapsed() > SETTLING => {
                return Err(format!("the search index is {rows} behind after {} s", SETTLING.as_secs()).into());
            }
            Some(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// The value of `agentsight_search_pending`, summed where it has labels.
fn pending(metrics: &str) -> Option<u64> {
    metrics
        .lines()
        .filter_map(|line| line.strip_prefix("agentsight_search_pending"))
        .filter(|rest| rest.starts_with([' ', '{']))
        .filter_map(|rest| rest.split_whitespace().last()?.parse::<f64>().ok())
        .fold(None, |sum, value| Some(sum.unwrap_or(0) + value as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backlog_is_read_from_the_metrics() {
        assert_eq!(pending("# HELP agentsight_search_pending x\nagentsight_search_pending 17\n"), Some(17));
        assert_eq!(
            pending("agentsight_search_pending{agent=\"1\"} 2\nagentsight_search_pending{agent=\"2\"} 3"),
            Some(5)
        );
        assert_eq!(pending("agentsight_search_pending_total 4"), None);
        assert_eq!(pending(""), None);
    }
}
