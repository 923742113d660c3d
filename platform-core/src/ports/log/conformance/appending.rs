//! Appending.

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::Place;
use super::kit::*;
use crate::ports::log::{NewRecord, RECORD_BYTES, Topic, partition_of};

pub async fn records_stand_in_the_order_of_the_list(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..50).await;
    log.add(LEFT, 50..100).await;
    assert_eq!(log.values(1, 0).await, (0..100).collect::<Vec<_>>());
}

pub async fn offsets_count_from_zero_without_gaps(place: &dyn Place) {
    let log = open(place).await;
    for number in 0..20 {
        log.add(if number % 3 == 0 { LEFT } else { RIGHT }, number..number + 1).await;
    }
    for partition in 0..2 {
        let records = log.read(TOPIC, partition, 0, 100).await.unwrap();
        assert!(!records.is_empty());
        for (at, record) in records.iter().enumerate() {
            assert_eq!((record.partition, record.offset), (partition, at as u64));
        }
        assert_eq!(log.bounds(TOPIC).await.unwrap()[usize::from(partition)], (0, records.len() as u64));
    }
}

pub async fn an_append_tells_where_each_record_stands(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..3).await;
    let keys = [RIGHT, LEFT, LEFT, RIGHT];
    let offsets = log.append(TOPIC, keys.map(|key| NewRecord::new(key, "7")).to_vec()).await.unwrap();
    assert_eq!(offsets, [0, 3, 4, 1]);
}

pub async fn records_of_a_key_stand_in_one_partition_in_order(place: &dyn Place) {
    let log = open(place).await;
    for number in 0..60 {
        log.add(["x", "y", "z"][number as usize % 3], number..number + 1).await;
    }
    for key in ["x", "y", "z"] {
        let records = log.read(TOPIC, partition_of(key, 2), 0, 100).await.unwrap();
        let own: Vec<_> = records.into_iter().filter(|record| record.key == key).collect();
        assert_eq!(own.len(), 20, "{key}");
        assert!(numbers(&own).is_sorted());
    }
}

pub async fn keys_spread_over_the_partitions(place: &dyn Place) {
    let log = open_with(place, &Topic::new(TOPIC, 4)).await;
    let records = (0..400).map(|number| NewRecord::new(format!("key_{number}"), "1")).collect();
    log.append(TOPIC, records).await.unwrap();
    for (first, end) in log.bounds(TOPIC).await.unwrap() {
        assert!(first == 0 && (60..140).contains(&end), "{end}");
    }
}

pub async fn many_appends_at_once_lose_nothing(place: &dyn Place) {
    let log = open(place).await;
    let log = &log;
    join_all((0..200).map(|number| log.add(LEFT, number..number + 1))).await;
    let mut values = log.values(1, 0).await;
    values.sort_unstable();
    assert_eq!(values, (0..200).collect::<Vec<_>>());
}

pub async fn an_append_of_nothing_does_nothing(place: &dyn Place) {
    let log = open(place).await;
    assert!(log.append(TOPIC, Vec::new()).await.unwrap().is_empty());
    assert_eq!(log.bounds(TOPIC).await.unwrap(), [(0, 0), (0, 0)]);
}

pub async fn empty_keys_and_values_come_back(place: &dyn Place) {
    let log = open(place).await;
    log.append(TOPIC, vec![NewRecord::new("", "")]).await.unwrap();
    let record = log.read(TOPIC, partition_of("", 2), 0, 1).await.unwrap().pop().unwrap();
    assert_eq!((record.key.as_str(), record.value.len()), ("", 0));
}

pub async fn every_byte_comes_back(place: &dyn Place) {
    let log = open(place).await;
    let value: Vec<u8> = (0..=255).collect();
    let key = "k\0ä\u{10ffff}";
    log.append(TOPIC, vec![NewRecord::new(key, value.clone())]).await.unwrap();
    let record = log.read(TOPIC, partition_of(key, 2), 0, 1).await.unwrap().pop().unwrap();
    assert_eq!((record.key.as_str(), &record.value[..]), (key, &value[..]));
}

pub async fn a_maximal_record_comes_back(place: &dyn Place) {
    let log = open(place).await;
    let value = vec![7; RECORD_BYTES - LEFT.len()];
    log.append(TOPIC, vec![NewRecord::new(LEFT, value.clone())]).await.unwrap();
    assert_eq!(log.read(TOPIC, 1, 0, 1).await.unwrap()[0].value, value);
}

pub async fn a_record_that_is_too_large_is_refused_with_its_list(place: &dyn Place) {
    let log = open(place).await;
    let records = vec![NewRecord::new(LEFT, "1"), NewRecord::new(LEFT, vec![7; RECORD_BYTES])];
    assert_eq!(log.append(TOPIC, records).await.unwrap_err().code(), "log.too_large");
    log.add(LEFT, 2..3).await;
    assert_eq!(log.values(1, 0).await, [2]);
}

pub async fn a_record_carries_the_time_of_its_append(place: &dyn Place) {
    let log = open(place).await;
    log.pass(5);
    log.add(LEFT, 0..1).await;
    log.pass(60);
    assert_eq!(log.read(TOPIC, 1, 0, 1).await.unwrap()[0].time.as_secs(), 1_767_225_605);
    assert_eq!(log.clock.runtime().now().as_secs(), 1_767_225_665);
}

pub async fn a_caller_that_gives_up_does_no_harm(place: &dyn Place) {
    let log = open(place).await;
    for number in 0..50 {
        // Asked, and not waited for.
        let _ = log.add(LEFT, number..number + 1).now_or_never();
    }
    log.add(LEFT, 50..51).await;
    let values = log.values(1, 0).await;
    assert!(values.is_sorted() && values.last() == Some(&50), "{values:?}");
}
