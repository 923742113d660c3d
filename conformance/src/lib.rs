//! What the platform does, written down once and run in every way of use (see the README of this folder): the
//! scenarios, what runs them, and the lists that say what a way has. A way of use is a [`Way`]; that of the Rust
//! facades is in this crate's tests.

mod difference;
mod facades;
mod lists;
mod run;
mod scenario;
mod yaml;

pub use difference::{difference, filled};
pub use facades::{DOMAINS, methods_of_facades};
pub use lists::{Exceptions, exceptions};
pub use run::{Refused, Way, run};
pub use scenario::{Scenario, Step, scenarios};
pub use yaml::parse;

/// The folder of the scenarios and of the lists.
pub const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// What keeps a file from being read: a sentence with its name.
pub type Unreadable = String;

/// Reads a file of YAML below [`FOLDER`].
///
/// # Errors
/// What is wrong, with the file's name.
pub(crate) fn read<T: serde::de::DeserializeOwned>(path: &std::path::Path) -> Result<T, Unreadable> {
    let wrong = |problem: &dyn std::fmt::Display| format!("{}: {problem}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let value = parse(&text).map_err(|error| wrong(&error))?;
    serde_json::from_value(value).map_err(|error| wrong(&error))
}
