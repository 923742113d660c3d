//! Small broadcast messages to all nodes.

use std::sync::Arc;

use tokio::sync::broadcast;

/// A message that something changed. It carries a hint (an id), never the change itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// What changed: `auth.session`, `users.roles`, `flags`, `gateway.routes`.
    pub topic: Arc<str>,
    /// Which: an id, or empty for all.
    pub subject: Arc<str>,
}

impl Signal {
    /// That something changed.
    pub fn new(topic: &str, subject: &str) -> Signal {
        Signal { topic: topic.into(), subject: subject.into() }
    }
}

/// Broadcast to all nodes, this one included.
///
/// # Behavior
/// - A signal may come late, twice, or not at all: its receiver reads the state anew, it never trusts a
///   signal.
/// - Whoever misses one is told so within 250 ms: its receiver lags, and treats everything cached as cold.
///   So it is also when the one who sent it could not reach anybody for a while, or has ended since.
/// - `connected` is false while one of the other nodes was not heard for 250 ms: what that one says
///   meanwhile comes later or never, so cached decisions are cold.
pub trait Signals: Send + Sync {
    /// Tells all nodes.
    fn send(&self, signal: Signal);

    /// Hears all nodes, from now on.
    fn receiver(&self) -> broadcast::Receiver<Signal>;

    /// Whether the other nodes can be heard.
    fn connected(&self) -> bool;
}

/// Signals within this process.
pub struct LocalSignals(broadcast::Sender<Signal>);

impl Default for LocalSignals {
    fn default() -> Self {
        // 1,024 waiting signals: whoever lags more than that starts cold, which is always right.
        LocalSignals(broadcast::Sender::new(1024))
    }
}

impl Signals for LocalSignals {
    fn send(&self, signal: Signal) {
        // Without a receiver nobody has anything cached.
        let _ = self.0.send(signal);
    }

    fn receiver(&self) -> broadcast::Receiver<Signal> {
        self.0.subscribe()
    }

    fn connected(&self) -> bool {
        true
    }
}
