//! What a store must hold: the store in memory, with the same batches.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use platform_core::kernel::{EventPosition, Result};
use platform_core::ports::store::{
    Batch, Commit, CommitError, Doc, IndexRange, MemoryStores, Schema, Store, Stores,
};

use super::schema::Version;
use super::script::Planned;

/// Everything that can be read, as text; of the outbox what is behind `trimmed`.
pub(crate) async fn picture(
    store: &dyn Store,
    schema: &Schema,
    trimmed: EventPosition,
) -> Result<Vec<String>> {
    let mut lines = vec![format!("position {}", *store.committed().borrow())];
    for collection in &schema.collections {
        let indexes = collection.indexes.iter().map(|index| IndexRange::index(collection.name, index.name));
        for range in std::iter::once(IndexRange::ids(collection.name)).chain(indexes) {
            let page = store.scan(&range.clone().limit(200)).await?;
            lines.extend(
                page.docs.iter().map(|doc| format!("{} {:?} {}", range.collection, range.index, told(doc))),
            );
        }
    }
    let events = store.outbox(trimmed, 1000).await?;
    lines.extend(events.iter().map(|(place, event)| format!("{place} {}", String::from_utf8_lossy(event))));
    Ok(lines)
}

/// A document in short: bodies are long, and a sweep compares some hundred thousand of them.
fn told(doc: &Doc) -> String {
    let mut hash = DefaultHasher::new();
    doc.body.as_bytes().hash(&mut hash);
    let length = doc.body.as_bytes().len();
    format!(
        "{} version {}: {length} bytes {:x}",
        String::from_utf8_lossy(&doc.id),
        doc.version,
        hash.finish()
    )
}

/// What was done, to be done again in memory.
#[derive(Clone, Default)]
pub(crate) struct History {
    pub(crate) batches: Vec<(Version, Planned)>,
}

/// A model that follows a store.
pub(crate) struct Model {
    stores: MemoryStores,
    store: Option<Arc<dyn Store>>,
    version: Version,
}

impl Model {
    pub(crate) async fn after(history: &History) -> Model {
        let mut model = Model { stores: MemoryStores::default(), store: None, version: Version::First };
        model.open(Version::First).await;
        for (version, planned) in &history.batches {
            model.open(*version).await;
            let _ = model.commit(planned.batch(*version)).await;
        }
        model
    }

    pub(crate) async fn open(&mut self, version: Version) {
        if self.store.is_none() || self.version != version {
            self.store = None;
            self.version = version;
            self.store = Some(self.stores.open(&version.schema()).await.unwrap());
        }
    }

    fn store(&self) -> &Arc<dyn Store> {
        self.store.as_ref().unwrap()
    }

    pub(crate) async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        self.store().commit(batch).await
    }

    pub(crate) fn position(&self) -> u64 {
        *self.store().committed().borrow()
    }

    pub(crate) async fn picture(&self, trimmed: EventPosition) -> Vec<String> {
        picture(&**self.store(), &self.version.schema(), trimmed).await.unwrap()
    }
}
