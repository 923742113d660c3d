//! A node of a cluster.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use machine::{SystemRuntime, key};
use platform_core::Platform;
use platform_core::kernel::{Error, Result};
use platform_core::ports::Backends;
use platform_core::ports::channel::Channel;
use platform_core::ports::disclosure::Disclosures;
use platform_core::ports::keys::{EnvelopeKeys, KeyEncryptionKey};
use platform_core::ports::runtime::Runtime;
use platform_core::ports::store::Stores;

use crate::kafka::{KafkaConfig, KafkaLog};
use crate::postgres::{PostgresConfig, PostgresStores};
use crate::redis::{RedisCache, RedisConfig, RedisLimiter, RedisSignals};

/// Bytes of the cache in the process.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// What a node stands on. All nodes of a cluster have the same, but for [`KafkaConfig::node`].
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// The database of all stores.
    pub store: PostgresConfig,
    /// The stores that have a database of their own, by their names.
    pub stores: BTreeMap<String, PostgresConfig>,
    /// Signals, limits, cache.
    pub redis: RedisConfig,
    /// The event log.
    pub kafka: KafkaConfig,
    /// The file with the key-encryption key (32 bytes in base 64), where it is not in the environment
    /// ([`key::VARIABLE`]). It is never made here: a node with a key of its own could read nothing of the others.
    pub key_file: Option<PathBuf>,
}

impl ClusterConfig {
    fn key(&self) -> Result<KeyEncryptionKey> {
        if let Some(key) = key::from_environment()? {
            return Ok(key);
        }
        let of_file = self.key_file.as_deref().map(key::read).transpose()?.flatten();
        of_file.ok_or_else(|| {
            Error::precondition(
                "keys.missing",
                "all nodes have one key-encryption key: set PLATFORM_KEK, or name its file",
            )
        })
    }
}

/// A node, already started, without ways out for messages: with those, use [`connect_backends`] and
/// [`Platform::builder`].
///
/// # Errors
/// As [`connect_backends`], and what [`Platform::start`] returns.
pub async fn connect(config: &ClusterConfig) -> Result<Platform> {
    let platform = Platform::builder(connect_backends(config, Vec::new()).await?).build().await?;
    platform.start().await?;
    Ok(platform)
}

/// The ports of a node, with these ways out.
///
/// # Errors
/// `keys.missing`, `keys.invalid`, `keys.exposed`; `store.unavailable`, `store.invalid_url`, `redis.invalid_url`,
/// `log.unavailable`, `log.invalid_config`. Redis need not be there.
pub async fn connect_backends(config: &ClusterConfig, channels: Vec<Arc<dyn Channel>>) -> Result<Backends> {
    let runtime: Arc<dyn Runtime> = Arc::new(SystemRuntime::current());
    let key = config.key()?;
    let mut stores = PostgresStores::new(config.store.clone())?;
    for (store, database) in &config.stores {
        stores = stores.on(store.as_str(), database.clone())?;
    }
    let stores: Arc<dyn Stores> = Arc::new(stores);
    let log = KafkaLog::connect(&config.kafka, Arc::clone(&runtime)).await?;
    let signals = Arc::new(RedisSignals::connect(&config.redis, Arc::clone(&runtime))?);
    let cache =
        RedisCache::connect(&config.redis, Arc::clone(&runtime), Arc::clone(&signals) as _, CACHE_BYTES)?;
    let keys = EnvelopeKeys::open(&key, &*stores, Arc::clone(&runtime)).await?;
    Ok(Backends {
        stores,
        log: Arc::new(log),
        cache: Arc::new(cache),
        limiter: Arc::new(RedisLimiter::connect(&config.redis)?),
        signals,
        keys: Arc::new(keys),
        channels,
        disclosures: Disclosures::default(),
        runtime,
    })
}
