//! What this domain stores, the ledger's own collections aside.

use serde::{Deserialize, Serialize};

use crate::kernel::{AccountId, Asset, Timestamp, UserId};
use crate::ports::store::{Collection, Document, Entry, Index, Schema};

use super::ledger::storage::{
    ACCOUNT_BLOCKS, ACCOUNT_RUNS, Checkpoint, FRAMES, Head, ID_FILTERS, ID_RUNS, OPEN_PENDING, PIECES,
};

/// Accounts by their owner.
pub(super) const BY_OWNER: &str = "by_owner";

/// The store of this domain.
pub(super) fn schema() -> Schema {
    Schema::new(
        "transactions",
        1,
        &[
            AccountDocument::COLLECTION,
            RegisteredAsset::COLLECTION,
            Head::COLLECTION,
            Checkpoint::COLLECTION,
            FRAMES,
            PIECES,
            ACCOUNT_BLOCKS,
            OPEN_PENDING,
            ID_RUNS,
            ID_FILTERS,
            ACCOUNT_RUNS,
        ],
    )
}

/// What of an account is not in the ledger's frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AccountDocument {
    pub id: AccountId,
    pub name: Option<String>,
    pub asset: Asset,
    pub owner: Option<UserId>,
    pub min_balance: Option<String>,
    pub opened_at: Timestamp,
}

impl Document for AccountDocument {
    const COLLECTION: Collection =
        Collection::json("accounts").indexed(&[Index::one(BY_OWNER)], AccountDocument::reindex_body);

    fn id(&self) -> Vec<u8> {
        self.id.as_bytes().to_vec()
    }

    fn entries(&self) -> Vec<Entry> {
        self.owner.iter().map(|owner| Entry::new(BY_OWNER, owner.as_bytes().to_vec())).collect()
    }
}

/// An asset that is not built in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RegisteredAsset(pub Asset);

impl Document for RegisteredAsset {
    const COLLECTION: Collection = Collection::json("assets");

    fn id(&self) -> Vec<u8> {
        self.0.code.clone().into_bytes()
    }
}
