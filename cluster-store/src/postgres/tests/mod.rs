//! The suite of every store over a real server, and what only several nodes can meet.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use platform_core::kernel::{Position, Result};
use platform_core::ports::store::conformance::Place;
use platform_core::ports::store::{
    Batch, Body, Collection, CommitError, DocKey, Entry, Expect, Idempotency, Index, Schema, Store, Stores,
    Write,
};
use test_support::servers::Postgres;

use super::{PostgresConfig, PostgresStores};

/// A database of its own on the server that the tests share.
struct Database(String);

impl Database {
    fn new() -> Database {
        Database(Postgres::shared().unwrap().new_database().unwrap())
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

mod lost_connections;
mod nodes;
mod tls;

/// What the tests keep: documents with a name that is unique.
fn schema() -> Schema {
    fn reindex(_: &[u8], body: &Body) -> Result<Vec<Entry>> {
        Ok(vec![Entry::new("by_name", body.as_bytes())])
    }
    const INDEXES: &[Index] = &[Index::unique("by_name")];
    Schema::new(
        "nodes",
        1,
        &[Collection::json("things").indexed(INDEXES, reindex), Collection::json("counts")],
    )
}

fn thing(id: &str) -> DocKey {
    DocKey::new("things", id)
}

fn put(id: &str, name: &str) -> Write {
    let body = format!("\"{name}\"");
    Write::Put {
        key: thing(id),
        entries: vec![Entry::new("by_name", body.as_bytes())],
        body: Body::Json(body),
    }
}

fn writes(writes: Vec<Write>) -> Batch {
    Batch { writes, ..Batch::default() }
}

/// A store as another node of the database at `url` opens it.
async fn node(url: &str) -> Arc<dyn Store> {
    let config =
        PostgresConfig { connections: 2, settle: Duration::from_secs(1), ..PostgresConfig::new(url) };
    PostgresStores::new(config).unwrap().open(&schema()).await.unwrap()
}

async fn version(store: &dyn Store, id: &str) -> Option<Position> {
    store.get(&[thing(id)]).await.unwrap().pop().unwrap().map(|doc| doc.version)
}
