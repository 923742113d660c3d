//! What became of the attempts to send since the start: counted in memory, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::delivery::Outcome;
use crate::kernel::{CALL_BOUNDS_S, Histogram, Observations};

/// The outcomes of an attempt, with their stable names.
const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Sent, "sent"),
    (Outcome::Refused, "refused"),
    (Outcome::Deferred, "deferred"),
    (Outcome::Ambiguous, "ambiguous"),
    (Outcome::Expired, "expired"),
];

/// What became of the attempts to send since the start.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptCounts {
    /// How many ended so.
    pub outcomes: Vec<(&'static str, u64)>,
    /// How long they took.
    pub took: Observations,
}

#[derive(Debug)]
pub(super) struct Attempts {
    counts: [AtomicU64; OUTCOMES.len()],
    took: Histogram,
}

impl Default for Attempts {
    fn default() -> Attempts {
        Attempts { counts: Default::default(), took: Histogram::new(CALL_BOUNDS_S) }
    }
}

impl Attempts {
    pub(super) fn count(&self, outcome: Outcome, took: Duration) {
        for ((known, _), count) in OUTCOMES.iter().zip(&self.counts) {
            if *known == outcome {
                count.fetch_add(1, Relaxed);
            }
        }
        self.took.observe(took);
    }

    pub(super) fn read(&self) -> AttemptCounts {
        let counts = self.counts.iter().map(|count| count.load(Relaxed));
        AttemptCounts {
            outcomes: OUTCOMES.iter().map(|(_, name)| *name).zip(counts).collect(),
            took: self.took.read(),
        }
    }
}
