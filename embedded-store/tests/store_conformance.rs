//! The suite of the store port, over each engine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;

use embedded_store::{EmbeddedStores, Engine, Engines};
use platform_core::kernel::Result;
use platform_core::ports::store::Stores;
use platform_core::ports::store::conformance::Place;

/// A folder that vanishes with the test.
struct Folder {
    folder: tempfile::TempDir,
    engine: Engine,
}

impl Folder {
    fn on(engine: Engine) -> Folder {
        Folder { folder: tempfile::tempdir().unwrap(), engine }
    }
}

impl Place for Folder {
    fn stores(&self) -> Result<Arc<dyn Stores>> {
        Ok(Arc::new(EmbeddedStores::open(self.folder.path())?.on(Engines::all(self.engine))))
    }
}

mod sqlite {
    use super::*;
    platform_core::store_conformance!(Folder::on(Engine::Sqlite));
}

mod fjall {
    use super::*;
    platform_core::store_conformance!(Folder::on(Engine::Fjall));
}

#[cfg(feature = "sled")]
mod sled {
    use super::*;
    platform_core::store_conformance!(Folder::on(Engine::Sled));
}

#[tokio::test]
async fn a_store_that_is_there_on_another_engine_is_refused() {
    let place = Folder::on(Engine::Sqlite);
    let schema = platform_core::ports::store::conformance::schema();
    drop(place.stores().unwrap().open(&schema).await.unwrap());
    let other = Folder { engine: Engine::Fjall, ..place };
    assert_eq!(other.stores().unwrap().open(&schema).await.err().unwrap().code(), "store.other_engine");
}

#[tokio::test]
async fn a_store_on_an_engine_that_may_not_be_built_in_is_seen() {
    let place = Folder::on(Engine::Sqlite);
    let schema = platform_core::ports::store::conformance::schema();
    std::fs::create_dir_all(place.folder.path().join(format!("{}.sled", schema.store))).unwrap();
    assert_eq!(place.stores().unwrap().open(&schema).await.err().unwrap().code(), "store.other_engine");
}
