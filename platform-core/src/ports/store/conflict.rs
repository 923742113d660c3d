//! Why a batch was refused.

use std::fmt;

use super::DocKey;
use crate::kernel::{Error, Retry};

/// Why a batch was refused. Unless it says `maybe_applied`, nothing of it was applied.
#[derive(Debug, Clone)]
pub enum CommitError {
    /// An expect does not hold: load and decide again.
    Conflict {
        /// The first document whose expect failed.
        key: DocKey,
    },
    /// Another document has this unique entry.
    Unique {
        /// The collection.
        collection: &'static str,
        /// The index.
        index: &'static str,
    },
    /// A counter would leave its bounds.
    OutOfRange {
        /// The counter.
        key: DocKey,
        /// Its value now.
        value: i64,
    },
    /// The idempotency key was used with another request.
    KeyReused,
    /// The batch breaks a limit, names something undeclared or is otherwise malformed.
    Invalid(Error),
    /// The store cannot be reached.
    Unavailable {
        /// Whether the batch may have been applied all the same.
        maybe_applied: bool,
        /// Why.
        cause: Error,
    },
    /// An fsync failed earlier: the store must be reopened.
    Poisoned,
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommitError::Conflict { key } => write!(f, "a document of {} changed meanwhile", key.collection),
            CommitError::Unique { collection, index } => {
                write!(f, "{collection}.{index} has this entry already")
            }
            CommitError::OutOfRange { key, value } => {
                write!(f, "a counter of {} would leave its bounds; it is {value}", key.collection)
            }
            CommitError::KeyReused => f.write_str("the idempotency key was used with another request"),
            CommitError::Invalid(error) => error.fmt(f),
            CommitError::Unavailable { maybe_applied, cause } => {
                write!(f, "the store is unavailable (maybe applied: {maybe_applied}): {cause}")
            }
            CommitError::Poisoned => f.write_str("the store is poisoned by a failed fsync"),
        }
    }
}

impl std::error::Error for CommitError {}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Error {
        match error {
            CommitError::Conflict { key } => {
                Error::conflict("store.conflict", "it changed meanwhile; try again")
                    .retry(Retry::Now)
                    .with("collection", key.collection)
            }
            CommitError::Unique { collection, index } => {
                Error::already_exists("store.not_unique", "it exists already")
                    .with("collection", collection)
                    .with("index", index)
            }
            CommitError::OutOfRange { key, value } => {
                Error::conflict("store.out_of_range", "a counter would leave its bounds")
                    .with("collection", key.collection)
                    .with("value", value)
            }
            CommitError::KeyReused => {
                Error::conflict("idempotency.key_reused", "the idempotency key was used with another request")
            }
            CommitError::Invalid(error) => error,
            CommitError::Unavailable { maybe_applied, cause } => {
                Error::unavailable("store.unavailable", "the store cannot be reached")
                    .with("maybe_applied", maybe_applied)
                    .because(cause)
            }
            CommitError::Poisoned => {
                Error::unavailable("store.poisoned", "the store acknowledges nothing until it is reopened")
                    .retry(Retry::No)
            }
        }
    }
}
