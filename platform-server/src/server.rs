//! What every request shares.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use platform_core::Platform;
use platform_core::kernel::{Context, Error, ErrorKind, Timestamp};

use crate::config::Network;
use crate::http_server::BodyLimits;
use crate::metrics::Metrics;
use crate::proxy::Proxy;

/// The state behind the endpoints and the routes.
pub struct Server {
    pub(crate) platform: Platform,
    pub(crate) metrics: Metrics,
    pub(crate) proxy: Proxy,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) bodies: BodyLimits,
    is_draining: AtomicBool,
}

impl Server {
    /// Over a platform; what these proxies say of their clients is believed.
    pub fn new(platform: Platform, trusted_proxies: Vec<Network>) -> Server {
        Server {
            platform,
            metrics: Metrics::default(),
            proxy: Proxy::default(),
            trusted_proxies,
            bodies: BodyLimits::default(),
            is_draining: AtomicBool::new(false),
        }
    }

    /// The same, with these limits of the bodies that it reads.
    #[must_use]
    pub fn with_bodies(self, bodies: BodyLimits) -> Server {
        Server { bodies, ..self }
    }

    /// The facades.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Writes a denial to the audit trail: who was refused what.
    pub(crate) fn record_denied(&self, context: &Context, action: &str, subject: &str, denial: &Error) {
        let is_denial = matches!(denial.kind(), ErrorKind::Unauthenticated | ErrorKind::Forbidden)
            || denial.code() == "gateway.rate_limited";
        if is_denial {
            self.platform.audit().record_denied(context, action, subject, denial);
        }
    }

    /// Begins to say at `/readyz` that no new requests are wanted.
    pub fn drain(&self) {
        self.is_draining.store(true, Relaxed);
    }

    /// Whether it was told to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Relaxed)
    }

    /// Whether what this peer says of its clients is believed.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(peer))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.platform.backends().runtime.now()
    }

    pub(crate) fn monotonic(&self) -> Duration {
        self.platform.backends().runtime.monotonic()
    }
}
