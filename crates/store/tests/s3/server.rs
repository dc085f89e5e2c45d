//! An S3 server of one test: the real protocol with real signatures, over files in a temporary folder.
//!
//! It runs on a thread of its own, so that it answers whatever the test waits for, and tells what it was
//! asked. Its faults are those of a network: it goes away, for good or in the middle of an answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use agentsight_store::{BucketConfig, Secret};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The bucket that is there.
pub(crate) const BUCKET: &str = "files";
pub(crate) const ACCESS_KEY: &str = "AKIDOFTHETESTS";
pub(crate) const SECRET_KEY: &str = "the-secret-of-the-tests";

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

/// What the server knows of itself.
struct State {
    service: S3Service,
    /// `PUT /files/blobs/…`, in order.
    asked: Mutex<Vec<String>>,
    gone: AtomicBool,
    /// Parts of large files that are taken before the others are refused.
    parts_left: AtomicUsize,
    /// Parts of large files that are taken before it goes away.
    parts_to_live: AtomicUsize,
    /// Bytes of answers that are given before it goes away.
    bytes_left: AtomicUsize,
}

/// The server, until it is dropped.
pub(crate) struct S3Server {
    pub(crate) address: SocketAddr,
    folder: TempDir,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl S3Server {
    pub(crate) fn start() -> Self {
        Self::with(S3Config::default())
    }

    /// A server that takes every request for one of another time.
    pub(crate) fn of_another_time() -> Self {
        let mut config = S3Config::default();
        config.presigned_url_max_skew_time_secs = 0;
        Self::with(config)
    }

    fn with(config: S3Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        let state = Arc::new(State {
            service: builder.build(),
            asked: Mutex::default(),
            gone: AtomicBool::new(false),
            parts_left: AtomicUsize::new(usize::MAX),
            parts_to_live: AtomicUsize::new(usize::MAX),
            bytes_left: AtomicUsize::new(usize::MAX),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = serve(TcpListener::from_std(listener).unwrap(), serving) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, folder, state, stop: Some(stop), thread: Some(thread) }
    }

    /// How a store finds a place in this server.
    pub(crate) fn bucket(&self, url: &str) -> BucketConfig {
        BucketConfig {
            endpoint: Some(format!("http://{}", self.address)),
            region: Some("us-east-1".to_owned()),
            allow_http: true,
            access_key: Some(Secret::from(ACCESS_KEY.to_owned())),
            secret_key: Some(Secret::from(SECRET_KEY.to_owned())),
            ..BucketConfig::new(url.parse().unwrap())
        }
    }

    /// Requests so far, as `PUT /files/blobs/…`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }

    /// How many requests contain all of these texts.
    pub(crate) fn count(&self, texts: &[&str]) -> usize {
        self.asked().iter().filter(|request| texts.iter().all(|text| request.contains(text))).count()
    }

    pub(crate) fn forget_requests(&self) {
        self.state.asked.lock().unwrap().clear();
    }

    /// Where an object is on the server's disk.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(key)
    }

    /// Names in the server's own folder of parts that were not put together.
    pub(crate) fn loose_parts(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".upload_id-") && name.contains(".part-")).collect()
    }

    pub(crate) fn remove_bucket(&self) {
        std::fs::remove_dir_all(self.folder.path().join(BUCKET)).unwrap();
    }

    /// Answers nothing any more, or everything again.
    pub(crate) fn is_gone(&self, gone: bool) {
        self.state.gone.store(gone, Ordering::SeqCst);
        if !gone {
            self.state.parts_left.store(usize::MAX, Ordering::SeqCst);
            self.state.parts_to_live.store(usize::MAX, Ordering::SeqCst);
            self.state.bytes_left.store(usize::MAX, Ordering::SeqCst);
        }
    }

    /// Refuses the parts of large files after so many, and only those.
    pub(crate) fn takes_parts(&self, parts: usize) {
        self.state.parts_left.store(parts, Ordering::SeqCst);
    }

    /// Goes away once it has taken so many parts of large files.
    pub(crate) fn goes_away_after_parts(&self, parts: usize) {
        self.state.parts_to_live.store(parts, Ordering::SeqCst);
    }

    /// Goes away once answers have had so many bytes.
    pub(crate) fn gives_bytes(&self, bytes: usize) {
        self.state.bytes_left.store(bytes, Ordering::SeqCst);
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        if state.gone.load(Ordering::SeqCst) {
            continue;
        }
        tokio::spawn(async move {
            let answer = |request| answer(Arc::clone(&state), request);
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer)).await;
        });
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, std::io::Error> {
    state.asked.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
    let is_part = request.uri().query().is_some_and(|query| query.contains("partNumber="));
    if is_part && take(&state.parts_left, 1) == 0 {
        // As a disk that is full on the other side; not worth another attempt.
        let refusal = "<Error><Code>EntityTooLarge</Code><Message>no more</Message></Error>";
        let body = http_body_util::Full::new(Bytes::from(refusal)).map_err(|error: Infallible| match error {});
        return Ok(Response::builder().status(400).body(body.boxed_unsync()).unwrap());
    }
    if is_part && take(&state.parts_to_live, 1) == 0 {
        state.gone.store(true, Ordering::SeqCst);
    }
    if state.gone.load(Ordering::SeqCst) {
        return Err(std::io::ErrorKind::ConnectionReset.into());
    }
    let response =
        state.service.call(request.map(s3s::Body::from)).await.map_err(|e| std::io::Error::other(format!("{e:?}")))?;
    let (head, body) = response.into_parts();
    let frames = body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(|e| std::io::Error::other(e.to_string()))?;
        if take(&state.bytes_left, piece.len()) < piece.len() {
            state.gone.store(true, Ordering::SeqCst);
        }
        if state.gone.load(Ordering::SeqCst) {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        Ok(Frame::data(piece))
    });
    Ok(Response::from_parts(head, StreamBody::new(frames).boxed_unsync()))
}

/// Takes up to so many from what is left; says how many there were to take.
fn take(left: &AtomicUsize, count: usize) -> usize {
    let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        Some(if left == usize::MAX { left } else { left.saturating_sub(count) })
    });
    before.unwrap_or_default().min(count)
}
