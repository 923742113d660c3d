//! What both engines share of a store: reads run in the caller's task, commits go to the writer, trims
//! are remembered until the next group.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use platform_core::kernel::{BoxFuture, Error, ErrorKind, EventPosition, Position, Result, limits};
use platform_core::ports::store::{
    Batch, Commit, CommitError, Doc, DocKey, IndexRange, OutboxEvents, ScanPage, Store, StoreTimings,
};
use tokio::sync::watch;

use crate::folder::StoreLock;
use crate::group::GroupWriter;

/// The reading half of an engine. Each call sees one snapshot.
pub(crate) trait Reader: Send + Sync {
    fn get(&self, keys: &[DocKey]) -> Result<Vec<Option<Doc>>>;
    fn scan(&self, range: &IndexRange) -> Result<ScanPage>;
    fn outbox(&self, after: EventPosition, limit: usize) -> Result<OutboxEvents>;
}

/// The writing half.
pub(crate) enum Access {
    /// This process writes.
    Write(GroupWriter),
    /// Another process may write; the position is that of the opening.
    Read(watch::Sender<Position>),
}

/// Up to where the outbox is to be forgotten: at once for readers, in the file with the next group, so
/// that a trim costs no fsync of its own.
#[derive(Clone, Default)]
pub(crate) struct Trim(Arc<AtomicU64>);

impl From<EventPosition> for Trim {
    fn from(upto: EventPosition) -> Trim {
        Trim(Arc::new(AtomicU64::new(pack(upto))))
    }
}

impl Trim {
    fn raise(&self, upto: EventPosition) {
        self.0.fetch_max(pack(upto), Ordering::AcqRel);
    }

    pub(crate) fn get(&self) -> EventPosition {
        unpack(self.0.load(Ordering::Acquire))
    }
}

/// A position in 63 bits: the commit in the upper ones, its index in the lower 16.
pub(crate) fn pack(position: EventPosition) -> u64 {
    (position.commit.min((1 << 47) - 1) << 16) | u64::from(position.index)
}

/// The position that was packed.
pub(crate) fn unpack(place: u64) -> EventPosition {
    EventPosition { commit: place >> 16, index: (place & 0xffff) as u16 }
}

/// A store of a folder.
pub(crate) struct EmbeddedStore<R> {
    pub(crate) name: &'static str,
    pub(crate) reader: R,
    pub(crate) access: Access,
    pub(crate) trim: Trim,
    pub(crate) timings: Arc<StoreTimings>,
    /// Dropped last: the writer and the reader have ended before the store can be opened again.
    pub(crate) _lock: StoreLock,
}

impl<R: Reader> Store for EmbeddedStore<R> {
    fn name(&self) -> &str {
        self.name
    }

    fn get<'a>(&'a self, keys: &'a [DocKey]) -> BoxFuture<'a, Result<Vec<Option<Doc>>>> {
        Box::pin(async {
            if keys.len() > limits::GET_KEYS {
                return Err(Error::limit("store.too_large", "a limit of the store is exceeded")
                    .with("what", "get")
                    .with("is", keys.len())
                    .with("limit", limits::GET_KEYS));
            }
            self.reader.get(keys).map_err(|error| self.named(error))
        })
    }

    fn scan<'a>(&'a self, range: &'a IndexRange) -> BoxFuture<'a, Result<ScanPage>> {
        Box::pin(async {
            range.check_limits()?;
            self.reader.scan(range).map_err(|error| self.named(error))
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Commit, CommitError>> {
        Box::pin(async {
            match &self.access {
                Access::Write(writer) => writer.commit(batch).await,
                Access::Read(_) => Err(CommitError::Invalid(self.read_only())),
            }
        })
    }

    fn outbox(&self, after: EventPosition, limit: usize) -> BoxFuture<'_, Result<OutboxEvents>> {
        Box::pin(async move {
            self.reader.outbox(after.max(self.trim.get()), limit).map_err(|error| self.named(error))
        })
    }

    fn trim_outbox(&self, upto: EventPosition) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            match &self.access {
                Access::Write(_) => {
                    self.trim.raise(upto);
                    Ok(())
                }
                Access::Read(_) => Err(self.read_only()),
            }
        })
    }

    fn committed(&self) -> watch::Receiver<Position> {
        match &self.access {
            Access::Write(writer) => writer.committed(),
            Access::Read(position) => position.subscribe(),
        }
    }

    fn timings(&self) -> Option<&StoreTimings> {
        Some(&self.timings)
    }
}

impl<R> EmbeddedStore<R> {
    /// Damage says in which store it is.
    fn named(&self, error: Error) -> Error {
        let is_named = error.context().any(|(name, _)| name == "store");
        if is_named || error.kind() != ErrorKind::DataLoss { error } else { error.with("store", self.name) }
    }

    fn read_only(&self) -> Error {
        Error::precondition("store.read_only", "the store is open only to be read").with("store", self.name)
    }
}
