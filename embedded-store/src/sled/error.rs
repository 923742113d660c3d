//! sled's errors in our words.

use platform_core::kernel::Error;

pub(super) fn storage(error: sled::Error) -> Error {
    let found = match &error {
        locked if is_locked(locked) => {
            Error::unavailable("store.locked", "another process has the store open")
        }
        sled::Error::Corruption { .. } | sled::Error::ReportableBug(_) => {
            Error::data_loss("store.damaged", "the store does not read: restore it from a backup")
        }
        _ => Error::unavailable("store.unavailable", "the database does not answer"),
    };
    found.because(error)
}

/// sled tells it only in words.
pub(super) fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().starts_with("could not acquire lock"))
}
