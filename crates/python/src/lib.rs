//! `agentsight._native`: what the Python package of `python/agentsight` is built on.
//!
//! A [`transport::Transport`] sends requests in the words of the API and gives answers as Python objects, over HTTP
//! through the Rust client's connections, or in this process through the server's own router. What a call means, what
//! is checked and what is raised stands in Python. The package's command is the binary's own code.

mod json;
mod transport;

use std::ffi::OsString;

use pyo3::prelude::*;

/// As in the binary. Python keeps its own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs the `agentsight` command with these arguments, the first being its name, and gives its exit code.
#[pyfunction]
fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| agentsight_cli::run(arguments))
}

/// JSON as Python objects.
#[pyfunction]
fn loads(py: Python<'_>, text: &[u8]) -> PyResult<Py<PyAny>> {
    json::read(py, text).map_err(|e| pyo3::exceptions::PyValueError::new_err(e.to_string()))
}

#[pymodule(gil_used = true)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(command, module)?)?;
    module.add_function(wrap_pyfunction!(loads, module)?)?;
    module.add_class::<transport::Transport>()?;
    module.add("NoAnswer", module.py().get_type::<transport::NoAnswer>())?;
    module.add("CannotOpen", module.py().get_type::<transport::CannotOpen>())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
