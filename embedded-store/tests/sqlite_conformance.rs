//! The suite of the store port, over SQLite.

use std::sync::Arc;

use embedded_store::SqliteStores;
use platform_core::kernel::Result;
use platform_core::ports::store::Stores;
use platform_core::ports::store::conformance::Place;

/// A folder that vanishes with the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }
}

impl Place for Folder {
    fn stores(&self) -> Result<Arc<dyn Stores>> {
        Ok(Arc::new(SqliteStores::open(self.0.path())?))
    }
}

platform_core::store_conformance!(Folder::new());
