//! What is decided without reading or writing anything: passwords, lockouts, tokens, keys.

pub(super) mod hash_memory;
pub(super) mod keyring;
pub(super) mod lockout;
pub(super) mod password;
pub(super) mod refresh;
pub(super) mod token;
