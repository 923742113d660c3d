//! Declaring.

use super::Place;
use super::kit::*;
use crate::ports::log::{NewRecord, Topic};

pub async fn an_undeclared_topic_is_refused(place: &dyn Place) {
    let log = open(place).await;
    let record = vec![NewRecord::new("k", "v")];
    assert_eq!(log.append("other", record).await.unwrap_err().code(), "log.undeclared");
    assert_eq!(log.read("other", 0, 0, 1).await.unwrap_err().code(), "log.undeclared");
    assert_eq!(log.bounds("other").await.unwrap_err().code(), "log.undeclared");
    assert_eq!(log.ends("other").unwrap_err().code(), "log.undeclared");
    assert_eq!(log.subscribe("g", "other").await.err().unwrap().code(), "log.undeclared");
}

pub async fn a_topic_is_declared_again_without_harm(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..3).await;
    log.declare(&Topic::new(TOPIC, 2)).await.unwrap();
    assert_eq!(log.values(1, 0).await, [0, 1, 2]);
}

pub async fn the_number_of_partitions_is_fixed(place: &dyn Place) {
    let log = open(place).await;
    let error = log.declare(&Topic::new(TOPIC, 3)).await.unwrap_err();
    assert_eq!(error.code(), "log.partitions_differ");
    assert_eq!(log.bounds(TOPIC).await.unwrap().len(), 2);
}

pub async fn names_and_numbers_that_are_not_allowed_are_refused(place: &dyn Place) {
    let log = open(place).await;
    for topic in [Topic::new("", 1), Topic::new("A", 1), Topic::new("a/b", 1), Topic::new("a".repeat(65), 1)]
    {
        assert_eq!(log.declare(&topic).await.unwrap_err().code(), "log.invalid_topic", "{topic:?}");
    }
    for partitions in [0, 257] {
        let error = log.declare(&Topic::new("other", partitions)).await.unwrap_err();
        assert_eq!(error.code(), "log.invalid_topic");
    }
    log.declare(&Topic::new("a".repeat(64), 256)).await.unwrap();
}

pub async fn a_new_topic_is_empty(place: &dyn Place) {
    let log = open(place).await;
    assert_eq!(log.bounds(TOPIC).await.unwrap(), [(0, 0), (0, 0)]);
    assert_eq!(log.read(TOPIC, 0, 0, 10).await.unwrap(), []);
}

pub async fn topics_are_apart(place: &dyn Place) {
    let log = open(place).await;
    log.declare(&Topic::new("other", 2)).await.unwrap();
    log.add(LEFT, 0..2).await;
    log.append("other", vec![NewRecord::new(LEFT, "7")]).await.unwrap();
    assert_eq!(log.values(1, 0).await, [0, 1]);
    assert_eq!(numbers(&log.read("other", 1, 0, 10).await.unwrap()), [7]);
}
