//! A copy of a data folder, taken while a server writes to it, and put back.
//!
//! **One cut through all stores.** Domains hear of each other through events, so their stores must be
//! copied as of one moment: a handler must not remember an event that the copy of its source does not have.
//! For some milliseconds the copy holds the writer of every store; within that time it begins a reading
//! transaction (SQLite) or takes a snapshot (fjall) of each and copies the files of the log. Then writers go
//! on, and what was pinned is copied at leisure. Databases on SQLite are reached from any process; those on
//! fjall only by the one that has them open: [`EmbeddedStores::backup`](crate::EmbeddedStores::backup).
//!
//! **The keys** are copied too, into a folder of their own (`keys/`), still wrapped under the key-encryption
//! key, which is never copied. A restore over a folder that has keys keeps those: what was erased stays
//! erased.

mod age;
mod copy;
mod manifest;
mod restore;

pub use age::last_backup;
pub use copy::backup;
pub use manifest::{CopiedFile, Manifest};
pub use restore::{Restored, check_backup, check_stores, restore};

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::path::Path;

use platform_core::kernel::Error;

/// The store of the keys.
const KEYS: &str = "keys.db";
/// Where the keys stand in a backup.
const KEYS_FOLDER: &str = "keys";
/// Where everything else stands in a backup.
const DATA_FOLDER: &str = "data";

/// Something that could not be read or written.
fn failed(what: &'static str, path: &Path, cause: impl Display) -> Error {
    Error::unavailable("backup.failed", what).with("path", path.display()).with("cause", cause)
}
