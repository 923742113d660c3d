//! How long something takes, counted in buckets: what whoever exports metrics reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets for calls of a database, in seconds: those of OpenTelemetry's conventions.
pub const CALL_BOUNDS_S: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// Upper bounds of the buckets for a sync of a disk, in seconds.
pub const SYNC_BOUNDS_S: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A histogram of durations. Observing is two atomic additions, without a lock.
///
/// ```
/// use std::time::Duration;
/// use platform_core::kernel::{CALL_BOUNDS_S, Histogram};
/// let times = Histogram::new(CALL_BOUNDS_S);
/// times.observe(Duration::from_millis(7));
/// let seen = times.read();
/// assert_eq!((seen.count(), seen.sum_s), (1, 0.007));
/// assert_eq!(seen.buckets[2], (0.01, 1));
/// ```
#[derive(Debug)]
pub struct Histogram {
    bounds_s: &'static [f64],
    /// One more than bounds: the last counts what is above all of them.
    counts: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
}

/// What a [`Histogram`] held at a moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observations {
    /// Upper bound in seconds, and how many were at most that and above the bound before; the last bound
    /// is infinite.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all durations, in seconds.
    pub sum_s: f64,
}

impl Observations {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

impl Histogram {
    /// With these upper bounds in seconds, rising.
    pub fn new(bounds_s: &'static [f64]) -> Histogram {
        let counts = (0..=bounds_s.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds_s, counts, sum_ns: AtomicU64::new(0) }
    }

    /// Counts a duration.
    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = self.bounds_s.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
        self.sum_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> Observations {
        let bounds = self.bounds_s.iter().copied().chain([f64::INFINITY]);
        Observations {
            buckets: bounds.zip(self.counts.iter().map(|count| count.load(Relaxed))).collect(),
            sum_s: self.sum_ns.load(Relaxed) as f64 / 1e9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_nothing_is_lost_above_the_last() {
        let times = Histogram::new(&[0.001, 1.0]);
        for micros in [0, 999, 1_000, 1_001, 1_000_000, 1_000_001] {
            times.observe(Duration::from_micros(micros));
        }
        let seen = times.read();
        assert_eq!(seen.buckets, [(0.001, 3), (1.0, 2), (f64::INFINITY, 1)]);
        assert_eq!((seen.count(), seen.sum_s), (6, 2.003001));
    }
}
