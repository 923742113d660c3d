//! Writing: a group of batches as one batch of the engine, made durable once.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;

use platform_core::kernel::{Error, EventPosition, Position, Result};
use platform_core::ports::store::{
    Body, Collection, DocKey, Merged, Planner, Prepared, Previous, Schema, StateReader, StoreTimings,
};

use super::layout::{self, Stored};
use super::{Keyspace, View, Writes};
use crate::group::{Answers, Engine, Failure};
use crate::store::Trim;
use crate::timed::timed;

/// Events that are removed from the outbox with one group: bounds its time.
const TRIMMED_AT_ONCE: usize = 10_000;

/// The only one who writes to a store's database.
pub(super) struct OrderedWriter<K> {
    pub(super) keyspace: Arc<K>,
    pub(super) schema: Arc<Schema>,
    pub(super) position: Position,
    pub(super) trim: Trim,
    /// Up to where events are removed.
    pub(super) trimmed: EventPosition,
    pub(super) timings: Arc<StoreTimings>,
}

impl<K: Keyspace> Engine for OrderedWriter<K> {
    fn commit(&mut self, batches: &[Prepared]) -> Result<Answers, Failure> {
        let mut planner = Planner::new(&self.schema, self.position);
        let mut state = Committed { latest: self.keyspace.latest(), schema: &self.schema };
        let answers: Answers = batches.iter().map(|batch| planner.offer(&mut state, batch)).collect();
        let merged = planner.merged();
        if merged.position == self.position {
            return Ok(answers);
        }
        let mut group = Group::new(&*self.keyspace);
        group.plan(&self.schema, &merged).map_err(Failure::RolledBack)?;
        group
            .writes
            .insert(layout::POSITION.to_vec(), &layout::write_group(self.position + 1, merged.position));
        let trimmed = group.trim(self.trimmed, self.trim.get()).map_err(Failure::RolledBack)?;
        // There is no way back when this fails.
        timed(&self.timings.sync, || group.commit()).map_err(Failure::Unknown)?;
        self.position = merged.position;
        self.trimmed = trimmed;
        Ok(answers)
    }

    fn position(&self) -> Position {
        self.position
    }

    fn after_commit(&mut self) {}

    fn idle(&mut self) {
        while self.trimmed < self.trim.get() {
            let mut group = Group::new(&*self.keyspace);
            match group.trim(self.trimmed, self.trim.get()).and_then(|to| group.commit().map(|()| to)) {
                Ok(trimmed) => self.trimmed = trimmed,
                Err(error) => {
                    tracing::warn!(%error, "the outbox was not trimmed");
                    return;
                }
            }
        }
    }
}

/// A batch of the engine in the making.
struct Group<'a, K: Keyspace> {
    keyspace: &'a K,
    writes: K::Writes,
}

impl<'a, K: Keyspace> Group<'a, K> {
    fn new(keyspace: &'a K) -> Group<'a, K> {
        Group { keyspace, writes: keyspace.writes() }
    }

    fn commit(self) -> Result<()> {
        self.keyspace.commit(self.writes)
    }

    fn plan(&mut self, schema: &Schema, merged: &Merged<'_>) -> Result<()> {
        let mut given = HashSet::new();
        let mut taken = Vec::new();
        for change in &merged.changes {
            let collection = declared(schema, change.key.collection)?;
            let (name, id) = (collection.name, &change.key.id);
            let old = change.before.as_ref().map(|before| before.entries.as_slice()).unwrap_or_default();
            let new = change.after.as_ref().map(|written| written.entries).unwrap_or_default();
            for entry in old.iter().filter(|entry| !new.contains(entry)) {
                if let Some(index) = collection.index(entry.index) {
                    taken.push(layout::entry(name, index, &entry.entry, id).0);
                }
            }
            for entry in new.iter().filter(|entry| !old.contains(entry)) {
                if let Some(index) = collection.index(entry.index) {
                    let (key, value) = layout::entry(name, index, &entry.entry, id);
                    if index.unique {
                        given.insert(key.clone());
                    }
                    self.writes.insert(key, &value);
                }
            }
            let key = layout::document(name, id);
            match &change.after {
                Some(written) => {
                    let body = written.body.as_bytes();
                    let value = layout::write_document(written.version, written.entries, body);
                    self.writes.insert(key, &value);
                }
                None if change.before.is_some() => self.writes.remove(key),
                None => {}
            }
        }
        // A unique entry that moved stands under one key: it must not be removed after it was given.
        for key in taken.into_iter().filter(|key| !given.contains(key)) {
            self.writes.remove(key);
        }
        for (position, event) in &merged.events {
            self.writes.insert(layout::event(*position), event);
        }
        Ok(())
    }

    /// Removes events, and returns up to where.
    fn trim(&mut self, from: EventPosition, upto: EventPosition) -> Result<EventPosition> {
        if upto <= from {
            return Ok(from);
        }
        let range = (Bound::Included(layout::event(from)), Bound::Included(layout::event(upto)));
        let mut last = upto;
        for (count, key) in self.keyspace.latest().keys(range).enumerate() {
            let key = key?.as_ref().to_vec();
            if count == TRIMMED_AT_ONCE {
                let next = layout::event_position(&key)?;
                last = EventPosition { commit: next.commit.saturating_sub(1), index: u16::MAX }.max(from);
                break;
            }
            self.writes.remove(key);
        }
        self.writes.insert(layout::TRIMMED.to_vec(), &layout::event(last));
        Ok(last)
    }
}

fn declared<'s>(schema: &'s Schema, collection: &str) -> Result<&'s Collection> {
    // The planner has seen that it is declared.
    schema
        .collection(collection)
        .ok_or_else(|| Error::internal("store.undeclared", "not declared in the schema"))
}

/// The committed state: this thread alone writes, so it needs no snapshot.
struct Committed<'a, V> {
    latest: &'a V,
    schema: &'a Schema,
}

impl<V: View> Committed<'_, V> {
    fn value(&self, key: &DocKey) -> Result<Option<V::Bytes>> {
        self.latest.get(&layout::document(key.collection, &key.id))
    }
}

impl<V: View> StateReader for Committed<'_, V> {
    fn previous(&mut self, key: &DocKey) -> Result<Option<Previous>> {
        let collection = declared(self.schema, key.collection)?;
        let Some(value) = self.value(key)? else { return Ok(None) };
        let stored = Stored::read(value.as_ref())?;
        Ok(Some(Previous { version: stored.version, entries: stored.entries(collection)? }))
    }

    fn body(&mut self, key: &DocKey) -> Result<Option<Body>> {
        let collection = declared(self.schema, key.collection)?;
        self.value(key)?.map(|value| Stored::read(value.as_ref())?.body(collection.body)).transpose()
    }

    fn unique_owner(
        &mut self,
        collection: &'static str,
        index: &'static str,
        entry: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        let owner = self.latest.get(&layout::unique(collection, index, entry))?;
        Ok(owner.map(|id| id.as_ref().to_vec()))
    }
}
