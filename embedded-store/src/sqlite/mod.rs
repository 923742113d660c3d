//! Stores on SQLite: a file for each, `NAME.db`, readable with the sqlite3 shell.
//!
//! Ids and index entries are BLOBs that are compared as bytes; in the shell:
//! `SELECT cast(id AS TEXT), body FROM users WHERE by_email = cast('ada@example.com' AS BLOB)`.

mod connection;
mod error;
mod migrate;
mod reader;
mod tables;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use platform_core::kernel::{BoxFuture, Error, EventPosition, Position, Result, limits};
use platform_core::ports::store::{
    Batch, Commit, CommitError, Doc, DocKey, IndexRange, OutboxEvents, ScanPage, Schema, Store,
};
use tokio::sync::watch;

use self::reader::{Readers, place_of};
use self::tables::Tables;
use self::writer::SqliteWriter;
use crate::folder::{Folder, StoreLock, sync_folder};
use crate::group::GroupWriter;

/// A store in a file.
pub(crate) struct SqliteStore {
    name: &'static str,
    tables: Arc<Tables>,
    readers: Readers,
    trim: Arc<AtomicI64>,
    access: Access,
    // Dropped after the writer, which ends before that.
    _lock: StoreLock,
}

enum Access {
    Write(GroupWriter),
    /// Another process may write; the position is that of the opening.
    Read(watch::Sender<Position>),
}

impl SqliteStore {
    /// Opens or makes the file of a schema.
    pub(crate) fn open(folder: &Arc<Folder>, schema: &Schema) -> Result<SqliteStore> {
        schema.check()?;
        let lock = folder.lock_store(schema.store)?;
        let path = file_of(folder.path(), schema.store);
        let (schema, tables) = (Arc::new(schema.clone()), Arc::new(Tables::new(schema)));
        let trim = Arc::new(AtomicI64::new(0));
        let access = if folder.is_read_only() {
            Access::Read(watch::Sender::new(look(&path, &schema)?))
        } else {
            Access::Write(start_writer(folder, &path, &schema, &tables, &trim)?)
        };
        Ok(SqliteStore { name: schema.store, tables, readers: Readers::new(path), trim, access, _lock: lock })
    }
}

fn file_of(folder: &Path, store: &str) -> PathBuf {
    folder.join(format!("{store}.db"))
}

fn start_writer(
    folder: &Folder,
    path: &Path,
    schema: &Arc<Schema>,
    tables: &Arc<Tables>,
    trim: &Arc<AtomicI64>,
) -> Result<GroupWriter> {
    let is_new = !path.exists();
    let mut connection = connection::open_writer(path)?;
    let position = migrate::migrate(&mut connection, schema, tables)?;
    if is_new {
        // The log is synced with the first commit; an empty main file would let SQLite ignore it.
        let sync = || std::fs::File::open(path)?.sync_all().and_then(|()| sync_folder(folder.path()));
        sync().map_err(|error| {
            Error::unavailable("store.not_writable", "a new database file cannot be synced").because(error)
        })?;
    }
    connection::durable(&connection)?;
    let writer = SqliteWriter {
        connection,
        schema: Arc::clone(schema),
        tables: Arc::clone(tables),
        position,
        trim: Arc::clone(trim),
        trimmed: 0,
    };
    GroupWriter::start(Arc::clone(schema), writer)
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

impl Store for SqliteStore {
    fn name(&self) -> &str {
        self.name
    }

    fn get<'a>(&'a self, keys: &'a [DocKey]) -> BoxFuture<'a, Result<Vec<Option<Doc>>>> {
        Box::pin(async {
            if keys.len() > limits::GET_KEYS {
                return Err(Error::limit("store.too_large", "too many keys").with("is", keys.len()));
            }
            self.readers.with(|connection| reader::get(connection, &self.tables, keys))
        })
    }

    fn scan<'a>(&'a self, range: &'a IndexRange) -> BoxFuture<'a, Result<ScanPage>> {
        Box::pin(async { self.readers.with(|connection| reader::scan(connection, &self.tables, range)) })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Commit, CommitError>> {
        Box::pin(async {
            match &self.access {
                Access::Write(writer) => writer.commit(batch).await,
                Access::Read(_) => Err(CommitError::Invalid(read_only(self.name))),
            }
        })
    }

    fn outbox(&self, after: EventPosition, limit: usize) -> BoxFuture<'_, Result<OutboxEvents>> {
        Box::pin(async move {
            let after = place_of(after).max(self.trim.load(Ordering::Acquire));
            self.readers.with(|connection| reader::outbox(connection, after, limit))
        })
    }

    /// At once invisible; removed from the file with the next group, so that a trim costs no fsync.
    fn trim_outbox(&self, upto: EventPosition) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            match &self.access {
                Access::Write(_) => {
                    self.trim.fetch_max(place_of(upto), Ordering::AcqRel);
                    Ok(())
                }
                Access::Read(_) => Err(read_only(self.name)),
            }
        })
    }

    fn committed(&self) -> watch::Receiver<Position> {
        match &self.access {
            Access::Write(writer) => writer.committed(),
            Access::Read(position) => position.subscribe(),
        }
    }
}

fn read_only(store: &'static str) -> Error {
    Error::precondition("store.read_only", "the store is open only to be read").with("store", store)
}
