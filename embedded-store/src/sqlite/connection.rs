//! Connections and their settings.

use std::path::Path;

use platform_core::kernel::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::storage;
use super::vfs::{self, sums};

/// Statements that a connection keeps prepared: all that a domain's store has, and the scans in use.
const STATEMENTS: usize = 96;

/// The writer's: makes the file if it is not there.
///
/// In a new file `synchronous = OFF` until [`durable`] is called, so that making it costs one fsync and not a
/// dozen; nothing is acknowledged before. Not in one that was there: when such a connection ends, SQLite moves
/// the log into the file without an fsync and removes it, with what was acknowledged in it. For the same
/// reason a new file that fails before keeps its log.
pub(super) fn open_writer(path: &Path, is_new: bool) -> Result<Connection> {
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
            "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cache_size = -4096;
             PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 5000;",
        )
        .map_err(storage)?;
    if is_new {
        connection.execute_batch("PRAGMA synchronous = OFF").map_err(storage)?;
        leave_log(&connection, true);
    }
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
    vfs::gather(connection).map_err(storage)?;
    leave_log(connection, false);
    Ok(())
}

/// Moves the log that an earlier process left into the file, before anything is written behind it.
///
/// What stands in the log may not be on the disk: after a failed fsync Linux shows the pages and writes them no
/// more, and a later fsync succeeds without them. Commits behind such a gap would be lost with the power.
/// As long as another process reads the log, it stays as it is; it is emptied at the next pause.
pub(super) fn settle(connection: &Connection) -> Result<()> {
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(storage)?;
    if busy != 0 {
        tracing::warn!("the log of a database cannot be emptied yet: another process reads it");
    }
    Ok(())
}

/// Whether the log is left as it is when the connection ends: after a failed fsync nobody knows what is on the
/// disk, and nothing more is written.
pub(super) fn leave_log(connection: &Connection, leave: bool) {
    if let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave) {
        tracing::warn!(%error, "a database moves its log when it is closed");
    }
}

/// Of who moves the log into the file beside the writer.
pub(super) fn open_mover(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = vfs::open(path, flags)?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -64;")?;
    leave_log(&connection, true);
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
