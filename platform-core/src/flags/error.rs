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
