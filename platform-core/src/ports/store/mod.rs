//! A domain's private database.
//!
//! A [`Store`] keeps documents in declared collections. What a command decided is handed over as one
//! closed [`Batch`]: what it expects to be still true, what to write, which events to publish, and an
//! idempotency record. The batch is data, not a callback: so one writer can put a thousand waiting
//! batches into one fsync, and the same batch runs on every engine.

mod batch;
mod command;
mod conflict;
#[cfg(feature = "conformance")]
pub mod conformance;
mod document;
#[cfg(test)]
pub(crate) mod flaky;
mod idempotency;
mod key;
mod memory;
mod plan;
mod prepared;
mod scan;
mod schema;
mod work;

pub use batch::{Batch, Commit, Expect, Idempotency, Write};
pub use command::{Done, Reply, command};
pub use conflict::CommitError;
pub use document::{Body, Doc, DocKey, Document, Entry, Stored};
pub use idempotency::IdempotencyRecord;
pub use key::{KeyReader, KeyWriter};
pub use memory::{MemoryStore, MemoryStores};
pub use plan::{Change, Merged, Planner, Previous, StateReader, Written};
pub use prepared::Prepared;
pub use scan::{IndexRange, ScanPage};
pub use schema::{BodyKind, Collection, Index, Reindex, Schema};
pub use work::Work;

pub(crate) use schema::{IDEMPOTENCY, INBOX};

use std::any::Any;

use tokio::sync::watch;

use crate::kernel::{BoxFuture, CALL_BOUNDS_S, EventPosition, Histogram, Position, Result, SYNC_BOUNDS_S};

/// Events of an outbox: where each stands, and its envelope without store and position.
pub type OutboxEvents = Vec<(EventPosition, Vec<u8>)>;

/// A domain's private database.
///
/// # Behavior
/// - Every commit has a position: gapless, in commit order, from 1. A document's version is the
///   position of its last write; versions are never reused, not even after delete and re-create.
/// - Reads see durable commits only. One call sees one snapshot, and no snapshot outlives its call.
/// - `commit` applies all of a batch or nothing, and returns when it is durable.
/// - Batches that wait together share one fsync. Each is checked, in the order of the queue, against
///   the committed state and the batches accepted before it; a refused batch leaves no trace and
///   fails alone.
/// - An idempotency record that is known and not expired answers before any expect is checked.
/// - After a failed fsync the store is poisoned: it acknowledges nothing until it is reopened.
pub trait Store: Send + Sync {
    /// The name it was declared with: also the name of its topic.
    fn name(&self) -> &str;

    /// The documents under `keys`, in their order, all from one snapshot.
    ///
    /// # Errors
    /// `store.too_large` above [`crate::kernel::limits::GET_KEYS`], `store.undeclared`,
    /// `store.unavailable`.
    fn get<'a>(&'a self, keys: &'a [DocKey]) -> BoxFuture<'a, Result<Vec<Option<Doc>>>>;

    /// Documents in the order of their ids or of an index.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn scan<'a>(&'a self, range: &'a IndexRange) -> BoxFuture<'a, Result<ScanPage>>;

    /// Applies a batch: all or nothing, durable when it returns.
    ///
    /// # Errors
    /// See [`CommitError`].
    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Commit, CommitError>>;

    /// Events after a position, in order.
    ///
    /// # Errors
    /// `store.unavailable`.
    fn outbox(&self, after: EventPosition, limit: usize) -> BoxFuture<'_, Result<OutboxEvents>>;

    /// Forgets events up to and including a position.
    ///
    /// # Errors
    /// `store.unavailable`.
    fn trim_outbox(&self, upto: EventPosition) -> BoxFuture<'_, Result<()>>;

    /// The position of the last durable commit; wakes whoever waits for more.
    fn committed(&self) -> watch::Receiver<Position>;

    /// How long its commits take, when it measures that.
    fn timings(&self) -> Option<&StoreTimings> {
        None
    }
}

/// How long a store takes to commit.
#[derive(Debug)]
pub struct StoreTimings {
    /// What it stands on: `db.system.name` of OpenTelemetry's conventions.
    pub system: &'static str,
    /// A whole group of batches: checked, written, synced.
    pub commit: Histogram,
    /// The end of it, which makes the group durable.
    pub sync: Histogram,
}

impl StoreTimings {
    /// Nothing yet.
    pub fn new(system: &'static str) -> StoreTimings {
        StoreTimings { system, commit: Histogram::new(CALL_BOUNDS_S), sync: Histogram::new(SYNC_BOUNDS_S) }
    }
}

/// Opens the stores of a platform, one per domain. (`Any`: so that whoever knows the engine can ask it for
/// what only it can do.)
pub trait Stores: Any + Send + Sync {
    /// Opens or creates the store of a schema. New and changed indexes are backfilled before it
    /// returns.
    ///
    /// # Errors
    /// `store.newer_schema` when a newer version wrote it, `store.locked` when it is open elsewhere,
    /// `store.invalid_schema`, `store.not_unique` when a new unique index does not hold over what is
    /// stored, `store.damaged`, `store.unavailable`.
    fn open<'a>(&'a self, schema: &'a Schema) -> BoxFuture<'a, Result<std::sync::Arc<dyn Store>>>;

    /// Whether no other process can have these stores open while this one has: then whoever left its mark
    /// on work in progress before is gone. `false` where that is not certain.
    fn are_held_alone(&self) -> bool {
        false
    }
}
