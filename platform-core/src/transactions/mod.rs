//! Money movement: assets, accounts, and a ledger of transfers.

pub mod events;
pub mod ledger;
