//! Small broadcast messages to all nodes.

use std::sync::Arc;

use tokio::sync::broadcast;

/// A message that something changed. It carries a hint (an id), never the change itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// What changed: `auth.session`, `users.roles`, `flags`, `gateway.routes`.
    pub topic: &'static str,
    /// Which: an id, or empty for all.
    pub subject: Arc<str>,
}

/// Broadcast to all nodes, this one included.
///
/// # Behavior
/// - A signal may be lost or come twice: its receiver reads the state anew, it never trusts a signal.
/// - A receiver that lags behind is told so, and treats everything cached as cold.
/// - `connected` is false when no heartbeat was heard for 250 ms: cached decisions are cold then.
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
