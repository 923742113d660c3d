//! A folder as a platform, and a platform without one.

use std::path::Path;
use std::sync::Arc;

use platform_core::Platform;
use platform_core::kernel::Result;
use platform_core::ports::cache::LocalCache;
use platform_core::ports::channel::Channel;
use platform_core::ports::disclosure::Disclosures;
use platform_core::ports::keys::EnvelopeKeys;
use platform_core::ports::limiter::LocalLimiter;
use platform_core::ports::runtime::Runtime;
use platform_core::ports::signals::LocalSignals;
use platform_core::ports::store::Stores;
use platform_core::ports::{Backends, MemoryBackends};

use crate::{EmbeddedStores, Engines, FjallLog, SystemRuntime, load_key};

/// Bytes of the cache in the process.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// A platform over a data folder, already started; the folder is made when it is not there. Mail waits
/// until the platform is built with a channel: use [`open_backends`] and [`Platform::builder`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let data = folder.path().join("data");
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
/// let platform = embedded_store::open(&data).await?;
/// assert!(platform.auth().setup_token().await?.is_some());
/// platform.stop().await;
/// # Ok::<(), platform_core::kernel::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`open_backends`].
pub async fn open(path: impl AsRef<Path>) -> Result<Platform> {
    started(open_backends(path.as_ref(), Vec::new()).await?).await
}

/// A platform in memory, already started, with these ways out: for tests and for trying out. It is there within
/// milliseconds, behaves as one on a folder does, and ends with the last of its clones; what it seals is sealed under a
/// key that is no secret.
///
/// ```
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
/// use platform_core::{kernel::Context, users::NewProfile};
/// let platform = embedded_store::open_in_memory(Vec::new()).await?;
/// let new = NewProfile { id: None, email: "ada@example.org".parse()?, name: None };
/// platform.users().create(&Context::service("test"), &new).await?;
/// platform.stop().await;
/// # Ok::<(), platform_core::kernel::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// What [`Platform::start`] returns.
pub async fn open_in_memory(channels: Vec<Arc<dyn Channel>>) -> Result<Platform> {
    let memory = MemoryBackends::new(Arc::new(SystemRuntime::current()));
    let backends = Backends { channels, ..memory.backends().await? };
    started(backends).await
}

async fn started(backends: Backends) -> Result<Platform> {
    let platform = Platform::builder(backends).build().await?;
    platform.start().await?;
    Ok(platform)
}

/// The ports over a data folder, with these ways out: a SQLite file per domain, and the log in the
/// folder `log`. As [`open_backends_on`] with no engine configured.
///
/// # Errors
/// `store.locked` when another process has the folder open; as [`load_key`], [`Stores::open`] and
/// [`FjallLog::open`].
pub async fn open_backends(path: &Path, channels: Vec<Arc<dyn Channel>>) -> Result<Backends> {
    open_backends_on(path, Engines::default(), channels).await
}

/// The ports over a data folder, with each store on the engine that is configured for it.
///
/// # Errors
/// `store.other_engine` when a store is there on another engine; as [`open_backends`].
pub async fn open_backends_on(
    path: &Path,
    engines: Engines,
    channels: Vec<Arc<dyn Channel>>,
) -> Result<Backends> {
    let runtime: Arc<dyn Runtime> = Arc::new(SystemRuntime::current());
    let key = load_key(path)?;
    let stores: Arc<dyn Stores> = Arc::new(EmbeddedStores::open(path)?.on(engines));
    let log = FjallLog::open(&path.join("log"), Arc::clone(&runtime))?;
    let keys = EnvelopeKeys::open(&key, &*stores, Arc::clone(&runtime)).await?;
    Ok(Backends {
        stores,
        log: Arc::new(log),
        cache: Arc::new(LocalCache::new(Arc::clone(&runtime), CACHE_BYTES)),
        limiter: Arc::new(LocalLimiter::default()),
        signals: Arc::new(LocalSignals::default()),
        keys: Arc::new(keys),
        channels,
        disclosures: Disclosures::default(),
        runtime,
    })
}
