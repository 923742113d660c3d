//! Rate limits: GCRA, the generic cell rate algorithm (ITU-T I.371), one number per key.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

/// How much is allowed: `rate` in every `per`, and up to `burst` at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Requests per period, at least 1.
    pub rate: u32,
    /// The period.
    pub per: Duration,
    /// Requests at once, at least 1.
    pub burst: u32,
}

/// What a limiter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request may go on.
    pub allowed: bool,
    /// How many more may follow at once.
    pub remaining: u32,
    /// When the quota is whole again.
    pub reset_after: Duration,
    /// When the next request is allowed; zero if one is now.
    pub retry_after: Duration,
}

/// Rate limits over keys.
///
/// # Behavior
/// - Never more than `burst + rate × t / per` are allowed within any time `t`.
/// - A refused request takes nothing.
/// - Keys that are whole again are forgotten: memory is bounded by the keys in use.
/// - `now` is monotonic; a `now` before an earlier one counts as that one.
pub trait Limiter: Send + Sync {
    /// Takes one from the quota of `key`.
    fn take(&self, key: &str, quota: Quota, now: Duration) -> Verdict;
}

impl Quota {
    /// The time that one request costs, in nanoseconds.
    fn interval(self) -> u128 {
        (self.per.as_nanos() / u128::from(self.rate.max(1))).max(1)
    }

    /// The decision: from the theoretical arrival time of the next request to the verdict and the new
    /// one. All in nanoseconds.
    ///
    /// This is the whole algorithm; an adapter only keeps the number.
    pub fn decide(self, arrival: u128, now: u128) -> (Verdict, u128) {
        let interval = self.interval();
        let tolerance = interval * u128::from(self.burst.max(1));
        let due = arrival.max(now);
        let next = due + interval;
        let to_duration = |nanos: u128| Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let allowed = next - now <= tolerance;
        let kept = if allowed { next } else { due };
        let remaining = (tolerance.saturating_sub(kept - now) / interval) as u32;
        let retry_after = (kept + interval - now).saturating_sub(tolerance);
        (
            Verdict {
                allowed,
                remaining,
                reset_after: to_duration(kept - now),
                retry_after: if allowed { Duration::ZERO } else { to_duration(retry_after) },
            },
            kept,
        )
    }
}

/// Limits of this process.
#[derive(Default)]
pub struct LocalLimiter(Mutex<Cells>);

#[derive(Default)]
struct Cells {
    arrivals: BTreeMap<String, u128>,
    /// Sweep when the map has grown to this.
    sweep_at: usize,
    latest: u128,
}

/// The map is swept at first when it holds this many keys, then whenever it has doubled.
const SWEEP_AT: usize = 1024;

impl Limiter for LocalLimiter {
    fn take(&self, key: &str, quota: Quota, now: Duration) -> Verdict {
        let mut cells = self.0.lock();
        let now = now.as_nanos().max(cells.latest);
        cells.latest = now;
        let arrival = cells.arrivals.get(key).copied().unwrap_or_default();
        let (verdict, next) = quota.decide(arrival, now);
        match cells.arrivals.get_mut(key) {
            Some(arrival) => *arrival = next,
            None => {
                cells.arrivals.insert(key.to_owned(), next);
            }
        }
        if cells.arrivals.len() >= cells.sweep_at.max(SWEEP_AT) {
            cells.arrivals.retain(|_, arrival| *arrival > now);
            cells.sweep_at = cells.arrivals.len() * 2;
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUOTA: Quota = Quota { rate: 10, per: Duration::from_secs(1), burst: 3 };

    #[test]
    fn a_burst_is_allowed_then_one_per_interval() {
        let limiter = LocalLimiter::default();
        let at = |millis| limiter.take("k", QUOTA, Duration::from_millis(millis));
        assert_eq!([at(0).remaining, at(0).remaining, at(0).remaining], [2, 1, 0]);
        let refused = at(0);
        assert!(!refused.allowed);
        assert_eq!(refused.retry_after, Duration::from_millis(100));
        assert!(!at(99).allowed);
        assert!(at(100).allowed);
        assert!(!at(100).allowed);
    }

    #[test]
    fn keys_that_are_whole_again_are_forgotten() {
        let limiter = LocalLimiter::default();
        for key in 0..10_000u64 {
            limiter.take(&key.to_string(), QUOTA, Duration::from_secs(key));
        }
        assert!(limiter.0.lock().arrivals.len() <= SWEEP_AT);
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate(gaps in proptest::collection::vec(0u64..200, 1..200)) {
            let limiter = LocalLimiter::default();
            let mut now = 0;
            let mut allowed = 0u64;
            for gap in gaps {
                now += gap;
                allowed += u64::from(limiter.take("k", QUOTA, Duration::from_millis(now)).allowed);
                prop_assert!(allowed <= 3 + now / 100);
            }
        }
    }
}
