//! `Platform.serve`: the very server of the binary, within this process and over its open platform.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use platform_core::Platform;
use platform_core::kernel::{Error, Result};
use platform_server::assemble::tls;
use platform_server::config::Network;
use platform_server::http_server::{HttpServer, Limits, Tls};
use platform_server::server::Server;
use platform_server::serving;
use pyo3::prelude::*;

use crate::call::Call;
use crate::error::raise;
use crate::view::View;
use crate::wait::wait;

/// How long running requests may take when the server is stopped.
const DRAIN: Duration = Duration::from_secs(10);

/// What a server is to be.
pub(crate) struct Wanted {
    pub(crate) listen: String,
    pub(crate) certificates: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) trusted_proxies: Vec<String>,
}

/// A server that answers until it is stopped, or its platform is closed.
pub(crate) struct Running {
    address: SocketAddr,
    is_tls: bool,
    /// `None` when it was stopped.
    serving: Mutex<Option<serving::Serving>>,
}

impl Running {
    /// Begins to serve, on the runtime that is current.
    ///
    /// # Errors
    /// `request.invalid_address`, `config.invalid_tls`, `server.cannot_listen`.
    pub(crate) fn begin(wanted: &Wanted, platform: Platform) -> Result<Running> {
        let listen: SocketAddr = wanted.listen.parse().map_err(|_| {
            Error::invalid("request.invalid_address", "a server listens on ADDRESS:PORT, of IPv4 or IPv6")
        })?;
        let networks = wanted.trusted_proxies.iter().map(|network| network.parse::<Network>());
        let networks = networks.collect::<std::result::Result<Vec<_>, _>>();
        let networks = networks.map_err(|error| Error::invalid("request.invalid_address", error))?;
        let tls: Option<Tls> = tls(wanted.certificates.as_deref(), wanted.key.as_deref())?;
        let is_tls = tls.is_some();
        let limits = Limits { drain: DRAIN, ..Limits::default() };
        let serving = HttpServer::bind(listen, limits, tls)
            .and_then(|listener| serving::Serving::begin(listener, Server::new(platform, networks)))
            .map_err(|error| {
                Error::unavailable("server.cannot_listen", "the server cannot listen there")
                    .with("listen", listen)
                    .because(error)
            })?;
        Ok(Running { address: serving.address(), is_tls, serving: Mutex::new(Some(serving)) })
    }

    pub(crate) fn is_over(&self) -> bool {
        self.serving.lock().is_none()
    }

    /// Lets running requests end; a second time it does nothing.
    ///
    /// # Errors
    /// `platform.panicked`.
    pub(crate) async fn stop(&self) -> Result<()> {
        let serving = self.serving.lock().take();
        let Some(serving) = serving else { return Ok(()) };
        let fault =
            |error| Error::internal("platform.panicked", "a fault in the server ended it").because(error);
        serving.stop().await.map_err(fault)
    }
}

/// Begins to serve the platform of a view.
fn begin(py: Python<'_>, view: &View, wanted: &Wanted) -> PyResult<Arc<Running>> {
    py.detach(|| view.core().serve(wanted)).map_err(|error| raise(py, &error))
}

fn url(running: &Running) -> String {
    let scheme = if running.is_tls { "https" } else { "http" };
    format!("{scheme}://{}", running.address)
}

fn described(class: &str, running: &Running) -> String {
    format!("<{class} {}>", url(running))
}

/// A server that runs in this process: see ``Platform.serve``. It is a context manager.
#[pyclass(frozen, module = "platform_core")]
pub(crate) struct Serving {
    view: View,
    running: Arc<Running>,
}

impl Serving {
    pub(crate) fn begin(py: Python<'_>, view: &View, wanted: &Wanted) -> PyResult<Serving> {
        Ok(Serving { running: begin(py, view, wanted)?, view: view.clone() })
    }
}

#[pymethods]
impl Serving {
    /// Where it listens: ``127.0.0.1:8080``.
    #[getter]
    fn address(&self) -> String {
        self.running.address.to_string()
    }

    /// The address as the beginning of a URL: ``http://127.0.0.1:8080``.
    #[getter]
    fn url(&self) -> String {
        url(&self.running)
    }

    /// Takes no new connections, and returns when the running requests have ended (10 seconds at most). Once more does
    /// nothing; a platform that is closed has stopped its servers.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let core = self.view.core();
        if core.is_closed() {
            return Ok(());
        }
        let running = Arc::clone(&self.running);
        wait(py, core.handle(), Box::pin(async move { running.stop().await }))
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyAny>) -> PyResult<()> {
        self.stop(py)
    }

    fn __repr__(&self) -> String {
        described("Serving", &self.running)
    }
}

/// A server that runs in this process: see ``AsyncPlatform.serve``. It is an asynchronous context manager.
#[pyclass(frozen, module = "platform_core")]
pub(crate) struct AsyncServing {
    view: View,
    running: Arc<Running>,
}

impl AsyncServing {
    pub(crate) fn begin(py: Python<'_>, view: &View, wanted: &Wanted) -> PyResult<AsyncServing> {
        Ok(AsyncServing { running: begin(py, view, wanted)?, view: view.clone() })
    }
}

#[pymethods]
impl AsyncServing {
    /// Where it listens: ``127.0.0.1:8080``.
    #[getter]
    fn address(&self) -> String {
        self.running.address.to_string()
    }

    /// The address as the beginning of a URL: ``http://127.0.0.1:8080``.
    #[getter]
    fn url(&self) -> String {
        url(&self.running)
    }

    /// As ``Serving.stop``.
    fn stop(&self, py: Python<'_>) -> Call {
        if self.view.core().is_closed() {
            return Call::ready("stop", py.None());
        }
        let (core, running) = (Arc::clone(self.view.core()), Arc::clone(&self.running));
        Call::of_core("stop", core, false, move || Ok(Box::pin(async move { running.stop().await })))
    }

    fn __aenter__(slf: Py<Self>) -> Call {
        Call::ready("__aenter__", slf.into_any())
    }

    #[pyo3(signature = (*_error))]
    fn __aexit__(&self, py: Python<'_>, _error: &Bound<'_, PyAny>) -> Call {
        self.stop(py)
    }

    fn __repr__(&self) -> String {
        described("AsyncServing", &self.running)
    }
}
