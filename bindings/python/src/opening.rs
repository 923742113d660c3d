//! How a platform is opened: by a thread of its own, so that whoever waits for it can be interrupted.

use std::sync::Arc;

use platform_core::kernel::{Context, Error, Result};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::sync::oneshot;

use crate::call::Call;
use crate::core::{Core, Place};
use crate::error::raise;
use crate::fork;
use crate::platform::AsyncPlatform;
use crate::view::View;
use crate::wait::wait_anywhere;

/// Opens a platform and waits for it. A signal ends the waiting; what opens all the same is closed again.
pub(crate) fn open(py: Python<'_>, place: Place) -> PyResult<Arc<Core>> {
    fork::watch();
    let (sender, opened) = oneshot::channel();
    std::thread::Builder::new().name("platform-open".to_owned()).spawn(move || {
        // Dropped, and so closed, when nobody waits any more.
        let _ = sender.send(Core::open(place));
    })?;
    wait_anywhere(py, Box::pin(async move { opened.await.unwrap_or_else(|_| Err(lost())) }))
}

/// The view of whoever opens a platform: a service that may do everything.
pub(crate) fn view(core: Arc<Core>, service: &str) -> View {
    View::new(core, Context::service(service), false)
}

fn lost() -> Error {
    Error::internal("platform.panicked", "a fault in the platform: its opening ended without an answer")
}

/// A platform that is being opened: to be awaited, or entered with ``async with``.
#[pyclass(frozen, name = "AsyncOpening", module = "platform_core")]
pub(crate) struct Opening {
    place: Place,
    service: String,
    entered: Arc<PyOnceLock<Py<AsyncPlatform>>>,
}

/// A platform whose Python object is still to be made.
struct Opened {
    core: Arc<Core>,
    service: String,
    /// Where `async with` keeps it.
    entered: Option<Arc<PyOnceLock<Py<AsyncPlatform>>>>,
}

impl<'py> IntoPyObject<'py> for Opened {
    type Target = AsyncPlatform;
    type Output = Bound<'py, AsyncPlatform>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, AsyncPlatform>> {
        let platform = Bound::new(py, AsyncPlatform::new(py, view(self.core, &self.service))?)?;
        if let Some(entered) = self.entered {
            // Entered twice at once: the first is the one that is left.
            let _ = entered.set(py, platform.clone().unbind());
        }
        Ok(platform)
    }
}

impl Opening {
    pub(crate) fn new(place: Place, service: String) -> Opening {
        fork::watch();
        Opening { place, service, entered: Arc::new(PyOnceLock::new()) }
    }

    fn call(&self, entered: Option<Arc<PyOnceLock<Py<AsyncPlatform>>>>) -> Call {
        let (place, service) = (self.place.clone(), self.service.clone());
        let open = move || -> Result<Opened> { Ok(Opened { core: Core::open(place)?, service, entered }) };
        Call::of_thread("open", open)
    }
}

#[pymethods]
impl Opening {
    fn __await__(&self) -> Call {
        self.call(None)
    }

    fn __aenter__(&self) -> Call {
        self.call(Some(Arc::clone(&self.entered)))
    }

    #[pyo3(signature = (*_error))]
    fn __aexit__(&self, py: Python<'_>, _error: &Bound<'_, PyAny>) -> PyResult<Call> {
        let entered = self
            .entered
            .get(py)
            .ok_or_else(|| raise(py, &Error::conflict("platform.not_open", "the platform was not opened")))?;
        Ok(entered.get().close())
    }
}
