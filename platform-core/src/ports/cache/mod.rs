//! Values that may vanish at any moment.

#[cfg(feature = "conformance")]
pub mod conformance;

mod flight;
mod local;

use std::time::Duration;

use bytes::Bytes;

pub use local::LocalCache;

use crate::kernel::{BoxFuture, Result};

/// A cache in the process (L1). Where several nodes share one (L2), the adapter fills this one, and a
/// removal reaches all nodes by a signal.
///
/// # Behavior
/// - What was put is returned until its time is over, it is removed, or room is needed. A later put
///   replaces the value and its time.
/// - Nothing is returned after its time; the wall clock plays no part in it.
/// - The bytes of all keys and values stay within the capacity. What is larger than that by itself is
///   not kept, and neither is what stood in its place.
/// - `cached` returns the value that is there, else loads it and keeps it. Callers that want one key at
///   once share one load; different keys are loaded side by side.
/// - A load that fails is told to all who wait for it, and nothing is kept. When the caller whose load
///   runs gives up, another one that waits loads.
/// - Whoever asks after a removal or a put never gets what was loaded before it: a load that it overtakes
///   is returned to those who waited already, and is not kept.
pub trait Cache: Send + Sync {
    /// The value, if it is there.
    fn get(&self, key: &str) -> Option<Bytes>;

    /// Keeps a value for a time.
    fn put(&self, key: &str, value: Bytes, lifetime: Duration);

    /// Forgets a value, and what is being loaded for this key: after a commit that makes it old.
    fn remove(&self, key: &str);

    /// The value, loaded and kept for a time if it is not there. `load` runs only when it is needed.
    ///
    /// # Errors
    /// What `load` returns.
    fn cached<'a>(
        &'a self,
        key: &'a str,
        lifetime: Duration,
        load: BoxFuture<'a, Result<Bytes>>,
    ) -> BoxFuture<'a, Result<Bytes>>;
}
