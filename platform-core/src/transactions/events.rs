//! What this domain publishes.

use serde::{Deserialize, Serialize};

use crate::kernel::merkle::MerkleHash;
use crate::kernel::{AccountId, EventData, UserId};

/// A page of the ledger was committed: its transfers are one entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCommitted {
    /// The ledger.
    pub ledger: String,
    /// The number of the page, from 1.
    pub page: u64,
    /// The number of its first frame.
    pub first: u64,
    /// The number behind its last frame.
    pub end: u64,
    /// The Merkle root over its frames: a transfer is proven by its frame's path to this root.
    pub root: MerkleHash,
    /// The hash over all pages so far.
    pub hash: MerkleHash,
}

impl EventData for PageCommitted {
    const TYPE: &'static str = "transactions.page_committed";

    fn subject(&self) -> String {
        PageCommitted::subject_of(&self.ledger)
    }
}

impl PageCommitted {
    /// The subject of the pages of a ledger.
    pub fn subject_of(ledger: &str) -> String {
        format!("ledger:{ledger}")
    }
}

/// An account was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountOpened {
    /// The account.
    pub account_id: AccountId,
    /// What it counts.
    pub asset: String,
    /// Whose it is.
    pub owner: Option<UserId>,
    /// The least it may hold, in the asset's decimal form.
    pub min_balance: Option<String>,
}

impl EventData for AccountOpened {
    const TYPE: &'static str = "transactions.account_opened";

    fn subject(&self) -> String {
        self.account_id.to_string()
    }
}

/// An asset was registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetRegistered {
    /// Its code.
    pub code: String,
    /// Digits behind the decimal point.
    pub scale: u8,
}

impl EventData for AssetRegistered {
    const TYPE: &'static str = "transactions.asset_registered";

    fn subject(&self) -> String {
        format!("asset:{}", self.code)
    }
}
