//! The machine as the platform sees it, whatever it stores its data on.
//!
//! - [`SystemRuntime`]: the clock, the randomness, the tasks, and a bounded pool for long computations.
//! - [`key`]: the key-encryption key, which lies outside the data.
//! - [`yield_to_others`]: threads that let others go first.

pub mod key;
mod priority;
mod runtime;

pub use priority::yield_to_others;
pub use runtime::SystemRuntime;
