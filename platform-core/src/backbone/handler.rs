//! What a domain does about events.

use std::time::Duration;

use crate::kernel::{BoxFuture, Event, Result};
use crate::ports::Database;
use crate::ports::store::Work;

/// Whether a handler may see the past again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Computes documents from events and from nothing else (analytics, search): can be rebuilt from
    /// the first event into a new generation, which then takes the place of the old one.
    Projection,
    /// Acts on the world (mail, a payment, a document of its own): never replayed.
    Reactor,
}

/// Which events a handler is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topics {
    /// Those of these stores.
    Of(&'static [&'static str]),
    /// Those of every store but its own.
    All,
}

/// In which order a handler is given events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One key after the other: partitions are handled side by side.
    PerKey,
    /// One after the other, whatever they belong to: a batch may hold events of several stores. For
    /// handlers that all write the same document.
    One,
}

/// What a domain does about events of its own or of other domains.
///
/// # Behavior
/// - The effect and the handler's position are one commit: the effect happens exactly once, though
///   `handle` may run several times for one event (after a conflict, a failure or a crash). So
///   `handle` writes through `work` only; what it does outside of it has to be idempotent.
/// - Events of one key come in order.
/// - An event that fails is retried with exponential backoff and jitter, then it becomes a dead
///   letter: later events of its key queue behind it, all others go on.
pub trait Handler: Send + Sync + 'static {
    /// `domain.what_it_does`: the name under which its position is remembered. Never change it.
    fn name(&self) -> &'static str;

    /// Which events it is given.
    fn topics(&self) -> Topics;

    /// Whether it may see the past again.
    fn kind(&self) -> Kind {
        Kind::Reactor
    }

    /// In which order it is given events.
    fn order(&self) -> Order {
        Order::PerKey
    }

    /// Where its effects are written.
    fn database(&self) -> &Database;

    /// How many events it is given at once, at most: they share a commit. When a batch fails, its
    /// events are tried one by one.
    fn batch_limit(&self) -> usize {
        1
    }

    /// After a batch below the limit: how long events may gather for the next, so that a busy time has few
    /// commits. The first event of a quiet time goes at once, and who waits for an event
    /// ([`super::Backbone::wait_for`], [`super::Backbone::settled`]) ends it.
    fn gather(&self) -> Duration {
        Duration::ZERO
    }

    /// Handles events, in order. Events of types that do not concern it are given too: it passes over
    /// them. With one event at a time, what `work` publishes is caused by it; else say so with
    /// [`Work::caused_by`].
    ///
    /// # Errors
    /// Whatever should be tried again, and finally become a dead letter.
    fn handle<'a>(&'a self, events: &'a [Event], work: &'a mut Work) -> BoxFuture<'a, Result<()>>;

    /// After a commit of what `handle` wrote for these events, and after one that may have happened:
    /// for what is remembered beside the store and is to be forgotten now. It may be called more than
    /// once for one event, and is not called after a conflict.
    fn committed(&self, _events: &[Event]) {}

    /// For a projection: its collections, whose ids all begin with the 8 bytes of
    /// [`Work::generation`] (big endian). Without any it cannot be rebuilt.
    fn generations(&self) -> &'static [&'static str] {
        &[]
    }
}
