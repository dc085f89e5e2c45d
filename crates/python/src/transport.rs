//! Where requests go: over HTTP, or to the store in this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agentsight::{AgentSight, Error, RawRequest};
use agentsight_server::{InProcess, Server, ServerConfig};
use agentsight_store::{Redaction, Store, StoreConfig};
use axum::http::{Method, Request, header};
use bytes::Bytes;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyTuple};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, RwLockReadGuard};

use crate::json;

pyo3::create_exception!(_native, NoAnswer, PyException, "There was no answer; why, in one sentence.");
pyo3::create_exception!(_native, CannotOpen, PyException, "There is no such transport; why, in one sentence.");

/// Threads that drive connections and long reads. Requests themselves run on the thread that calls.
const THREADS: usize = 2;
/// Requests of one [`Transport::request_many`] on their way at once.
const AT_ONCE: usize = 16;
/// How long a signal, such as Ctrl-C, waits to be heard.
const SIGNAL_PAUSE: Duration = Duration::from_millis(100);
/// How long a fork waits for running requests: one may have been interrupted by the very signal whose handler forks.
const PAUSE_PATIENCE: Duration = Duration::from_secs(30);
/// Names the file of what is never written, as it does for the server.
const REDACTION_RULES: &str = "AGENTSIGHT_REDACTION_RULES";
/// What links of files begin with in process; `Transport.request` reads them by what follows.
const LINKS: &str = "http://in-process.invalid";

/// Sends requests and gives answers as Python objects. Safe to share between threads.
#[pyclass(frozen, weakref, module = "agentsight._native")]
pub(crate) struct Transport {
    door: Door,
    handle: Handle,
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
    /// A child that was forked has our memory and none of our threads.
    process: u32,
}

#[derive(Clone)]
enum Door {
    Http(AgentSight),
    Local(Arc<Local>),
}

/// A store of this process.
struct Local {
    folder: PathBuf,
    agent: String,
    /// None while it is let go of; the next request opens it.
    open: Arc<RwLock<Option<Open>>>,
    /// Held from [`Transport::pause`] on, so that nothing opens it meanwhile.
    pause: Mutex<Option<OwnedRwLockWriteGuard<Option<Open>>>>,
}

struct Open {
    api: InProcess,
    store: Store,
}

/// A request as Python gives it: method, path with query, content type, body, patience.
type Given = (String, String, Option<String>, Option<PyBackedBytes>, u32);

/// What came back: status and body, or why nothing did.
type Outcome = Result<(u16, Bytes), String>;

#[pymethods]
impl Transport {
    /// To a server. Nothing is sent yet.
    #[staticmethod]
    #[pyo3(signature = (endpoint, api_key, timeout_s, retries, backoff_s))]
    fn http(endpoint: &str, api_key: &str, timeout_s: f64, retries: u32, backoff_s: f64) -> PyResult<Self> {
        let seconds = |given: f64| Duration::try_from_secs_f64(given).unwrap_or_default();
        let client = AgentSight::builder()
            .endpoint(endpoint)
            .api_key(api_key)
            .timeout(seconds(timeout_s))
            .retries(retries)
            .backoff(seconds(backoff_s));
        let runtime = runtime()?;
        let client = runtime.block_on(async { client.build() }).map_err(|e| CannotOpen::new_err(e.to_string()))?;
        Ok(Self::new(Door::Http(client), runtime))
    }

    /// To the store in a folder, for one agent; both are made where they are missing.
    #[staticmethod]
    fn local(py: Python<'_>, folder: PathBuf, agent: &str) -> PyResult<Self> {
        let runtime = runtime()?;
        // The process may go to another folder before the store is opened again.
        let folder = std::path::absolute(folder).map_err(|e| CannotOpen::new_err(format!("no such folder: {e}")))?;
        let local = Local { folder, agent: agent.to_owned(), open: Arc::default(), pause: Mutex::default() };
        py.detach(|| runtime.block_on(local.opened()).map(drop)).map_err(CannotOpen::new_err)?;
        Ok(Self::new(Door::Local(Arc::new(local)), runtime))
    }

    /// Waits for running requests, lets go of the store, and holds new requests up until [`Transport::go_on`]: what a
    /// forked child has of an open database lets it believe in locks that only its parent holds.
    fn pause(&self, py: Python<'_>) {
        if let Door::Local(local) = &self.door {
            let pause = async {
                let alone = Arc::clone(&local.open).write_owned();
                let Ok(mut open) = tokio::time::timeout(PAUSE_PATIENCE, alone).await else { return };
                if let Some(open) = open.take() {
                    open.store.close().await;
                }
                *local.pause.lock() = Some(open);
            };
            py.detach(|| self.handle.block_on(pause));
        }
    }

    /// Ends a pause.
    fn go_on(&self) {
        if let Door::Local(local) = &self.door {
            drop(local.pause.lock().take());
        }
    }

    /// Sends one request; gives `(status, value, text)`: the JSON of the answer, or its text where it is none.
    ///
    /// Raises `NoAnswer`.
    #[pyo3(signature = (method, path, content_type=None, body=None, patience=1))]
    fn request<'py>(
        &self,
        py: Python<'py>,
        method: String,
        path: String,
        content_type: Option<String>,
        body: Option<PyBackedBytes>,
        patience: u32,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let outcome = self.run(py, ask(self.door.clone(), (method, path, content_type, body, patience)))?;
        answered(py, outcome)?.map_err(NoAnswer::new_err)
    }

    /// Sends one request and gives `(status, bytes)`. Raises `NoAnswer`.
    fn download<'py>(&self, py: Python<'py>, path: String) -> PyResult<(u16, Bound<'py, PyBytes>)> {
        let given = ("GET".to_owned(), path, None, None, 3);
        let (status, body) = self.run(py, ask(self.door.clone(), given))?.map_err(NoAnswer::new_err)?;
        Ok((status, PyBytes::new(py, &body)))
    }

    /// Sends many requests at once and gives their answers in the same order, each as
    /// [`Transport::request`] gives it, or a `str` that says why there was none.
    fn request_many<'py>(&self, py: Python<'py>, requests: Vec<Given>) -> PyResult<Bound<'py, PyList>> {
        let outcomes = self.run(py, ask_many(self.door.clone(), requests))?;
        all_answered(py, outcomes)
    }

    /// As [`Transport::request_many`], without waiting: `done` is called with the list, on another thread.
    fn start_many(&self, requests: Vec<Given>, done: Py<PyAny>) {
        let work = ask_many(self.door.clone(), requests);
        self.handle.spawn(async move {
            let outcomes = work.await;
            // Nobody waits any more where Python has ended.
            let _ = Python::try_attach(|py| {
                let told = all_answered(py, outcomes).and_then(|answers| done.call1(py, (answers,)));
                if let Err(error) = told {
                    error.write_unraisable(py, None);
                }
            });
        });
    }
}

impl Transport {
    fn new(door: Door, runtime: Runtime) -> Self {
        Self { door, handle: runtime.handle().clone(), runtime: Some(runtime), process: std::process::id() }
    }

    /// Waits without the interpreter's lock, and for no longer than until the next signal.
    fn run<T: Send>(&self, py: Python<'_>, work: impl Future<Output = T> + Send) -> PyResult<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let wait = || self.handle.block_on(async { tokio::time::timeout(SIGNAL_PAUSE, work.as_mut()).await });
            match py.detach(wait) {
                Ok(done) => return Ok(done),
                Err(_) => py.check_signals()?,
            }
        }
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        if self.process != std::process::id() {
            // Its threads are the parent's: waiting for them would not end.
            std::mem::forget(runtime);
            std::mem::forget(self.door.clone());
            return;
        }
        if let Door::Local(local) = &self.door
            && Handle::try_current().is_err()
        {
            // What is still in use belongs to a thread that Python has stopped for good.
            let open = local.open.try_write().ok().and_then(|mut open| open.take());
            if let Some(open) = open {
                runtime.block_on(open.store.close());
            }
        }
        runtime.shutdown_background();
    }
}

impl Local {
    /// The store, opened where it is not.
    async fn opened(&self) -> Result<RwLockReadGuard<'_, Open>, String> {
        let open = self.open.read().await;
        if let Ok(open) = RwLockReadGuard::try_map(open, Option::as_ref) {
            return Ok(open);
        }
        let mut open = self.open.write().await;
        if open.is_none() {
            *open = Some(Open::at(&self.folder, &self.agent).await.map_err(|e| e.to_string())?);
        }
        RwLockReadGuard::try_map(open.downgrade(), Option::as_ref).map_err(|_| "the store was closed".to_owned())
    }
}

impl Open {
    async fn at(folder: &Path, agent: &str) -> agentsight_store::Result<Self> {
        let rules = std::env::var_os(REDACTION_RULES).filter(|file| !file.is_empty());
        let redaction = rules.map(|file| Redaction::open(Path::new(&file))).transpose()?.unwrap_or_default();
        let store = Store::open(folder, &StoreConfig { redaction, ..StoreConfig::default() })?;
        let agent = store.agent_named(agent).await?;
        let config = ServerConfig { public_url: Some(LINKS.to_owned()), ..ServerConfig::default() };
        let api = Server::new(store.clone(), config).await?.in_process(agent);
        Ok(Self { api, store })
    }
}

fn runtime() -> PyResult<Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("agentsight")
        .enable_all()
        .build();
    runtime.map_err(|e| PyRuntimeError::new_err(format!("cannot start threads: {e}")))
}

async fn ask_many(door: Door, requests: Vec<Given>) -> Vec<Outcome> {
    let asked = requests.into_iter().map(|given| ask(door.clone(), given));
    futures_util::stream::iter(asked).buffered(AT_ONCE).collect().await
}

async fn ask(door: Door, (method, path, content_type, body, patience): Given) -> Outcome {
    let body = body.map(Bytes::from_owner);
    match door {
        Door::Http(client) => {
            let body = body.map(|bytes| (content_type.unwrap_or_else(|| "application/json".to_owned()), bytes));
            match client.send_raw(RawRequest { method, path, body, patience }).await {
                Ok(answer) => Ok((answer.status, answer.body)),
                Err(error @ Error::Network { .. }) => Err(error.to_string()),
                Err(error) => Err(format!("the request cannot be sent: {error}")),
            }
        }
        Door::Local(local) => {
            let method: Method = method.parse().map_err(|_| format!("{method:?} is no method"))?;
            let mut request = Request::builder().method(method).uri(path);
            if let Some(kind) = content_type {
                request = request.header(header::CONTENT_TYPE, kind);
            }
            let request =
                request.body(body.unwrap_or_default()).map_err(|e| format!("the request is malformed: {e}"))?;
            let (status, _, body) = local.opened().await?.api.call(request).await;
            Ok((status.as_u16(), body))
        }
    }
}

/// An answer as Python has it, or why there was none.
fn answered(py: Python<'_>, outcome: Outcome) -> PyResult<Result<Bound<'_, PyTuple>, String>> {
    let (status, body) = match outcome {
        Ok(answer) => answer,
        Err(why) => return Ok(Err(why)),
    };
    if body.is_empty() {
        return (status, py.None(), py.None()).into_pyobject(py).map(Ok);
    }
    match json::read(py, &body) {
        Ok(value) => (status, value, py.None()).into_pyobject(py).map(Ok),
        Err(json::Trouble::Python(error)) => Err(error),
        // A gateway's page is no success: nothing was stored or found.
        Err(json::Trouble::Syntax(..)) if (200..300).contains(&status) => {
            Ok(Err(format!("what answered with {status} sent no JSON, so it is no AgentSight server")))
        }
        Err(json::Trouble::Syntax(..)) => (status, py.None(), String::from_utf8_lossy(&body)).into_pyobject(py).map(Ok),
    }
}

fn all_answered(py: Python<'_>, outcomes: Vec<Outcome>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for outcome in outcomes {
        match answered(py, outcome)? {
            Ok(answer) => list.append(answer)?,
            Err(why) => list.append(why)?,
        }
    }
    Ok(list)
}
