//! The closed loop: each connection sends its next request when the last one is answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::error::{Context, Result};
use crate::http::Connection;
use crate::process::Process;
use crate::stats::percentile;

/// Writes a connection's next request, replacing what the buffer holds.
pub(crate) type Source = Box<dyn FnMut(&mut Vec<u8>) + Send>;

/// What one run of a load measured.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Answers a second; answers other than 200 and 201 are an error, so these are successes.
    pub(crate) rate: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// CPU time of the server process for one request, in milliseconds.
    pub(crate) cpu_ms: f64,
}

/// Runs one connection per source against `server` for `duration`.
///
/// # Errors
/// The first answer that is not 200 or 201 ends the run: a rate of failures is no figure.
pub(crate) async fn run(server: &Process, sources: Vec<Source>, duration: Duration) -> Result<Measured> {
    run_over(&[server], sources, duration).await
}

/// The same against several servers, to which the connections are dealt out in turn; their CPU time is added up.
pub(crate) async fn run_over(servers: &[&Process], sources: Vec<Source>, duration: Duration) -> Result<Measured> {
    let cpu_time = || servers.iter().map(|server| server.cpu_time()).sum::<Result<Duration>>();
    // Connecting is not part of the measurement: all wait for the last one.
    let start = Arc::new(Barrier::new(sources.len() + 1));
    let mut tasks = JoinSet::new();
    for (source, server) in sources.into_iter().zip(servers.iter().cycle()) {
        let connection = Connection::open(server.address()).await?;
        tasks.spawn(drive(connection, source, duration, Arc::clone(&start)));
    }
    start.wait().await;
    let cpu_before = cpu_time()?;
    let begin = Instant::now();
    let mut latencies = Vec::new();
    timeout(duration + Duration::from_secs(60), async {
        while let Some(finished) = tasks.join_next().await {
            latencies.append(&mut finished.context("a load task")??);
        }
        Ok::<_, crate::error::BoxError>(())
    })
    .await
    .context("the server stopped answering")??;
    let elapsed = begin.elapsed().as_secs_f64();
    let cpu = cpu_time()?.saturating_sub(cpu_before);
    latencies.sort_unstable();
    let answers = latencies.len().max(1) as f64;
    Ok(Measured {
        rate: latencies.len() as f64 / elapsed,
        p50_us: f64::from(percentile(&latencies, 0.5)),
        p99_us: f64::from(percentile(&latencies, 0.99)),
        cpu_ms: cpu.as_secs_f64() * 1e3 / answers,
    })
}

/// One connection's loop; gives the latencies in microseconds.
async fn drive(
    mut connection: Connection,
    mut source: Source,
    duration: Duration,
    start: Arc<Barrier>,
) -> Result<Vec<u32>> {
    let mut request = Vec::with_capacity(4096);
    let mut latencies = Vec::with_capacity(1 << 16);
    start.wait().await;
    let begin = Instant::now();
    while begin.elapsed() < duration {
        source(&mut request);
        let sent = Instant::now();
        let answer = connection.send(&request).await?;
        latencies.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
        if !answer.is_success() {
            let text = String::from_utf8_lossy(answer.body.get(..300).unwrap_or(answer.body)).into_owned();
            return Err(format!("under load: answer {}: {text}", answer.status).into());
        }
    }
    Ok(latencies)
}

/// The latencies of `requests` identical requests on one connection, in microseconds and ascending.
pub(crate) async fn repeat(connection: &mut Connection, requests: &[Vec<u8>]) -> Result<Vec<u32>> {
    let mut latencies = Vec::with_capacity(requests.len());
    for request in requests {
        let sent = Instant::now();
        let answer = connection.send(request).await?;
        latencies.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
        if !answer.is_success() {
            return Err(format!("{}: answer {}", first_line(request), answer.status).into());
        }
    }
    latencies.sort_unstable();
    Ok(latencies)
}

/// The request line, for messages.
fn first_line(request: &[u8]) -> String {
    String::from_utf8_lossy(request).lines().next().unwrap_or_default().to_owned()
}

/// An address of this machine that nothing listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?)
}
