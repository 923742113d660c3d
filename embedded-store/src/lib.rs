//! The embedded backends: nothing to operate.
//!
//! In reading order:
//! - [`open()`]: a data folder as a running platform; [`open_in_memory`]: one without a folder, for tests.
//! - [`open_backends`]: a data folder as the ports of a platform.
//! - [`EmbeddedStores`]: a store per domain, each on SQLite, fjall or (behind the feature `sled`) sled.
//! - [`FjallLog`]: the durable event log.
//! - [`SystemRuntime`]: the clock, the randomness and the tasks of this machine (crate `machine`).
//! - [`backup()`], [`restore()`]: a copy of the folder while it is in use, and back.
//! - [`verify_audit`], [`export_audit`]: the audit log of a folder, also while it is in use.
//! - [`load_key`]: the key-encryption key, which lies outside the data folder.

mod acknowledged;
mod audit;
mod backup;
mod fjall;
mod folder;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod key_file;
mod log;
mod open;
mod ordered;
#[cfg(feature = "sled")]
mod sled;
mod sqlite;
mod store;
mod stores;
mod timed;

pub use audit::{export_audit, reorigin_audit, verify_audit};
pub use backup::{CopiedFile, Manifest, Restored, backup, check_backup, check_stores, last_backup, restore};
pub use key_file::{key_path, load_key};
pub use log::FjallLog;
pub use machine::SystemRuntime;
pub use machine::key::VARIABLE as KEY_VARIABLE;
pub use open::{open, open_backends, open_backends_on, open_in_memory};
pub use stores::{EmbeddedStores, Engine, Engines};

/// The snippets of the README are run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
