//! All ports in memory: for tests and for trying out.

use std::sync::Arc;

use crate::kernel::Result;
use crate::ports::Backends;
use crate::ports::cache::LocalCache;
use crate::ports::channel::MemoryChannel;
use crate::ports::disclosure::Disclosures;
use crate::ports::keys::{EnvelopeKeys, KeyEncryptionKey};
use crate::ports::limiter::LocalLimiter;
use crate::ports::log::MemoryLog;
use crate::ports::runtime::Runtime;
use crate::ports::signals::LocalSignals;
use crate::ports::store::MemoryStores;

/// Everything that outlives a platform in memory: its stores, its log, and what it sent.
///
/// ```
/// use platform_core::ports::{MemoryBackends, runtime::SimRuntime};
/// let world = SimRuntime::new(1);
/// let memory = MemoryBackends::new(world.runtime());
/// let backends = world.block_on(memory.backends()).unwrap();
/// // Drop everything that was made of `backends`, then "restart" over the same data:
/// drop(backends);
/// let again = world.block_on(memory.backends()).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryBackends {
    /// The stores.
    pub stores: MemoryStores,
    /// The log.
    pub log: MemoryLog,
    /// The channel `email`.
    pub channel: Arc<MemoryChannel>,
    runtime: Arc<dyn Runtime>,
}

/// 1 MiB of cache.
const CACHE_BYTES: usize = 1 << 20;

impl MemoryBackends {
    /// Empty.
    pub fn new(runtime: Arc<dyn Runtime>) -> MemoryBackends {
        MemoryBackends {
            stores: MemoryStores::default(),
            log: MemoryLog::new(Arc::clone(&runtime)),
            channel: Arc::default(),
            runtime,
        }
    }

    /// The ports. What is sealed is sealed under a fixed key: it protects nothing.
    ///
    /// # Errors
    /// `store.locked` while ports of an earlier call are still in use.
    pub async fn backends(&self) -> Result<Backends> {
        let kek = KeyEncryptionKey([7; 32]);
        let keys = EnvelopeKeys::open(&kek, &self.stores, Arc::clone(&self.runtime)).await?;
        Ok(Backends {
            stores: Arc::new(self.stores.clone()),
            log: Arc::new(self.log.clone()),
            cache: Arc::new(LocalCache::new(Arc::clone(&self.runtime), CACHE_BYTES)),
            limiter: Arc::new(LocalLimiter::default()),
            signals: Arc::new(LocalSignals::default()),
            keys: Arc::new(keys),
            channels: vec![Arc::clone(&self.channel) as _],
            disclosures: Disclosures::default(),
            runtime: Arc::clone(&self.runtime),
        })
    }
}
