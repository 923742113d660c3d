//! Seven backend domains as one embeddable library.
#[cfg(feature = "audit")]
pub mod audit;
#[cfg(feature = "auth")]
pub mod auth;
#[cfg(feature = "gateway")]
pub mod gateway;
pub mod kernel;
#[cfg(feature = "notifications")]
pub mod notifications;
#[cfg(test)]
mod testdata;
#[cfg(feature = "users")]
pub mod users;
