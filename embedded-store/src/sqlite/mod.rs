//! Stores on SQLite: a file for each, `NAME.db`, readable with the sqlite3 shell.
//!
//! Ids and index entries are BLOBs that are compared as bytes; in the shell:
//! `SELECT cast(id AS TEXT), body FROM users WHERE by_email = cast('ada@example.com' AS BLOB)`. Every page has a
//! checksum ([`vfs::sums`]), so the shell is to be started with `-readonly`.

mod checkpoints;
mod connection;
mod error;
mod migrate;
mod reader;
mod tables;
pub(crate) mod vfs;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use platform_core::kernel::{Error, EventPosition, Position, Result};
use platform_core::ports::store::{Doc, DocKey, IndexRange, OutboxEvents, ScanPage, Schema, StoreTimings};
use tokio::sync::watch;

use self::checkpoints::Checkpoints;
use self::reader::Readers;
use self::tables::Tables;
use self::writer::SqliteWriter;
use crate::acknowledged;
use crate::folder::{Folder, sync_folder};
use crate::group::GroupWriter;
use crate::store::{Access, EmbeddedStore, Reader, Trim};
use crate::timed::Timed;

/// The reading half of a store in a file.
pub(crate) struct SqliteReader {
    tables: Arc<Tables>,
    connections: Readers,
}

impl Reader for SqliteReader {
    fn get(&self, keys: &[DocKey]) -> Result<Vec<Option<Doc>>> {
        self.connections.with(|connection| reader::get(connection, &self.tables, keys))
    }

    fn scan(&self, range: &IndexRange) -> Result<ScanPage> {
        self.connections.with(|connection| reader::scan(connection, &self.tables, range))
    }

    fn outbox(&self, after: EventPosition, limit: usize) -> Result<OutboxEvents> {
        self.connections.with(|connection| reader::outbox(connection, after, limit))
    }
}

/// Opens or makes the file of a schema.
pub(crate) fn open(folder: &Arc<Folder>, schema: &Schema) -> Result<EmbeddedStore<SqliteReader>> {
    schema.check()?;
    let lock = folder.lock_store(schema.store)?;
    let path = file_of(folder.path(), schema.store);
    let (schema, tables) = (Arc::new(schema.clone()), Arc::new(Tables::new(schema)));
    let trim = Trim::default();
    let timings = Arc::new(StoreTimings::new("sqlite"));
    let access = if folder.is_read_only() {
        Access::Read(watch::Sender::new(look(&path, &schema)?))
    } else {
        Access::Write(start_writer(folder, &path, &schema, &tables, &trim, &timings)?)
    };
    let reader = SqliteReader { tables, connections: Readers::new(path) };
    Ok(EmbeddedStore { name: schema.store, reader, access, trim, timings, _lock: lock })
}

/// The file of a store.
pub(crate) fn file_of(folder: &Path, store: &str) -> PathBuf {
    folder.join(format!("{store}.db"))
}

fn start_writer(
    folder: &Folder,
    path: &Path,
    schema: &Arc<Schema>,
    tables: &Arc<Tables>,
    trim: &Trim,
    timings: &Arc<StoreTimings>,
) -> Result<GroupWriter> {
    let is_new = !path.exists();
    let mut connection = connection::open_writer(path, is_new)?;
    if !is_new {
        connection::settle(&connection)?;
    }
    let position = migrate::migrate(&mut connection, schema, tables)?;
    let acknowledged = acknowledged::check(path, position)?;
    // The log is synced with the first commit; an empty main file would let SQLite ignore it. Also when the file
    // was there: whoever made it may have died before.
    let sync = || std::fs::File::open(path)?.sync_all().and_then(|()| sync_folder(folder.path()));
    sync().map_err(|error| {
        Error::unavailable("store.not_writable", "a database file cannot be synced").because(error)
    })?;
    connection::durable(&connection)?;
    let checkpoints = Checkpoints::of(path, &mut connection).map_err(error::storage)?;
    let writer = SqliteWriter {
        connection,
        checkpoints,
        lost: None,
        schema: Arc::clone(schema),
        tables: Arc::clone(tables),
        position,
        trim: trim.clone(),
        trimmed: EventPosition::START,
        timings: Arc::clone(timings),
    };
    let engine = Timed { engine: writer, timings: Arc::clone(timings) };
    GroupWriter::start(Arc::clone(schema), engine, acknowledged)
}

/// The position of a file that is only read.
fn look(path: &Path, schema: &Schema) -> Result<Position> {
    let connection = connection::open_reader(path)?;
    match migrate::Known::read(&connection, schema)? {
        Some(known) if known.fits(schema) => Ok(known.position),
        _ => Err(Error::precondition(
            "store.other_schema",
            "another version wrote this store: open it to write first",
        )
        .with("store", schema.store)),
    }
}
