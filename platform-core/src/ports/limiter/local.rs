//! The limits of one process.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Limiter, Quota, Taken, Verdict};

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

impl LocalLimiter {
    /// As [`Limiter::take`]: it is always known here.
    pub fn take_now(&self, key: &str, cost: u32, quota: Quota, now: Duration) -> Verdict {
        let mut cells = self.0.lock();
        let now = now.as_nanos().max(cells.latest);
        cells.latest = now;
        let arrival = cells.arrivals.get(key).copied().unwrap_or_default();
        let (verdict, next) = quota.decide(cost, arrival, now);
        match cells.arrivals.get_mut(key) {
            Some(arrival) => *arrival = next,
            None if next > now => {
                cells.arrivals.insert(key.to_owned(), next);
            }
            None => {}
        }
        if cells.arrivals.len() >= cells.sweep_at.max(SWEEP_AT) {
            cells.arrivals.retain(|_, arrival| *arrival > now);
            cells.sweep_at = cells.arrivals.len() * 2;
        }
        verdict
    }
}

impl Limiter for LocalLimiter {
    fn take(&self, key: &str, cost: u32, quota: Quota, now: Duration) -> Taken {
        Taken::Now(self.take_now(key, cost, quota, now))
    }

    fn remembered(&self) -> usize {
        self.0.lock().arrivals.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate(
            steps in proptest::collection::vec((0_u64..200, 0_u32..5), 1..200),
        ) {
            let quota = Quota { rate: 10, per: Duration::from_secs(1), burst: 3 };
            let limiter = LocalLimiter::default();
            let (mut now, mut taken) = (0, 0);
            for (gap, cost) in steps {
                now += gap;
                let verdict = limiter.take_now("k", cost, quota, Duration::from_millis(now));
                taken += if verdict.allowed { u64::from(cost) } else { 0 };
                prop_assert!(taken <= 3 + now / 100);
            }
        }
    }
}
