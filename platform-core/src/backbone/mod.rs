//! How domains hear of each other: events go from a store's outbox to the log, and from the log to
//! the handlers, whose effects happen exactly once.
//!
//! - [`Handler`]: what a domain does about events.
//! - [`Task`], [`Wake`], [`Shutdown`]: workers that run beside the requests, and end together.
//! - [`Parts`]: what a domain contributes.
//! - [`Backbone`]: runs all of it.

mod engine;
mod handler;
mod parts;
mod task;

pub use engine::Backbone;
pub use handler::{Handler, Kind, Order, Topics};
pub use parts::Parts;
#[cfg(test)]
pub(crate) use task::Stopper;
pub use task::{Shutdown, Task, Wake};
