//! Stores on fjall, a log-structured engine: a folder for each, `NAME.fjall`. Faster than SQLite where
//! much is written; not readable with a shell, and only by one process at a time.

mod copy;
pub(crate) mod error;
pub(crate) mod journal;
mod keyspace;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions};
use parking_lot::Mutex;
use platform_core::kernel::{Error, Result};
use platform_core::ports::store::Schema;

pub(crate) use self::copy::{Living, Moment};
use self::error::storage;
use crate::acknowledged;
use crate::folder::{Folder, sync_folder};
use crate::ordered::{self, Opening, OrderedReader};
use crate::store::EmbeddedStore;

/// Blocks that are kept in memory: fjall's own default is 32 MiB for each database.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// What was written is kept in memory up to here, then goes into a table of its own.
const MEMTABLE_BYTES: u64 = 32 * 1024 * 1024;
/// Journals grow up to here before their memtables are flushed: the least that fjall allows.
const JOURNALS_BYTES: u64 = 64 * 1024 * 1024;
/// Bodies from here on stand in files of their own: pages of the ledger are not moved by compaction.
const SEPARATED_BYTES: u32 = 16 * 1024;

/// Where fjall's file `version`, which it writes last when it makes a database, says which version it is.
const VERSION_AT: usize = 3;

/// The folder of a store.
pub(crate) fn folder_of(folder: &Path, store: &str) -> PathBuf {
    folder.join(format!("{store}.fjall"))
}

/// Opens or makes the database of a schema.
pub(crate) fn open(folder: &Arc<Folder>, schema: &Schema) -> Result<EmbeddedStore<OrderedReader<Living>>> {
    schema.check()?;
    let lock = folder.lock_store(schema.store)?;
    let path = folder_of(folder.path(), schema.store);
    if !folder.is_read_only() && is_made(&path).map_err(|error| storage(fjall::Error::Io(error)))? {
        journal::check(&path, acknowledged::look(&path)).map_err(journal::Trouble::of_store)?;
    }
    let database = open_database(&path)?;
    let data = keyspace(&database)?;
    if !folder.is_read_only() {
        sync_names(&path).map_err(|error| {
            Error::unavailable("store.not_writable", "the data folder cannot be synced").because(error)
        })?;
    }
    let living = Arc::new(Living { database, data, gate: Mutex::default() });
    ordered::store_on(living, Opening { folder, path: &path, schema, engine: "fjall", lock })
}

/// Whether a database was made here. What one left that could not be made whole is removed: fjall would refuse it
/// for ever. Only when nothing was ever written: no keyspace, no note of a commit, and nothing but zeros in the
/// journal.
pub(crate) fn is_made(path: &Path) -> std::io::Result<bool> {
    let (version, journal) = (path.join("version"), path.join("0.jnl"));
    // Torn: too short, or zeros where the version stands.
    let is_marked = there(std::fs::read(&version))?
        .is_some_and(|version| version.get(VERSION_AT).is_some_and(|number| *number != 0));
    let has_keyspace =
        there(std::fs::read_dir(path.join("keyspaces")))?.is_some_and(|mut names| names.next().is_some());
    if !is_marked && !has_keyspace && acknowledged::look(path) == 0 && is_zeros(&journal)? {
        there(std::fs::remove_file(journal))?;
        there(std::fs::remove_file(version))?;
    }
    Ok(is_marked)
}

/// `None`: it is not there. That it cannot be read says nothing of the kind.
fn there<T>(found: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a file holds nothing, or is not there.
fn is_zeros(path: &Path) -> std::io::Result<bool> {
    use std::io::Read;
    let Some(mut file) = there(std::fs::File::open(path))? else { return Ok(true) };
    let (mut bytes, zeros) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let count = file.read(&mut bytes)?;
        if count == 0 || bytes.get(..count) != zeros.get(..count) {
            return Ok(count == 0);
        }
    }
}

/// Makes the names of a new database durable: fjall makes the folders of its keyspaces after it has synced the one
/// that they stand in, and does not sync that which its own folder stands in. Without them what is in the
/// journals belongs to nothing, and is dropped.
pub(crate) fn sync_names(path: &Path) -> std::io::Result<()> {
    sync_folder(&path.join("keyspaces"))?;
    sync_folder(path.parent().filter(|parent| parent.is_dir()).unwrap_or(".".as_ref()))
}

fn open_database(path: &Path) -> Result<Database> {
    Database::builder(path)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNALS_BYTES)
        .worker_threads(1)
        .open()
        .map_err(storage)
}

fn keyspace(database: &Database) -> Result<Keyspace> {
    let separation = KvSeparationOptions::default().separation_threshold(SEPARATED_BYTES);
    let options = || {
        KeyspaceCreateOptions::default()
            .max_memtable_size(MEMTABLE_BYTES)
            .with_kv_separation(Some(separation.clone()))
    };
    database.keyspace("data", options).map_err(storage)
}
