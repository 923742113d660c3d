//! The clustered backends: the same guarantees for any number of equal nodes.
//!
//! In reading order:
//! - [`postgres`]: the stores of the domains.
//! - [`redis`]: signals to the other nodes, the shared limits, the shared cache.
//! - `kafka` (behind the feature `kafka`, as it is built from C): the event log.
//! - `connect`, with that feature: a node over all three, as a platform.

#[cfg(feature = "kafka")]
mod connect;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod postgres;
pub mod redis;

#[cfg(feature = "kafka")]
pub use connect::{ClusterConfig, connect, connect_backends};
