//! The in-memory store: for tests, and the oracle that every engine is compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::batch::at_most;
use super::{
    Batch, Body, Commit, CommitError, Doc, DocKey, Entry, IndexRange, Merged, OutboxEvents, Planner,
    Prepared, Previous, ScanPage, Schema, StateReader, Store, Stores, Written,
};
use crate::kernel::{BoxFuture, Error, EventPosition, Position, Result, limits};

struct Kept {
    version: Position,
    body: Body,
    entries: Vec<Entry>,
}

#[derive(Default)]
struct State {
    schema_version: u32,
    position: Position,
    docs: BTreeMap<DocKey, Kept>,
    /// `(collection, index, entry, id)`.
    entries: BTreeSet<(&'static str, &'static str, Vec<u8>, Vec<u8>)>,
    outbox: BTreeMap<EventPosition, Vec<u8>>,
}

impl StateReader for State {
    fn previous(&mut self, key: &DocKey) -> Result<Option<Previous>> {
        Ok(self.docs.get(key).map(|kept| Previous { version: kept.version, entries: kept.entries.clone() }))
    }

    fn body(&mut self, key: &DocKey) -> Result<Option<Body>> {
        Ok(self.docs.get(key).map(|kept| kept.body.clone()))
    }

    fn unique_owner(
        &mut self,
        collection: &'static str,
        index: &'static str,
        entry: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        let from = (collection, index, entry.to_vec(), Vec::new());
        let first = self.entries.range(from..).next();
        Ok(first.filter(|at| at.0 == collection && at.1 == index && at.2 == entry).map(|at| at.3.clone()))
    }
}

impl State {
    fn apply(&mut self, merged: Merged<'_>) {
        for change in &merged.changes {
            for entry in change.before.iter().flat_map(|before| &before.entries) {
                self.entries.remove(&place(change.key, entry));
            }
        }
        for change in merged.changes {
            match change.after {
                None => {
                    self.docs.remove(change.key);
                }
                Some(Written { version, body, entries }) => {
                    self.entries.extend(entries.iter().map(|entry| place(change.key, entry)));
                    let kept = Kept { version, body: body.into_owned(), entries: entries.to_vec() };
                    self.docs.insert(change.key.clone(), kept);
                }
            }
        }
        self.outbox.extend(merged.events.into_iter().map(|(position, event)| (position, event.to_vec())));
        self.position = merged.position;
    }

    /// Computes all entries anew; nothing is changed when that fails.
    fn reindex(&mut self, schema: &Schema) -> Result<()> {
        let mut all = Vec::with_capacity(self.docs.len());
        let mut places = BTreeSet::new();
        let mut uniques = BTreeSet::new();
        for (key, kept) in &self.docs {
            let Some(collection) = schema.collection(key.collection) else {
                all.push(Vec::new());
                continue;
            };
            let entries = collection.entries_of(&key.id, &kept.body)?;
            for entry in &entries {
                let unique = collection.index(entry.index).is_some_and(|index| index.unique);
                if unique && !uniques.insert((key.collection, entry.index, entry.entry.clone())) {
                    return Err(CommitError::Unique { collection: key.collection, index: entry.index }.into());
                }
                places.insert(place(key, entry));
            }
            all.push(entries);
        }
        for (kept, entries) in self.docs.values_mut().zip(all) {
            kept.entries = entries;
        }
        self.entries = places;
        Ok(())
    }

    fn doc(&self, key: &DocKey) -> Option<Doc> {
        self.docs.get(key).map(|kept| Doc {
            id: key.id.clone(),
            version: kept.version,
            body: kept.body.clone(),
        })
    }

    /// `(entry, id)` of the range in order; by id, both are the id.
    fn pairs<'s>(
        &'s self,
        range: &'s IndexRange,
    ) -> Box<dyn DoubleEndedIterator<Item = (&'s [u8], &'s [u8])> + 's> {
        match range.index {
            None => Box::new(
                self.docs
                    .range(DocKey::new(range.collection, [])..)
                    .map(|(key, _)| key)
                    .filter(move |key| key.collection == range.collection)
                    .map(|key| (key.id.as_slice(), key.id.as_slice())),
            ),
            Some(index) => Box::new(
                self.entries
                    .range((range.collection, index, Vec::new(), Vec::new())..)
                    .filter(move |at| at.0 == range.collection && at.1 == index)
                    .map(|at| (at.2.as_slice(), at.3.as_slice())),
            ),
        }
    }
}

fn place(key: &DocKey, entry: &Entry) -> (&'static str, &'static str, Vec<u8>, Vec<u8>) {
    (key.collection, entry.index, entry.entry.clone(), key.id.clone())
}

fn within(range: &IndexRange, entry: &[u8]) -> bool {
    let from = match &range.from {
        Bound::Unbounded => true,
        Bound::Included(from) => entry >= from.as_slice(),
        Bound::Excluded(from) => entry > from.as_slice(),
    };
    from && match &range.to {
        Bound::Unbounded => true,
        Bound::Included(to) => entry <= to.as_slice(),
        Bound::Excluded(to) => entry < to.as_slice(),
    }
}

/// One in-memory store.
pub struct MemoryStore {
    schema: Schema,
    state: Arc<Mutex<State>>,
    committed: watch::Sender<Position>,
}

impl MemoryStore {
    /// An empty store of its own.
    ///
    /// # Errors
    /// `store.invalid_schema`.
    pub fn open(schema: &Schema) -> Result<MemoryStore> {
        MemoryStore::over(schema, Arc::default())
    }

    fn over(schema: &Schema, state: Arc<Mutex<State>>) -> Result<MemoryStore> {
        schema.check()?;
        let position = {
            let mut state = state.lock();
            if state.schema_version > schema.version {
                return Err(Error::precondition("store.newer_schema", "a newer version wrote this store")
                    .with("store", schema.store)
                    .with("theirs", state.schema_version)
                    .with("ours", schema.version));
            }
            state.reindex(schema)?;
            state.schema_version = schema.version;
            state.position
        };
        Ok(MemoryStore { schema: schema.clone(), state, committed: watch::Sender::new(position) })
    }

    fn check_declared(&self, collection: &str, index: Option<&str>) -> Result<()> {
        let declared = self.schema.collection(collection);
        match (declared, index) {
            (Some(collection), Some(index)) if collection.index(index).is_some() => Ok(()),
            (Some(_), None) => Ok(()),
            _ => Err(Error::invalid("store.undeclared", "not declared in the schema")
                .with("collection", collection)
                .with("index", index.unwrap_or_default())),
        }
    }

    fn read(&self, keys: &[DocKey]) -> Result<Vec<Option<Doc>>> {
        at_most("get", keys.len(), limits::GET_KEYS)?;
        for key in keys {
            self.check_declared(key.collection, None)?;
        }
        let state = self.state.lock();
        Ok(keys.iter().map(|key| state.doc(key)).collect())
    }

    fn read_range(&self, range: &IndexRange) -> Result<ScanPage> {
        range.check_limits()?;
        self.check_declared(range.collection, range.index)?;
        let after = range.after_entry()?;
        let state = self.state.lock();
        let pairs = state.pairs(range);
        let pairs: Box<dyn Iterator<Item = _>> =
            if range.reverse { Box::new(pairs.rev()) } else { Box::new(pairs) };
        let hits = pairs
            .filter(|(entry, _)| within(range, entry))
            .filter(|pair| match &after {
                None => true,
                Some((entry, id)) if range.reverse => *pair < (entry.as_slice(), id.as_slice()),
                Some((entry, id)) => *pair > (entry.as_slice(), id.as_slice()),
            })
            .take(range.limit + 1)
            .filter_map(|(entry, id)| Some((entry.to_vec(), state.doc(&DocKey::new(range.collection, id))?)))
            .collect();
        Ok(ScanPage::from_hits(range.limit, hits))
    }

    fn write(&self, batch: Batch) -> Result<Commit, CommitError> {
        let batch = Prepared::new(&self.schema, batch)?;
        let mut state = self.state.lock();
        let mut planner = Planner::new(&self.schema, state.position);
        let commit = planner.offer(&mut *state, &batch)?;
        if commit.replayed.is_none() {
            state.apply(planner.merged());
            self.committed.send_replace(state.position);
        }
        Ok(commit)
    }
}

impl Store for MemoryStore {
    fn name(&self) -> &str {
        self.schema.store
    }

    fn get<'a>(&'a self, keys: &'a [DocKey]) -> BoxFuture<'a, Result<Vec<Option<Doc>>>> {
        Box::pin(async { self.read(keys) })
    }

    fn scan<'a>(&'a self, range: &'a IndexRange) -> BoxFuture<'a, Result<ScanPage>> {
        Box::pin(async { self.read_range(range) })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Commit, CommitError>> {
        Box::pin(async { self.write(batch) })
    }

    fn outbox(&self, after: EventPosition, limit: usize) -> BoxFuture<'_, Result<OutboxEvents>> {
        Box::pin(async move {
            let state = self.state.lock();
            let events = state.outbox.range((Bound::Excluded(after), Bound::Unbounded)).take(limit);
            Ok(events.map(|(position, event)| (*position, event.clone())).collect())
        })
    }

    fn trim_outbox(&self, upto: EventPosition) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.state.lock().outbox.retain(|position, _| *position > upto);
            Ok(())
        })
    }

    fn committed(&self) -> watch::Receiver<Position> {
        self.committed.subscribe()
    }
}

/// In-memory stores that outlive their handles: drop a handle and open it again to "restart".
#[derive(Default, Clone)]
pub struct MemoryStores(Arc<Mutex<States>>);

type States = BTreeMap<&'static str, Arc<Mutex<State>>>;

impl Stores for MemoryStores {
    fn open<'a>(&'a self, schema: &'a Schema) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async {
            let mut stores = self.0.lock();
            let state = stores.entry(schema.store).or_default();
            if Arc::strong_count(state) > 1 {
                return Err(Error::unavailable("store.locked", "the store is open already")
                    .with("store", schema.store));
            }
            Ok(Arc::new(MemoryStore::over(schema, Arc::clone(state))?) as Arc<dyn Store>)
        })
    }

    fn are_held_alone(&self) -> bool {
        true
    }
}
