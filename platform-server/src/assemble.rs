//! The platform over the data folder, as the configuration says.

use std::path::Path;
use std::sync::Arc;

use embedded_store::{Engine, Engines, open_backends_on};
use platform_core::Platform;
use platform_core::auth::{Argon2Config, AuthConfig};
use platform_core::kernel::{Error, Result};

use crate::config::Config;
use crate::http_server::Tls;
use crate::smtp::SmtpChannel;

/// The domains, as their stores are named.
const STORES: [&str; 7] = ["gateway", "auth", "users", "transactions", "notifications", "audit", "flags"];

/// Opens the platform; nothing runs yet.
///
/// # Errors
/// `config.unknown_store`; as [`SmtpChannel::new`], [`open_backends_on`] and [`Builder::build`](platform_core::platform::Builder::build).
pub async fn open(config: &Config) -> Result<Platform> {
    let mail = SmtpChannel::new(&config.notifications.smtp_url, &config.notifications.from)?;
    let backends = open_backends_on(&config.storage.data, engines(config)?, vec![Arc::new(mail)]).await?;
    Platform::builder(backends).auth(auth(config)).build().await
}

/// Checks what the types of the settings cannot: addresses, certificates, costs.
///
/// # Errors
/// As [`SmtpChannel::new`] and [`AuthConfig::check`]; `config.unknown_store`, `config.invalid_tls`.
pub fn check(config: &Config) -> Result<()> {
    SmtpChannel::new(&config.notifications.smtp_url, &config.notifications.from)?;
    auth(config).check()?;
    engines(config)?;
    tls(config.server.tls_certificates.as_deref(), config.server.tls_key.as_deref()).map(|_| ())
}

/// The certificate and key, when there are any.
///
/// # Errors
/// `config.invalid_tls`.
pub fn tls(certificates: Option<&Path>, key: Option<&Path>) -> Result<Option<Tls>> {
    match (certificates, key) {
        (Some(certificates), Some(key)) => Tls::from_files(certificates, key)
            .map(Some)
            .map_err(|error| Error::invalid("config.invalid_tls", error.to_string())),
        (None, None) => Ok(None),
        _ => Err(Error::invalid("config.invalid_tls", "a certificate and its key are given together")),
    }
}

/// The stores that stand on an engine of their own.
fn engines(config: &Config) -> Result<Engines> {
    let mut engines = Engines::default();
    for store in &config.storage.fjall {
        if !STORES.contains(&store.as_str()) {
            return Err(Error::invalid("config.unknown_store", "storage.fjall names domains")
                .with("store", store)
                .with("domains", STORES.join(",")));
        }
        engines = engines.with(store.as_str(), Engine::Fjall);
    }
    Ok(engines)
}

fn auth(config: &Config) -> AuthConfig {
    let wanted = &config.auth;
    AuthConfig {
        issuer: wanted.issuer.clone(),
        audience: wanted.audience.clone(),
        access_token_lifetime_s: wanted.access_token_lifetime_s,
        registration_open: wanted.registration_open,
        argon2: Argon2Config {
            memory_kib: wanted.argon2_memory_kib,
            iterations: wanted.argon2_iterations,
            parallelism: wanted.argon2_parallelism,
        },
        ..AuthConfig::default()
    }
}
