//! A folder as a platform.

use std::path::Path;
use std::sync::Arc;

use platform_core::kernel::Result;
use platform_core::ports::Backends;
use platform_core::ports::cache::LocalCache;
use platform_core::ports::channel::Channel;
use platform_core::ports::keys::EnvelopeKeys;
use platform_core::ports::limiter::LocalLimiter;
use platform_core::ports::log::EventLog;
use platform_core::ports::runtime::Runtime;
use platform_core::ports::signals::LocalSignals;
use platform_core::ports::store::Stores;

use crate::{SqliteStores, SystemRuntime, load_key};

/// Bytes of the cache in the process.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// The ports over a data folder, with this log and these ways out.
///
/// # Errors
/// `store.locked` when another process has the folder open; as [`load_key`] and [`Stores::open`].
pub async fn open_backends(
    path: &Path,
    log: Arc<dyn EventLog>,
    channels: Vec<Arc<dyn Channel>>,
) -> Result<Backends> {
    let runtime: Arc<dyn Runtime> = Arc::new(SystemRuntime::current());
    let key = load_key(path)?;
    let stores: Arc<dyn Stores> = Arc::new(SqliteStores::open(path)?);
    let keys = EnvelopeKeys::open(&key, &*stores, Arc::clone(&runtime)).await?;
    Ok(Backends {
        stores,
        log,
        cache: Arc::new(LocalCache::new(Arc::clone(&runtime), CACHE_BYTES)),
        limiter: Arc::new(LocalLimiter::default()),
        signals: Arc::new(LocalSignals::default()),
        keys: Arc::new(keys),
        channels,
        runtime,
    })
}
