//! Consumer groups.

use futures_util::future::join;

use super::Place;
use super::kit::*;

pub async fn a_subscription_begins_at_the_beginning(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..5).await;
    let mut subscription = log.subscribe("g", TOPIC).await.unwrap();
    assert_eq!(numbers(&log.all(&mut *subscription).await), [0, 1, 2, 3, 4]);
}

pub async fn next_waits_for_a_record(place: &dyn Place) {
    let log = open(place).await;
    let mut subscription = log.subscribe("g", TOPIC).await.unwrap();
    assert_eq!(log.soon(&mut *subscription).await, []);
    let (records, ()) = join(subscription.next(10), log.add(RIGHT, 4..5)).await;
    assert_eq!(numbers(&records.unwrap()), [4]);
}

pub async fn all_partitions_come_in_their_order(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..30).await;
    log.add(RIGHT, 100..130).await;
    let mut subscription = log.subscribe("g", TOPIC).await.unwrap();
    let mut found = Vec::new();
    while found.len() < 60 {
        let records = subscription.next(7).await.unwrap();
        assert!((1..=7).contains(&records.len()));
        found.extend(records);
    }
    for (partition, expected) in [(1, 0..30), (0, 100..130)] {
        let own: Vec<_> = found.iter().filter(|record| record.partition == partition).cloned().collect();
        assert_eq!(numbers(&own), expected.collect::<Vec<u64>>());
    }
}

pub async fn a_group_goes_on_after_what_it_committed(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..5).await;
    let mut subscription = log.subscribe("g", TOPIC).await.unwrap();
    log.all(&mut *subscription).await;
    subscription.commit(1, 3).await.unwrap();
    drop(subscription);
    let mut subscription = log.subscribe("g", TOPIC).await.unwrap();
    assert_eq!(numbers(&log.all(&mut *subscription).await), [3, 4]);
}

pub async fn what_was_not_committed_comes_again(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..3).await;
    for _ in 0..2 {
        let mut subscription = log.subscribe("g", TOPIC).await.unwrap();
        assert_eq!(numbers(&log.all(&mut *subscription).await), [0, 1, 2]);
    }
}

pub async fn groups_do_not_know_each_other(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..3).await;
    let mut one = log.subscribe("one", TOPIC).await.unwrap();
    assert_eq!(log.all(&mut *one).await.len(), 3);
    one.commit(1, 3).await.unwrap();
    let mut two = log.subscribe("two", TOPIC).await.unwrap();
    assert_eq!(log.all(&mut *two).await.len(), 3);
}

pub async fn two_members_share_the_partitions(place: &dyn Place) {
    let log = open(place).await;
    log.add(LEFT, 0..3).await;
    log.add(RIGHT, 3..6).await;
    let mut one = log.subscribe("g", TOPIC).await.unwrap();
    let mut two = log.subscribe("g", TOPIC).await.unwrap();
    let (of_one, of_two) = (log.all(&mut *one).await, log.all(&mut *two).await);
    assert_eq!((of_one.len(), of_two.len()), (3, 3));
    assert_ne!(of_one[0].partition, of_two[0].partition);
}

pub async fn who_stays_takes_over_from_who_leaves(place: &dyn Place) {
    let log = open(place).await;
    let mut one = log.subscribe("g", TOPIC).await.unwrap();
    let mut two = log.subscribe("g", TOPIC).await.unwrap();
    log.add(LEFT, 0..3).await;
    log.add(RIGHT, 3..6).await;
    let seen = log.all(&mut *two).await;
    two.commit(seen[0].partition, seen[0].offset + 1).await.unwrap();
    assert_eq!(log.all(&mut *one).await.len(), 3);
    let (records, ()) = join(one.next(100), async { drop(two) }).await;
    let left = records.unwrap();
    assert_eq!(left.len(), 2, "what was committed does not come again");
    assert_eq!(left[0].partition, seen[0].partition);
}

pub async fn members_beyond_the_partitions_wait(place: &dyn Place) {
    let log = open(place).await;
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(log.subscribe("g", TOPIC).await.unwrap());
    }
    log.add(LEFT, 0..1).await;
    log.add(RIGHT, 1..2).await;
    let mut counts = Vec::new();
    for member in &mut members {
        counts.push(log.all(&mut **member).await.len());
    }
    counts.sort_unstable();
    assert_eq!(counts, [0, 1, 1]);
}

pub async fn committing_a_foreign_partition_is_refused(place: &dyn Place) {
    let log = open(place).await;
    let mut subscription = log.subscribe("g", TOPIC).await.unwrap();
    assert_eq!(subscription.commit(2, 1).await.unwrap_err().code(), "log.undeclared");
}
