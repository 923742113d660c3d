//! `Platform` and `AsyncPlatform`: an open folder, with an attribute for each domain.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use embedded_store::EmbeddedStores;
use platform_core::kernel::{ClientInfo, Context, CorrelationId, Error, Result};
use platform_core::ports::channel::Message;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyAny;

use crate::call::Call;
use crate::core::{Core, Mail, Place};
use crate::error::raise;
use crate::events::{self, AsyncEvents, Events};
use crate::opening;
use crate::principal::Who;
use crate::record::record;
use crate::serving::{AsyncServing, Serving, Wanted};
use crate::values::{Many, Name, Secret, Time};
use crate::view::View;

record! {
    /// A message that a platform in memory has sent.
    SentMail(it: Message) {
        /// To which address.
        to: String = it.to.clone();
        /// The subject.
        subject: String = it.subject.clone();
        /// The plain text.
        text: String = it.text.clone();
        /// The HTML.
        html: Option<String> = it.html.clone();
    }
}

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
    dead_letters: dead_letters DeadLetters AsyncDeadLetters, "Events that could not be handled.";
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
    /// ``acting_as``. With ``smtp_url`` (``smtps://user:password@mail.example.org``) and ``mail_from`` messages go out;
    /// without them what is sent is refused.
    ///
    /// Raises ``UnavailableError`` (``store.locked``) when the folder is open already, here or in another process,
    /// ``InvalidInputError`` (``config.invalid_smtp_url``, ``config.invalid_sender``).
    #[staticmethod]
    #[pyo3(signature = (path, *, service = "python", smtp_url = None, mail_from = None))]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        service: &str,
        smtp_url: Option<Secret>,
        mail_from: Option<String>,
    ) -> PyResult<Platform> {
        let core = opening::open(py, Place::Folder(path, mail(smtp_url, mail_from)?))?;
        Platform::new(py, opening::view(core, service))
    }

    /// A platform in memory, for tests and for trying out: empty, there within milliseconds, and gone when it is
    /// closed. What it sends it keeps: see ``sent_mail``.
    ///
    /// >>> with Platform.in_memory() as other:
    /// ...     other.users.create(email="grace@example.org", name="Grace").name
    /// 'Grace'
    #[staticmethod]
    #[pyo3(signature = (*, service = "python"))]
    fn in_memory(py: Python<'_>, service: &str) -> PyResult<Platform> {
        let core = opening::open(py, Place::Memory(Arc::default()))?;
        Platform::new(py, opening::view(core, service))
    }

    /// What a platform in memory has sent so far, the oldest first.
    ///
    /// Raises ``ConflictError`` (``platform.not_in_memory``) where it stands in a folder.
    fn sent_mail(&self, py: Python<'_>) -> PyResult<Many<Message, SentMail>> {
        sent_mail(py, &self.view)
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

    /// What happens, as it happens: an iterator that waits for the next event. Under a ``name`` it goes on, also after a
    /// restart, behind the last event that was done under it, and a new name begins with the oldest; without one it begins
    /// with the next. ``stores`` are the domains whose events it has (``["users"]``); all, when none is named. Permission
    /// ``events:subscribe``.
    ///
    /// Events of one key come in their order, each at least once. One is done when the next is asked for, and with ``done``;
    /// what was not done comes again: after a crash up to 64 that were. Iterators of one name share the events. Nothing is read
    /// ahead but 64 at most. ``close``, the end of a ``with``, or that of the platform ends the iteration.
    ///
    /// Raises ``InvalidInputError`` (``events.invalid_name``, ``events.unknown_store``).
    ///
    /// >>> with p.events("mailer", stores=["users"]) as events:
    /// ...     next(events).event_type
    /// 'users.profile_created'
    #[pyo3(signature = (name = None, *, stores = Vec::new()))]
    fn events(&self, py: Python<'_>, name: Option<String>, stores: Vec<String>) -> PyResult<Events> {
        Events::begin(py, &self.view, events::Wanted { name, stores })
    }

    /// Serves this platform, with every endpoint and the gateway's routes, until ``stop`` or until the platform is
    /// closed: the very server that the command line starts, within this process. ``listen`` is an address with a port (0:
    /// any that is free). With ``tls_certificates`` and ``tls_key`` (PEM files) it speaks TLS. What ``trusted_proxies``
    /// (``10.0.0.0/8``) say of their clients is believed.
    ///
    /// Raises ``UnavailableError`` (``server.cannot_listen``), ``InvalidInputError`` (``request.invalid_address``,
    /// ``config.invalid_tls``).
    ///
    /// >>> from urllib.request import urlopen
    /// >>> with p.serve(listen="127.0.0.1:0") as server, urlopen(server.url + "/readyz") as answer:
    /// ...     answer.status
    /// 200
    #[pyo3(signature = (*, listen = "127.0.0.1:8080", tls_certificates = None, tls_key = None, trusted_proxies = Vec::new()))]
    fn serve(
        &self,
        py: Python<'_>,
        listen: &str,
        tls_certificates: Option<PathBuf>,
        tls_key: Option<PathBuf>,
        trusted_proxies: Vec<String>,
    ) -> PyResult<Serving> {
        let wanted = Wanted {
            listen: listen.to_owned(),
            certificates: tls_certificates,
            key: tls_key,
            trusted_proxies,
        };
        Serving::begin(py, &self.view, &wanted)
    }

    /// Waits until everything has happened that follows from what was done so far: mail is queued, the audit trail
    /// has its entries.
    fn settled(&self, py: Python<'_>) -> PyResult<()> {
        self.view.wait(py, None, |platform, _| async move { platform.settled().await })
    }

    /// Waits until everything has happened that follows from what was done through this very object (``acting_as`` makes
    /// another), ``within`` so many seconds: ``settled`` waits for what everybody did.
    ///
    /// Raises ``UnavailableError`` (``positions.not_reached``).
    ///
    /// >>> grace = p.users.create("grace@example.org")
    /// >>> p.wait_for()
    /// >>> [entry.action for entry in p.audit.events(subject=grace.id)]
    /// ['users.profile_created']
    #[pyo3(signature = (*, within = 10.0))]
    fn wait_for(&self, py: Python<'_>, within: f64) -> PyResult<()> {
        let within = self::within(within)?;
        self.view.wait(py, None, move |platform, context| async move {
            platform.wait_for(&context.positions(), within).await
        })
    }

    /// Copies the folder into a new one, while it is in use; returns when the copy was taken. ``platform restore`` puts it
    /// back. The key beside the folder is not in it.
    ///
    /// Raises ``AlreadyExistsError`` (``backup.exists``), ``UnavailableError`` (``backup.failed``), ``ConflictError``
    /// (``platform.in_memory``).
    fn backup(&self, py: Python<'_>, into: PathBuf) -> PyResult<Time> {
        py.detach(|| backup(self.view.core(), &into)).map_err(|error| raise(py, &error))
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
    #[pyo3(signature = (path, *, service = "python", smtp_url = None, mail_from = None))]
    fn open(
        path: PathBuf,
        service: &str,
        smtp_url: Option<Secret>,
        mail_from: Option<String>,
    ) -> PyResult<opening::Opening> {
        Ok(opening::Opening::new(Place::Folder(path, mail(smtp_url, mail_from)?), service.to_owned()))
    }

    /// A platform in memory, as ``Platform.in_memory`` makes it: ``await`` it, or enter it with ``async with``.
    #[staticmethod]
    #[pyo3(signature = (*, service = "python"))]
    fn in_memory(service: &str) -> opening::Opening {
        opening::Opening::new(Place::Memory(Arc::default()), service.to_owned())
    }

    /// As ``Platform.sent_mail``. It is not awaited.
    fn sent_mail(&self, py: Python<'_>) -> PyResult<Many<Message, SentMail>> {
        sent_mail(py, &self.view)
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

    /// As ``Platform.events``, for ``async for``. It is not awaited: it subscribes with ``async with``, else with the first
    /// event that is asked for.
    #[pyo3(signature = (name = None, *, stores = Vec::new()))]
    fn events(&self, py: Python<'_>, name: Option<String>, stores: Vec<String>) -> PyResult<AsyncEvents> {
        AsyncEvents::begin(py, &self.view, events::Wanted { name, stores })
    }

    /// As ``Platform.serve``. It is not awaited: it listens when this returns.
    #[pyo3(signature = (*, listen = "127.0.0.1:8080", tls_certificates = None, tls_key = None, trusted_proxies = Vec::new()))]
    fn serve(
        &self,
        py: Python<'_>,
        listen: &str,
        tls_certificates: Option<PathBuf>,
        tls_key: Option<PathBuf>,
        trusted_proxies: Vec<String>,
    ) -> PyResult<AsyncServing> {
        let wanted = Wanted {
            listen: listen.to_owned(),
            certificates: tls_certificates,
            key: tls_key,
            trusted_proxies,
        };
        AsyncServing::begin(py, &self.view, &wanted)
    }

    /// As ``Platform.settled``.
    fn settled(&self) -> Call {
        self.view.call("settled", false, None, |platform, _| async move { platform.settled().await })
    }

    /// As ``Platform.wait_for``.
    #[pyo3(signature = (*, within = 10.0))]
    fn wait_for(&self, within: f64) -> PyResult<Call> {
        let within = self::within(within)?;
        Ok(self.view.call("wait_for", false, None, move |platform, context| async move {
            platform.wait_for(&context.positions(), within).await
        }))
    }

    /// As ``Platform.backup``.
    fn backup(&self, into: PathBuf) -> Call {
        let core = Arc::clone(self.view.core());
        Call::of_thread("backup", move || backup(&core, &into))
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

/// Where mail goes, when both are said.
fn mail(smtp_url: Option<Secret>, mail_from: Option<String>) -> PyResult<Option<Mail>> {
    match (smtp_url, mail_from) {
        (Some(Secret(smtp_url)), Some(from)) => Ok(Some(Mail { smtp_url, from })),
        (None, None) => Ok(None),
        _ => Err(PyTypeError::new_err("smtp_url and mail_from are given together")),
    }
}

/// Copies the folder of a platform.
fn backup(core: &Core, into: &Path) -> Result<Time> {
    let (platform, _under_way) = core.begin()?;
    let stores = EmbeddedStores::of(&platform);
    let stores = stores.ok_or_else(|| {
        Error::conflict("platform.in_memory", "a platform in memory has no folder to be copied")
    })?;
    stores.backup(into, platform.backends().runtime.now()).map(|manifest| Time(manifest.taken_at))
}

/// How long to wait, at most.
fn within(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| PyValueError::new_err("within is a number of seconds"))
}

fn sent_mail(py: Python<'_>, view: &View) -> PyResult<Many<Message, SentMail>> {
    match view.core().place() {
        Place::Memory(mail) => Ok(mail.sent().into()),
        Place::Folder(..) => {
            let error =
                Error::conflict("platform.not_in_memory", "only a platform in memory keeps what it sends");
            Err(raise(py, &error))
        }
    }
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
    let place = match view.core().place() {
        Place::Folder(path, _) => format!("{path:?}"),
        Place::Memory(_) => "in memory".to_owned(),
    };
    format!("<{class} {place}, acting as {}{state}>", view.context().principal.actor)
}
