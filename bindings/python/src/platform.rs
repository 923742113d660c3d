//! `Platform` and `AsyncPlatform`: an open folder, with an attribute for each domain.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use platform_core::kernel::{ClientInfo, Context, CorrelationId, Error};
use pyo3::prelude::*;
use pyo3::types::PyAny;

use crate::call::Call;
use crate::error::raise;
use crate::opening;
use crate::principal::Who;
use crate::values::Name;
use crate::view::View;

/// The classes, each with an attribute per domain.
macro_rules! platforms {
    ($($name:ident: $module:ident $sync:ident $async:ident, $doc:literal;)*) => {
        /// An open data folder: everything that the platform is, in this process.
        ///
        /// It is a context manager; ``close`` ends it, and so does the end of the process. What was answered is on
        /// the disk, whatever ends the process. Threads share one platform.
        ///
        /// >>> with Platform.open(folder) as other:
        /// ...     other.users.create(email="grace@example.org", name="Grace").name
        /// 'Grace'
        #[pyclass(frozen, module = "platform_core")]
        pub(crate) struct Platform {
            pub(crate) view: View,
            $($name: Py<crate::$module::$sync>,)*
        }

        /// An open data folder, for asyncio: as ``Platform``, with methods that are awaited.
        ///
        /// A call begins when it is awaited. When its task is cancelled nobody waits any more, but the call goes on
        /// to its end.
        #[pyclass(frozen, module = "platform_core")]
        pub(crate) struct AsyncPlatform {
            view: View,
            $($name: Py<crate::$module::$async>,)*
        }

        impl Platform {
            pub(crate) fn new(py: Python<'_>, view: View) -> PyResult<Platform> {
                Ok(Platform { $($name: Py::new(py, crate::$module::$sync(view.clone()))?,)* view })
            }
        }

        impl AsyncPlatform {
            pub(crate) fn new(py: Python<'_>, view: View) -> PyResult<AsyncPlatform> {
                Ok(AsyncPlatform { $($name: Py::new(py, crate::$module::$async(view.clone()))?,)* view })
            }
        }

        $(
            #[pymethods]
            impl Platform {
                #[doc = $doc]
                #[getter]
                fn $name(&self, py: Python<'_>) -> Py<crate::$module::$sync> {
                    self.$name.clone_ref(py)
                }
            }

            #[pymethods]
            impl AsyncPlatform {
                #[doc = $doc]
                #[getter]
                fn $name(&self, py: Python<'_>) -> Py<crate::$module::$async> {
                    self.$name.clone_ref(py)
                }
            }
        )*

        /// The attributes, for the stubs: name, class, asynchronous class, what it is.
        pub(crate) const DOMAINS: &[(&str, &str, &str, &str)] =
            &[$((stringify!($name), stringify!($sync), stringify!($async), $doc)),*];

        /// Adds the classes of the domains to the module.
        pub(crate) fn add_domains(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(
                module.add_class::<crate::$module::$sync>()?;
                module.add_class::<crate::$module::$async>()?;
            )*
            Ok(())
        }

        /// The stubs of the domains' classes.
        pub(crate) fn domain_stubs() -> Vec<crate::stubs::Class> {
            [$(crate::$module::$sync::stubs()),*].into_iter().flatten().collect()
        }
    };
}

platforms! {
    audit: audit Audit AsyncAudit, "The audit trail.";
    auth: auth Auth AsyncAuth, "Accounts, logins, sessions and tokens.";
    flags: flags Flags AsyncFlags, "Feature flags.";
    gateway: gateway Gateway AsyncGateway, "Routes, and who may use them.";
    notifications: notifications Notifications AsyncNotifications, "Messages to people.";
    transactions: transactions Transactions AsyncTransactions, "Assets, accounts and transfers.";
    users: users Users AsyncUsers, "Profiles, roles, permissions.";
}

#[pymethods]
impl Platform {
    /// Opens a data folder, and makes it when it is not there. The key that seals it is made beside it
    /// (``data.key``). Code in this process acts as the service ``service``, which may do everything; see
    /// ``acting_as``.
    ///
    /// Raises ``UnavailableError`` (``store.locked``) when the folder is open already, here or in another process.
    #[staticmethod]
    #[pyo3(signature = (path, *, service = "python"))]
    fn open(py: Python<'_>, path: PathBuf, service: &str) -> PyResult<Platform> {
        let core = opening::open(py, path)?;
        Platform::new(py, opening::view(core, service))
    }

    /// Lets the calls of other threads end, stops what runs beside them and closes the folder. Once more does
    /// nothing; other calls raise ``ConflictError`` (``platform.closed``) from then on.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.view.core().close());
    }

    /// Whether it is closed.
    #[getter]
    fn closed(&self) -> bool {
        self.view.core().is_closed()
    }

    /// The same platform, with calls that act as somebody else: a ``Principal``, or a service by its name. Each domain
    /// checks what they may do. ``correlation_id`` is the id of the request that all the calls belong to (each is one of its
    /// own when it is absent), ``reason`` says why a change is made; ``address`` and ``user_agent`` are the client's.
    ///
    /// >>> p.acting_as(Principal.anonymous()).users.get(ada.id)
    /// Traceback (most recent call last):
    /// platform_core.UnauthenticatedError: auth.not_signed_in: sign in first
    #[pyo3(signature = (who, *, correlation_id = None, reason = None, address = None, user_agent = None))]
    fn acting_as(
        &self,
        py: Python<'_>,
        who: Who,
        correlation_id: Option<Name<CorrelationId>>,
        reason: Option<String>,
        address: Option<&str>,
        user_agent: Option<String>,
    ) -> PyResult<Platform> {
        let client = client(py, address, user_agent)?;
        Platform::new(py, acting(&self.view, who, correlation_id, reason, client))
    }

    /// Waits until everything has happened that follows from what was done so far: mail is queued, the audit trail
    /// has its entries.
    fn settled(&self, py: Python<'_>) -> PyResult<()> {
        self.view.wait(py, None, |platform, _| async move { platform.settled().await })
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyAny>) {
        self.close(py);
    }

    fn __repr__(&self) -> String {
        described("Platform", &self.view)
    }
}

#[pymethods]
impl AsyncPlatform {
    /// Opens a data folder, as ``Platform.open`` does: ``await`` it, or enter it with ``async with``.
    #[staticmethod]
    #[pyo3(signature = (path, *, service = "python"))]
    fn open(path: PathBuf, service: &str) -> opening::Opening {
        opening::Opening::new(path, service.to_owned())
    }

    /// As ``Platform.close``.
    pub(crate) fn close(&self) -> Call {
        let core = Arc::clone(self.view.core());
        Call::of_thread("close", move || {
            core.close();
            Ok(())
        })
    }

    /// Whether it is closed.
    #[getter]
    fn closed(&self) -> bool {
        self.view.core().is_closed()
    }

    /// As ``Platform.acting_as``. It is not awaited.
    #[pyo3(signature = (who, *, correlation_id = None, reason = None, address = None, user_agent = None))]
    fn acting_as(
        &self,
        py: Python<'_>,
        who: Who,
        correlation_id: Option<Name<CorrelationId>>,
        reason: Option<String>,
        address: Option<&str>,
        user_agent: Option<String>,
    ) -> PyResult<AsyncPlatform> {
        let client = client(py, address, user_agent)?;
        AsyncPlatform::new(py, acting(&self.view, who, correlation_id, reason, client))
    }

    /// As ``Platform.settled``.
    fn settled(&self) -> Call {
        self.view.call("settled", false, None, |platform, _| async move { platform.settled().await })
    }

    fn __aenter__(slf: Py<Self>) -> Call {
        Call::ready("__aenter__", slf.into_any())
    }

    #[pyo3(signature = (*_error))]
    fn __aexit__(&self, _error: &Bound<'_, PyAny>) -> Call {
        self.close()
    }

    fn __repr__(&self) -> String {
        described("AsyncPlatform", &self.view)
    }
}

fn acting(
    view: &View,
    who: Who,
    correlation_id: Option<Name<CorrelationId>>,
    reason: Option<String>,
    client: ClientInfo,
) -> View {
    let is_one_request = correlation_id.is_some();
    let correlation_id = correlation_id.map_or_else(|| view.context().correlation_id.clone(), |Name(id)| id);
    let context = Context { reason, client, ..Context::new(who.0, correlation_id) };
    View::new(Arc::clone(view.core()), context, is_one_request)
}

fn client(py: Python<'_>, address: Option<&str>, user_agent: Option<String>) -> PyResult<ClientInfo> {
    let address = address.map(str::parse::<IpAddr>).transpose().map_err(|_| {
        raise(
            py,
            &Error::invalid("request.invalid_address", "an address is one of IPv4 or IPv6, without a port"),
        )
    })?;
    Ok(ClientInfo { address, user_agent })
}

fn described(class: &str, view: &View) -> String {
    let state = if view.core().is_closed() { ", closed" } else { "" };
    format!("<{class} {:?}, acting as {}{state}>", view.core().path(), view.context().principal.actor)
}
