//! What a ledger holds to on every engine: random histories with crashes, reopenings and failing commits.
//!
//! An engine's tests stand up a [`Ground`], make a [`history()`] from random numbers, and let it [`hold`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod flaky;
mod history;
mod run;

use std::sync::Arc;

pub use flaky::{Fault, Faults, FlakyStore, FlakyStores};
pub use history::{Kind, Sent, Step, history, transfer_id};
pub use run::hold;

use super::{Transactions, TransferRequest};
use crate::kernel::{BoxFuture, Result};
use crate::ports::runtime::Runtime;

/// Where a ledger stands: what outlives a crash.
pub trait Ground: Sync {
    /// Opens the ledger over [`FlakyStore`]s with these faults; the one before was dropped as in a crash.
    fn open(&self) -> BoxFuture<'_, Result<Transactions>>;

    /// How the next commits end.
    fn faults(&self) -> &Faults;

    /// The clock.
    fn runtime(&self) -> Arc<dyn Runtime>;

    /// Lets a second process make a transfer over the same store, where the engine lets one in.
    fn intrude(&self, transfer: TransferRequest) -> BoxFuture<'_, ()>;
}
