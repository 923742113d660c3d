//! How a server is reached.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use platform_core::kernel::{Error, Result};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Connections for reading that one node opens to one database: twice the cores of a middling server, so that a few nodes
/// stay below PostgreSQL's default of 100.
const CONNECTIONS: usize = 16;
/// How long a connection may take, TLS and all.
const CONNECT: Duration = Duration::from_secs(5);
/// How long it is asked what became of a COMMIT whose answer was lost: longer than a restart of the server.
const SETTLE: Duration = Duration::from_secs(10);
/// How often the position of a store is looked at, for what other nodes commit: a row of one page, in memory.
const LOOK: Duration = Duration::from_millis(10);

/// How a database is reached.
#[derive(Clone)]
pub struct PostgresConfig {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with the parameters of libpq that tokio-postgres knows. Unless it says
    /// `sslmode=disable`, a server that is not on this machine has to speak TLS.
    pub url: String,
    /// What the names of the schemas begin with, before that of the domain.
    pub schema_prefix: String,
    /// The certificates that the server's one is checked against, in PEM; those of the machine when absent.
    pub ca_file: Option<PathBuf>,
    /// Connections for reading, at most; each store has one more for writing, and one to look for commits of others.
    pub connections: usize,
    /// How often the position of a store is looked at, for what other nodes commit.
    pub look: Duration,
    /// How long it is asked what became of a commit when the connection was lost in the middle of it, before its callers
    /// are told that it is not known.
    pub settle: Duration,
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("schema_prefix", &self.schema_prefix)
            .field("ca_file", &self.ca_file)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

impl PostgresConfig {
    /// What is usual, for the database of this address.
    pub fn new(url: impl Into<String>) -> PostgresConfig {
        PostgresConfig {
            url: url.into(),
            schema_prefix: String::new(),
            ca_file: None,
            connections: CONNECTIONS,
            look: LOOK,
            settle: SETTLE,
        }
    }

    /// The driver's configuration, with what every connection of ours has.
    ///
    /// # Errors
    /// `store.invalid_url`; it does not repeat the address, which may hold a password.
    pub(super) fn driver(&self) -> Result<Config> {
        let invalid = || Error::invalid("store.invalid_url", "not the address of a PostgreSQL database");
        let mut config: Config = self.url.parse().map_err(|_| invalid())?;
        if config.get_hosts().is_empty() {
            return Err(invalid());
        }
        if config.get_ssl_mode() == SslMode::Prefer && !config.get_hosts().iter().all(is_local) {
            config.ssl_mode(SslMode::Require);
        }
        if config.get_application_name().is_none() {
            config.application_name("platform");
        }
        config.connect_timeout(CONNECT);
        Ok(config)
    }
}

/// Whether what is said to this host stays on the machine.
fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        PostgresConfig::new(url).driver().unwrap().get_ssl_mode()
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_unless_it_is_said_otherwise() {
        assert_eq!(mode("postgres://u@127.0.0.1/d"), SslMode::Prefer);
        assert_eq!(mode("postgres://u@localhost/d"), SslMode::Prefer);
        assert_eq!(mode("postgres://u@db.example.org/d"), SslMode::Require);
        assert_eq!(mode("postgres://u@localhost,db.example.org/d"), SslMode::Require);
        assert_eq!(mode("postgres://u@db.example.org/d?sslmode=disable"), SslMode::Disable);
    }

    #[test]
    fn a_wrong_address_is_refused_and_never_repeated() {
        for url in ["postgres://u:hunter2@h:port/d", "hunter2", "postgres:///"] {
            let error = PostgresConfig::new(url).driver().unwrap_err();
            assert_eq!(error.code(), "store.invalid_url");
            assert!(!format!("{error:?}{error}").contains("hunter2"));
        }
        let config = PostgresConfig::new("postgres://u:hunter2@h/d");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
