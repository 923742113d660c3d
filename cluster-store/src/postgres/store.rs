//! A store: reads take a connection of the pool, commits go to the writer.

use std::sync::Arc;

use platform_core::kernel::{BoxFuture, EventPosition, Position, Result};
use platform_core::ports::store::{
    Batch, Commit, CommitError, Doc, DocKey, IndexRange, OutboxEvents, ScanPage, Store, StoreTimings,
};
use tokio::sync::watch;

use super::reader::Reader;
use super::stores::Held;
use super::writer::GroupWriter;

/// A store of a database.
pub(super) struct PostgresStore {
    pub(super) name: &'static str,
    pub(super) reader: Reader,
    pub(super) writer: GroupWriter,
    pub(super) committed: Arc<watch::Sender<Position>>,
    pub(super) timings: Arc<StoreTimings>,
    pub(super) _held: Held,
}

impl PostgresStore {
    fn named<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.with("store", self.name))
    }
}

impl Store for PostgresStore {
    fn name(&self) -> &str {
        self.name
    }

    fn get<'a>(&'a self, keys: &'a [DocKey]) -> BoxFuture<'a, Result<Vec<Option<Doc>>>> {
        Box::pin(async { self.named(self.reader.get(keys).await) })
    }

    fn scan<'a>(&'a self, range: &'a IndexRange) -> BoxFuture<'a, Result<ScanPage>> {
        Box::pin(async { self.named(self.reader.scan(range).await) })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Commit, CommitError>> {
        Box::pin(self.writer.commit(batch))
    }

    fn outbox(&self, after: EventPosition, limit: usize) -> BoxFuture<'_, Result<OutboxEvents>> {
        Box::pin(async move { self.named(self.reader.outbox(after, limit).await) })
    }

    fn trim_outbox(&self, upto: EventPosition) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.named(self.reader.trim_outbox(upto).await) })
    }

    fn committed(&self) -> watch::Receiver<Position> {
        self.committed.subscribe()
    }

    fn timings(&self) -> Option<&StoreTimings> {
        Some(&self.timings)
    }
}
