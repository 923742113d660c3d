//! Rate and burst.

use std::time::Duration;

use super::Place;
use super::kit::*;
use crate::ports::limiter::Quota;

pub async fn a_burst_is_allowed_at_once_and_no_more(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    assert_eq!([0; 4].map(|at| limited.at(at).allowed), [true, true, true, false]);
}

pub async fn what_was_used_comes_back_evenly(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    assert_eq!(limited.allowed(3, 0), 3);
    for round in 1..20 {
        assert!(!limited.at(round * 100 - 1).allowed, "{round}");
        assert!(limited.at(round * 100).allowed, "{round}");
        assert!(!limited.at(round * 100).allowed, "{round}");
    }
}

pub async fn not_more_than_a_burst_is_saved_up(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    assert_eq!(limited.allowed(10, 0), 3);
    assert_eq!(limited.allowed(10, 3_600_000), 3);
    assert_eq!(limited.allowed(10, 3_600_000 + 250), 2);
}

pub async fn the_rate_holds_over_a_long_time(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    let allowed: u32 = (0..=60_000).step_by(7).map(|at| limited.allowed(2, at)).sum();
    assert_eq!(allowed, 3 + 600 - u32::from(60_000 % 7 != 0));
}

pub async fn a_rate_that_does_not_divide_its_period_is_never_exceeded(place: &dyn Place) {
    let limiter = place.limiter().await.unwrap();
    let quota = Quota { rate: 7, per: Duration::from_nanos(20), burst: 1 };
    let take = |at| told(limiter.take("key", 1, quota, Duration::from_nanos(at)));
    let allowed = (0..2_000).filter(|at| take(*at).allowed);
    let allowed = allowed.count();
    assert!((600..=701).contains(&allowed), "{allowed} within 100 periods of 7");
}

pub async fn a_steady_caller_at_the_rate_is_never_refused(place: &dyn Place) {
    let limited = limited(place, Quota { burst: 1, ..QUOTA }).await;
    assert!((0..500).all(|round| limited.at(round * 100).allowed));
}

pub async fn a_refused_request_takes_nothing(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    assert_eq!(limited.allowed(1_000, 0), 3);
    assert_eq!(limited.allowed(1_000, 99), 0);
    assert!(limited.at(100).allowed);
}

pub async fn retry_after_is_exact(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    assert_eq!(limited.at(0).retry_after, Duration::ZERO);
    limited.allowed(2, 0);
    assert_eq!(limited.at(0).retry_after, millis(100));
    assert_eq!(limited.at(40).retry_after, millis(60));
    assert_eq!(limited.at(99).retry_after, millis(1));
    assert_eq!(limited.at(100).retry_after, Duration::ZERO);
    assert_eq!(limited.at(100).retry_after, millis(100));
}

pub async fn remaining_and_reset_tell_the_truth(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    let seen = [0, 0, 0, 0, 150, 10_000].map(|at| {
        let verdict = limited.at(at);
        (verdict.remaining, verdict.reset_after)
    });
    let expected = [(2, 100), (1, 200), (0, 300), (0, 300), (0, 250), (2, 100)];
    assert_eq!(seen, expected.map(|(remaining, reset)| (remaining, millis(reset))));
}

pub async fn a_quota_that_changes_counts_from_the_next_request(place: &dyn Place) {
    let mut limited = limited(place, QUOTA).await;
    assert_eq!(limited.allowed(10, 0), 3);
    limited.quota = Quota { burst: 5, ..QUOTA };
    assert_eq!(limited.allowed(10, 0), 2, "what was taken stays taken");
    limited.quota = Quota { burst: 1, ..QUOTA };
    assert!(!limited.at(499).allowed);
    assert!(limited.at(500).allowed);
}
