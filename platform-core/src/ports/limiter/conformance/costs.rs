//! Requests that cost more than others.

use std::time::Duration;

use super::Place;
use super::kit::*;
use crate::ports::limiter::Quota;

/// Ten at once.
const WIDE: Quota = Quota { burst: 10, ..QUOTA };

pub async fn a_cost_counts_as_so_many_requests(place: &dyn Place) {
    let limited = limited(place, WIDE).await;
    let verdict = limited.costs(7, 0);
    assert!(verdict.allowed);
    assert_eq!((verdict.remaining, verdict.reset_after), (3, millis(700)));
    assert_eq!(limited.allowed(10, 0), 3);
}

pub async fn a_cost_of_the_whole_burst_is_allowed_once(place: &dyn Place) {
    let limited = limited(place, WIDE).await;
    assert!(limited.costs(10, 0).allowed);
    assert!(!limited.costs(10, 999).allowed);
    assert!(limited.costs(10, 1_000).allowed);
}

pub async fn a_cost_above_the_burst_is_never_allowed(place: &dyn Place) {
    let limited = limited(place, WIDE).await;
    let verdict = limited.costs(11, 0);
    assert!(!verdict.allowed);
    assert_eq!((verdict.remaining, verdict.retry_after), (10, Duration::MAX));
    assert!(!limited.costs(u32::MAX, 1_000_000).allowed);
    assert_eq!(limited.allowed(20, 1_000_000), 10);
}

pub async fn a_cost_of_nothing_takes_nothing(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    assert!((0..10).all(|_| limited.costs(0, 0).remaining == 3));
    assert_eq!(limited.allowed(10, 0), 3);
    let looked = limited.costs(0, 0);
    assert_eq!((looked.allowed, looked.remaining, looked.reset_after), (true, 0, millis(300)));
}

pub async fn what_is_too_dear_leaves_room_for_what_is_cheap(place: &dyn Place) {
    let limited = limited(place, WIDE).await;
    assert!(limited.costs(6, 0).allowed);
    assert!(!limited.costs(5, 0).allowed);
    assert!(limited.costs(4, 0).allowed);
}

pub async fn retry_after_is_that_of_the_cost(place: &dyn Place) {
    let limited = limited(place, WIDE).await;
    assert!(limited.costs(10, 0).allowed);
    assert_eq!(limited.costs(4, 0).retry_after, millis(400));
    assert_eq!(limited.costs(1, 0).retry_after, millis(100));
    assert!(!limited.costs(4, 399).allowed);
    assert!(limited.costs(4, 400).allowed);
}
