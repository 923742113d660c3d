//! Many callers at once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use super::Place;
use super::kit::*;
use crate::ports::limiter::Quota;

const CALLERS: u32 = 8;
const WIDE: Quota = Quota { burst: 500, ..QUOTA };

/// Lets callers of their own threads ask, each a thousand times at one moment; how much was allowed.
fn at_once(limited: &Limited, cost: impl Fn(u32) -> u32 + Sync, key: impl Fn(u32) -> String + Sync) -> u32 {
    let taken = AtomicU32::new(0);
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (taken, cost, key) = (&taken, &cost, &key);
            scope.spawn(move || {
                for round in 0..1_000 {
                    let cost = cost(round);
                    if limited.key(&key(caller), cost, 0).allowed {
                        taken.fetch_add(cost, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    taken.into_inner()
}

pub async fn callers_at_once_never_get_more_than_the_burst(place: &dyn Place) {
    let limited = limited(place, WIDE).await;
    assert_eq!(at_once(&limited, |_| 1, |_| "key".to_owned()), 500);
}

pub async fn callers_at_once_with_costs_never_get_more_than_the_burst(place: &dyn Place) {
    let limited = limited(place, WIDE).await;
    assert_eq!(at_once(&limited, |round| round % 5, |_| "key".to_owned()), 500);
}

pub async fn callers_of_many_keys_do_not_hinder_each_other(place: &dyn Place) {
    let limited = limited(place, WIDE).await;
    assert_eq!(at_once(&limited, |_| 1, |caller| caller.to_string()), 500 * CALLERS);
}
