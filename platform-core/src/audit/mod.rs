//! The audit trail: every event, every denied request and every reading of another's personal data as an
//! entry of a Merkle log that others can verify.
//!
//! - Entries are canonical JSON; their hashes form the tree of RFC 6962; heads are signed as C2SP
//!   checkpoints. What [`export()`] writes is a log of C2SP tlog-tiles, and can be checked with tools that
//!   are not ours; [`verify()`] is our own check, and names the first bad entry.
//! - An append is one commit: entries, tiles, the head of the tree, and the marks of the events that it
//!   came from. Checkpoints are signed after that commit, never before.
//! - Denied requests and disclosures are no events: they wait in memory, bounded, and are committed at most
//!   1.5 seconds later; above ten a second of one client as counted entries. A clean stop writes them all.
//!   A process that is killed loses those of its last 1.5 seconds, and while the store cannot be written
//!   those that wait; nothing else loses any. Events are never lost: they are committed with their state.

mod append;
mod canonical;
mod commands;
mod error;
mod export;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod leaf;
mod locate;
mod model;
mod notices;
mod proofs;
mod queries;
mod reader;
mod segment;
mod tables;
pub mod tlog;
mod verify;
mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use append::Appender;
use notices::Notices;
use parking_lot::Mutex;

pub use export::{Sink, export};
pub use model::{AuditEntry, Occurrence, Outcome, Source};
pub use proofs::{ConsistencyProof, EntryProof};
pub use queries::EventsQuery;
pub use tables::{STORE, schema};
pub use tlog::{Checkpoint, SigningKey, VerifierKey};
pub use verify::{BadEntry, Report, verify};

use crate::backbone::Wake;
use crate::kernel::{Context, Page, PageRequest, Permission, Result};
use crate::ports::{Backends, Database};

/// To read the trail, its proofs and its keys.
pub const READ: Permission = Permission::literal("audit:read");
/// To open a new origin.
pub const MANAGE: Permission = Permission::literal("audit:manage");

/// What can be configured.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// The beginning of the names of logs: a URL without scheme. Each origin has a random end.
    pub origin: String,
}

impl Default for AuditConfig {
    fn default() -> AuditConfig {
        AuditConfig { origin: "localhost/audit".to_owned() }
    }
}

/// The audit trail.
#[derive(Clone)]
pub struct Audit {
    db: Database,
    config: AuditConfig,
    appender: Appender,
    notices: Arc<Mutex<Notices>>,
    unsettled: Arc<tokio::sync::Mutex<Option<commands::Unsettled>>>,
    wake: Wake,
    signer: Arc<Mutex<Option<commands::Signer>>>,
}

impl Audit {
    /// Opens the store `audit`; a new log gets its origin, its key and its first entry, and what was
    /// appended before the last end is signed.
    ///
    /// # Errors
    /// As [`crate::ports::store::Stores::open`]; those of the keys; `audit.invalid_key` for a name that no
    /// key can have.
    pub async fn open(backends: &Backends, config: AuditConfig) -> Result<Audit> {
        let audit = Audit::over(Database::open(backends, &schema()).await?, config).await?;
        backends.disclosures.attach(Arc::new(audit.clone()));
        Ok(audit)
    }

    /// The same over a store that is open.
    ///
    /// # Errors
    /// As [`Audit::open`].
    pub async fn over(db: Database, config: AuditConfig) -> Result<Audit> {
        let audit = Audit {
            db,
            config,
            appender: Appender::default(),
            notices: Arc::default(),
            unsettled: Arc::default(),
            wake: Wake::default(),
            signer: Arc::default(),
        };
        audit.open_log().await?;
        Ok(audit)
    }

    /// Where it keeps the log.
    pub fn database(&self) -> &Database {
        &self.db
    }

    /// The entries that fit, newest minute first, within a minute the latest appended first. A page may
    /// be short and still have a cursor.
    ///
    /// # Errors
    /// `auth.forbidden` without `audit:read`; `request.invalid_limit`, `request.invalid_cursor`.
    pub async fn events(
        &self,
        context: &Context,
        query: &EventsQuery,
        page: &PageRequest,
    ) -> Result<Page<AuditEntry>> {
        context.require(&READ)?;
        queries::events(&*self.db.store, query, page).await
    }

    /// One entry.
    ///
    /// # Errors
    /// `audit.not_found`; `auth.forbidden` without `audit:read`.
    pub async fn event(&self, context: &Context, index: u64) -> Result<AuditEntry> {
        context.require(&READ)?;
        let leaf = reader::leaf(&*self.db.store, index).await?.ok_or_else(error::not_found)?;
        AuditEntry::from_leaf(&leaf)
    }
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit").field("config", &self.config).finish_non_exhaustive()
    }
}
