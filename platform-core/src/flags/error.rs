//! The errors of this domain, each with its stable code.

use crate::kernel::Error;

/// A definition that cannot be used; `pointer` (RFC 6901) names the place.
pub(super) fn invalid_definition(fault: Fault) -> Error {
    Error::invalid("flags.invalid_definition", fault.why).with("pointer", fault.pointer)
}

/// What is wrong with a definition, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) pointer: String,
    pub(super) why: String,
}

impl Fault {
    pub(super) fn new(pointer: impl Into<String>, why: impl Into<String>) -> Fault {
        Fault { pointer: pointer.into(), why: why.into() }
    }
}

/// A flag key that is none.
pub(super) fn invalid_key() -> Error {
    Error::invalid(
        "flags.invalid_key",
        "a flag's key is 1 to 200 bytes without control characters and slashes",
    )
}

/// No flag has this key.
pub(super) fn not_found() -> Error {
    Error::not_found("flags.not_found", "there is no such flag")
}

/// No such revision.
pub(super) fn revision_not_found(revision: u64) -> Error {
    Error::not_found("flags.revision_not_found", "the flag has no such revision").with("revision", revision)
}

/// The revision deleted the flag: there is nothing to restore.
pub(super) fn revision_without_definition(revision: u64) -> Error {
    Error::conflict("flags.revision_without_definition", "the revision deleted the flag")
        .with("revision", revision)
}

/// The flag is not the one that the caller has seen.
pub(super) fn stale_revision(present: u64) -> Error {
    Error::precondition("flags.stale_revision", "the flag has been changed since").with("present", present)
}

/// The set was written by a version that evaluates otherwise: to guess would give subjects other variants.
pub(super) fn newer_semantics(found: u32) -> Error {
    Error::precondition(
        "flags.newer_semantics",
        "the flag set was written for a newer version of evaluation: update the platform",
    )
    .with("found", found)
    .with("known", super::tables::SEMANTICS)
}

/// Bucketing cannot change while there are flags.
pub(super) fn bucketing_pinned() -> Error {
    Error::conflict("flags.bucketing_pinned", "another bucketing would give subjects other variants")
}

/// A flag refers to an evaluator that would be gone or broken.
pub(super) fn evaluator_in_use(flag: &str, fault: Fault) -> Error {
    Error::conflict("flags.evaluator_in_use", fault.why).with("flag", flag).with("pointer", fault.pointer)
}

/// The number of flags is at its limit.
pub(super) fn too_many_flags(limit: u64) -> Error {
    Error::limit("flags.too_many_flags", "the flag set is full").with("limit", limit)
}

/// A stored definition does not read.
pub(super) fn damaged(key: &str) -> Error {
    Error::data_loss("flags.damaged", "a stored definition does not read").with("flag", key)
}
