//! `cached`: one load for all who want a value.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::{Either, join, join_all, select};
use tokio::sync::Notify;

use super::Place;
use super::kit::*;

pub async fn what_is_missing_is_loaded_and_kept(place: &dyn Place) {
    let cache = open(place).await;
    assert_eq!(cache.load("key", slowly("value")).await.unwrap(), "value");
    assert_eq!(cache.text("key").unwrap(), "value");
    assert_eq!(cache.load("key", never()).await.unwrap(), "value");
}

pub async fn what_is_there_is_not_loaded(place: &dyn Place) {
    let cache = open(place).await;
    cache.keep("key", "value");
    assert_eq!(cache.load("key", never()).await.unwrap(), "value");
}

pub async fn a_loaded_value_ends_in_its_time(place: &dyn Place) {
    let cache = open(place).await;
    cache.load("key", slowly("old")).await.unwrap();
    cache.clock.advance(MINUTE);
    assert_eq!(cache.get("key"), None);
    assert_eq!(cache.load("key", slowly("new")).await.unwrap(), "new");
}

pub async fn callers_at_once_share_one_load(place: &dyn Place) {
    let cache = open(place).await;
    let loads = AtomicU32::new(0);
    let load = || async {
        loads.fetch_add(1, Ordering::Relaxed);
        slowly("value").await
    };
    let values = join_all((0..50).map(|_| cache.load("key", load()))).await;
    assert!(values.into_iter().all(|value| value.unwrap() == "value"));
    assert_eq!(loads.into_inner(), 1);
}

pub async fn different_keys_are_loaded_side_by_side(place: &dyn Place) {
    let cache = open(place).await;
    let done = Notify::new();
    // The first load ends only when the second one has.
    let first = cache.load("first", async {
        done.notified().await;
        slowly("1").await
    });
    let second = cache.load("second", async {
        let value = slowly("2").await;
        done.notify_one();
        value
    });
    let (first, second) = join(first, second).await;
    assert_eq!((first.unwrap(), second.unwrap()), ("1".to_owned(), "2".to_owned()));
}

pub async fn a_failing_load_is_told_and_not_kept(place: &dyn Place) {
    let cache = open(place).await;
    let failed = cache.load("key", async { Err(failure()) }).await.unwrap_err();
    assert_eq!(failed.code(), "suite.unavailable");
    assert_eq!(cache.get("key"), None);
    assert_eq!(cache.load("key", slowly("value")).await.unwrap(), "value");
}

pub async fn all_who_wait_are_told_of_a_failure(place: &dyn Place) {
    let cache = open(place).await;
    let loads = AtomicU32::new(0);
    let load = || async {
        loads.fetch_add(1, Ordering::Relaxed);
        turns(3).await;
        Err(failure())
    };
    let values = join_all((0..50).map(|_| cache.load("key", load()))).await;
    assert!(values.into_iter().all(|value| value.unwrap_err().code() == "suite.unavailable"));
    assert_eq!(loads.into_inner(), 1);
}

pub async fn a_load_that_is_given_up_is_taken_over(place: &dyn Place) {
    let cache = open(place).await;
    let hangs = Box::pin(cache.load("key", std::future::pending()));
    let Either::Right(((), hangs)) = select(hangs, Box::pin(turns(3))).await else { panic!("it ended") };
    let waits = async {
        let (first, second) = join(cache.load("key", slowly("1")), cache.load("key", slowly("2"))).await;
        (first.unwrap(), second.unwrap())
    };
    let gives_up = async {
        turns(3).await;
        drop(hangs);
    };
    let ((first, second), ()) = join(waits, gives_up).await;
    assert_eq!(first, second);
    assert_eq!(cache.text("key").unwrap(), first);
}

pub async fn a_value_that_is_too_large_is_returned_all_the_same(place: &dyn Place) {
    let cache = open_with(place, 10).await;
    let long = "v".repeat(1_000);
    assert_eq!(cache.load("key", slowly(long.clone())).await.unwrap(), long);
    assert_eq!(cache.get("key"), None);
}

pub async fn a_load_may_use_the_cache(place: &dyn Place) {
    let cache = open(place).await;
    let outer = cache.load("outer", async {
        let inner = cache.load("inner", slowly("inner")).await?;
        cache.remove("third");
        Ok(format!("of {inner}").into())
    });
    assert_eq!(outer.await.unwrap(), "of inner");
    assert_eq!(cache.text("inner").unwrap(), "inner");
}
