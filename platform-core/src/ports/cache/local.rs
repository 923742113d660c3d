//! The cache of one process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::Cache;
use super::flight::{Flights, Lead, Seat, landed};
use crate::kernel::{BoxFuture, Result};
use crate::ports::runtime::Runtime;

/// A cache with a capacity in bytes; the entry that ends first makes room.
pub struct LocalCache {
    runtime: Arc<dyn Runtime>,
    capacity_bytes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    values: BTreeMap<String, (Duration, Bytes)>,
    ends: BTreeMap<(Duration, String), ()>,
    bytes: usize,
    flights: Flights,
}

impl LocalCache {
    /// An empty cache.
    pub fn new(runtime: Arc<dyn Runtime>, capacity_bytes: usize) -> LocalCache {
        LocalCache { runtime, capacity_bytes, state: Mutex::default() }
    }

    /// Forgets all values, and all that is being loaded.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        state.flights.overtake_all();
        state.clear();
    }

    /// As [`Cache::cached`], where the load tells how long its value may be kept.
    ///
    /// # Errors
    /// What `load` returns.
    pub async fn cached_for(
        &self,
        key: &str,
        load: impl Future<Output = Result<(Bytes, Duration)>> + Send,
    ) -> Result<Bytes> {
        loop {
            match self.value_or_seat(key) {
                Ok(value) => return Ok(value),
                Err(Seat::Lead(lead)) => return Flying { cache: self, key, lead }.load(load).await,
                Err(Seat::Wait(waiting)) => {
                    if let Some(loaded) = landed(waiting).await {
                        return loaded;
                    }
                }
            }
        }
    }
}

impl Cache for LocalCache {
    fn get(&self, key: &str) -> Option<Bytes> {
        self.state.lock().get(key, self.runtime.monotonic())
    }

    fn put(&self, key: &str, value: Bytes, lifetime: Duration) {
        let mut state = self.state.lock();
        state.flights.overtake(key);
        state.put(key, value, self.runtime.monotonic().saturating_add(lifetime), self.capacity_bytes);
    }

    fn remove(&self, key: &str) {
        let mut state = self.state.lock();
        state.flights.overtake(key);
        state.remove(key);
    }

    fn cached<'a>(
        &'a self,
        key: &'a str,
        lifetime: Duration,
        load: BoxFuture<'a, Result<Bytes>>,
    ) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(self.cached_for(key, async move { Ok((load.await?, lifetime)) }))
    }
}

impl LocalCache {
    /// In one step, so that nobody misses the end of a load and begins another.
    fn value_or_seat(&self, key: &str) -> Result<Bytes, Seat> {
        let mut state = self.state.lock();
        state.get(key, self.runtime.monotonic()).ok_or_else(|| state.flights.board(key))
    }
}

/// A load that is under way; dropped before its end, another one may begin.
struct Flying<'a> {
    cache: &'a LocalCache,
    key: &'a str,
    lead: Lead,
}

impl Flying<'_> {
    async fn load(self, load: impl Future<Output = Result<(Bytes, Duration)>>) -> Result<Bytes> {
        let loaded = load.await;
        let mut state = self.cache.state.lock();
        let is_current = state.flights.end(self.key, &self.lead);
        if let (true, Ok((value, lifetime))) = (is_current, &loaded) {
            let end = self.cache.runtime.monotonic().saturating_add(*lifetime);
            state.put(self.key, value.clone(), end, self.cache.capacity_bytes);
        }
        drop(state);
        let loaded = loaded.map(|(value, _)| value);
        self.lead.land(&loaded);
        loaded
    }
}

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        self.cache.state.lock().flights.end(self.key, &self.lead);
    }
}

impl State {
    fn get(&mut self, key: &str, now: Duration) -> Option<Bytes> {
        match self.values.get(key) {
            Some((end, value)) if *end > now => Some(value.clone()),
            Some(_) => {
                self.remove(key);
                None
            }
            None => None,
        }
    }

    fn clear(&mut self) {
        self.values.clear();
        self.ends.clear();
        self.bytes = 0;
    }

    fn put(&mut self, key: &str, value: Bytes, end: Duration, capacity_bytes: usize) {
        let size = key.len() + value.len();
        self.remove(key);
        if size > capacity_bytes {
            return;
        }
        while self.bytes + size > capacity_bytes {
            let Some(((_, first), ())) = self.ends.first_key_value() else { break };
            let first = first.clone();
            self.remove(&first);
        }
        self.bytes += size;
        self.ends.insert((end, key.to_owned()), ());
        self.values.insert(key.to_owned(), (end, value));
    }

    fn remove(&mut self, key: &str) {
        if let Some((end, value)) = self.values.remove(key) {
            self.bytes -= key.len() + value.len();
            self.ends.remove(&(end, key.to_owned()));
        }
    }
}
