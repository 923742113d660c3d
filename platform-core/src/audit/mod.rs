//! The audit trail: every event and every denied request as an entry of a Merkle log that others can verify.

mod error;
pub mod tlog;

pub use tlog::{Checkpoint, SigningKey, VerifierKey};
