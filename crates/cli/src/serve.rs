//! `agentsight serve`

use std::net::SocketAddr;

use agentsight_server::Server;
use agentsight_store::{Error, Store};
use tokio::net::TcpListener;

use crate::config::{Config, ServeArgs, named};
use crate::out::say;
use crate::{Failure, block_on, log};

pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let config = Config::resolve(args)?;
    log::start(config.log_format, &config.log);
    block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), Failure> {
    // The port first: a second start by mistake should not touch the data.
    let listener = bind(config.listen).await?;
    let address = listener.local_addr().map_err(|e| Failure::Other(format!("no address: {e}")))?;
    let store = Store::open(&config.data_dir, &config.store)?;
    // Rather no start than attachments that are refused one by one. A full disk still gives back what it has.
    match store.probe_attachments().await {
        Err(Error::Full) => tracing::error!("no space left for attachments; those that are there can be read"),
        probed => probed?,
    }
    if store.is_new() {
        let place = named(config.store.database.as_ref(), &config.data_dir);
        tracing::info!("a new store was made in {place}");
    }
    if let Some(key) = config.bootstrap_key.clone()
        && store.bootstrap_key(key).await?
    {
        tracing::info!("the key of AGENTSIGHT_BOOTSTRAP_API_KEY was added for the agent \"default\"");
    }
    let first_start = store.list_keys().await?.is_empty();
    let server = Server::new(store.clone(), config.server.clone()).await?;
    greet(address, &config, store.is_new(), first_start);
    server.serve(listener, stop()).await;
    tracing::info!("stopping: finishing writes");
    store.close().await;
    Ok(())
}

pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::Other(match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("{address} is in use by another program; stop it, or choose another address with --listen")
            }
            std::io::ErrorKind::PermissionDenied => {
                format!(
                    "{address} may not be used by this user; ports below 1024 need rights, try --listen 127.0.0.1:8080"
                )
            }
            _ => format!("cannot listen on {address}: {error}"),
        })
    })
}

fn greet(address: SocketAddr, config: &Config, is_new: bool, first_start: bool) {
    let folder = named(None, &config.data_dir);
    let url = reachable(address);
    let all = if address.ip().is_unspecified() { "all addresses of this machine, such as " } else { "" };
    say!("AgentSight {} listens on {all}{url}", env!("CARGO_PKG_VERSION"));
    let new = if is_new { "  (a new store)" } else { "" };
    say!("  data           {}{new}", named(config.store.database.as_ref(), &config.data_dir));
    match &config.store.bucket {
        Some(bucket) => say!("  attachments    {}", bucket.url),
        None if config.store.database.is_some() => say!("  attachments    {folder}"),
        None => {}
    }
    say!("  documentation  {url}/docs");
    if first_start {
        say!("No API key exists yet. Make one, while this runs:");
        match config.store.database {
            Some(_) => say!("  agentsight key create --agent my-bot    (with the same AGENTSIGHT_DATABASE_URL)"),
            None => say!("  agentsight key create --agent my-bot --data-dir {folder}"),
        }
        say!("Then point an SDK here:");
        say!("  export AGENTSIGHT_API_ENDPOINT={url} AGENTSIGHT_API_KEY=ags_…");
    }
}

/// At which address a program on this machine finds a server: that of all addresses is none to connect to.
pub(crate) fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("http://localhost:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

/// Done when the process is asked to stop.
pub(crate) async fn stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::warn!("signals cannot be heard; stop the process with SIGKILL, nothing acknowledged is lost");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
