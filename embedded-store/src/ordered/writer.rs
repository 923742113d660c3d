//! Writing: a group of batches as one batch of the engine, made durable once.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use platform_core::kernel::{Error, EventPosition, Position, Result};
use platform_core::ports::store::{
    Body, DocKey, Merged, Planner, Prepared, Previous, StateReader, StoreTimings,
};

use super::layout::{self, Stored};
use super::names::{Coded, CodedCollection};
use super::{Keyspace, View, Writes};
use crate::group::{Answers, Engine, Failure};
use crate::store::Trim;
use crate::timed::timed;

/// Events that are removed from the outbox with one group: bounds its time.
const TRIMMED_AT_ONCE: usize = 10_000;

/// The only one who writes to a store's database.
pub(super) struct OrderedWriter<K> {
    pub(super) keyspace: Arc<K>,
    pub(super) coded: Arc<Coded>,
    pub(super) position: Position,
    pub(super) trim: Trim,
    /// Up to where events are removed.
    pub(super) trimmed: EventPosition,
    pub(super) timings: Arc<StoreTimings>,
}

impl<K: Keyspace> Engine for OrderedWriter<K> {
    fn commit(&mut self, batches: &[Prepared]) -> Result<Answers, Failure> {
        let mut planner = Planner::new(self.coded.schema(), self.position);
        let mut state = Committed { latest: self.keyspace.latest(), coded: &self.coded };
        let answers: Answers = batches.iter().map(|batch| planner.offer(&mut state, batch)).collect();
        let merged = planner.merged();
        if merged.position == self.position {
            return Ok(answers);
        }
        let mut group = Group::new(&*self.keyspace);
        group.plan(&self.coded, &merged).map_err(Failure::RolledBack)?;
        group.writes.insert(layout::POSITION, &layout::write_group(self.position + 1, merged.position));
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

    fn plan(&mut self, coded: &Coded, merged: &Merged<'_>) -> Result<()> {
        let mut taken = BTreeSet::new();
        for change in &merged.changes {
            let Some(before) = &change.before else { continue };
            let collection = declared(coded, change.key.collection)?;
            let new = change.after.as_ref().map(|written| written.entries).unwrap_or_default();
            for entry in before.entries.iter().filter(|entry| !new.contains(entry)) {
                let index = collection.index(entry.index);
                taken.extend(index.map(|index| layout::entry(index, &entry.entry, &change.key.id).0));
            }
            if change.after.is_none() {
                self.writes.remove(&layout::key(collection.code, &change.key.id));
            }
        }
        let mut value = Vec::new();
        for change in &merged.changes {
            let Some(written) = &change.after else { continue };
            let collection = declared(coded, change.key.collection)?;
            let (old, id) = (change.before.as_ref().map(|before| before.entries.as_slice()), &change.key.id);
            for entry in written.entries.iter().filter(|entry| !old.unwrap_or_default().contains(entry)) {
                let Some(index) = collection.index(entry.index) else { continue };
                let (key, owner) = layout::entry(index, &entry.entry, id);
                // A unique entry that moved stands under one key: it must not be removed after it was given.
                taken.remove(&key);
                self.writes.insert(&key, owner);
            }
            let body = written.body.as_bytes();
            layout::write_document(&mut value, collection, written.version, written.entries, body);
            self.writes.insert(&layout::key(collection.code, id), &value);
        }
        for key in taken {
            self.writes.remove(&key);
        }
        for (position, event) in &merged.events {
            self.writes.insert(&layout::event(*position), event);
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
            let key = key?;
            if count == TRIMMED_AT_ONCE {
                let next = layout::event_position(key.as_ref())?;
                last = EventPosition { commit: next.commit.saturating_sub(1), index: u16::MAX }.max(from);
                break;
            }
            self.writes.remove(key.as_ref());
        }
        self.writes.insert(layout::TRIMMED, &layout::event(last));
        Ok(last)
    }
}

fn declared<'s>(coded: &'s Coded, collection: &str) -> Result<CodedCollection<'s>> {
    // The planner has seen that it is declared.
    coded
        .collection(collection)
        .ok_or_else(|| Error::internal("store.undeclared", "not declared in the schema"))
}

/// The committed state: this thread alone writes, so it needs no snapshot.
struct Committed<'a, V> {
    latest: &'a V,
    coded: &'a Coded,
}

impl<V: View> Committed<'_, V> {
    fn value(&self, collection: CodedCollection<'_>, key: &DocKey) -> Result<Option<V::Bytes>> {
        self.latest.get(&layout::key(collection.code, &key.id))
    }
}

impl<V: View> StateReader for Committed<'_, V> {
    fn previous(&mut self, key: &DocKey) -> Result<Option<Previous>> {
        let collection = declared(self.coded, key.collection)?;
        let Some(value) = self.value(collection, key)? else { return Ok(None) };
        let stored = Stored::read(value.as_ref())?;
        Ok(Some(Previous { version: stored.version, entries: stored.entries(collection)? }))
    }

    fn body(&mut self, key: &DocKey) -> Result<Option<Body>> {
        let collection = declared(self.coded, key.collection)?;
        let value = self.value(collection, key)?;
        value.map(|value| Stored::read(value.as_ref())?.body(collection.collection.body)).transpose()
    }

    fn unique_owner(
        &mut self,
        collection: &'static str,
        index: &'static str,
        entry: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        let Some((_, code)) = declared(self.coded, collection)?.index(index) else { return Ok(None) };
        let owner = self.latest.get(&layout::key(code, entry))?;
        Ok(owner.map(|id| id.as_ref().to_vec()))
    }
}
