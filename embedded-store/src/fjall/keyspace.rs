//! fjall as an ordered keyspace: snapshots for reading, one `SyncData` for a group.

use fjall::{Guard, Keyspace as Data, OwnedWriteBatch, PersistMode, Readable, Slice, Snapshot};
use platform_core::kernel::Result;

use super::Living;
use super::error::storage;
use crate::ordered::{KeyRange, Keyspace, View, Writes};

/// A snapshot, and the keyspace that is read of it.
pub(crate) struct Snapped<'a> {
    snapshot: Snapshot,
    data: &'a Data,
}

/// A batch in the making.
pub(crate) struct Batch {
    batch: OwnedWriteBatch,
    data: Data,
}

fn pair(guard: Guard) -> Result<(Slice, Slice)> {
    guard.into_inner().map_err(storage)
}

fn key(guard: Guard) -> Result<Slice> {
    guard.key().map_err(storage)
}

impl View for Snapped<'_> {
    type Bytes = Slice;

    fn get(&self, key: &[u8]) -> Result<Option<Slice>> {
        self.snapshot.get(self.data, key).map_err(storage)
    }

    fn pairs(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<(Slice, Slice)>> {
        self.snapshot.range::<Vec<u8>, _>(self.data, range).map(pair)
    }

    fn keys(&self, range: KeyRange) -> impl Iterator<Item = Result<Slice>> {
        self.snapshot.range::<Vec<u8>, _>(self.data, range).map(key)
    }
}

impl View for Data {
    type Bytes = Slice;

    fn get(&self, key: &[u8]) -> Result<Option<Slice>> {
        Data::get(self, key).map_err(storage)
    }

    fn pairs(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<(Slice, Slice)>> {
        self.range::<Vec<u8>, _>(range).map(pair)
    }

    fn keys(&self, range: KeyRange) -> impl Iterator<Item = Result<Slice>> {
        self.range::<Vec<u8>, _>(range).map(key)
    }
}

impl Writes for Batch {
    fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.batch.insert(&self.data, key, value);
    }

    fn remove(&mut self, key: &[u8]) {
        self.batch.remove(&self.data, key);
    }
}

impl Keyspace for Living {
    type Latest = Data;
    type View<'a> = Snapped<'a>;
    type Writes = Batch;

    fn latest(&self) -> &Data {
        &self.data
    }

    fn view(&self) -> Result<Snapped<'_>> {
        Ok(Snapped { snapshot: self.database.snapshot(), data: &self.data })
    }

    fn writes(&self) -> Batch {
        Batch { batch: self.database.batch(), data: self.data.clone() }
    }

    fn apply(&self, writes: Batch) -> Result<()> {
        writes.batch.commit().map_err(storage)
    }

    fn sync(&self) -> Result<()> {
        self.database.persist(PersistMode::SyncAll).map_err(storage)
    }

    fn commit(&self, writes: Batch) -> Result<()> {
        let _held = self.hold();
        writes.batch.durability(Some(PersistMode::SyncData)).commit().map_err(storage)
    }
}
