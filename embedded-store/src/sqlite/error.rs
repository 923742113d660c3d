//! SQLite's errors in our words.

use platform_core::kernel::Error;
use rusqlite::ErrorCode;

/// An error outside of a commit.
pub(super) fn storage(error: rusqlite::Error) -> Error {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    let error_of = match error.sqlite_error_code() {
        _ if extended == Some(rusqlite::ffi::SQLITE_IOERR_DATA) => Error::data_loss(
            "store.damaged",
            "a page of the database or of its log does not have its checksum: restore the store from a backup",
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Error::data_loss("store.damaged", "the database file is damaged: restore it from a backup")
        }
        Some(ErrorCode::DiskFull) => Error::unavailable("store.disk_full", "the disk is full"),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            Error::unavailable("store.not_writable", "the database file cannot be opened or written")
        }
        _ => Error::unavailable("store.unavailable", "the database does not answer"),
    };
    error_of.because(error)
}

/// Whether every further batch would fail in the same way.
pub(super) fn concerns_everything(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
        )
    )
}

/// Whether a failed COMMIT wrote nothing that counts: the disk was full, or a write (not an fsync)
/// failed, so there is no complete commit in the log.
pub(super) fn nothing_was_synced(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::DatabaseBusy)
    ) || extended == Some(rusqlite::ffi::SQLITE_IOERR_WRITE)
}

/// Whether what was written may be lost, however often the fsync is tried again.
pub(super) fn is_failed_sync(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(rusqlite::ffi::SQLITE_IOERR_FSYNC | rusqlite::ffi::SQLITE_IOERR_DIR_FSYNC))
}
