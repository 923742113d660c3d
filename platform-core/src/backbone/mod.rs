//! How domains hear of each other: events go from a store's outbox to the log, and from the log to
//! the handlers, whose effects happen exactly once.
//!
//! - [`Handler`]: what a domain does about events.
//! - [`saga`]: steps over several domains, compensated in reverse order.
//! - [`DeadLetters`]: events that could not be handled.
//! - [`Task`], [`Wake`], [`Shutdown`]: workers that run beside the requests, and end together.
//! - [`Parts`]: what a domain contributes.
//! - [`Subscriber`]: events for who has no domain of their own.
//! - [`OutboxLag`], [`HandlerLag`]: how far events are behind.
//! - [`Backbone`]: runs all of it.

pub mod dead_letters;
mod effect;
mod engine;
mod generation;
mod handler;
mod lag;
mod lane;
mod letters;
mod mark;
mod parts;
mod rebuild;
mod recent;
mod relay;
mod retry;
pub mod saga;
mod settle;
mod subscriber;
mod sweeper;
mod task;

pub use dead_letters::{DeadLetters, Redriven};
pub use engine::{Backbone, PARTITIONS};
pub use generation::live_generation;
pub use handler::{Handler, Kind, Order, Topics};
pub use lag::{HandlerLag, OutboxLag};
pub use letters::{DeadLetter, LetterState};
pub use parts::Parts;
pub use subscriber::{Delivered, SUBSCRIBE, Subscriber};
#[cfg(test)]
#[allow(unused_imports, reason = "the tests of domains use it")]
pub(crate) use task::Stopper;
pub use task::{Shutdown, Task, Wake};
