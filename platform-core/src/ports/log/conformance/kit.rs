//! What the cases share.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::Place;
use crate::ports::log::{EventLog, NewRecord, Record, Subscription, Topic};
use crate::ports::runtime::SimRuntime;

pub(super) const TOPIC: &str = "suite";

/// An open log and its clock.
pub(super) struct Opened {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) clock: SimRuntime,
}

impl std::ops::Deref for Opened {
    type Target = dyn EventLog;

    fn deref(&self) -> &Self::Target {
        &*self.log
    }
}

impl Opened {
    pub(super) fn pass(&self, seconds: u64) {
        self.clock.jump_clock(Duration::from_secs(seconds), false);
    }

    /// Appends numbers as values under one key.
    pub(super) async fn add(&self, key: &str, numbers: std::ops::Range<u64>) {
        let records = numbers.map(|number| NewRecord::new(key, number.to_string())).collect();
        self.append(TOPIC, records).await.unwrap();
    }

    /// The values of a partition from an offset on.
    pub(super) async fn values(&self, partition: u16, from: u64) -> Vec<u64> {
        numbers(&self.read(TOPIC, partition, from, 10_000).await.unwrap())
    }
}

/// Opens the place, with the topic of the suite: two partitions.
pub(super) async fn open(place: &dyn Place) -> Opened {
    open_with(place, &Topic::new(TOPIC, 2)).await
}

pub(super) async fn open_with(place: &dyn Place, topic: &Topic) -> Opened {
    let clock = SimRuntime::new(1);
    let log = place.log(clock.runtime()).unwrap();
    log.declare(topic).await.unwrap();
    Opened { log, clock }
}

pub(super) fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| std::str::from_utf8(&record.value).unwrap().parse().unwrap()).collect()
}

/// A key of each of the two partitions.
pub(super) const LEFT: &str = "b";
pub(super) const RIGHT: &str = "a";

/// The next records, or nothing when there are none now: waiting is given up after some turns.
pub(super) async fn soon(subscription: &mut dyn Subscription) -> Vec<Record> {
    let mut turns = 0;
    let given_up = poll_fn(|context| {
        turns += 1;
        context.waker().wake_by_ref();
        if turns > 100 { Poll::Ready(()) } else { Poll::Pending }
    });
    match select(subscription.next(1_000), given_up).await {
        Either::Left((records, _)) => records.unwrap(),
        Either::Right(_) => Vec::new(),
    }
}

/// All records that a subscription has now.
pub(super) async fn all(subscription: &mut dyn Subscription) -> Vec<Record> {
    let mut found = Vec::new();
    loop {
        let records = soon(subscription).await;
        if records.is_empty() {
            return found;
        }
        found.extend(records);
    }
}
