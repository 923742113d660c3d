//! Feature flags: definitions in flagd's format, evaluated from memory.
//!
//! - A definition is checked when it is written, with the place of each fault; it is compiled once, and
//!   evaluated without a lock and, as a rule, without an allocation.
//! - Every change is a revision with author and reason; any revision can be restored at once. A change is in
//!   force when it is answered.
//! - What definitions mean is kept with the set: the version of the evaluation, and the generation of
//!   `fractional`, so that an update of ours moves nobody. A set that was written for a newer evaluation is
//!   refused (`flags.newer_semantics`), not guessed at.
//! - Evaluations are counted in memory and added to the store every 5 seconds and at the end. A process that
//!   is killed loses the counts of at most its last 5 seconds (longer only while the store cannot be
//!   written); none is counted twice, unless a commit fails without telling whether it was applied.
//! - Whoever is signed in may evaluate; OFREP is what evaluations look like.

mod bucketing;
mod commands;
mod context;
mod counts;
mod definition;
mod document;
mod error;
pub mod events;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod memory;
mod model;
mod ofrep;
mod queries;
mod rule;
mod snapshot;
mod tables;
#[cfg(test)]
mod tests;
mod worker;

pub use bucketing::Bucketing;
pub use context::{EvaluationContext, Subject};
pub use definition::{Definition, FlagState};
pub use model::{Change, Flag, FlagKey, FlagSet, Revision, VariantCount};
pub use ofrep::{BulkBody, BulkEvaluation, FlagEvaluation, FlagFailure, FlagSuccess};
pub use snapshot::{ErrorCode, Evaluation, Metadata, Reason, Snapshot};

use std::sync::Arc;

use crate::kernel::{Permission, Result};
use crate::ports::signals::Signals;
use crate::ports::{Backends, Database};

use memory::Memory;

/// Reads flags, their revisions and counts.
pub const FLAGS_READ: Permission = Permission::literal("flags:read");
/// Changes flags.
pub const FLAGS_WRITE: Permission = Permission::literal("flags:write");

/// The flags domain. Cloning is cheap.
#[derive(Clone)]
pub struct Flags {
    db: Database,
    memory: Arc<Memory>,
}

impl Flags {
    /// Opens the store `flags` and compiles the set.
    ///
    /// # Errors
    /// As [`crate::ports::store::Stores::open`]; `flags.damaged`, `flags.newer_semantics`.
    pub async fn open(backends: &Backends) -> Result<Flags> {
        Flags::over(Database::open(backends, &tables::schema()).await?, &backends.signals).await
    }

    async fn over(db: Database, signals: &Arc<dyn Signals>) -> Result<Flags> {
        let memory = Arc::new(Memory::load(&db, signals).await?);
        Ok(Flags { db, memory })
    }

    /// How long ago the set in force was seen to be that of the store: it is looked at every 5 seconds.
    pub fn staleness(&self) -> std::time::Duration {
        self.memory.staleness(&self.db)
    }

    /// The store, for the backbone.
    pub fn database(&self) -> &Database {
        &self.db
    }
}
