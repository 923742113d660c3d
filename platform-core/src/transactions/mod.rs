//! Money movement: assets, accounts, and a ledger of double-entry transfers.
//!
//! - A transfer moves an amount of one asset from one account to another, at once or in two steps:
//!   reserved first, then posted (in full or in part), voided or expired. A batch may be linked: all or
//!   none.
//! - Everything is told when it is durable, and what was told is never taken back. Ids may come from the
//!   caller; sending the same again changes nothing and returns the original.
//! - Whoever holds [`LEDGER_TRANSFER`] may move between any accounts; [`LEDGER_ACCOUNTS`] opens accounts
//!   and registers assets; [`LEDGER_READ`] reads everything, and a user reads the accounts that they own
//!   and the transfers from and to them.

mod assets;
mod check;
mod commands;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod counts;
mod error;
pub mod events;
pub mod ledger;
mod model;
mod proofs;
mod queries;
mod tables;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::kernel::{Permission, Result};
use crate::ports::store::Schema;
use crate::ports::{Backends, Database};

pub use check::{AssetCheck, LedgerCheck, LedgerVerification};
use counts::Counts;
pub use counts::LedgerCounts;
use ledger::Ledger;
pub use ledger::frame::Frame;
pub use ledger::sequencer::LedgerConfig;
pub use model::{
    Account, AccountBalances, BatchItem, BatchResult, NewAccount, PostTransfer, Transfer, TransferBatch,
    TransferReply, TransferRequest, TransferStatus, VoidTransfer,
};
pub use proofs::{PageProof, PageProofs};

/// Reads all accounts and transfers.
pub const LEDGER_READ: Permission = Permission::literal("ledger:read");
/// Moves amounts between accounts.
pub const LEDGER_TRANSFER: Permission = Permission::literal("ledger:transfer");
/// Opens accounts and registers assets.
pub const LEDGER_ACCOUNTS: Permission = Permission::literal("ledger:accounts");

/// The transactions domain. Cloning is cheap.
#[derive(Clone)]
pub struct Transactions {
    db: Database,
    ledger: Ledger,
    /// Registered assets that were looked up; they never change.
    assets: Arc<RwLock<BTreeMap<String, u8>>>,
    counts: Arc<Counts>,
    /// No other process can write to the ledger.
    alone: bool,
}

impl Transactions {
    /// Opens the store `transactions` and loads the ledger.
    ///
    /// # Errors
    /// As [`crate::ports::store::Stores::open`]; `ledger.damaged`.
    pub async fn open(backends: &Backends, config: LedgerConfig) -> Result<Transactions> {
        let alone = backends.stores.are_held_alone();
        Transactions::over(Database::open(backends, &tables::schema()).await?, config, alone).await
    }

    async fn over(db: Database, config: LedgerConfig, alone: bool) -> Result<Transactions> {
        let ledger = Ledger::open(&db, config).await?;
        Ok(Transactions { db, ledger, assets: Arc::default(), counts: Arc::default(), alone })
    }

    /// The database of this domain.
    pub fn database(&self) -> &Database {
        &self.db
    }

    /// What this domain stores.
    pub fn schema() -> Schema {
        tables::schema()
    }
}
