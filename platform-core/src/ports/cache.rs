//! Values that may vanish at any moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::ports::runtime::Runtime;

/// A cache in the process (L1). Where several nodes share one (L2), the adapter fills this one.
///
/// # Behavior
/// - What was put is returned until its time is over, it is removed, or room is needed.
/// - Nothing is returned after its time.
/// - The bytes of all keys and values stay below the capacity.
pub trait Cache: Send + Sync {
    /// The value, if it is there.
    fn get(&self, key: &str) -> Option<Bytes>;

    /// Keeps a value for a time.
    fn put(&self, key: &str, value: Bytes, lifetime: Duration);

    /// Forgets a value.
    fn remove(&self, key: &str);
}

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
}

impl State {
    fn remove(&mut self, key: &str) {
        if let Some((end, value)) = self.values.remove(key) {
            self.bytes -= key.len() + value.len();
            self.ends.remove(&(end, key.to_owned()));
        }
    }
}

impl LocalCache {
    /// An empty cache.
    pub fn new(runtime: Arc<dyn Runtime>, capacity_bytes: usize) -> LocalCache {
        LocalCache { runtime, capacity_bytes, state: Mutex::default() }
    }
}

impl Cache for LocalCache {
    fn get(&self, key: &str) -> Option<Bytes> {
        let now = self.runtime.monotonic();
        let mut state = self.state.lock();
        match state.values.get(key) {
            Some((end, value)) if *end > now => Some(value.clone()),
            Some(_) => {
                state.remove(key);
                None
            }
            None => None,
        }
    }

    fn put(&self, key: &str, value: Bytes, lifetime: Duration) {
        let size = key.len() + value.len();
        let mut state = self.state.lock();
        state.remove(key);
        if size > self.capacity_bytes {
            return;
        }
        while state.bytes + size > self.capacity_bytes {
            let Some(((_, first), ())) = state.ends.first_key_value() else { break };
            let first = first.clone();
            state.remove(&first);
        }
        let end = self.runtime.monotonic() + lifetime;
        state.bytes += size;
        state.ends.insert((end, key.to_owned()), ());
        state.values.insert(key.to_owned(), (end, value));
    }

    fn remove(&self, key: &str) {
        self.state.lock().remove(key);
    }
}
