//! Reading: one view of the keyspace per call.

use std::ops::Bound;
use std::sync::Arc;

use platform_core::kernel::{Error, EventPosition, Result, limits};
use platform_core::ports::store::{
    Collection, Doc, DocKey, Index, IndexRange, KeyWriter, OutboxEvents, ScanPage,
};

use super::layout::{self, Stored};
use super::names::{Coded, CodedCollection};
use super::{KeyRange, Keyspace, View};
use crate::store::Reader;

/// The reading half of a store on an ordered keyspace.
pub(crate) struct OrderedReader<K> {
    pub(super) keyspace: Arc<K>,
    pub(super) coded: Arc<Coded>,
}

impl<K> OrderedReader<K> {
    /// What it reads.
    pub(crate) fn keyspace(&self) -> &Arc<K> {
        &self.keyspace
    }
}

impl<K: Keyspace> Reader for OrderedReader<K> {
    fn get(&self, keys: &[DocKey]) -> Result<Vec<Option<Doc>>> {
        let view = self.keyspace.view()?;
        keys.iter().map(|key| self.document(&view, self.collection(key.collection)?, &key.id)).collect()
    }

    fn scan(&self, range: &IndexRange) -> Result<ScanPage> {
        let collection = self.collection(range.collection)?;
        let source = Source::of(collection, range)?;
        let view = self.keyspace.view()?;
        let Some((from, to)) = source.bounds(range)? else {
            return Ok(ScanPage::from_hits(range.limit, Vec::new()));
        };
        let pairs = view.pairs((from, to));
        let pairs: Box<dyn Iterator<Item = _>> =
            if range.reverse { Box::new(pairs.rev()) } else { Box::new(pairs) };
        let mut hits = Vec::new();
        for pair in pairs.take(range.limit + 1) {
            let (key, value) = pair?;
            let (key, value) = (key.as_ref(), value.as_ref());
            let rest = key.get(source.prefix.len()..).unwrap_or_default();
            let (entry, id) = match source.index {
                None => {
                    let doc = read_document(collection.collection, rest, value)?;
                    hits.push((rest.to_vec(), doc));
                    continue;
                }
                Some(index) if index.unique => (rest.to_vec(), value.to_vec()),
                Some(_) => layout::read_shared(rest)?,
            };
            let doc = self.document(&view, collection, &id)?.ok_or_else(|| {
                Error::data_loss("store.damaged", "an index entry has no document: restore from a backup")
                    .with("collection", range.collection)
            })?;
            hits.push((entry, doc));
        }
        Ok(ScanPage::from_hits(range.limit, hits))
    }

    fn outbox(&self, after: EventPosition, limit: usize) -> Result<OutboxEvents> {
        let view = self.keyspace.view()?;
        let from = Bound::Excluded(layout::event(after));
        let to = Bound::Included(layout::event(EventPosition::end_of(u64::MAX)));
        let mut found = Vec::with_capacity(limit.min(limits::SCAN_DOCUMENTS));
        if after == EventPosition::end_of(u64::MAX) {
            return Ok(found);
        }
        for pair in view.pairs((from, to)).take(limit) {
            let (key, value) = pair?;
            let (key, value) = (key.as_ref(), value.as_ref());
            found.push((layout::event_position(key)?, value.to_vec()));
        }
        Ok(found)
    }
}

impl<K: Keyspace> OrderedReader<K> {
    fn collection(&self, name: &str) -> Result<CodedCollection<'_>> {
        self.coded.collection(name).ok_or_else(|| {
            Error::invalid("store.undeclared", "not declared in the schema").with("collection", name)
        })
    }

    fn document(&self, view: &impl View, coded: CodedCollection<'_>, id: &[u8]) -> Result<Option<Doc>> {
        let value = view.get(&layout::key(coded.code, id))?;
        value.map(|value| read_document(coded.collection, id, value.as_ref())).transpose()
    }
}

fn read_document(collection: &Collection, id: &[u8], value: &[u8]) -> Result<Doc> {
    let stored = Stored::read(value)?;
    Ok(Doc { id: id.to_vec(), version: stored.version, body: stored.body(collection.body)? })
}

/// Where a scan reads.
struct Source {
    prefix: Vec<u8>,
    index: Option<&'static Index>,
}

impl Source {
    fn of(collection: CodedCollection<'_>, range: &IndexRange) -> Result<Source> {
        let Some(name) = range.index else {
            return Ok(Source { prefix: layout::prefix(collection.code), index: None });
        };
        let (index, code) = collection.index(name).ok_or_else(|| {
            Error::invalid("store.undeclared", "not declared in the schema").with("index", name)
        })?;
        Ok(Source { prefix: layout::prefix(code), index: Some(index) })
    }

    /// Before everything with this entry.
    fn before(&self, entry: &[u8]) -> Vec<u8> {
        match self.index {
            Some(index) if !index.unique => {
                [self.prefix.as_slice(), &KeyWriter::new().bytes(entry).finish()].concat()
            }
            _ => [self.prefix.as_slice(), entry].concat(),
        }
    }

    /// Behind everything with this entry.
    fn behind(&self, entry: &[u8]) -> Vec<u8> {
        let mut key = self.before(entry);
        match (self.index, key.last_mut()) {
            // An escaped entry ends with 0 0: nothing begins with 0 1.
            (Some(index), Some(last)) if !index.unique => *last = 1,
            // Otherwise the entry is the whole rest of the key.
            _ => key.push(0),
        }
        key
    }

    /// The keys of a range; `None` when it is empty.
    fn bounds(&self, range: &IndexRange) -> Result<Option<KeyRange>> {
        let mut from = match &range.from {
            Bound::Unbounded => Bound::Included(self.prefix.clone()),
            Bound::Included(from) => Bound::Included(self.before(from)),
            Bound::Excluded(from) => Bound::Included(self.behind(from)),
        };
        let mut to = match &range.to {
            Bound::Unbounded => layout::behind(&self.prefix),
            Bound::Included(to) => Bound::Excluded(self.behind(to)),
            Bound::Excluded(to) => Bound::Excluded(self.before(to)),
        };
        if let Some((entry, id)) = range.after_within()? {
            let mut place = self.before(&entry);
            if self.index.is_some_and(|index| !index.unique) {
                place.extend_from_slice(&id);
            }
            if range.reverse {
                to = Bound::Excluded(place);
            } else {
                from = Bound::Excluded(place);
            }
        }
        let empty = match (&from, &to) {
            (Bound::Included(from), Bound::Excluded(to)) => from >= to,
            (Bound::Excluded(from), Bound::Excluded(to)) => from >= to,
            _ => false,
        };
        Ok((!empty).then_some((from, to)))
    }
}
