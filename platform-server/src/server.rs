//! What every request shares.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use platform_core::gateway::RouteTable;
use platform_core::kernel::{Error, Principal, Result, Secret, Timestamp};
use platform_core::ports::limiter::{Limiter, LocalLimiter};

use crate::config::Network;
use crate::metrics::Metrics;
use crate::proxy::Proxy;
use crate::rest::RequestInfo;

/// The state behind the endpoints and the routes.
pub struct Server {
    pub(crate) metrics: Metrics,
    pub(crate) proxy: Proxy,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) table: ArcSwap<RouteTable>,
    limiter: Arc<dyn Limiter>,
    begin: Instant,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            metrics: Metrics::default(),
            proxy: Proxy::default(),
            trusted_proxies: Vec::new(),
            table: ArcSwap::default(),
            limiter: Arc::new(LocalLimiter::default()),
            begin: Instant::now(),
        }
    }
}

impl Server {
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
        &*self.limiter
    }

    pub(crate) fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(now.as_micros() as u64)
    }

    pub(crate) fn monotonic(&self) -> Duration {
        self.begin.elapsed()
    }
}
