//! Connections: taking them in, bounding what they may cost, and ending them in order.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tower::Service as _;

use crate::request_id::{self, RequestIds};
use crate::router::router;
use crate::{App, urls};

/// Headers of a request at most; more is 431.
const HEADERS: usize = 100;
/// Bytes of a request's head at most.
const HEAD_BYTES: usize = 64 * 1024;
/// A request that took longer is worth a line in the log.
const SLOW: Duration = Duration::from_secs(1);
/// Wait after a failed accept, such as one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Requests at once on a connection of HTTP/2.
const STREAMS: u32 = 128;
/// Wait for the rest of the first three bytes of a connection.
const PEEK_PAUSE: Duration = Duration::from_millis(5);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) async fn serve(listener: TcpListener, app: App, stop: impl Future<Output = ()>) {
    let mut threads = match start_threads(&app) {
        Ok(threads) => threads,
        Err(error) => return tracing::error!(%error, "threads for connections could not be started"),
    };
    let mut stop = std::pin::pin!(stop);
    for turn in (0..threads.len()).cycle() {
        let stream = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        if let Some(thread) = threads.get(turn)
            && let Ok(stream) = prepare(stream)
        {
            // A thread only goes away with this function.
            let _ = thread.connections.send(stream);
        }
    }
    drop(listener);
    let ending = threads.drain(..).map(|thread| {
        drop(thread.connections);
        tokio::task::spawn_blocking(move || thread.handle.join())
    });
    for ended in ending.collect::<Vec<_>>() {
        if !matches!(ended.await, Ok(Ok(()))) {
            tracing::error!("a thread of connections broke off");
        }
    }
}

/// A thread that serves connections, each to its end.
///
/// Connections do not move between threads: a fetch runs where its request was read, in about the
/// time that handing it to another thread and waking that one would take.
struct Thread {
    connections: tokio::sync::mpsc::UnboundedSender<std::net::TcpStream>,
    handle: std::thread::JoinHandle<()>,
}

fn start_threads(app: &App) -> std::io::Result<Vec<Thread>> {
    let ids = std::sync::Arc::new(RequestIds::new());
    let start = |number| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (connections, mut incoming) = tokio::sync::mpsc::unbounded_channel();
        let (app, ids) = (app.clone(), std::sync::Arc::clone(&ids));
        let handle = std::thread::Builder::new().name(format!("http-{number}")).spawn(move || {
            runtime.block_on(async {
                let host = Host::new(app, ids);
                while let Some(stream) = incoming.recv().await {
                    host.serve(stream);
                }
                host.end().await;
            });
        })?;
        Ok(Thread { connections, handle })
    };
    (0..std::thread::available_parallelism().map_or(2, usize::from)).map(start).collect()
}

/// One for each version of HTTP.
#[derive(Clone)]
struct Builders {
    http1: hyper::server::conn::http1::Builder,
    http2: hyper::server::conn::http2::Builder<TokioExecutor>,
}

/// What a thread serves its connections with.
struct Host {
    builders: Builders,
    running: GracefulShutdown,
    /// Told to connections of which nothing was heard yet.
    ending: tokio::sync::watch::Sender<bool>,
    router: axum::Router,
    app: App,
    ids: std::sync::Arc<RequestIds>,
}

impl Host {
    fn new(app: App, ids: std::sync::Arc<RequestIds>) -> Self {
        let mut http1 = hyper::server::conn::http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(app.config.head_timeout)
            .max_headers(HEADERS)
            .max_buf_size(HEAD_BYTES)
            .pipeline_flush(true);
        let mut http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(app.config.head_timeout)
            .keep_alive_timeout(app.config.head_timeout)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_BYTES as u32);
        let builders = Builders { http1, http2 };
        let (ending, _) = tokio::sync::watch::channel(false);
        Self { builders, running: GracefulShutdown::new(), ending, router: router(app.clone()), app, ids }
    }

    fn serve(&self, stream: std::net::TcpStream) {
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => return tracing::warn!(%error, "a connection could not be taken over"),
        };
        let (router, app, ids) = (self.router.clone(), self.app.clone(), std::sync::Arc::clone(&self.ids));
        let service = hyper::service::service_fn(move |request| {
            let (router, app, id) = (router.clone(), app.clone(), ids.next());
            async move { Ok::<_, Infallible>(answer(router, &app, request, id).await) }
        });
        let (builders, watcher, patience) =
            (self.builders.clone(), self.running.watcher(), self.app.config.head_timeout);
        let mut ending = self.ending.subscribe();
        tokio::spawn(async move {
            let begun = tokio::select! {
                begun = tokio::time::timeout(patience, begins_with_http2(&stream)) => begun,
                _ = ending.changed() => return,
            };
            let ended = match begun {
                Ok(Ok(true)) => watcher.watch(builders.http2.serve_connection(TokioIo::new(stream), service)).await,
                Ok(Ok(false)) => watcher.watch(builders.http1.serve_connection(TokioIo::new(stream), service)).await,
                // Gone, or silent for as long as a head may take.
                Ok(Err(_)) | Err(_) => return,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }

    /// Finishes what runs, within the configured time.
    async fn end(self) {
        let patience = self.app.config.shutdown_timeout;
        self.ending.send_replace(true);
        if tokio::time::timeout(patience, self.running.shutdown()).await.is_err() {
            tracing::warn!("requests still ran after {} s and were cut off", patience.as_secs());
        }
    }
}

/// Whether a connection begins as HTTP/2 does, which gRPC speaks. Nothing is taken from it.
async fn begins_with_http2(stream: &TcpStream) -> std::io::Result<bool> {
    /// The first bytes of its preface, which are those of no method.
    const PREFACE: &[u8] = b"PRI";
    let mut seen = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut seen).await?;
        let begun = seen.get(..length).unwrap_or_default();
        if length == 0 || length == PREFACE.len() || !PREFACE.starts_with(begun) {
            return Ok(begun == PREFACE);
        }
        // A part of it: a peek would not wait for more.
        tokio::time::sleep(PEEK_PAUSE).await;
    }
}

/// Makes a connection ready for the thread that will serve it.
fn prepare(stream: TcpStream) -> std::io::Result<std::net::TcpStream> {
    // Small answers must not wait for the acknowledgement of the last one.
    stream.set_nodelay(true)?;
    stream.into_std()
}

async fn answer(mut router: axum::Router, app: &App, request: hyper::Request<Incoming>, id: HeaderValue) -> Response {
    let began = Instant::now();
    let (mut request, rest) = shared(request);
    if let Some(uri) = urls::canonical(request.uri()) {
        *request.uri_mut() = uri;
    }
    let said = tracing::enabled!(tracing::Level::INFO).then(|| (request.method().clone(), request.uri().clone()));
    // A router is always ready.
    let answering = request_id::within(id.clone(), router.call(request));
    let mut response = answering.await.unwrap_or_else(|never| match never {});
    let took = began.elapsed();
    let status = response.status();
    app.metrics.record(status, took);
    if let Some((method, uri)) = said {
        let path = uri.path();
        let (status, ms) = (status.as_u16(), took.as_micros() as f64 / 1_000.0);
        let id = id.to_str().unwrap_or_default();
        // Neither the query, nor a header, nor a body: they hold keys and people's words.
        if status >= 500 {
            tracing::error!(id, %method, path, status, ms, "request failed");
        } else if status >= 400 || took > SLOW {
            tracing::info!(id, %method, path, status, ms, "request");
        } else {
            tracing::debug!(id, %method, path, status, ms, "request");
        }
    }
    response.headers_mut().insert(REQUEST_ID, id);
    if let Some(rest) = rest {
        rest.drain(began + app.config.body_timeout).await;
    }
    response
}

/// Bytes of a refused request that are read and thrown away at most.
const DRAINED_BYTES: usize = 64 * 1024 * 1024;

/// A request's body, in the hands of the handler and of whoever clears away what the handler left.
///
/// Closing a connection on which bytes still come in resets it, and most clients, which send all
/// before they read, would then never see the answer that says why they were refused.
#[derive(Clone)]
struct Rest(std::sync::Arc<parking_lot::Mutex<Incoming>>);

fn shared(request: hyper::Request<Incoming>) -> (Request, Option<Rest>) {
    use hyper::body::Body as _;
    // Who waits for a leave to send has sent nothing yet.
    if request.body().is_end_stream() || request.headers().contains_key(axum::http::header::EXPECT) {
        return (request.map(Body::new), None);
    }
    let (parts, body) = request.into_parts();
    let rest = Rest(std::sync::Arc::new(parking_lot::Mutex::new(body)));
    (Request::from_parts(parts, Body::new(rest.clone())), Some(rest))
}

impl Rest {
    async fn drain(mut self, deadline: Instant) {
        use hyper::body::Body as _;
        if self.is_end_stream() || self.size_hint().lower() > DRAINED_BYTES as u64 {
            return;
        }
        let work = async {
            let mut drained = 0;
            while let Some(Ok(frame)) = self.frame().await {
                drained += frame.data_ref().map_or(0, Bytes::len);
                if drained > DRAINED_BYTES {
                    break;
                }
            }
        };
        // Past the deadline the connection is closed as it is.
        let _ = tokio::time::timeout_at(deadline.into(), work).await;
    }
}

impl hyper::body::Body for Rest {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut *self.0.lock()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().size_hint()
    }
}
