//! The embedded backends.

mod runtime;

pub use runtime::SystemRuntime;
