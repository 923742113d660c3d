//! What the domains need from the outside: object-safe traits, each with an in-memory adapter.
//!
//! - [`store`]: a domain's private database: documents, indexes, events, in one atomic batch.
//! - [`log`]: the durable event log.
//! - [`cache`]: values that may vanish.
//! - [`limiter`]: rate limits.
//! - [`signals`]: small broadcast messages to all nodes.
//! - [`keys`]: sealing of secrets and of personal data.
//! - [`channel`]: outgoing messages.
//! - [`disclosure`]: who was shown whose personal data.
//! - [`runtime`]: clock, randomness, tasks.
//!
//! [`Backends`] bundles one of each: what an adapter crate hands to `Platform::builder`.

pub mod cache;
pub mod channel;
pub mod disclosure;
pub mod keys;
pub mod limiter;
pub mod log;
pub mod runtime;
pub mod signals;
pub mod store;

mod backends;
#[cfg(feature = "conformance")]
mod conformance;
mod memory;

pub use backends::{Backends, Database};
pub use memory::MemoryBackends;
