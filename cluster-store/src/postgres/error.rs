//! What a failure of PostgreSQL means to a caller.

use std::error::Error as _;

use platform_core::kernel::{Error, Result};
use platform_core::ports::store::CommitError;

/// The store cannot be reached, or not be used as it is.
pub(super) fn unavailable(error: tokio_postgres::Error) -> Error {
    Error::unavailable("store.unavailable", "PostgreSQL cannot be reached or refuses")
        .because(Said::from(error))
}

/// No connection could be had.
pub(super) fn no_connection(error: deadpool_postgres::PoolError) -> Error {
    match error {
        deadpool_postgres::PoolError::Backend(error) => unavailable(error),
        deadpool_postgres::PoolError::Timeout(_) => late(),
        other => Error::unavailable("store.unavailable", "no connection to PostgreSQL").because(other),
    }
}

/// It did not answer in time.
pub(super) fn late() -> Error {
    Error::unavailable("store.unavailable", "PostgreSQL does not answer in time")
}

/// Nothing of the batch was applied.
pub(super) fn not_applied(cause: Error) -> CommitError {
    CommitError::Unavailable { maybe_applied: false, cause }
}

/// What is stored does not read.
pub(super) fn damaged(what: &'static str) -> Error {
    Error::data_loss("store.damaged", "what is stored does not read").with("what", what)
}

/// A column of a row.
pub(super) fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a tokio_postgres::Row,
    at: usize,
) -> Result<T> {
    row.try_get(at).map_err(|error| damaged("a column").because(error))
}

/// A position, which PostgreSQL has as a signed number.
pub(super) fn position(row: &tokio_postgres::Row, at: usize) -> Result<u64> {
    u64::try_from(column::<i64>(row, at)?).map_err(|error| damaged("a position").because(error))
}

/// A position as PostgreSQL has it.
pub(super) fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// What the server or the driver said, without the values of rows: those are personal data.
#[derive(Debug)]
struct Said(String);

impl From<tokio_postgres::Error> for Said {
    fn from(error: tokio_postgres::Error) -> Said {
        Said(match (error.as_db_error(), error.source()) {
            (Some(said), _) => format!("{}: {}", said.code().code(), said.message()),
            (None, Some(source)) => format!("{error}: {source}"),
            (None, None) => error.to_string(),
        })
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Said {}
