//! What nodes tell each other: a heartbeat, with the signals since the one before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use platform_core::ports::signals::Signal;
use serde::{Deserialize, Serialize};

/// Signals that wait for the connection: two seconds of a busy node. When there are more, all of them are dropped, and
/// the others hear that they have missed something.
const WAITING: usize = 1024;
/// Signals of one frame: so it stays below 100 KiB or so, and a long queue does not delay the heartbeat.
const OF_A_FRAME: usize = 256;
/// Bytes of a signal: a hint is an id. A longer one is dropped, as above.
const SIGNAL_BYTES: usize = 1024;

/// A node, from its start to its end.
pub(super) type NodeId = u64;

/// A heartbeat. As JSON, so that an operator can read along: `redis-cli subscribe platform:signals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Frame {
    /// Who sends it.
    pub(super) from: NodeId,
    /// When, by its own monotonic clock, in nanoseconds: it alone can read it.
    pub(super) at: u64,
    /// The number of the first signal: how many it has sent before, or has dropped.
    pub(super) first: u64,
    /// Topics and subjects.
    pub(super) signals: Vec<(Arc<str>, Arc<str>)>,
    /// Whether it is the last frame of this node.
    pub(super) is_last: bool,
}

impl Frame {
    /// The number of the signal after this frame.
    pub(super) fn next(&self) -> u64 {
        self.first.saturating_add(self.signals.len() as u64)
    }

    /// Its signals.
    pub(super) fn signals(&self) -> impl Iterator<Item = Signal> {
        self.signals
            .iter()
            .map(|(topic, subject)| Signal { topic: Arc::clone(topic), subject: Arc::clone(subject) })
    }
}

/// The signals of this node that are not sent yet.
#[derive(Default)]
pub(super) struct Outbox {
    /// The number of the first one that waits.
    first: u64,
    waiting: VecDeque<Signal>,
}

impl Outbox {
    /// Queues a signal, and never waits.
    pub(super) fn push(&mut self, signal: Signal) {
        self.waiting.push_back(signal);
        let is_too_long = |signal: &Signal| signal.topic.len() + signal.subject.len() > SIGNAL_BYTES;
        if self.waiting.len() > WAITING || self.waiting.back().is_some_and(is_too_long) {
            self.first += self.waiting.len() as u64;
            self.waiting.clear();
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next frame. Its signals count as sent: should it get lost, the next one shows that they are missing.
    pub(super) fn frame(&mut self, from: NodeId, now: Duration, is_ending: bool) -> Frame {
        let count = self.waiting.len().min(OF_A_FRAME);
        let signals = self.waiting.drain(..count).map(|signal| (signal.topic, signal.subject)).collect();
        let first = self.first;
        self.first += count as u64;
        Frame { from, at: nanos(now), first, signals, is_last: is_ending && self.waiting.is_empty() }
    }
}

/// In nanoseconds; the clock of a machine that runs for 500 years stands still.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(number: usize) -> Signal {
        Signal::new("topic", &number.to_string())
    }

    fn frame(outbox: &mut Outbox) -> Frame {
        outbox.frame(7, Duration::from_nanos(9), false)
    }

    #[test]
    fn frames_are_numbered_without_gaps() {
        let mut outbox = Outbox::default();
        let mut next = 0;
        for count in [0, 1, 3, 300, 0] {
            (0..count).for_each(|number| outbox.push(signal(number)));
            let sent = frame(&mut outbox);
            assert_eq!((sent.first, sent.from, sent.at), (next, 7, 9));
            assert!(sent.signals.len() <= OF_A_FRAME);
            next = sent.next();
        }
        assert_eq!(next, 304);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_does_not_fit_leaves_a_gap() {
        let mut outbox = Outbox::default();
        (0..=WAITING).for_each(|number| outbox.push(signal(number)));
        assert_eq!((frame(&mut outbox).first, outbox.is_empty()), (1025, true));
        outbox.push(Signal::new("topic", &"x".repeat(SIGNAL_BYTES)));
        outbox.push(signal(1));
        let sent = frame(&mut outbox);
        assert_eq!((sent.first, sent.signals.len()), (1026, 1));
    }

    #[test]
    fn a_frame_reads_back() {
        let mut outbox = Outbox::default();
        outbox.push(Signal::new("тема", "\0\"\n"));
        let sent = frame(&mut outbox);
        let read: Frame = serde_json::from_slice(&serde_json::to_vec(&sent).unwrap()).unwrap();
        assert_eq!(read, sent);
    }
}
