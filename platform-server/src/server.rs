//! What every request shares.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use platform_core::Platform;
use platform_core::gateway::RouteTable;
use platform_core::kernel::{Error, Principal, Result, Secret, Timestamp};
use platform_core::ports::limiter::Limiter;

use crate::config::Network;
use crate::metrics::Metrics;
use crate::proxy::Proxy;
use crate::rest::RequestInfo;

/// The state behind the endpoints and the routes.
pub struct Server {
    pub(crate) platform: Platform,
    pub(crate) metrics: Metrics,
    pub(crate) proxy: Proxy,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) table: ArcSwap<RouteTable>,
}

impl Server {
    /// Over a platform; what these proxies say of their clients is believed.
    pub fn new(platform: Platform, trusted_proxies: Vec<Network>) -> Server {
        Server {
            platform,
            metrics: Metrics::default(),
            proxy: Proxy::default(),
            trusted_proxies,
            table: ArcSwap::default(),
        }
    }

    /// The routes.
    pub fn set_routes(&self, table: RouteTable) {
        self.table.store(Arc::new(table));
    }

    /// Who holds this access token.
    pub(crate) async fn authenticate(&self, _token: &Secret, _info: &RequestInfo) -> Result<Principal> {
        Err(Error::unauthenticated("auth.invalid_token", "the access token is not valid"))
    }

    /// Whether what this peer says of its clients is believed.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(peer))
    }

    pub(crate) fn limiter(&self) -> &dyn Limiter {
        &*self.platform.backends().limiter
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.platform.backends().runtime.now()
    }

    pub(crate) fn monotonic(&self) -> Duration {
        self.platform.backends().runtime.monotonic()
    }
}
