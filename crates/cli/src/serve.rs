//! `agentsight serve`

use std::net::SocketAddr;

use agentsight_server::Server;
use agentsight_store::{Error, Store};
use tokio::net::TcpListener;

use crate::config::{Config, ServeArgs};
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
    if let Some(key) = config.bootstrap_key.clone()
        && store.bootstrap_key(key).await?
    {
        tracing::info!("the key of AGENTSIGHT_BOOTSTRAP_API_KEY was added for the agent \"default\"");
    }
    let first_start = store.list_keys().await?.is_empty();
    let server = Server::new(store.clone(), config.server.clone()).await?;
    greet(address, &config, first_start);
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

fn greet(address: SocketAddr, config: &Config, first_start: bool) {
    let folder = config.data_dir.canonicalize().unwrap_or_else(|_| config.data_dir.clone());
    say!("AgentSight {} listens on http://{address}", env!("CARGO_PKG_VERSION"));
    match &config.store.database {
        Some(database) => say!("  data           {}", database.url),
        None => say!("  data           {}", folder.display()),
    }
    match &config.store.bucket {
        Some(bucket) => say!("  attachments    {}", bucket.url),
        None if config.store.database.is_some() => say!("  attachments    {}", folder.display()),
        None => {}
    }
    say!("  documentation  http://{address}/docs");
    if first_start {
        say!("No API key exists yet. Make one, while this runs:");
        match config.store.database {
            Some(_) => say!("  agentsight key create --agent my-bot    (with the same AGENTSIGHT_DATABASE_URL)"),
            None => say!("  agentsight key create --agent my-bot --data-dir {}", folder.display()),
        }
        say!("Then point an SDK here:");
        say!("  export AGENTSIGHT_API_ENDPOINT=http://{address} AGENTSIGHT_API_KEY=ags_…");
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
