//! What is asked for and what is answered: amounts as decimal strings with the asset's full scale.

use serde::{Deserialize, Serialize};

use crate::kernel::{AccountId, Timestamp, TransferId, UserId};

use super::ledger::frame::Balances;

/// An account that is to be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewAccount {
    /// What it counts: a code of ISO 4217, or a registered one.
    pub asset: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The least it may hold, reserved amounts deducted; without it there is no floor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_balance: Option<String>,
    /// Whose it is; the signed-in user's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserId>,
}

/// What an account holds: credits minus debits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountBalances {
    /// What has moved.
    pub posted: String,
    /// What is reserved.
    pub pending: String,
}

impl AccountBalances {
    pub(super) fn of(held: Balances, scale: u8) -> AccountBalances {
        AccountBalances { posted: held.posted.format(scale), pending: held.pending.format(scale) }
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// A name for people.
    pub name: Option<String>,
    /// What it counts.
    pub asset: String,
    /// What has moved: credits minus debits.
    pub posted: String,
    /// What is reserved: pending credits minus pending debits.
    pub pending: String,
    /// The least it may hold, reserved amounts deducted.
    pub min_balance: Option<String>,
    /// Whose it is.
    pub owner: Option<UserId>,
    /// When it was opened.
    pub opened_at: Timestamp,
}

/// A transfer that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TransferRequest {
    /// Its id, when the caller makes it: sending the same again then changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<TransferId>,
    /// The account that gives.
    pub debit_account: AccountId,
    /// The account that receives.
    pub credit_account: AccountId,
    /// What moves: both accounts must count it.
    pub asset: String,
    /// How much: a decimal string, more than zero.
    pub amount: String,
    /// Only reserve it: to be posted or voided later.
    #[serde(default)]
    pub pending: bool,
    /// Seconds after which a pending transfer is released by itself; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u32>,
}

/// Transfers that are sent together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TransferBatch {
    /// The transfers, in their order: 1 to 8,190.
    pub transfers: Vec<TransferRequest>,
    /// All or none of them.
    #[serde(default)]
    pub linked: bool,
}

/// Posting of a pending transfer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PostTransfer {
    /// A part of what is reserved; all of it when absent. The rest is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
}

/// Voiding of a pending transfer: there is nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VoidTransfer {}

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TransferStatus {
    /// The amount moved.
    Posted,
    /// The amount is reserved.
    Pending,
    /// What was reserved is released.
    Voided,
    /// What was reserved is released, because its time was over.
    Expired,
}

/// A transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Transfer {
    /// Its id.
    pub id: TransferId,
    /// The account that gives.
    pub debit_account: AccountId,
    /// The account that receives.
    pub credit_account: AccountId,
    /// What moves.
    pub asset: String,
    /// How much moved, or was reserved.
    pub amount: String,
    /// Where it stands.
    pub status: TransferStatus,
    /// What was posted of a pending transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posted_amount: Option<String>,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When it is (or would have been) released by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When a pending transfer ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
    /// What the account that gives held after it (after its end, when it was pending and has ended).
    pub debit_balance: AccountBalances,
    /// What the account that receives held after it (after its end, when it was pending and has ended).
    pub credit_balance: AccountBalances,
}

/// A transfer that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferReply {
    /// The transfer.
    pub transfer: Transfer,
    /// It was there before, with the same id and the same fields.
    pub existed: bool,
}

/// What became of one transfer of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum BatchItem {
    /// It was recorded now.
    Created(Transfer),
    /// It was recorded before, with the same fields.
    Exists(Transfer),
    /// It was refused.
    Rejected {
        /// The stable code.
        code: String,
        /// The sentence for people.
        detail: String,
    },
}

/// What became of a batch, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchResult {
    /// One per transfer.
    pub items: Vec<BatchItem>,
}
