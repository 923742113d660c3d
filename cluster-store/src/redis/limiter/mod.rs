//! Rate limits that all nodes share.

mod cells;
#[cfg(test)]
mod conformance;
mod script;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use platform_core::kernel::Result;
use platform_core::ports::limiter::{Limiter, LocalLimiter, Quota, Taken, Verdict};
use redis::RedisError;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::RedisConfig;
use super::link::{Connection, Link};
use cells::{Cells, Waiter};
use script::Gcra;

/// Requests that may wait for Redis at once. At a millisecond for a trip that is four million a second; beyond, a node
/// limits alone.
const WAITING: usize = 4096;

/// Rate limits over all nodes that use the same Redis and prefix.
///
/// A node takes leases: small parts of a quota, of a size that lasts about 100 ms. What they cover is decided in memory,
/// as is what is known to be used up. So a key that is asked for a hundred times a second and more costs at most one
/// trip in ten requests, if its burst is at least 20 requests and lasts half a second. A lease passes with the time it is
/// for, so all nodes together never allow more than the quota.
///
/// They fail open, to limits of each node alone: while Redis is away, or does not answer within
/// [`RedisConfig::answer_within`], a node limits by itself, beginning with whole quotas; never not at all, and never by
/// refusing everything. Where Redis has forgotten a key, its quota is whole again.
pub struct RedisLimiter(Arc<Shared>);

struct Shared {
    link: Link,
    prefix: String,
    script: Gcra,
    handle: Handle,
    cells: Mutex<Cells>,
    /// What limits while Redis is away.
    alone: LocalLimiter,
    decided_alone: AtomicU64,
}

impl RedisLimiter {
    /// Begins to connect, on the runtime of tokio's that is current, and goes on until it is dropped. Nothing is waited
    /// for: a platform starts without Redis, too.
    ///
    /// # Errors
    /// `redis.invalid_certificates`.
    ///
    /// # Panics
    /// Outside of a runtime of tokio's.
    pub fn connect(config: &RedisConfig) -> Result<RedisLimiter> {
        RedisLimiter::with(config, Gcra::new())
    }

    fn with(config: &RedisConfig, script: Gcra) -> Result<RedisLimiter> {
        let handle = Handle::current();
        Ok(RedisLimiter(Arc::new(Shared {
            link: Link::new(config.client()?, &handle),
            prefix: format!("{}limit:", config.prefix),
            script,
            handle,
            cells: Mutex::default(),
            alone: LocalLimiter::default(),
            decided_alone: AtomicU64::new(0),
        })))
    }

    /// Whether Redis is there: else this node limits alone.
    pub fn is_connected(&self) -> bool {
        self.0.link.connection().is_some()
    }

    /// How many requests this node has decided alone, because Redis was away.
    pub fn decided_alone(&self) -> u64 {
        self.0.decided_alone.load(Ordering::Relaxed)
    }
}

impl Limiter for RedisLimiter {
    fn take(&self, key: &str, cost: u32, quota: Quota, now: Duration) -> Taken {
        let shared = &self.0;
        let mut cells = shared.cells.lock();
        let now = cells.clock(now);
        if let Some(verdict) = cells.decide(key, cost, quota, now) {
            return Taken::Now(verdict);
        }
        let Some(connection) = shared.link.connection().filter(|_| cells.waiting() < WAITING) else {
            return Taken::Now(shared.alone(key, cost, quota, now));
        };
        let (told, verdict) = oneshot::channel();
        let is_first = cells.wait(key, Waiter { cost, quota, now, told });
        drop(cells);
        if is_first {
            shared.handle.spawn(Arc::clone(shared).ask(key.to_owned(), connection));
        }
        let (shared, key) = (Arc::clone(shared), key.to_owned());
        Taken::Soon(Box::pin(async move {
            // Without an answer the runtime has ended.
            verdict.await.unwrap_or_else(|_| shared.alone(&key, cost, quota, now))
        }))
    }

    fn remembered(&self) -> usize {
        self.0.cells.lock().len() + self.0.alone.remembered()
    }
}

impl Shared {
    fn alone(&self, key: &str, cost: u32, quota: Quota, now: Duration) -> Verdict {
        self.decided_alone.fetch_add(1, Ordering::Relaxed);
        self.alone.take_now(key, cost, quota, now)
    }

    /// Asks about a key, one trip after the other, until nobody waits any more.
    async fn ask(self: Arc<Shared>, key: String, mut connection: Connection) {
        let name = format!("{}{key}", self.prefix);
        loop {
            let asked = self.cells.lock().ask(&key);
            let Some(ask) = asked else { return };
            match self.script.take(&mut connection, &name, &ask).await {
                Ok(grant) => self.cells.lock().granted(&key, &ask, &grant),
                Err(error) => return self.lost(&key, &connection, &error),
            }
        }
    }

    /// Redis is away: who waits is told by this node alone.
    fn lost(&self, key: &str, connection: &Connection, error: &RedisError) {
        self.link.lost(connection, error);
        let waiting = self.cells.lock().give_up(key);
        for Waiter { cost, quota, now, told } in waiting {
            // Who has given up does not hear it.
            let _ = told.send(self.alone(key, cost, quota, now));
        }
    }
}
