//! Seven backend domains as one embeddable library: gateway, auth, users, transactions,
//! notifications, audit and feature flags.
//!
//! In reading order:
//! - [`kernel`]: what everything speaks: ids, errors, time, money, contexts, events.
//! - [`ports`]: what the domains need from the outside, as traits, with in-memory adapters.
//! - [`backbone`]: how domains hear of each other: relays, handlers, workers.
//! - [`Platform`]: one handle per domain, and one switch for all that runs beside the requests.

pub mod kernel;

pub mod ports;

pub mod backbone;

#[cfg(feature = "users")]
pub mod users;

#[cfg(feature = "auth")]
pub mod auth;

#[cfg(feature = "transactions")]
pub mod transactions;

#[cfg(feature = "notifications")]
pub mod notifications;

#[cfg(feature = "audit")]
pub mod audit;

#[cfg(feature = "flags")]
pub mod flags;

#[cfg(feature = "gateway")]
pub mod gateway;

mod platform;

#[cfg(feature = "planted-faults")]
pub mod planted;

pub use platform::{Builder, Domain, Platform};
#[cfg(all(feature = "transactions", feature = "audit"))]
pub use platform::{FrameProof, ProvenTransfer, TransferProof, verify_transfer_proof};

#[cfg(test)]
mod testdata;
