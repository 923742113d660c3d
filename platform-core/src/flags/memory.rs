//! The compiled set in memory, kept as new as the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::counts::{Counted, Counters};
use super::definition::Definition;
use super::error;
use super::snapshot::{FlagSource, SetSource, Snapshot};
use super::tables::{FlagHead, SetDocument, count_key};
use crate::kernel::{Result, limits};
use crate::ports::Database;
use crate::ports::signals::{Signal, Signals};
use crate::ports::store::{Batch, Document, IndexRange, Write};

/// Signals that flags changed.
pub(super) const FLAGS_CHANGED: &str = "flags";

pub(super) struct Memory {
    current: ArcSwap<Snapshot>,
    counters: Counters,
    reloading: tokio::sync::Mutex<()>,
    signals: Arc<dyn Signals>,
    /// When the set was last seen to be that of the store, on the clock that never goes back.
    confirmed_us: AtomicU64,
}

impl Memory {
    pub(super) async fn load(db: &Database, signals: &Arc<dyn Signals>) -> Result<Memory> {
        let memory = Memory {
            current: ArcSwap::default(),
            counters: Counters::default(),
            reloading: tokio::sync::Mutex::default(),
            signals: Arc::clone(signals),
            confirmed_us: AtomicU64::new(0),
        };
        memory.refresh(db).await?;
        Ok(memory)
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    pub(super) fn guard(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.current.load()
    }

    pub(super) fn signals(&self) -> &dyn Signals {
        &*self.signals
    }

    /// After a commit: the new set is in force here when this returns, and the other nodes are told.
    /// The change has happened even if it cannot be read back; then the worker tries again.
    pub(super) async fn changed(&self, db: &Database) {
        if let Err(error) = self.refresh(db).await {
            tracing::warn!(%error, "flags could not be read anew after a change");
        }
        self.signals.send(Signal::new(FLAGS_CHANGED, ""));
    }

    /// How long ago the set in force was seen to be that of the store.
    pub(super) fn staleness(&self, db: &Database) -> Duration {
        db.runtime.monotonic().saturating_sub(Duration::from_micros(self.confirmed_us.load(Relaxed)))
    }

    /// Reads the set again if it has changed.
    pub(super) async fn refresh(&self, db: &Database) -> Result<()> {
        let _one_at_a_time = self.reloading.lock().await;
        let begin = db.runtime.monotonic();
        self.reload(db).await?;
        self.confirmed_us.store(u64::try_from(begin.as_micros()).unwrap_or(u64::MAX), Relaxed);
        Ok(())
    }

    async fn reload(&self, db: &Database) -> Result<()> {
        let mut set = read_set(db).await?;
        loop {
            let before = self.current.load_full();
            if set.revision == before.revision() {
                return Ok(());
            }
            let heads = read_heads(db).await?;
            // Flags are read in pages: the set's revision tells whether they belong together.
            let after = read_set(db).await?;
            if after.revision == set.revision {
                let sources: Vec<_> = heads
                    .iter()
                    .map(|(head, definition)| FlagSource {
                        key: head.key.as_str(),
                        revision: head.revision,
                        definition,
                    })
                    .collect();
                let snapshot = Snapshot::compile(source(set), &sources, &before, &self.counters);
                self.current.store(Arc::new(snapshot));
                return Ok(());
            }
            set = after;
        }
    }

    /// Adds what was counted since the last time to what is stored.
    pub(super) async fn write_counts(&self, db: &Database) -> Result<()> {
        let mut counted = self.counters.take();
        counted.sort_by(|a, b| (&a.flag, &a.variant).cmp(&(&b.flag, &b.variant)));
        counted.dedup_by(|next, kept| {
            let same = next.flag == kept.flag && next.variant == kept.variant;
            if same {
                kept.count = kept.count.saturating_add(next.count);
            }
            same
        });
        while !counted.is_empty() {
            let later = counted.split_off(counted.len().min(limits::SCAN_DOCUMENTS));
            let writes = counted.iter().map(add).collect();
            if let Err(error) = db.store.commit(Batch { writes, ..Batch::default() }).await {
                counted.extend(later);
                self.counters.put_back(counted);
                return Err(error.into());
            }
            counted = later;
        }
        Ok(())
    }
}

fn add(counted: &Counted) -> Write {
    Write::Add {
        key: count_key(&counted.flag, &counted.variant),
        delta: i64::try_from(counted.count).unwrap_or(i64::MAX),
        min: 0,
        max: i64::MAX,
    }
}

fn source(set: SetDocument) -> SetSource {
    SetSource {
        revision: set.revision,
        settings_revision: set.settings_revision,
        bucketing: set.settings.bucketing,
        evaluators: set.settings.evaluators,
        metadata: set.settings.metadata,
    }
}

async fn read_set(db: &Database) -> Result<SetDocument> {
    db.get::<SetDocument>(SetDocument::ID).await?.map(|set| set.value).unwrap_or_default().understood()
}

/// Every flag that is not deleted.
pub(super) async fn read_heads(db: &Database) -> Result<Vec<(FlagHead, Definition)>> {
    let mut heads = Vec::new();
    let mut cursor = None;
    loop {
        let range = IndexRange::ids(FlagHead::COLLECTION.name).limit(limits::SCAN_DOCUMENTS).after(cursor);
        let page = db.scan::<FlagHead>(&range).await?;
        for head in page.items {
            if let Some(json) = &head.definition {
                let definition = Definition::parse(json).map_err(|_| error::damaged(head.key.as_str()))?;
                heads.push((head.value, definition));
            }
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(heads),
        }
    }
}
