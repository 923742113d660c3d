//! What the cases share.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::Place;
use crate::ports::log::{EventLog, NewRecord, Record, Subscription, Topic};
use crate::ports::runtime::SimRuntime;

pub(super) const TOPIC: &str = "suite";

/// An open log and its clock.
pub(super) struct Opened<'a> {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) clock: SimRuntime,
    place: &'a dyn Place,
}

impl std::ops::Deref for Opened<'_> {
    type Target = dyn EventLog;

    fn deref(&self) -> &Self::Target {
        &*self.log
    }
}

impl Opened<'_> {
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

    /// The next records, or nothing when there are none now.
    pub(super) async fn soon(&self, subscription: &mut dyn Subscription) -> Vec<Record> {
        match select(subscription.next(1_000), self.place.patience()).await {
            Either::Left((records, _)) => records.unwrap(),
            Either::Right(_) => Vec::new(),
        }
    }

    /// All records that a subscription has now.
    pub(super) async fn all(&self, subscription: &mut dyn Subscription) -> Vec<Record> {
        let mut found = Vec::new();
        loop {
            let records = self.soon(subscription).await;
            if records.is_empty() {
                return found;
            }
            found.extend(records);
        }
    }
}

/// Opens the place, with the topic of the suite: two partitions.
pub(super) async fn open(place: &dyn Place) -> Opened<'_> {
    open_with(place, &Topic::new(TOPIC, 2)).await
}

pub(super) async fn open_with<'a>(place: &'a dyn Place, topic: &Topic) -> Opened<'a> {
    let clock = SimRuntime::new(1);
    let log = place.log(clock.runtime()).unwrap();
    log.declare(topic).await.unwrap();
    Opened { log, clock, place }
}

pub(super) fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| std::str::from_utf8(&record.value).unwrap().parse().unwrap()).collect()
}

/// A key of each of the two partitions.
pub(super) const LEFT: &str = "b";
pub(super) const RIGHT: &str = "a";
