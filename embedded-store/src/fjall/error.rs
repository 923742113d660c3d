//! fjall's errors in our words.

use platform_core::kernel::Error;

pub(super) fn storage(error: fjall::Error) -> Error {
    let found = match &error {
        fjall::Error::Locked => Error::unavailable("store.locked", "another process has the store open"),
        fjall::Error::JournalRecovery(_) | fjall::Error::Unrecoverable | fjall::Error::InvalidVersion(_) => {
            Error::data_loss("store.damaged", "the store does not open: restore it from a backup")
        }
        _ => Error::unavailable("store.unavailable", "the database does not answer"),
    };
    found.because(error)
}
