//! Removals and puts while a load is under way.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use tokio::runtime::Builder;
use tokio::sync::Notify;

use super::Place;
use super::kit::*;
use crate::kernel::Result;

/// A load that reads `value` at once and ends when it is told.
async fn read_then_wait(value: &'static str, end: &Notify) -> Result<Bytes> {
    end.notified().await;
    Ok(value.into())
}

pub async fn what_a_removal_overtakes_is_not_kept(place: &dyn Place) {
    let cache = open(place).await;
    let end = Notify::new();
    let waits = cache.load("key", read_then_wait("old", &end));
    let removes = async {
        turns(2).await;
        cache.remove("key");
        end.notify_one();
    };
    let (waited, ()) = join(waits, removes).await;
    assert_eq!(waited.unwrap(), "old", "they had asked before");
    assert_eq!(cache.get("key"), None);
    assert_eq!(cache.load("key", slowly("new")).await.unwrap(), "new");
}

pub async fn who_asks_after_a_removal_loads_anew(place: &dyn Place) {
    let cache = open(place).await;
    let end = Notify::new();
    let waits = cache.load("key", read_then_wait("old", &end));
    let asks = async {
        turns(2).await;
        cache.remove("key");
        let new = cache.load("key", slowly("new")).await.unwrap();
        end.notify_one();
        new
    };
    let (waited, new) = join(waits, asks).await;
    assert_eq!((waited.unwrap().as_str(), new.as_str()), ("old", "new"));
    assert_eq!(cache.text("key").unwrap(), "new", "the older load ended later");
}

pub async fn a_load_that_was_overtaken_does_not_end_the_next_one(place: &dyn Place) {
    let cache = open(place).await;
    let (old_end, new_end) = (Notify::new(), Notify::new());
    let old = cache.load("key", read_then_wait("old", &old_end));
    let new = async {
        turns(2).await;
        cache.remove("key");
        cache.load("key", read_then_wait("new", &new_end)).await
    };
    let third = async {
        turns(4).await;
        old_end.notify_one();
        turns(4).await;
        join(cache.load("key", never()), async { new_end.notify_one() }).await.0
    };
    let (old, (new, third)) = join(old, join(new, third)).await;
    assert_eq!([old, new, third].map(Result::unwrap), ["old", "new", "new"]);
}

pub async fn a_put_during_a_load_stays(place: &dyn Place) {
    let cache = open(place).await;
    let end = Notify::new();
    let waits = cache.load("key", read_then_wait("old", &end));
    let puts = async {
        turns(2).await;
        cache.keep("key", "new");
        assert_eq!(cache.load("key", never()).await.unwrap(), "new");
        end.notify_one();
    };
    join(waits, puts).await.0.unwrap();
    assert_eq!(cache.text("key").unwrap(), "new");
}

/// What is cached: a number that only grows, and how much of it everybody has to see.
#[derive(Default)]
struct Source {
    present: AtomicU64,
    invalidated: AtomicU64,
}

impl Source {
    /// A commit, and the removal after it.
    fn change(&self, cache: &Opened) {
        let present = self.present.fetch_add(1, Ordering::SeqCst) + 1;
        cache.remove("key");
        self.invalidated.fetch_max(present, Ordering::SeqCst);
    }

    /// A read through the cache; its load takes some turns before and after it reads.
    async fn ask(&self, cache: &Opened, before: u32, after: u32) {
        let invalidated = self.invalidated.load(Ordering::SeqCst);
        let read = cache.load("key", async {
            turns(before).await;
            let present = self.present.load(Ordering::SeqCst);
            turns(after).await;
            if present % 7 == 3 { Err(failure()) } else { Ok(present.to_string().into()) }
        });
        if let Ok(seen) = read.await {
            let seen: u64 = seen.parse().unwrap();
            assert!(seen >= invalidated, "got {seen} when {invalidated} was told");
        }
    }
}

pub async fn nobody_gets_what_was_old_when_they_asked(place: &dyn Place) {
    let cache = open(place).await;
    let random = cache.clock.runtime();
    let source = Source::default();
    let tasks = (0..40).map(|number| {
        let (cache, source, random) = (&cache, &source, &random);
        async move {
            for _ in 0..100 {
                let [wait, before, after, what] = random.random::<4>();
                turns(u32::from(wait % 8)).await;
                match what % 10 {
                    0 if number < 10 => source.change(cache),
                    1 => drop(cache.get("key")),
                    _ => source.ask(cache, u32::from(before % 4), u32::from(after % 4)).await,
                }
            }
        }
    });
    join_all(tasks).await;
    assert!(source.invalidated.into_inner() > 20);
}

pub async fn nobody_on_any_thread_gets_what_was_old(place: &dyn Place) {
    let cache = open(place).await;
    let (source, ended) = (Source::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..3 {
            let (cache, source, ended) = (&cache, &source, &ended);
            scope.spawn(move || {
                Builder::new_current_thread().build().unwrap().block_on(async {
                    while !ended.load(Ordering::Relaxed) {
                        source.ask(cache, 0, 0).await;
                    }
                });
            });
        }
        for _ in 0..2_000 {
            source.change(&cache);
            thread::yield_now();
        }
        ended.store(true, Ordering::Relaxed);
    });
    assert_eq!(source.invalidated.into_inner(), 2_000);
}
