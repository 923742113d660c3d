//! Reading.

use futures_util::future::{join, join_all};

use super::Place;
use super::kit::*;

pub async fn reading_goes_on_from_any_offset(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..20).await;
    for from in 0..20 {
        assert_eq!(log.values(1, from).await, (from..20).collect::<Vec<_>>());
    }
}

pub async fn a_limit_is_kept(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..20).await;
    assert_eq!(numbers(&log.read(TOPIC, 1, 5, 3).await.unwrap()), [5, 6, 7]);
    assert_eq!(log.read(TOPIC, 1, 5, 0).await.unwrap(), []);
}

pub async fn reading_behind_the_end_is_empty(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..2).await;
    assert_eq!(log.read(TOPIC, 1, 2, 10).await.unwrap(), []);
    assert_eq!(log.read(TOPIC, 1, u64::MAX, 10).await.unwrap(), []);
}

pub async fn a_partition_that_is_not_there_is_refused(place: &dyn Place) {
    let log = open(place).await;
    assert_eq!(log.read(TOPIC, 2, 0, 1).await.unwrap_err().code(), "log.undeclared");
}

pub async fn the_ends_tell_and_wake(place: &dyn Place) {
    let log = open(place).await;
    let mut ends = log.ends(TOPIC).unwrap();
    assert_eq!(ends.len(), 2);
    let (left, right) = (ends.pop().unwrap(), ends.pop().unwrap());
    let mut waiting = left.clone();
    let (woken, ()) = join(waiting.wait_for(|end| *end >= 3), log.add(LEFT, 0..3)).await;
    assert_eq!(*woken.unwrap(), 3);
    assert_eq!((*left.borrow(), *right.borrow()), (3, 0));
}

pub async fn what_the_ends_tell_can_be_read(place: &dyn Place) {
    let log = open(place).await;
    let mut end = log.ends(TOPIC).unwrap().pop().unwrap();
    let reader = async {
        let mut seen = 0;
        while seen < 300 {
            end.changed().await.unwrap();
            let told = *end.borrow_and_update();
            assert!(log.values(1, 0).await.len() as u64 >= told);
            seen = told;
        }
    };
    let writer = async {
        for number in 0..30 {
            log.add(LEFT, number * 10..number * 10 + 10).await;
        }
    };
    join(reader, writer).await;
}

pub async fn readers_and_writers_do_not_hinder_each_other(place: &dyn Place) {
    let log = open(place).await;
    let log = &log;
    let readers = join_all((0..4).map(|_| async move {
        let mut from = 0;
        while from < 100 {
            let values = log.values(1, from).await;
            assert_eq!(values, (from..from + values.len() as u64).collect::<Vec<_>>());
            from += values.len() as u64;
            soon_again().await;
        }
    }));
    let writer = async {
        for number in 0..100 {
            log.add(LEFT, number..number + 1).await;
        }
    };
    join(readers, writer).await;
}

/// Lets others go on.
async fn soon_again() {
    let mut is_second = false;
    std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut is_second, true) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}
