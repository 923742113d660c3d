//! Passive health of one endpoint: what its answers say, without asking it anything extra.

use std::time::Duration;

use crate::kernel::Timestamp;

/// Failures in a row that take an endpoint out (Envoy's default).
const FAILURES: u32 = 5;
/// How long it is out the first time; each further time adds as much again.
const OUT: Duration = Duration::from_secs(5);
/// How long it is out at most.
const OUT_MAX: Duration = Duration::from_secs(60);

/// Takes an endpoint out after failures in a row, for longer each time; a success brings it back to
/// full trust.
#[derive(Debug, Clone, Copy, Default)]
pub struct Health {
    failures: u32,
    times_out: u32,
    out_until: Timestamp,
}

impl Health {
    /// Whether it may be asked.
    pub fn is_in(&self, now: Timestamp) -> bool {
        now >= self.out_until
    }

    /// When it may be asked again, if it is out.
    pub fn out_until(&self) -> Timestamp {
        self.out_until
    }

    /// It answered.
    pub fn success(&mut self) {
        *self = Health::default();
    }

    /// It did not answer, or answered 502, 503 or 504. After it has been out, one failure is enough.
    pub fn failure(&mut self, now: Timestamp) {
        if !self.is_in(now) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES || self.times_out > 0 {
            self.times_out = self.times_out.saturating_add(1);
            self.failures = 0;
            self.out_until = now.plus(OUT.saturating_mul(self.times_out).min(OUT_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn five_failures_in_a_row_take_it_out_for_five_seconds() {
        let mut health = Health::default();
        for _ in 0..4 {
            health.failure(at(100));
        }
        health.success();
        for _ in 0..4 {
            health.failure(at(100));
        }
        assert!(health.is_in(at(100)));
        health.failure(at(100));
        assert!(!health.is_in(at(104)));
        assert!(health.is_in(at(105)));
    }

    #[test]
    fn it_is_out_for_longer_each_time_and_for_a_minute_at_most() {
        let mut health = Health::default();
        let mut now = at(100);
        for _ in 0..5 {
            health.failure(now);
        }
        let mut lengths = Vec::new();
        for _ in 0..14 {
            lengths.push(health.out_until().since(now).as_secs());
            now = health.out_until();
            health.failure(now);
        }
        assert_eq!(lengths, [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 60, 60]);
    }

    #[test]
    fn late_failures_of_requests_sent_before_do_not_count_again() {
        let mut health = Health::default();
        for _ in 0..50 {
            health.failure(at(100));
        }
        assert_eq!(health.out_until(), at(105));
    }
}
