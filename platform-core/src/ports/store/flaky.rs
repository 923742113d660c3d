//! A store that fails as stores fail: before a commit, or after it without an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
pub(crate) enum Fault {
    /// As they should.
    None,
    /// Nothing is applied, and that is told.
    Refused,
    /// Nothing is applied, but nobody knows.
    Lost,
    /// All is applied, but nobody knows.
    AppliedSilently,
    /// An fsync failed: nothing is acknowledged any more.
    Poisoned,
}

pub(crate) struct FlakyStore {
    inner: Arc<dyn Store>,
    /// Commits take their time.
    runtime: Arc<dyn Runtime>,
    faults: Mutex<Vec<Fault>>,
    reads_take: Mutex<Duration>,
    scans_fail: AtomicBool,
}

impl FlakyStore {
    pub(crate) fn new(inner: Arc<dyn Store>, runtime: Arc<dyn Runtime>) -> FlakyStore {
        FlakyStore {
            inner,
            runtime,
            faults: Mutex::new(Vec::new()),
            reads_take: Mutex::default(),
            scans_fail: AtomicBool::default(),
        }
    }

    /// Reads take their time, too.
    pub(crate) fn read_slowly(&self, each: Duration) {
        *self.reads_take.lock() = each;
    }

    /// From now on scans fail, or they do not.
    pub(crate) fn fail_scans(&self, fail: bool) {
        self.scans_fail.store(fail, Ordering::Relaxed);
    }

    /// The ends of the next commits; all later ones are as they should be.
    pub(crate) fn next(&self, faults: &[Fault]) {
        *self.faults.lock() = faults.iter().rev().copied().collect();
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
        let pause = *self.reads_take.lock();
        Box::pin(async move {
            self.runtime.sleep(pause).await;
            self.inner.get(keys).await
        })
    }

    fn scan<'a>(&'a self, range: &'a IndexRange) -> BoxFuture<'a, Result<ScanPage>> {
        if self.scans_fail.load(Ordering::Relaxed) {
            return Box::pin(async { Err(Error::unavailable("store.unavailable", "as the test wants")) });
        }
        self.inner.scan(range)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Commit, CommitError>> {
        let fault = self.faults.lock().pop().unwrap_or(Fault::None);
        Box::pin(async move {
            self.runtime.sleep(Duration::from_millis(1)).await;
            match fault {
                Fault::None => self.inner.commit(batch).await,
                Fault::Poisoned => {
                    self.faults.lock().push(Fault::Poisoned);
                    Err(CommitError::Poisoned)
                }
                Fault::Refused => Err(unavailable(false)),
                Fault::Lost => Err(unavailable(true)),
                Fault::AppliedSilently => {
                    self.inner.commit(batch).await?;
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

/// Opens one store, which fails as it is told.
pub(crate) struct FlakyStores {
    inner: Arc<dyn Stores>,
    runtime: Arc<dyn Runtime>,
    opened: Mutex<Option<Arc<FlakyStore>>>,
}

impl FlakyStores {
    pub(crate) fn new(inner: Arc<dyn Stores>, runtime: Arc<dyn Runtime>) -> FlakyStores {
        FlakyStores { inner, runtime, opened: Mutex::default() }
    }

    /// As [`FlakyStore::next`], of the store that was opened last.
    pub(crate) fn next(&self, faults: &[Fault]) {
        self.opened.lock().iter().for_each(|store| store.next(faults));
    }
}

impl Stores for FlakyStores {
    fn open<'a>(&'a self, schema: &'a Schema) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async move {
            let inner = self.inner.open(schema).await?;
            let store = Arc::new(FlakyStore::new(inner, Arc::clone(&self.runtime)));
            *self.opened.lock() = Some(Arc::clone(&store));
            Ok(store as Arc<dyn Store>)
        })
    }
}
