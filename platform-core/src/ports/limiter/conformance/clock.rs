//! Clocks that do what they should not, and extreme values.

use std::time::Duration;

use super::Place;
use super::kit::*;
use crate::ports::limiter::Quota;

pub async fn a_clock_that_goes_back_gives_nothing_away(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    assert_eq!(limited.allowed(10, 5_000), 3);
    assert_eq!(limited.allowed(10, 0), 0);
    let refused = limited.at(4_000);
    assert_eq!((refused.retry_after, refused.reset_after), (millis(100), millis(300)));
}

pub async fn a_clock_that_went_back_goes_on(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    limited.allowed(10, 5_000);
    limited.allowed(10, 0);
    assert!(!limited.at(5_099).allowed);
    assert!(limited.at(5_100).allowed);
}

pub async fn the_same_moment_is_no_time(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    assert_eq!(limited.allowed(10_000, 0), 3);
}

const EDGES: [u32; 4] = [0, 1, u32::MAX - 1, u32::MAX];
const TIMES: [Duration; 4] = [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(1), Duration::MAX];

pub async fn the_largest_values_give_a_verdict(place: &dyn Place) {
    let limiter = place.limiter().await.unwrap();
    for now in TIMES {
        for per in TIMES {
            for (rate, burst) in EDGES.iter().flat_map(|rate| EDGES.map(|burst| (*rate, burst))) {
                let quota = Quota { rate, per, burst };
                for cost in EDGES {
                    let verdict = told(limiter.take("key", cost, quota, now));
                    assert_eq!(verdict.allowed, verdict.retry_after.is_zero(), "{quota:?} {cost} {now:?}");
                    assert!(verdict.remaining <= burst.max(1), "{quota:?} {cost} {now:?}");
                }
            }
        }
    }
}

pub async fn the_smallest_values_give_a_verdict(place: &dyn Place) {
    let limited = limited(place, Quota { rate: 0, per: Duration::ZERO, burst: 0 }).await;
    assert_eq!(limited.allowed(10, 0), 1, "at least one at once");
    assert_eq!(limited.allowed(10, 1), 1);
}
