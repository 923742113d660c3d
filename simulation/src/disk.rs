//! What outlives every node: the stores and the log, and what is still on its way to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use platform_core::kernel::{BoxFuture, EventPosition, Position, Result};
use platform_core::ports::log::{EventLog, MemoryLog, NewRecord};
use platform_core::ports::store::{
    Batch, Body, Commit, CommitError, Doc, DocKey, IndexRange, MemoryStores, OutboxEvents, ScanPage, Schema,
    Store, Stores, Write,
};
use tokio::sync::watch;

use crate::stage::Stage;

/// Writes that nobody waits for any more.
#[derive(Default)]
struct Late {
    batches: Vec<(Arc<WatchedStore>, Batch)>,
    records: Vec<(String, Vec<NewRecord>)>,
}

/// The stores and the log of all nodes.
pub struct Disk {
    stage: Arc<Stage>,
    stores: MemoryStores,
    open: Mutex<BTreeMap<&'static str, Weak<WatchedStore>>>,
    log: MemoryLog,
    late: Mutex<Late>,
}

impl Disk {
    /// Empty.
    pub fn new(stage: &Arc<Stage>) -> Arc<Disk> {
        Arc::new(Disk {
            stores: MemoryStores::default(),
            open: Mutex::default(),
            log: MemoryLog::new(Arc::clone(&stage.outside)),
            late: Mutex::default(),
            stage: Arc::clone(stage),
        })
    }

    /// The store of a schema: the same one for every node, opened anew when none had it open.
    ///
    /// # Errors
    /// As [`Stores::open`].
    pub async fn store(&self, schema: &Schema) -> Result<Arc<WatchedStore>> {
        if let Some(store) = self.open.lock().get(schema.store).and_then(Weak::upgrade) {
            return Ok(store);
        }
        let inner = self.stores.open(schema).await?;
        let store = Arc::new(WatchedStore { inner, stage: Arc::clone(&self.stage) });
        self.open.lock().insert(schema.store, Arc::downgrade(&store));
        Ok(store)
    }

    /// The log.
    pub fn log(&self) -> &MemoryLog {
        &self.log
    }

    /// Appends, and notes it.
    ///
    /// # Errors
    /// As [`EventLog::append`].
    pub async fn append(&self, topic: &str, records: Vec<NewRecord>) -> Result<Vec<u64>> {
        self.stage.note(format_args!("append {topic} {}", records.len()));
        self.log.append(topic, records).await
    }

    /// A batch that is applied when its sender may be gone.
    pub fn later(&self, store: &Arc<WatchedStore>, batch: Batch) {
        self.late.lock().batches.push((Arc::clone(store), batch));
    }

    /// Records that are appended when their sender may be gone.
    pub fn append_later(&self, topic: &str, records: Vec<NewRecord>) {
        self.late.lock().records.push((topic.to_owned(), records));
    }

    /// Applies the oldest of what is late, if it is its time.
    pub async fn maybe_apply_late(&self) {
        if self.late.lock().batches.is_empty() && self.late.lock().records.is_empty() {
            return;
        }
        if self.stage.strikes(50) {
            self.apply_one_late().await;
        }
    }

    /// Applies all that is late.
    pub async fn apply_late(&self) {
        while self.apply_one_late().await {}
    }

    /// A new node takes over in earnest: what is late for a store that all have closed is lost.
    pub fn forget_late_batches(&self) {
        self.late.lock().batches.clear();
    }

    async fn apply_one_late(&self) -> bool {
        let batch = take_first(&mut self.late.lock().batches);
        if let Some((store, batch)) = batch {
            let applied = store.commit(batch).await;
            self.stage.note(format_args!("late {} {}", store.name(), applied.is_ok()));
            return true;
        }
        let records = take_first(&mut self.late.lock().records);
        if let Some((topic, records)) = records {
            let appended = self.append(&topic, records).await;
            self.stage.note(format_args!("late append {topic} {}", appended.is_ok()));
            return true;
        }
        false
    }
}

fn take_first<T>(list: &mut Vec<T>) -> Option<T> {
    (!list.is_empty()).then(|| list.remove(0))
}

/// A store that tells the truth of what is committed.
pub struct WatchedStore {
    inner: Arc<dyn Store>,
    stage: Arc<Stage>,
}

impl Store for WatchedStore {
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
        Box::pin(async move {
            let (events, writes) = (batch.events.clone(), bytes_of(&batch));
            let commit = self.inner.commit(batch).await?;
            if commit.replayed.is_none() {
                let types: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
                self.stage.note(format_args!("commit {} {} {types:?}", self.name(), commit.position));
                self.stage.trace.lock().bytes(&writes);
                self.stage.truth.lock().committed(self.name(), commit.position, events);
            }
            Ok(commit)
        })
    }

    fn outbox(&self, after: EventPosition, limit: usize) -> BoxFuture<'_, Result<OutboxEvents>> {
        self.inner.outbox(after, limit)
    }

    fn trim_outbox(&self, upto: EventPosition) -> BoxFuture<'_, Result<()>> {
        self.inner.trim_outbox(upto)
    }

    fn committed(&self) -> watch::Receiver<Position> {
        self.inner.committed()
    }
}

/// What a batch writes, for the trace.
fn bytes_of(batch: &Batch) -> Vec<u8> {
    let mut bytes = Vec::new();
    for write in &batch.writes {
        bytes.extend_from_slice(&write.key().id);
        if let Write::Put { body: Body::Json(text), .. } = write {
            bytes.extend_from_slice(text.as_bytes());
        } else if let Write::Put { body: Body::Binary(binary), .. } = write {
            bytes.extend_from_slice(binary);
        }
    }
    bytes
}
