//! A copy of an open store: fjall's files belong to the process that has them open, so that process takes
//! a snapshot and writes what it shows into a new database.

use std::path::Path;

use fjall::{Database, Keyspace, PersistMode, Readable, Snapshot};
use parking_lot::{Mutex, MutexGuard};
use platform_core::kernel::{Error, Result};

use super::error::storage;
use super::{keyspace, open_database};
use crate::acknowledged::Acknowledged;
use crate::ordered::layout;

/// What a copy of an open store is made of.
pub(crate) struct Living {
    pub(super) database: Database,
    pub(super) data: Keyspace,
    /// Held by the writer while it writes a group.
    pub(super) gate: Mutex<()>,
}

/// A moment of a store, which is kept.
pub(crate) struct Moment {
    snapshot: Snapshot,
    data: Keyspace,
}

impl Living {
    /// As long as it is held nothing is written.
    pub(crate) fn hold(&self) -> MutexGuard<'_, ()> {
        self.gate.lock()
    }

    /// This moment.
    pub(crate) fn moment(&self) -> Moment {
        Moment { snapshot: self.database.snapshot(), data: self.data.clone() }
    }
}

impl Moment {
    /// Writes a database, durable, into the new folder `to`.
    pub(crate) fn write(&self, to: &Path) -> Result<()> {
        let database = open_database(to)?;
        let data = keyspace(&database)?;
        let mut target = data.start_ingestion().map_err(storage)?;
        let mut position = 0;
        for pair in self.snapshot.iter(&self.data) {
            let (key, value) = pair.into_inner().map_err(storage)?;
            if *key == *layout::POSITION {
                position = layout::read_group(&value)?.1;
            }
            target.write(key, value).map_err(storage)?;
        }
        target.finish().map_err(storage)?;
        database.persist(PersistMode::SyncAll).map_err(storage)?;
        let noted = Acknowledged::open(to).and_then(|(mut note, _)| note.note(position));
        noted.map_err(|error| {
            Error::unavailable("store.not_writable", "a copy of a store cannot be written").because(error)
        })
    }
}
