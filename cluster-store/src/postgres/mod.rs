//! The stores of the domains on PostgreSQL (15 and newer): a schema per domain, or a database per domain.
//!
//! Documents stand in a table per collection, readable with the database's own tools:
//!
//! ```sql
//! select version, body->>'email' from users.profiles order by by_name;
//! ```
//!
//! - A declared index is a column of its collection's table (`by_name`), or, when a document may have several entries,
//!   a table beside it (`profiles$by_role`).
//! - `_head` is one row: the position of the last commit. A group of batches is one transaction that locks this row first,
//!   so that the commits of a store are serial over all nodes and positions stay gapless.
//! - One trip locks and reads, one writes and commits. A connection that dies in between leaves nothing; one that dies
//!   in the middle of COMMIT is asked about on another one (`pg_xact_status`), so that most callers get a certain answer.

mod config;
mod connection;
mod error;
mod group;
mod known;
mod layout;
mod migrate;
mod reader;
mod statements;
mod store;
mod stores;
#[cfg(test)]
mod tests;
mod writer;

pub use config::PostgresConfig;
pub use stores::PostgresStores;
