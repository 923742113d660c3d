//! The suite of every store over a real server, and what only several nodes can meet.

use std::sync::Arc;

use platform_core::kernel::Result;
use platform_core::ports::store::Stores;
use platform_core::ports::store::conformance::Place;
use test_support::servers::Postgres;

use super::{PostgresConfig, PostgresStores};

/// A database of its own on the server that the tests share.
struct Database(String);

impl Database {
    fn new() -> Database {
        Database(Postgres::shared().new_database().unwrap())
    }
}

impl Place for Database {
    fn stores(&self) -> Result<Arc<dyn Stores>> {
        let config = PostgresConfig { connections: 2, ..PostgresConfig::new(&self.0) };
        Ok(Arc::new(PostgresStores::new(config)?))
    }

    fn is_shared(&self) -> bool {
        true
    }
}

mod suite {
    use super::*;

    platform_core::store_conformance!(Database::new());
}
