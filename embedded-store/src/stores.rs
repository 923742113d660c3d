//! Which engine a store stands on.

use std::path::Path;
use std::sync::Arc;

use platform_core::kernel::{BoxFuture, Result};
use platform_core::ports::store::{Schema, Store, Stores};

use crate::folder::Folder;
use crate::sqlite::SqliteStore;

/// Stores of a folder, each in a SQLite file of its own.
///
/// ```
/// use embedded_store::SqliteStores;
/// use platform_core::ports::store::{Collection, Schema, Stores};
/// # let folder = tempfile::tempdir()?;
/// # let data = folder.path().join("data");
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let stores = SqliteStores::open(&data)?;
/// let orders = stores.open(&Schema::new("orders", 1, &[Collection::json("orders")])).await?;
/// assert_eq!(*orders.committed().borrow(), 0);
/// # Ok::<(), platform_core::kernel::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SqliteStores {
    folder: Arc<Folder>,
}

impl SqliteStores {
    /// Holds the folder; it is made when it is not there.
    ///
    /// # Errors
    /// `store.locked` when another process has it open; `store.unavailable` when it cannot be written.
    pub fn open(path: &Path) -> Result<SqliteStores> {
        Ok(SqliteStores { folder: Folder::hold(path)? })
    }

    /// Looks into a folder that another process may have open: its stores refuse to be written.
    pub fn read_only(path: &Path) -> SqliteStores {
        SqliteStores { folder: Folder::look(path) }
    }
}

impl Stores for SqliteStores {
    fn open<'a>(&'a self, schema: &'a Schema) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async { Ok(Arc::new(SqliteStore::open(&self.folder, schema)?) as Arc<dyn Store>) })
    }
}
