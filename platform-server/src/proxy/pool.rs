//! Connections to upstreams, kept and used again: the last one first, so that few stay warm and the rest
//! grow old.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use http::HeaderValue;
use parking_lot::Mutex;
use platform_core::gateway::UpstreamUrl;
use platform_core::kernel::{Error, Result};

use super::connection::Connection;

/// Connections that wait, per endpoint.
const KEPT: usize = 128;
/// How long a connection may wait: below the 60 s after which many servers close.
const KEPT_FOR: Duration = Duration::from_secs(50);
/// How often those are looked for that waited too long, or that their upstream has closed.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The upstreams that requests were sent to, by host and port.
#[derive(Default)]
pub(super) struct Upstreams(Arc<Mutex<BTreeMap<String, Arc<Upstream>>>>, AtomicBool);

/// An upstream, and the connections to it that wait for a request.
pub(super) struct Upstream {
    host: HeaderValue,
    idle: Mutex<Vec<(Box<Connection>, Instant)>>,
}

impl Upstreams {
    /// The upstream at an address.
    ///
    /// # Errors
    /// `gateway.invalid_host` for a host that is no header value, which no route has.
    pub(super) fn at(&self, url: &UpstreamUrl) -> Result<Arc<Upstream>> {
        let mut upstreams = self.0.lock();
        if let Some(upstream) = upstreams.get(url.authority()) {
            return Ok(Arc::clone(upstream));
        }
        let host = HeaderValue::try_from(url.authority())
            .map_err(|_| Error::invalid("gateway.invalid_host", "the host of the upstream is no host"))?;
        let upstream = Arc::new(Upstream { host, idle: Mutex::default() });
        upstreams.insert(url.authority().to_owned(), Arc::clone(&upstream));
        if !self.1.swap(true, Relaxed) {
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
        Ok(upstream)
    }
}

impl Upstream {
    /// What `Host` says.
    pub(super) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// A connection that waits and is ready.
    pub(super) fn kept(&self) -> Option<Box<Connection>> {
        loop {
            let (connection, since) = self.idle.lock().pop()?;
            if since.elapsed() <= KEPT_FOR && connection.is_ready() {
                return Some(connection);
            }
        }
    }

    /// Takes a connection whose response is over.
    pub(super) fn keep(&self, mut connection: Box<Connection>) {
        if !connection.is_ready() {
            return;
        }
        connection.rest();
        let mut idle = self.idle.lock();
        if idle.len() < KEPT {
            idle.push((connection, Instant::now()));
        }
    }

    /// Closes the connections that nobody should use any more.
    fn sweep(&self) {
        self.idle.lock().retain(|(connection, since)| since.elapsed() <= KEPT_FOR && connection.is_ready());
    }
}

/// Closes what has waited too long, for as long as there is a pool.
async fn sweep(upstreams: Weak<Mutex<BTreeMap<String, Arc<Upstream>>>>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(upstreams) = upstreams.upgrade() else { return };
        upstreams.lock().retain(|_, upstream| {
            upstream.sweep();
            // An address that no route has any more is forgotten; another request makes it anew.
            Arc::strong_count(upstream) > 1 || !upstream.idle.lock().is_empty()
        });
    }
}
