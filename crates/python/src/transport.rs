//! Where requests go: over HTTP, or to the store in this process.

use std::path::Path;
use std::time::Duration;

use agentsight::{AgentSight, Error, RawRequest};
use agentsight_server::{InProcess, Server, ServerConfig};
use agentsight_store::{Redaction, Store, StoreConfig};
use axum::http::{Method, Request, header};
use bytes::Bytes;
use futures_util::StreamExt as _;
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyTuple};
use tokio::runtime::{Handle, Runtime};

use crate::json;

pyo3::create_exception!(_native, NoAnswer, PyException, "There was no answer; why, in one sentence.");
pyo3::create_exception!(_native, CannotOpen, PyException, "There is no such transport; why, in one sentence.");

/// Threads that drive connections and long reads. Requests themselves run on the thread that calls.
const THREADS: usize = 2;
/// Requests of one [`Transport::request_many`] on their way at once.
const AT_ONCE: usize = 16;
/// How long a signal, such as Ctrl-C, waits to be heard.
const SIGNAL_PAUSE: Duration = Duration::from_millis(100);
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
    Local { api: InProcess, store: Store },
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
    fn local(py: Python<'_>, folder: std::path::PathBuf, agent: &str) -> PyResult<Self> {
        let runtime = runtime()?;
        let threads = &runtime;
        let opened = py.detach(move || {
            threads.block_on(async move {
                let rules = std::env::var_os(REDACTION_RULES).filter(|file| !file.is_empty());
                let redaction = rules.map(|file| Redaction::open(Path::new(&file))).transpose()?.unwrap_or_default();
                let store = Store::open(&folder, &StoreConfig { redaction, ..StoreConfig::default() })?;
                let agent = store.agent_named(agent).await?;
                let config = ServerConfig { public_url: Some(LINKS.to_owned()), ..ServerConfig::default() };
                let api = Server::new(store.clone(), config).await?.in_process(agent);
                Ok::<_, agentsight_store::Error>(Door::Local { api, store })
            })
        });
        let door = opened.map_err(|e| CannotOpen::new_err(e.to_string()))?;
        Ok(Self::new(door, runtime))
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
        answered(py, outcome)
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
        if let Door::Local { store, .. } = &self.door
            && Handle::try_current().is_err()
        {
            runtime.block_on(store.close());
        }
        runtime.shutdown_background();
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
        Door::Local { api, .. } => {
            let method: Method = method.parse().map_err(|_| format!("{method:?} is no method"))?;
            let mut request = Request::builder().method(method).uri(path);
            if let Some(kind) = content_type {
                request = request.header(header::CONTENT_TYPE, kind);
            }
            let request =
                request.body(body.unwrap_or_default()).map_err(|e| format!("the request is malformed: {e}"))?;
            let (status, _, body) = api.call(request).await;
            Ok((status.as_u16(), body))
        }
    }
}

fn answered(py: Python<'_>, outcome: Outcome) -> PyResult<Bound<'_, PyTuple>> {
    let (status, body) = outcome.map_err(NoAnswer::new_err)?;
    if body.is_empty() {
        return (status, py.None(), py.None()).into_pyobject(py);
    }
    match json::read(py, &body) {
        Ok(value) => (status, value, py.None()).into_pyobject(py),
        Err(json::Trouble::Python(error)) => Err(error),
        Err(json::Trouble::Syntax(..)) => (status, py.None(), String::from_utf8_lossy(&body)).into_pyobject(py),
    }
}

fn all_answered(py: Python<'_>, outcomes: Vec<Outcome>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for outcome in outcomes {
        match outcome {
            Ok(answer) => list.append(answered(py, Ok(answer))?)?,
            Err(why) => list.append(why)?,
        }
    }
    Ok(list)
}
