//! Connections: TLS, what each session is set to, and several requests in one trip.

use std::future::Future;
use std::path::Path;
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use platform_core::kernel::{BoxFuture, Error, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::PostgresConfig;
use super::error::{late, unavailable};

/// How long a caller waits for a free connection.
const WAIT: Duration = Duration::from_secs(5);

/// What every session is set to, whatever the server's defaults are: what is acknowledged is durable, nothing is folded or
/// sorted by a locale's rules, and a node that was cut off in the middle of a commit does not hold up the others.
const SESSION: &str = "set session characteristics as transaction isolation level read committed read write;\
    set synchronous_commit = on;\
    set idle_in_transaction_session_timeout = '5s';\
    set lock_timeout = '8s';\
    set statement_timeout = '30s';\
    set client_min_messages = warning";

/// How a database is reached.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    settle: Duration,
}

impl Connector {
    /// Reads the configuration and the certificates; connects to nothing.
    ///
    /// # Errors
    /// `store.invalid_url`, `store.invalid_ca`.
    pub(super) fn new(config: &PostgresConfig) -> Result<Connector> {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal("store.tls", "TLS cannot be set up").because(error))?
            .with_root_certificates(roots(config.ca_file.as_deref())?)
            .with_no_client_auth();
        Ok(Connector { config: config.driver()?, tls: MakeRustlsConnect::new(tls), settle: config.settle })
    }

    /// [`PostgresConfig::settle`].
    pub(super) fn settle(&self) -> Duration {
        self.settle
    }

    /// Connections to share, at most so many.
    pub(super) fn pool(&self, connections: usize) -> Result<Pool> {
        let method = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.config.clone(), self.tls.clone(), method);
        let set_up = Hook::async_fn(|client, _| {
            Box::pin(async move { client.batch_execute(SESSION).await.map_err(HookError::Backend) })
        });
        Pool::builder(manager)
            .max_size(connections.max(1))
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(WAIT))
            .recycle_timeout(Some(WAIT))
            .runtime(Runtime::Tokio1)
            .post_create(set_up)
            .build()
            .map_err(|error| Error::internal("store.pool", "no pool of connections").because(error))
    }

    /// A connection of its own.
    ///
    /// # Errors
    /// `store.unavailable`.
    pub(super) async fn connect(&self) -> Result<Client> {
        let connecting = async {
            let (client, connection) = self.config.connect(self.tls.clone()).await.map_err(unavailable)?;
            tokio::spawn(async move {
                // Whoever uses the connection is told; here it only runs to its end.
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to PostgreSQL has ended");
                }
            });
            client.batch_execute(SESSION).await.map_err(unavailable)?;
            Ok(client)
        };
        in_time(WAIT, connecting).await
    }
}

/// The certificates that a server's one is checked against.
fn roots(file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        // A machine without any can speak to servers that need none.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let invalid = || {
        Error::invalid("store.invalid_ca", "the file of certificates does not read")
            .with("path", file.display().to_string())
    };
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| invalid().because(error))? {
        let certificate = certificate.map_err(|error| invalid().because(error))?;
        roots.add(certificate).map_err(|error| invalid().because(error))?;
    }
    if roots.is_empty() { Err(invalid()) } else { Ok(roots) }
}

/// Ends what takes longer than it may.
///
/// # Errors
/// `store.unavailable`.
pub(super) async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(late()))
}

/// Several requests in one trip, in this order: the driver sends a request when it is first polled.
pub(super) async fn in_one_trip<'a, T>(mut requests: Vec<BoxFuture<'a, T>>) -> Vec<T> {
    let mut answers: Vec<Option<T>> = requests.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (request, answer) in requests.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let Poll::Ready(ready) = request.as_mut().poll(context)
            {
                *answer = Some(ready);
            }
        }
        if answers.iter().all(Option::is_some) {
            return Poll::Ready(answers.drain(..).flatten().collect());
        }
        Poll::Pending
    })
    .await
}
