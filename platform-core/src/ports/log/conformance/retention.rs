//! Retention.

use std::time::Duration;

use futures_util::future::join;

use super::Place;
use super::kit::*;
use crate::ports::log::{NewRecord, Topic};

fn hour() -> Topic {
    Topic { max_age: Some(Duration::from_secs(3600)), ..Topic::new(TOPIC, 2) }
}

/// A record of one byte takes two, with its key.
fn bytes(bytes: u64) -> Topic {
    Topic { max_bytes: Some(bytes), ..Topic::new(TOPIC, 2) }
}

pub async fn what_is_young_and_little_stays(place: &dyn Place) {
    let log = open_with(place, &Topic { max_bytes: Some(20), ..hour() }).await;
    log.add(LEFT, 0..10).await;
    log.pass(3600);
    log.retain().await.unwrap();
    assert_eq!(log.values(1, 0).await.len(), 10);
    let kept = open_kept(&log).await;
    assert_eq!(kept, [(0, 0), (0, 10)]);
}

async fn open_kept(log: &Opened<'_>) -> Vec<(u64, u64)> {
    log.bounds(TOPIC).await.unwrap()
}

pub async fn old_records_go_from_the_front(place: &dyn Place) {
    let log = open_with(place, &hour()).await;
    log.add(LEFT, 0..700).await;
    log.pass(2000);
    log.add(LEFT, 700..710).await;
    log.pass(2000);
    log.retain().await.unwrap();
    assert_eq!(log.values(1, 700).await, (700..710).collect::<Vec<_>>());
    assert_eq!(open_kept(&log).await, [(0, 0), (700, 710)]);
}

pub async fn a_partition_keeps_its_size(place: &dyn Place) {
    let log = open_with(place, &bytes(10)).await;
    log.add(LEFT, 0..8).await;
    log.add(RIGHT, 0..3).await;
    log.retain().await.unwrap();
    assert_eq!(log.values(1, 0).await, [3, 4, 5, 6, 7]);
    assert_eq!(log.values(0, 0).await, [0, 1, 2], "each partition by itself");
    log.append(TOPIC, vec![NewRecord::new(LEFT, "12345678")]).await.unwrap();
    log.retain().await.unwrap();
    assert_eq!(log.values(1, 0).await, [12_345_678]);
}

pub async fn offsets_go_on_when_everything_is_gone(place: &dyn Place) {
    let log = open_with(place, &hour()).await;
    log.add(LEFT, 0..3).await;
    log.pass(4000);
    log.retain().await.unwrap();
    assert_eq!(open_kept(&log).await, [(0, 0), (3, 3)]);
    log.add(LEFT, 3..4).await;
    assert_eq!(log.read(TOPIC, 1, 0, 9).await.unwrap()[0].offset, 3);
}

pub async fn a_reader_from_before_begins_at_the_first(place: &dyn Place) {
    let log = open_with(place, &bytes(4)).await;
    log.add(LEFT, 0..6).await;
    log.retain().await.unwrap();
    assert_eq!(log.values(1, 0).await, [4, 5]);
    assert_eq!(log.values(1, 5).await, [5]);
}

pub async fn a_subscription_goes_on_behind_what_is_gone(place: &dyn Place) {
    let log = open_with(place, &hour()).await;
    let mut subscription = log.subscribe("g", TOPIC).await.unwrap();
    log.add(LEFT, 0..3).await;
    log.pass(4000);
    log.retain().await.unwrap();
    assert_eq!(log.soon(&mut *subscription).await, []);
    let (records, ()) = join(subscription.next(10), log.add(LEFT, 3..5)).await;
    let mut records = records.unwrap();
    records.extend(log.all(&mut *subscription).await);
    assert_eq!(numbers(&records), [3, 4]);
}

pub async fn the_last_declaration_of_retention_counts(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..6).await;
    log.retain().await.unwrap();
    assert_eq!(log.values(1, 0).await.len(), 6);
    log.declare(&bytes(4)).await.unwrap();
    log.retain().await.unwrap();
    assert_eq!(log.values(1, 0).await, [4, 5]);
}
