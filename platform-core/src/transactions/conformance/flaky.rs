//! A store that fails as stores fail: before a commit, or after it without an answer.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::kernel::{BoxFuture, Error, EventPosition, Position, Result};
use crate::ports::runtime::Runtime;
use crate::ports::store::{
    Batch, Commit, CommitError, Doc, DocKey, IndexRange, ScanPage, Schema, Store, Stores,
};

/// How the next commits end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// As they should.
    None,
    /// Nothing is applied, and that is told.
    Refused,
    /// Nothing is applied, but nobody knows.
    Lost,
    /// All is applied, but nobody knows.
    AppliedSilently,
    /// Nobody knows, and all is applied just before the next commit.
    Late,
}

/// A store whose next commits end as it is told.
pub struct FlakyStore {
    inner: Arc<dyn Store>,
    /// Commits take their time.
    runtime: Arc<dyn Runtime>,
    faults: Faults,
    late: Mutex<Option<Batch>>,
}

/// How the next commits end. All clones are the same.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Fault>>>);

impl Faults {
    /// The ends of the next commits; all later ones are as they should be.
    pub fn next(&self, faults: &[Fault]) {
        *self.0.lock() = faults.iter().rev().copied().collect();
    }
}

impl FlakyStore {
    /// Over a store.
    pub fn new(inner: Arc<dyn Store>, runtime: Arc<dyn Runtime>, faults: Faults) -> FlakyStore {
        FlakyStore { inner, runtime, faults, late: Mutex::default() }
    }

    /// As [`Faults::next`].
    pub fn next(&self, faults: &[Fault]) {
        self.faults.next(faults);
    }
}

/// Opens every store as a [`FlakyStore`].
pub struct FlakyStores {
    /// What opens them.
    pub inner: Arc<dyn Stores>,
    /// Commits take their time.
    pub runtime: Arc<dyn Runtime>,
    /// How their next commits end.
    pub faults: Faults,
}

impl Stores for FlakyStores {
    fn open<'a>(&'a self, schema: &'a Schema) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async move {
            let inner = self.inner.open(schema).await?;
            let flaky = FlakyStore::new(inner, Arc::clone(&self.runtime), self.faults.clone());
            Ok(Arc::new(flaky) as Arc<dyn Store>)
        })
    }
}

fn unavailable(maybe_applied: bool) -> CommitError {
    CommitError::Unavailable {
        maybe_applied,
        cause: Error::unavailable("store.unavailable", "as the test wants"),
    }
}

impl Store for FlakyStore {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn get<'a>(&'a self, keys: &'a [DocKey]) -> BoxFuture<'a, Result<Vec<Option<Doc>>>> {
        self.inner.get(keys)
    }

    fn scan<'a>(&'a self, range: &'a IndexRange) -> BoxFuture<'a, Result<ScanPage>> {
        self.inner.scan(range)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Commit, CommitError>> {
        let fault = self.faults.0.lock().pop().unwrap_or(Fault::None);
        Box::pin(async move {
            self.runtime.sleep(Duration::from_millis(1)).await;
            let late = self.late.lock().take();
            if let Some(late) = late {
                // Its sender has its answer already.
                let _ = self.inner.commit(late).await;
            }
            match fault {
                Fault::None => self.inner.commit(batch).await,
                Fault::Refused => Err(unavailable(false)),
                Fault::Lost => Err(unavailable(true)),
                Fault::AppliedSilently => {
                    self.inner.commit(batch).await?;
                    Err(unavailable(true))
                }
                Fault::Late => {
                    *self.late.lock() = Some(batch);
                    Err(unavailable(true))
                }
            }
        })
    }

    fn outbox(
        &self,
        after: EventPosition,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(EventPosition, Vec<u8>)>>> {
        self.inner.outbox(after, limit)
    }

    fn trim_outbox(&self, upto: EventPosition) -> BoxFuture<'_, Result<()>> {
        self.inner.trim_outbox(upto)
    }

    fn committed(&self) -> watch::Receiver<Position> {
        self.inner.committed()
    }
}
