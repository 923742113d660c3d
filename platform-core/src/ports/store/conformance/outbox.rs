//! Events stand in the outbox in commit order, until they are trimmed.

use super::Place;
use super::kit::*;
use crate::kernel::{Event, EventPosition, limits};
use crate::ports::store::{Batch, Store};

async fn publish(store: &dyn Store, numbers: &[u64]) {
    let events = numbers.iter().map(|number| event(*number)).collect();
    store.commit(Batch { events, ..Batch::default() }).await.unwrap();
}

fn at(commit: u64, index: u16) -> EventPosition {
    EventPosition { commit, index }
}

pub async fn events_come_in_commit_order(place: &dyn Place) {
    let store = open(place).await;
    publish(&*store, &[5, 4, 3]).await;
    publish(&*store, &[9]).await;
    assert_eq!(event_numbers(&*store).await, [5, 4, 3, 9]);
    let places = store.outbox(EventPosition::START, 10).await.unwrap();
    assert_eq!(
        places.iter().map(|(place, _)| *place).collect::<Vec<_>>(),
        [at(1, 0), at(1, 1), at(1, 2), at(2, 0)]
    );
}

pub async fn reading_goes_on_after_a_position(place: &dyn Place) {
    let store = open(place).await;
    publish(&*store, &[1, 2, 3]).await;
    publish(&*store, &[4]).await;
    assert_eq!(positions(&*store, at(1, 1)).await, [at(1, 2), at(2, 0)]);
    assert_eq!(positions(&*store, EventPosition::end_of(1)).await, [at(2, 0)]);
    assert_eq!(positions(&*store, at(2, 0)).await, []);
    assert_eq!(positions(&*store, at(u64::MAX, u16::MAX)).await, []);
}

async fn positions(store: &dyn Store, after: EventPosition) -> Vec<EventPosition> {
    store.outbox(after, 100).await.unwrap().into_iter().map(|(place, _)| place).collect()
}

pub async fn the_envelope_comes_back_unchanged(place: &dyn Place) {
    let store = open(place).await;
    let mut new = event(7);
    new.data = serde_json::json!({"text": "ä \" \\ €", "list": [1, null, {"a": 1.5}]}).into();
    store.commit(Batch { events: vec![new.clone()], ..Batch::default() }).await.unwrap();
    let (_, json) = store.outbox(EventPosition::START, 1).await.unwrap().remove(0);
    assert_eq!(*Event::from_json(&json).unwrap().new, new);
}

pub async fn trimmed_events_are_gone_at_once(place: &dyn Place) {
    let store = open(place).await;
    publish(&*store, &[1, 2]).await;
    publish(&*store, &[3]).await;
    store.trim_outbox(at(1, 0)).await.unwrap();
    assert_eq!(event_numbers(&*store).await, [2, 3]);
    store.trim_outbox(EventPosition::end_of(1)).await.unwrap();
    assert_eq!(event_numbers(&*store).await, [3]);
    store.trim_outbox(at(1, 0)).await.unwrap();
    assert_eq!(event_numbers(&*store).await, [3]);
    publish(&*store, &[4]).await;
    assert_eq!(event_numbers(&*store).await, [3, 4]);
}

pub async fn trimming_beyond_the_end_does_not_swallow_what_follows(place: &dyn Place) {
    let store = open(place).await;
    store.trim_outbox(EventPosition::START).await.unwrap();
    publish(&*store, &[1]).await;
    store.trim_outbox(EventPosition::end_of(1)).await.unwrap();
    publish(&*store, &[2]).await;
    assert_eq!(event_numbers(&*store).await, [2]);
}

pub async fn events_and_trims_survive_reopening(place: &dyn Place) {
    let store = open(place).await;
    for number in 1..=5 {
        publish(&*store, &[number]).await;
    }
    store.trim_outbox(EventPosition::end_of(2)).await.unwrap();
    drop(store);
    let store = open(place).await;
    assert_eq!(event_numbers(&*store).await, [3, 4, 5]);
    store.trim_outbox(EventPosition::end_of(4)).await.unwrap();
    publish(&*store, &[6]).await;
    drop(store);
    assert_eq!(event_numbers(&*open(place).await).await, [5, 6]);
}

pub async fn an_event_that_is_too_large_is_refused_with_its_batch(place: &dyn Place) {
    let store = open(place).await;
    let mut large = event(1);
    large.data = serde_json::Value::String("x".repeat(limits::EVENT_BYTES)).into();
    let batch =
        Batch { writes: vec![Thing::default().put("a")], events: vec![event(0), large], ..Batch::default() };
    assert_eq!(refused(&*store, batch).await, "event.too_large");
    assert_eq!(get(&*store, thing("a")).await, None);
    assert!(event_numbers(&*store).await.is_empty());
}

pub async fn commits_without_events_leave_none(place: &dyn Place) {
    let store = open(place).await;
    publish(&*store, &[1]).await;
    commit(&*store, vec![Thing::default().put("a")]).await;
    publish(&*store, &[2]).await;
    assert_eq!(positions(&*store, EventPosition::START).await, [at(1, 0), at(3, 0)]);
}

pub async fn a_limit_of_the_outbox_is_kept(place: &dyn Place) {
    let store = open(place).await;
    publish(&*store, &(0..20).collect::<Vec<_>>()).await;
    let mut after = EventPosition::START;
    let mut sizes = Vec::new();
    loop {
        let events = store.outbox(after, 7).await.unwrap();
        let Some((last, _)) = events.last() else { break };
        after = *last;
        sizes.push(events.len());
    }
    assert_eq!(sizes, [7, 7, 6]);
    assert!(store.outbox(EventPosition::START, 0).await.unwrap().is_empty());
}
