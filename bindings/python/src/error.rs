//! Errors of the platform as exceptions: `platform_core.Error`, with a class below it for each kind.

use std::any::Any;

use platform_core::kernel::{Error, Retry};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule};

/// The exception of an error: its class is `<kind>Error`.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error).map_or_else(|failed| failed, PyErr::from_value)
}

/// The error of a panic: it names what the panic said.
pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Error {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "without a text".to_owned());
    Error::internal("platform.panicked", format!("a fault in the platform, a panic: {text}"))
}

/// The error of whoever uses a platform that was closed.
pub(crate) fn closed() -> Error {
    Error::conflict("platform.closed", "the platform is closed")
}

/// The error of a child process of one that had a platform open.
pub(crate) fn forked() -> Error {
    Error::conflict(
        "platform.forked",
        "this process was forked while a platform was open, and the platform's threads stayed behind: open \
         platforms after fork(), or start processes with multiprocessing's method \"spawn\"",
    )
}

fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || py.import("platform_core._errors").map(Bound::unbind))?;
    let class = module.bind(py).getattr(format!("{}Error", error.kind().name()))?;
    let context = PyDict::new(py);
    for (name, value) in error.context() {
        context.set_item(name, value)?;
    }
    let retry_after = match error.retry_advice() {
        Retry::No => None,
        Retry::Now => Some(0.0),
        Retry::After(after) => Some(after.as_secs_f64()),
    };
    let details = PyDict::new(py);
    details.set_item("code", error.code())?;
    details.set_item("retry_after", retry_after)?;
    details.set_item("context", context)?;
    class.call((error.message(),), Some(&details))
}
