//! fjall's errors in our words.

use std::error::Error as _;
use std::io;

use platform_core::kernel::Error;

pub(super) fn storage(error: fjall::Error) -> Error {
    let found = match &error {
        fjall::Error::Locked => Error::unavailable("store.locked", "another process has the store open"),
        damage if is_damage(damage) => {
            Error::data_loss("store.damaged", "the store does not read: restore it from a backup")
        }
        _ => Error::unavailable("store.unavailable", "the database does not answer"),
    };
    found.because(error)
}

/// Whether files do not say what they said when they were written, or are missing: another try will not help.
pub(crate) fn is_damage(error: &fjall::Error) -> bool {
    match error {
        fjall::Error::JournalRecovery(_) | fjall::Error::Unrecoverable | fjall::Error::InvalidVersion(_) => {
            true
        }
        fjall::Error::Io(error) => is_damaged_file(error),
        // Of the errors of tables only one speaks of the disk.
        fjall::Error::Storage(error) => {
            error.source().and_then(|cause| cause.downcast_ref()).is_none_or(is_damaged_file)
        }
        _ => false,
    }
}

fn is_damaged_file(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, NotFound, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | NotFound | UnexpectedEof)
}
