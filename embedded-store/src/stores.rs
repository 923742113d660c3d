//! Which engine a store stands on.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use platform_core::Platform;
use platform_core::kernel::{BoxFuture, Error, Result};
use platform_core::ports::store::{Schema, Store, Stores};

use crate::fjall::Living;
use crate::folder::Folder;
#[cfg(feature = "sled")]
use crate::sled;
use crate::{fjall, sqlite};

/// The store of the keys.
const KEYS: &str = "keys";

/// What a store stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// A file that every tool reads. The default.
    #[default]
    Sqlite,
    /// A log-structured engine: faster where much is written.
    Fjall,
    /// A tree on a log, behind the feature `sled`. A loss of power may damage it, readers wait for writers,
    /// and it is copied only while no process has it open: there is no reason to prefer it to the others but
    /// to have what was built on it.
    #[cfg(feature = "sled")]
    Sled,
}

/// The engine of each store. The store `keys` is always on SQLite: it is kept apart in backups.
#[derive(Debug, Clone, Default)]
pub struct Engines {
    /// Of the stores that are not named; without it, that on which they are there already, else SQLite.
    pub default: Option<Engine>,
    /// By the name of the store.
    pub of: BTreeMap<String, Engine>,
}

impl Engines {
    /// All stores on one engine.
    pub fn all(engine: Engine) -> Engines {
        Engines { default: Some(engine), of: BTreeMap::new() }
    }

    /// The same, but this store on that engine.
    #[must_use]
    pub fn with(mut self, store: impl Into<String>, engine: Engine) -> Engines {
        self.of.insert(store.into(), engine);
        self
    }

    /// What is configured for a store; `None`: nothing in particular.
    fn engine(&self, store: &str) -> Option<Engine> {
        if store == KEYS {
            return Some(Engine::Sqlite);
        }
        self.of.get(store).copied().or(self.default)
    }
}

/// Stores of a folder, each in a database of its own.
///
/// ```
/// use embedded_store::{EmbeddedStores, Engine, Engines};
/// use platform_core::ports::store::{Collection, Schema, Stores};
/// # let folder = tempfile::tempdir()?;
/// # let data = folder.path().join("data");
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let stores = EmbeddedStores::open(&data)?.on(Engines::default().with("clicks", Engine::Fjall));
/// let orders = stores.open(&Schema::new("orders", 1, &[Collection::json("orders")])).await?;
/// let clicks = stores.open(&Schema::new("clicks", 1, &[Collection::json("clicks")])).await?;
/// assert_eq!((*orders.committed().borrow(), *clicks.committed().borrow()), (0, 0));
/// assert!(data.join("orders.db").is_file() && data.join("clicks.fjall").is_dir());
/// # Ok::<(), platform_core::kernel::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EmbeddedStores {
    folder: Arc<Folder>,
    engines: Engines,
    /// The stores on fjall that are open.
    living: Mutex<BTreeMap<&'static str, Weak<Living>>>,
}

impl EmbeddedStores {
    /// Holds the folder; it is made when it is not there. All stores are on SQLite.
    ///
    /// # Errors
    /// `store.locked` when another process has it open; `store.unavailable` when it cannot be written.
    pub fn open(path: &Path) -> Result<EmbeddedStores> {
        Ok(EmbeddedStores::over(Folder::hold(path)?))
    }

    /// Looks into a folder that another process may have open: its stores refuse to be written. Those on
    /// fjall and sled open only while no other process has them open.
    pub fn read_only(path: &Path) -> EmbeddedStores {
        EmbeddedStores::over(Folder::look(path))
    }

    /// Those of a platform that stands on a folder.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let data = folder.path().join("data");
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
    /// use embedded_store::EmbeddedStores;
    /// let platform = embedded_store::open(&data).await?;
    /// assert_eq!(EmbeddedStores::of(&platform).map(EmbeddedStores::path), Some(&*data));
    /// # platform.stop().await;
    /// # Ok::<(), platform_core::kernel::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(platform: &Platform) -> Option<&EmbeddedStores> {
        let stores: &dyn Any = &*platform.backends().stores;
        stores.downcast_ref()
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The same folder with its stores on these engines.
    #[must_use]
    pub fn on(mut self, engines: Engines) -> EmbeddedStores {
        self.engines = engines;
        self
    }

    fn over(folder: Arc<Folder>) -> EmbeddedStores {
        EmbeddedStores { folder, engines: Engines::default(), living: Mutex::default() }
    }

    /// The stores on fjall that are open.
    pub(crate) fn living(&self) -> Vec<(&'static str, Arc<Living>)> {
        self.living.lock().iter().filter_map(|(name, living)| Some((*name, living.upgrade()?))).collect()
    }

    fn open_store(&self, schema: &Schema) -> Result<Arc<dyn Store>> {
        schema.check()?;
        let places = places_of(self.folder.path(), schema.store);
        let found = places.iter().find(|place| place.path.exists());
        let engine = self.engines.engine(schema.store).or(found.and_then(|place| place.engine));
        let engine = engine.unwrap_or_default();
        if let Some(other) = places.iter().find(|place| place.engine != Some(engine) && place.path.exists()) {
            return Err(Error::precondition("store.other_engine", "the store is there on another engine")
                .with("store", schema.store)
                .with("configured", format!("{engine:?}"))
                .with("found", other.path.display()));
        }
        let path = places.into_iter().find(|place| place.engine == Some(engine)).map(|place| place.path);
        let path = path.unwrap_or_default();
        let named = |error| with_path(error, &path);
        match engine {
            Engine::Sqlite => Ok(Arc::new(sqlite::open(&self.folder, schema).map_err(named)?)),
            Engine::Fjall => {
                let store = fjall::open(&self.folder, schema).map_err(named)?;
                self.living.lock().insert(schema.store, Arc::downgrade(store.reader.keyspace()));
                Ok(Arc::new(store))
            }
            #[cfg(feature = "sled")]
            Engine::Sled => Ok(Arc::new(sled::open(&self.folder, &path, schema).map_err(named)?)),
        }
    }
}

/// An error that says where.
fn with_path(error: Error, path: &Path) -> Error {
    if error.context().any(|(name, _)| name == "path") { error } else { error.with("path", path.display()) }
}

/// Where a store would stand.
struct Place {
    /// `None`: an engine that is not built in.
    engine: Option<Engine>,
    path: PathBuf,
}

/// Where a store would stand on each engine, also on one that is not built in: nobody makes a second store
/// beside it.
fn places_of(folder: &Path, store: &str) -> [Place; 3] {
    #[cfg(feature = "sled")]
    let on_sled = Some(Engine::Sled);
    #[cfg(not(feature = "sled"))]
    let on_sled = None;
    [
        Place { engine: Some(Engine::Sqlite), path: sqlite::file_of(folder, store) },
        Place { engine: Some(Engine::Fjall), path: fjall::folder_of(folder, store) },
        Place { engine: on_sled, path: folder.join(format!("{store}.sled")) },
    ]
}

/// Whether a folder holds a store, on whatever engine.
pub(crate) fn holds(folder: &Path, store: &str) -> bool {
    places_of(folder, store).iter().any(|place| place.path.exists())
}

impl Stores for EmbeddedStores {
    fn open<'a>(&'a self, schema: &'a Schema) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async { self.open_store(schema) })
    }

    /// The folder is locked by its process.
    fn are_held_alone(&self) -> bool {
        true
    }
}
