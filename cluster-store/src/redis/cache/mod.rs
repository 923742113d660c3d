//! A cache in each process, over one in Redis.

mod shelf;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use platform_core::kernel::{BoxFuture, Result};
use platform_core::ports::cache::{Cache, LocalCache};
use platform_core::ports::runtime::Runtime;
use platform_core::ports::signals::{Signal, Signals};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::RedisConfig;
use shelf::{Found, Marks, PARTS, Shelf, part};

/// Signals that a value was removed from Redis; the subject is who removed it, and its key.
const REMOVED: &str = "cache.removed";
/// Signals that something could not be removed from Redis; the subject is who says so.
const LOST: &str = "cache.lost";

/// Removals that wait for Redis. Beyond, everything in Redis counts as old: a new age costs as much as a removal.
const WAITING: usize = 1024;
/// Between attempts to begin a new age.
const PAUSE: Duration = Duration::from_millis(100);

/// The cache of a process (L1), over one that all nodes share in Redis (L2).
///
/// It fails open: while Redis is away, each node loads by itself and keeps what it loads, as long as the signals say that
/// the others can be heard; while they do not, nothing is kept at all.
///
/// The port's promises, over several nodes:
/// - What `cached` has loaded is kept in both. What was put is kept in this process alone: nobody could tell whether a
///   value that is put late is older than a removal on another node. The others lose what they have for the key.
/// - A removal holds on this node at once. On every other node it holds from its signal on: the value is removed from
///   Redis first, and told then; a load that began before does not bring it back, on any node. While it waits for
///   Redis, this node does not look for the key there.
/// - A removal that Redis did not take makes everything in Redis old, on all nodes: whoever has missed a signal, or hears
///   that a removal was lost, forgets its own values and begins a new age in Redis before it looks there again.
/// - In Redis a value's time is by the clock of Redis: should that be put back, a value lives longer by so much.
pub struct RedisCache {
    shared: Arc<Shared>,
    working: Mutex<Option<JoinHandle<()>>>,
    listening: JoinHandle<()>,
}

struct Shared {
    local: LocalCache,
    capacity_bytes: usize,
    shelf: Shelf,
    /// Who this is, in signals.
    me: String,
    runtime: Arc<dyn Runtime>,
    signals: Arc<dyn Signals>,
    handle: Handle,
    /// Of each part of the keys: a load that one of them overtakes is not kept in Redis.
    removals: [AtomicU64; PARTS],
    state: Mutex<State>,
    has_news: Notify,
}

#[derive(Default)]
struct State {
    /// Keys that are to be removed from Redis.
    waiting: BTreeSet<String>,
    /// Keys that are being removed.
    under_way: BTreeSet<String>,
    /// Whether what is in Redis may be used.
    is_trusted: bool,
    /// How often it was found that it may not.
    losses: u64,
    is_ending: bool,
}

impl RedisCache {
    /// Begins to connect, on the runtime of tokio's that is current. It keeps at most so many bytes in the process.
    ///
    /// # Errors
    /// `redis.invalid_certificates`.
    ///
    /// # Panics
    /// Outside of a runtime of tokio's.
    pub fn connect(
        config: &RedisConfig,
        runtime: Arc<dyn Runtime>,
        signals: Arc<dyn Signals>,
        capacity_bytes: usize,
    ) -> Result<RedisCache> {
        let handle = Handle::current();
        let shelf = Shelf::new(config, &handle)?;
        Ok(RedisCache::over(shelf, handle, runtime, signals, capacity_bytes))
    }

    fn over(
        shelf: Shelf,
        handle: Handle,
        runtime: Arc<dyn Runtime>,
        signals: Arc<dyn Signals>,
        capacity_bytes: usize,
    ) -> RedisCache {
        let receiver = signals.receiver();
        let shared = Arc::new(Shared {
            local: LocalCache::new(Arc::clone(&runtime), capacity_bytes),
            capacity_bytes,
            shelf,
            me: name(&runtime),
            runtime,
            signals,
            handle: handle.clone(),
            removals: std::array::from_fn(|_| AtomicU64::new(0)),
            state: Mutex::default(),
            has_news: Notify::new(),
        });
        let working = Mutex::new(Some(handle.spawn(work(Arc::clone(&shared)))));
        let listening = handle.spawn(listen(Arc::clone(&shared), receiver));
        RedisCache { shared, working, listening }
    }

    /// Ends when what waits is removed from Redis and told, or has failed to be. To be called before the signals are
    /// stopped.
    pub async fn stop(&self) {
        self.shared.end();
        let working = self.working.lock().take();
        if let Some(working) = working {
            // A task that panicked has ended, too.
            let _ = working.await;
        }
    }
}

impl Drop for RedisCache {
    fn drop(&mut self) {
        self.shared.end();
        self.listening.abort();
    }
}

impl Cache for RedisCache {
    fn get(&self, key: &str) -> Option<Bytes> {
        self.shared.signals.connected().then(|| self.shared.local.get(key)).flatten()
    }

    fn put(&self, key: &str, value: Bytes, lifetime: Duration) {
        self.shared.remove_from_redis(key);
        self.shared.local.put(key, value, lifetime);
    }

    fn remove(&self, key: &str) {
        // First, so that who asks after this does not look there.
        self.shared.remove_from_redis(key);
        self.shared.local.remove(key);
    }

    fn cached<'a>(
        &'a self,
        key: &'a str,
        lifetime: Duration,
        load: BoxFuture<'a, Result<Bytes>>,
    ) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move {
            if !self.shared.signals.connected() {
                return load.await;
            }
            let load = self.shared.look_or_load(key, lifetime, load);
            self.shared.local.cached_for(key, load).await
        })
    }
}

impl Shared {
    fn end(&self) {
        self.state.lock().is_ending = true;
        self.has_news.notify_one();
    }

    async fn look_or_load(
        self: &Arc<Shared>,
        key: &str,
        lifetime: Duration,
        load: BoxFuture<'_, Result<Bytes>>,
    ) -> Result<(Bytes, Duration)> {
        let removals = self.removals(key);
        let marks = match self.look(key).await {
            Some(Found::Value(value, left)) => return Ok((value, left.min(lifetime))),
            Some(Found::Nothing(marks)) => Some(marks),
            None => None,
        };
        let begun = self.runtime.monotonic();
        let value = load.await?;
        let is_kept = key.len() + value.len() <= self.capacity_bytes && removals == self.removals(key);
        if let Some(marks) = marks.filter(|_| is_kept) {
            let until = self.runtime.monotonic().saturating_sub(begun).saturating_add(lifetime);
            self.fill(key, marks, value.clone(), until);
        }
        Ok((value, lifetime))
    }

    /// What Redis has; nothing when it cannot be asked, or may not be.
    async fn look(self: &Arc<Shared>, key: &str) -> Option<Found> {
        if !self.state.lock().may_use(key) {
            return None;
        }
        let (shared, key) = (Arc::clone(self), key.to_owned());
        // Whoever asks may be on another runtime than the connection.
        let looks = self.handle.spawn(async move {
            let name = name(&shared.runtime);
            shared.shelf.look(&key, &name, shared.runtime.monotonic()).await
        });
        looks.await.ok()?.ok()
    }

    /// Keeps a value in Redis, until so long after the marks were told. Nobody waits for it.
    fn fill(self: &Arc<Shared>, key: &str, marks: Marks, value: Bytes, until: Duration) {
        let (shared, key) = (Arc::clone(self), key.to_owned());
        self.handle.spawn(async move {
            // What cannot be kept is loaded again.
            let _ = shared.shelf.fill(&key, &marks, &value, until, shared.runtime.monotonic()).await;
        });
    }

    /// How often a key of the same part was removed, as far as it is known here.
    fn removals(&self, key: &str) -> u64 {
        self.removals.get(part(key)).map_or(0, |removals| removals.load(Ordering::Acquire))
    }

    fn count_removal(&self, key: &str) {
        if let Some(removals) = self.removals.get(part(key)) {
            removals.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn remove_from_redis(&self, key: &str) {
        self.count_removal(key);
        let mut state = self.state.lock();
        state.waiting.insert(key.to_owned());
        let is_full = state.waiting.len() > WAITING;
        if is_full {
            state.distrust();
            state.waiting.clear();
        }
        drop(state);
        if is_full {
            self.signals.send(Signal::new(LOST, &self.me));
        }
        self.has_news.notify_one();
    }

    /// Something was removed, and we do not know what.
    fn distrust(&self) {
        self.state.lock().distrust();
        self.local.clear();
        self.has_news.notify_one();
    }

    fn heard(&self, signal: &Signal) {
        match (&*signal.topic, signal.subject.split_once(' ')) {
            (REMOVED, Some((who, key))) if who != self.me => {
                self.count_removal(key);
                self.local.remove(key);
            }
            (LOST, _) if *signal.subject != *self.me => self.distrust(),
            _ => {}
        }
    }

    /// Begins a new age in Redis, if what is there is not trusted.
    async fn renew(&self) {
        let losses = {
            let state = self.state.lock();
            if state.is_trusted {
                return;
            }
            state.losses
        };
        let is_renewed = self.shelf.renew(&name(&self.runtime)).await.is_ok();
        let mut state = self.state.lock();
        state.is_trusted = is_renewed && state.losses == losses;
    }

    /// Removes what waits from Redis, then tells it.
    async fn remove_waiting(&self) {
        let keys = {
            let mut state = self.state.lock();
            state.under_way = std::mem::take(&mut state.waiting);
            state.under_way.clone()
        };
        if keys.is_empty() {
            return;
        }
        if self.shelf.remove(&keys, &name(&self.runtime)).await.is_ok() {
            keys.iter()
                .for_each(|key| self.signals.send(Signal::new(REMOVED, &format!("{} {key}", self.me))));
        } else {
            self.state.lock().distrust();
            self.signals.send(Signal::new(LOST, &self.me));
        }
        self.state.lock().under_way.clear();
    }
}

impl State {
    fn may_use(&self, key: &str) -> bool {
        self.is_trusted && !self.waiting.contains(key) && !self.under_way.contains(key)
    }

    fn distrust(&mut self) {
        self.is_trusted = false;
        self.losses += 1;
    }
}

/// A name that nobody else has.
fn name(runtime: &Arc<dyn Runtime>) -> String {
    format!("{:032x}", u128::from_le_bytes(runtime.random()))
}

/// Keeps Redis as new as what was removed here.
async fn work(shared: Arc<Shared>) {
    loop {
        shared.renew().await;
        shared.remove_waiting().await;
        let (is_idle, is_trusted, is_ending) = {
            let state = shared.state.lock();
            (state.waiting.is_empty(), state.is_trusted, state.is_ending)
        };
        match (is_idle, is_trusted) {
            (true, _) if is_ending => return,
            (true, true) => shared.has_news.notified().await,
            (true, false) => drop(timeout(PAUSE, shared.has_news.notified()).await),
            (false, _) => {}
        }
    }
}

/// Follows the removals of the other nodes.
async fn listen(shared: Arc<Shared>, mut receiver: Receiver<Signal>) {
    loop {
        match receiver.recv().await {
            Ok(signal) => shared.heard(&signal),
            Err(RecvError::Lagged(_)) => shared.distrust(),
            Err(RecvError::Closed) => return,
        }
    }
}
