//! Connections and their settings.

use std::path::Path;

use platform_core::kernel::{Error, Result};
use rusqlite::{Connection, OpenFlags};

use super::error::storage;
use super::vfs::{self, sums};

/// Statements that a connection keeps prepared: all that a domain's store has, and the scans in use.
const STATEMENTS: usize = 96;

/// The writer's: makes the file if it is not there.
///
/// `synchronous = OFF` until [`durable`] is called, so that making an empty file costs one fsync and
/// not a dozen; nothing is acknowledged before.
pub(super) fn open_writer(path: &Path) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if sums::are_missing(path) {
        return Err(Error::precondition(
            "store.older_format",
            "the database file was written before its pages had checksums",
        ));
    }
    let connection = vfs::open(path, flags).map_err(storage)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // secure_delete: what is deleted is overwritten, also within the file.
    // cache: 4 MiB, taken as it is needed.
    connection
        .execute_batch(
            "PRAGMA synchronous = OFF; PRAGMA secure_delete = ON; PRAGMA cache_size = -4096;
             PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 5000;",
        )
        .map_err(storage)?;
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(storage)?;
    if mode != "wal" {
        return Err(Error::unavailable("store.not_writable", "the file system does not allow a shared log")
            .with("journal_mode", mode));
    }
    Ok(connection)
}

/// From now on every commit is on the disk when it returns, by one write and one fsync.
pub(super) fn durable(connection: &Connection) -> Result<()> {
    connection.execute_batch("PRAGMA synchronous = FULL").map_err(storage)?;
    vfs::gather(connection).map_err(storage)
}

/// Of who moves the log into the file beside the writer.
pub(super) fn open_mover(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = vfs::open(path, flags)?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -64;")?;
    Ok(connection)
}

/// A reader's.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = vfs::open(path, flags).map_err(storage)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection
        .execute_batch(
            "PRAGMA query_only = ON; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY;
             PRAGMA busy_timeout = 5000;",
        )
        .map_err(storage)?;
    Ok(connection)
}
