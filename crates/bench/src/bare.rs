//! The HTTP baseline: axum answering a fixed body, with no store, no key and no JSON behind it.
//!
//! What this server reaches on the same machine in the same minute is what HTTP alone allows; the
//! product's share of it is the figure that survives a change of machine. It runs as a process of
//! its own (a hidden subcommand of this binary), as the product does.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use axum::serve::ListenerExt;
use bytes::Bytes;
use tokio::net::TcpListener;

use crate::error::{Context, Result};
use crate::process::Process;

/// As many as the product has on the two-core machine that the targets were set on.
const WORKERS: usize = 2;

/// Serves a body of `body_bytes` on the two read routes until the process is ended.
pub(crate) fn serve(address: SocketAddr, body_bytes: usize) -> Result<()> {
    let body = Bytes::from(body_of(body_bytes));
    let answer = get(move || {
        let body = body.clone();
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    });
    let routes = Router::new()
        .route("/readyz", get(|| async {}))
        .route("/api/conversations/", answer.clone())
        .route("/api/conversations/{id}/", answer);
    tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(address).await.context(format_args!("listen on {address}"))?;
        let listener = listener.tap_io(|stream| {
            // Only speed is at stake; a socket that refuses serves as well.
            let _refused = stream.set_nodelay(true);
        });
        axum::serve(listener, routes).await.context("serve")
    })
}

/// JSON of exactly that many bytes, from 4 on.
fn body_of(bytes: usize) -> String {
    format!("[\"{}\"]", "x".repeat(bytes.saturating_sub(4)))
}

/// Starts the bare server as a process of its own.
pub(crate) async fn start(body_bytes: usize, folder: &Path) -> Result<Process> {
    let program = std::env::current_exe().context("find this program")?;
    let arguments = |command: &mut std::process::Command, address: SocketAddr| {
        command.args(["bare", "--listen", &address.to_string(), "--body-bytes", &body_bytes.to_string()]);
    };
    let mut process = Process::start(&program, arguments, &folder.join("bare.log"))?;
    process.answers("/readyz").await?;
    Ok(process)
}
