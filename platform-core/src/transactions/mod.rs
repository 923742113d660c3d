//! Money movement: assets, accounts, and a ledger of transfers.

pub mod ledger;
