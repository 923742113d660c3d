//! Stores on fjall, a log-structured engine: a folder for each, `NAME.fjall`. Faster than SQLite where
//! much is written; not readable with a shell, and only by one process at a time.

mod acknowledged;
mod copy;
mod error;
mod journal;
mod layout;
mod migrate;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions};
use parking_lot::Mutex;
use platform_core::kernel::{Error, EventPosition, Position, Result};
use platform_core::ports::store::{Schema, StoreTimings};
use tokio::sync::watch;

use self::acknowledged::Acknowledged;
pub(crate) use self::copy::{Living, Moment};
use self::error::storage;
pub(crate) use self::reader::FjallReader;
use self::writer::FjallWriter;
use crate::folder::Folder;
use crate::group::GroupWriter;
use crate::store::{Access, EmbeddedStore, Trim};
use crate::timed::Timed;

/// Blocks that are kept in memory: fjall's own default is 32 MiB for each database.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// What was written is kept in memory up to here, then goes into a table of its own.
const MEMTABLE_BYTES: u64 = 32 * 1024 * 1024;
/// Journals grow up to here before their memtables are flushed: the least that fjall allows.
const JOURNALS_BYTES: u64 = 64 * 1024 * 1024;
/// Bodies from here on stand in files of their own: pages of the ledger are not moved by compaction.
const SEPARATED_BYTES: u32 = 16 * 1024;

/// The folder of a store.
pub(crate) fn folder_of(folder: &Path, store: &str) -> PathBuf {
    folder.join(format!("{store}.fjall"))
}

/// Opens or makes the database of a schema.
pub(crate) fn open(folder: &Arc<Folder>, schema: &Schema) -> Result<EmbeddedStore<FjallReader>> {
    schema.check()?;
    let lock = folder.lock_store(schema.store)?;
    let path = folder_of(folder.path(), schema.store);
    if path.join("version").exists() && !folder.is_read_only() {
        journal::check(&path)?;
    }
    let database = open_database(&path)?;
    let data = keyspace(&database)?;
    let schema = Arc::new(schema.clone());
    let position = migrate::migrate(&database, &data, &schema)?;
    let acknowledged = check_acknowledged(&path, position)?;
    let trimmed = match data.get(layout::TRIMMED).map_err(storage)? {
        Some(key) => layout::event_position(&key)?,
        None => EventPosition::START,
    };
    let trim = Trim::from(trimmed);
    let living = Arc::new(Living { database: database.clone(), data: data.clone(), gate: Mutex::default() });
    let reader = FjallReader { living: Arc::clone(&living), schema: Arc::clone(&schema) };
    let timings = Arc::new(StoreTimings::new("fjall"));
    let access = if folder.is_read_only() {
        Access::Read(watch::Sender::new(position))
    } else {
        let schema = Arc::clone(&schema);
        let writer = FjallWriter {
            living,
            schema: Arc::clone(&schema),
            position,
            acknowledged,
            trim: trim.clone(),
            trimmed,
            timings: Arc::clone(&timings),
        };
        Access::Write(GroupWriter::start(schema, Timed { engine: writer, timings: Arc::clone(&timings) })?)
    };
    Ok(EmbeddedStore { name: schema.store, reader, access, trim, timings, _lock: lock })
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

/// What was acknowledged must be there.
fn check_acknowledged(path: &Path, position: Position) -> Result<Acknowledged> {
    let (note, acknowledged) = Acknowledged::open(path).map_err(|error| {
        Error::unavailable("store.not_writable", "the note of what was acknowledged cannot be opened")
            .with("path", path.display())
            .because(error)
    })?;
    if acknowledged <= position {
        return Ok(note);
    }
    Err(Error::data_loss(
        "store.damaged",
        "the end of the journal is damaged, and commits that were acknowledged are lost: restore this store from a backup; or, to go on without these commits, delete the file named here",
    )
    .with("lost_from", position + 1)
    .with("lost_to", acknowledged)
    .with("delete", acknowledged::path_of(path).display()))
}
