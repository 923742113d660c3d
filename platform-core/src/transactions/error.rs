//! The errors of this domain that are no [`Rejection`](super::ledger::rejection::Rejection) of a transfer.

use crate::kernel::{AccountId, Error, TransferId};

pub(super) fn asset_not_found(code: &str) -> Error {
    // What a stranger sent is repeated only when it looks like a code.
    let plain = code.len() <= 16 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let error = Error::not_found("ledger.asset_not_found", "there is no such asset: register it first");
    if plain { error.with("asset", code) } else { error }
}

pub(super) fn asset_scale_fixed(scale: u8) -> Error {
    Error::conflict("ledger.asset_scale_fixed", "the asset exists with another scale").with("scale", scale)
}

pub(super) fn account_not_found(id: AccountId) -> Error {
    Error::not_found("ledger.account_not_found", "there is no such account").with("account", id)
}

pub(super) fn transfer_not_found(id: TransferId) -> Error {
    Error::not_found("ledger.transfer_not_found", "there is no such transfer").with("transfer", id)
}

pub(super) fn expiry_without_pending() -> Error {
    Error::invalid("ledger.expiry_without_pending", "only a pending transfer expires")
}

pub(super) fn invalid_expiry() -> Error {
    Error::invalid("ledger.invalid_expiry", "a pending transfer expires after at least one second")
}

pub(super) fn invalid_name() -> Error {
    Error::invalid("ledger.invalid_name", "a name is 1 to 200 bytes without control characters")
}

pub(super) fn empty_batch() -> Error {
    Error::invalid("ledger.empty_batch", "a batch has at least one transfer")
}

pub(super) fn batch_too_large() -> Error {
    Error::limit("ledger.batch_too_large", "a batch has at most 8,190 transfers")
}
