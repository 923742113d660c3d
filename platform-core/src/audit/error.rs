//! The errors of this domain.

use super::tlog::ENTRY_BYTES;
use crate::kernel::Error;

pub(super) fn invalid_key() -> Error {
    Error::invalid("audit.invalid_key", "not an Ed25519 key in the text form of C2SP signed-note")
}

pub(super) fn invalid_note() -> Error {
    Error::invalid("audit.invalid_note", "not a signed note of C2SP signed-note")
}

pub(super) fn invalid_checkpoint() -> Error {
    Error::invalid("audit.invalid_checkpoint", "not a checkpoint of C2SP tlog-checkpoint")
}

pub(super) fn invalid_path() -> Error {
    Error::invalid("audit.invalid_path", "not a path of C2SP tlog-tiles")
}

pub(super) fn not_signed() -> Error {
    Error::invalid("audit.not_signed", "the note has no signature of this key")
}

pub(super) fn bad_signature() -> Error {
    Error::data_loss("audit.bad_signature", "a signature of this key does not hold")
}

pub(super) fn entry_too_large(bytes: usize) -> Error {
    Error::limit("audit.entry_too_large", "an entry has at most 65,535 bytes")
        .with("bytes", bytes)
        .with("limit", ENTRY_BYTES)
}

pub(super) fn unwritable() -> Error {
    Error::internal("audit.unwritable", "an entry cannot be written as JSON")
}

pub(super) fn invalid_entry() -> Error {
    Error::data_loss("audit.invalid_entry", "a leaf of the log is no entry of ours")
}

pub(super) fn damaged(what: &'static str) -> Error {
    Error::data_loss("audit.damaged", "stored parts of the log are missing or contradict each other")
        .with("what", what)
}

pub(super) fn not_found() -> Error {
    Error::not_found("audit.not_found", "the log has no such entry")
}

pub(super) fn invalid_range() -> Error {
    Error::invalid("audit.invalid_range", "sizes are 1 at least, in order, and at most the signed size")
}
