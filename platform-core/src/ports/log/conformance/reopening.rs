//! What is acknowledged is there after the next opening.

use std::time::Duration;

use super::Place;
use super::kit::*;
use crate::ports::log::Topic;
use crate::ports::runtime::SimRuntime;

pub async fn everything_survives(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..40).await;
    log.add(RIGHT, 40..50).await;
    let before = log.read(TOPIC, 1, 0, 100).await.unwrap();
    drop(log);
    let log = place.log(SimRuntime::new(1).runtime()).unwrap();
    assert_eq!(log.bounds(TOPIC).await.unwrap(), [(0, 10), (0, 40)], "the declaration, too");
    assert_eq!(log.read(TOPIC, 1, 0, 100).await.unwrap(), before);
}

pub async fn offsets_go_on(place: &dyn Place) {
    for number in 0..5 {
        let log = open(place).await;
        log.add(LEFT, number..number + 1).await;
        assert_eq!(log.values(1, 0).await, (0..=number).collect::<Vec<_>>());
    }
}

pub async fn groups_go_on(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..5).await;
    log.subscribe("g", TOPIC).await.unwrap().commit(1, 3).await.unwrap();
    drop(log);
    let log = open(place).await;
    let mut subscription = log.subscribe("g", TOPIC).await.unwrap();
    assert_eq!(numbers(&log.all(&mut *subscription).await), [3, 4]);
}

pub async fn what_retention_removed_stays_away(place: &dyn Place) {
    let topic = Topic { max_age: Some(Duration::from_secs(10)), ..Topic::new(TOPIC, 2) };
    let log = open_with(place, &topic).await;
    log.add(LEFT, 0..5).await;
    log.pass(60);
    log.retain().await.unwrap();
    drop(log);
    let log = open_with(place, &topic).await;
    assert_eq!(log.bounds(TOPIC).await.unwrap(), [(0, 0), (5, 5)]);
    log.add(LEFT, 5..6).await;
    assert_eq!(log.values(1, 0).await, [5]);
}

pub async fn a_second_opener_is_refused_or_shares(place: &dyn Place) {
    let log = open(place).await;
    if place.is_shared() {
        let other = open(place).await;
        log.add(LEFT, 0..3).await;
        other.add(LEFT, 3..5).await;
        for opened in [&log, &other] {
            opened.ends(TOPIC).unwrap().pop().unwrap().wait_for(|end| *end == 5).await.unwrap();
            assert_eq!(opened.values(1, 0).await, [0, 1, 2, 3, 4]);
        }
        return;
    }
    assert_eq!(place.log(SimRuntime::new(1).runtime()).err().unwrap().code(), "log.locked");
    drop(log);
    place.log(SimRuntime::new(1).runtime()).unwrap();
}

pub async fn many_reopenings_lose_nothing(place: &dyn Place) {
    for round in 0..12 {
        let log = open(place).await;
        assert_eq!(log.values(1, 0).await.len() as u64, round * 50);
        log.add(LEFT, round * 50..round * 50 + 50).await;
    }
}
