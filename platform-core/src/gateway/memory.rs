//! The compiled table in memory, kept as new as the store.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::model::NamedRoute;
use super::routing::RouteTable;
use super::tables::TableDocument;
use crate::kernel::{Result, limits};
use crate::ports::Database;
use crate::ports::signals::{Signal, Signals};
use crate::ports::store::{Document, IndexRange};

/// Signals that routes changed.
pub(super) const ROUTES_CHANGED: &str = "gateway.routes";

pub(super) struct Memory {
    current: ArcSwap<RouteTable>,
    reloading: tokio::sync::Mutex<u64>,
    signals: Arc<dyn Signals>,
}

impl Memory {
    pub(super) async fn load(db: &Database, signals: &Arc<dyn Signals>) -> Result<Memory> {
        let memory = Memory {
            current: ArcSwap::default(),
            reloading: tokio::sync::Mutex::default(),
            signals: Arc::clone(signals),
        };
        memory.refresh(db).await?;
        Ok(memory)
    }

    pub(super) fn table(&self) -> Arc<RouteTable> {
        self.current.load_full()
    }

    pub(super) fn signals(&self) -> &dyn Signals {
        &*self.signals
    }

    /// After a commit: the new table is in force here when this returns, and the other nodes are told. The
    /// change has happened even if it cannot be read back; then the worker tries again.
    pub(super) async fn changed(&self, db: &Database) {
        if let Err(error) = self.refresh(db).await {
            tracing::warn!(%error, "routes could not be read anew after a change");
        }
        self.signals.send(Signal::new(ROUTES_CHANGED, ""));
    }

    /// Reads the table again if it has changed.
    pub(super) async fn refresh(&self, db: &Database) -> Result<()> {
        let mut compiled = self.reloading.lock().await;
        let mut revision = read_revision(db).await?;
        while revision != *compiled {
            let routes = read_routes(db).await?;
            // Routes are read in pages: the table's revision tells whether they belong together.
            let after = read_revision(db).await?;
            if after == revision {
                let table = RouteTable::compile(&routes, &self.current.load())?;
                self.current.store(Arc::new(table));
                *compiled = revision;
            }
            revision = after;
        }
        Ok(())
    }
}

async fn read_revision(db: &Database) -> Result<u64> {
    Ok(db.get::<TableDocument>(TableDocument::ID).await?.map_or(0, |table| table.revision))
}

async fn read_routes(db: &Database) -> Result<Vec<NamedRoute>> {
    let mut routes = Vec::new();
    let mut cursor = None;
    loop {
        let range = IndexRange::ids(NamedRoute::COLLECTION.name).limit(limits::SCAN_DOCUMENTS).after(cursor);
        let page = db.scan::<NamedRoute>(&range).await?;
        routes.extend(page.items.into_iter().map(|route| route.value));
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(routes),
        }
    }
}
