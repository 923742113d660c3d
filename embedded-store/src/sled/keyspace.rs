//! sled as an ordered keyspace: a lock in place of snapshots, one flush and one fsync for a group.

use parking_lot::{RwLock, RwLockReadGuard};
use platform_core::kernel::Result;
use platform_core::ports::store::CommitError;
use sled::{IVec, Tree};

use super::error::storage;
use super::files::Files;
use crate::ordered::{KeyRange, Keyspace, View, Writes};

/// A store that is open.
pub(crate) struct SledKeyspace {
    pub(super) database: sled::Db,
    pub(super) files: Files,
    /// Whether a group failed, so that part of it may be visible. Held to write while one is written.
    pub(super) failed: RwLock<bool>,
}

/// The keyspace while nothing is written.
pub(crate) struct Still<'a> {
    _held: RwLockReadGuard<'a, bool>,
    tree: &'a Tree,
}

/// A batch in the making.
#[derive(Default)]
pub(crate) struct Batch(sled::Batch);

impl View for Tree {
    type Bytes = IVec;

    fn get(&self, key: &[u8]) -> Result<Option<IVec>> {
        Tree::get(self, key).map_err(storage)
    }

    fn pairs(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<(IVec, IVec)>> {
        self.range::<Vec<u8>, _>(range).map(|pair| pair.map_err(storage))
    }

    fn keys(&self, range: KeyRange) -> impl Iterator<Item = Result<IVec>> {
        self.range::<Vec<u8>, _>(range).keys().map(|key| key.map_err(storage))
    }
}

impl View for Still<'_> {
    type Bytes = IVec;

    fn get(&self, key: &[u8]) -> Result<Option<IVec>> {
        View::get(self.tree, key)
    }

    fn pairs(&self, range: KeyRange) -> impl DoubleEndedIterator<Item = Result<(IVec, IVec)>> {
        self.tree.pairs(range)
    }

    fn keys(&self, range: KeyRange) -> impl Iterator<Item = Result<IVec>> {
        View::keys(self.tree, range)
    }
}

impl Writes for Batch {
    fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(key, value);
    }

    fn remove(&mut self, key: &[u8]) {
        self.0.remove(key);
    }
}

impl Keyspace for SledKeyspace {
    type Latest = Tree;
    type View<'a> = Still<'a>;
    type Writes = Batch;

    fn latest(&self) -> &Tree {
        &self.database
    }

    fn view(&self) -> Result<Still<'_>> {
        let held = self.failed.read();
        if *held {
            return Err(CommitError::Poisoned.into());
        }
        Ok(Still { _held: held, tree: &self.database })
    }

    fn writes(&self) -> Batch {
        Batch::default()
    }

    fn apply(&self, writes: Batch) -> Result<()> {
        self.database.apply_batch(writes.0).map_err(storage)
    }

    fn sync(&self) -> Result<()> {
        self.database.flush().map_err(storage)?;
        self.files.sync()
    }

    fn commit(&self, writes: Batch) -> Result<()> {
        let mut failed = self.failed.write();
        if *failed {
            return Err(CommitError::Poisoned.into());
        }
        // Also when sled panics, nobody reads what it left.
        *failed = true;
        self.apply(writes)?;
        self.sync()?;
        *failed = false;
        Ok(())
    }
}
