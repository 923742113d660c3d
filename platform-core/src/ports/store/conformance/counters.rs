//! Counters: sums with bounds, without reading first.

use super::Place;
use super::kit::*;
use crate::ports::store::{Body, CommitError, DocKey, Expect, Store, Write};

fn counter(id: &str) -> DocKey {
    DocKey::new(COUNTERS, id)
}

async fn out_of_range(store: &dyn Store, write: Write) -> i64 {
    match store.commit(writes(vec![write])).await {
        Err(CommitError::OutOfRange { value, .. }) => value,
        other => panic!("{other:?}"),
    }
}

pub async fn an_absent_counter_counts_as_zero(place: &dyn Place) {
    let store = open(place).await;
    assert_eq!(commit(&*store, vec![add("c", -5, -10, 10)]).await.counters, [-5]);
    assert_eq!(get(&*store, counter("c")).await.unwrap().body, Body::Json("-5".into()));
}

pub async fn the_new_values_come_back_in_order(place: &dyn Place) {
    let store = open(place).await;
    let batch = |by| vec![add("a", by, 0, 99), Thing::default().put("x"), add("b", 2 * by, 0, 99)];
    assert_eq!(commit(&*store, batch(1)).await.counters, [1, 2]);
    assert_eq!(commit(&*store, batch(10)).await.counters, [11, 22]);
}

pub async fn bounds_are_inclusive(place: &dyn Place) {
    let store = open(place).await;
    assert_eq!(commit(&*store, vec![add("c", 10, 0, 10)]).await.counters, [10]);
    assert_eq!(commit(&*store, vec![add("c", -10, 0, 10)]).await.counters, [0]);
}

pub async fn a_counter_outside_its_bounds_tells_its_value(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![add("c", 7, 0, 10)]).await;
    assert_eq!(out_of_range(&*store, add("c", 4, 0, 10)).await, 7);
    assert_eq!(out_of_range(&*store, add("c", -8, 0, 10)).await, 7);
    assert_eq!(out_of_range(&*store, add("new", -1, 0, 10)).await, 0);
    assert_eq!(version(&*store, counter("c")).await, Some(1));
    assert_eq!(get(&*store, counter("new")).await, None);
}

pub async fn an_overflow_is_out_of_range(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![add("c", i64::MAX, i64::MIN, i64::MAX)]).await;
    assert_eq!(out_of_range(&*store, add("c", 1, i64::MIN, i64::MAX)).await, i64::MAX);
    commit(&*store, vec![add("d", i64::MIN, i64::MIN, i64::MAX)]).await;
    assert_eq!(out_of_range(&*store, add("d", -1, i64::MIN, i64::MAX)).await, i64::MIN);
}

pub async fn a_counter_has_versions_like_any_document(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![add("c", 1, 0, 10)]).await;
    commit(&*store, vec![add("c", 0, 0, 10)]).await;
    assert_eq!(version(&*store, counter("c")).await, Some(2));
    let stale = expecting(vec![(counter("c"), Expect::Version(1))], vec![add("c", 1, 0, 10)]);
    assert!(is_conflict(&store.commit(stale).await));
    let fresh = expecting(vec![(counter("c"), Expect::Version(2))], vec![add("c", 1, 0, 10)]);
    assert_eq!(store.commit(fresh).await.unwrap().counters, [2]);
}

pub async fn adding_to_a_text_is_refused(place: &dyn Place) {
    let store = open(place).await;
    for body in ["\"5\"", "{}", "1.5", "null", "99999999999999999999"] {
        let put = Write::Put { key: counter("c"), body: Body::Json(body.into()), entries: Vec::new() };
        commit(&*store, vec![put]).await;
        assert_eq!(refused(&*store, writes(vec![add("c", 1, 0, 10)])).await, "store.not_a_counter", "{body}");
    }
}

pub async fn a_counter_stands_in_a_json_collection(place: &dyn Place) {
    let store = open(place).await;
    let write = Write::Add { key: DocKey::new(BLOCKS, "c"), delta: 1, min: 0, max: 10 };
    assert_eq!(refused(&*store, writes(vec![write])).await, "store.wrong_kind");
}

pub async fn an_integer_that_was_put_can_be_added_to(place: &dyn Place) {
    let store = open(place).await;
    let put = Write::Put { key: counter("c"), body: Body::Json("41".into()), entries: Vec::new() };
    commit(&*store, vec![put]).await;
    assert_eq!(commit(&*store, vec![add("c", 1, 0, 100)]).await.counters, [42]);
}

pub async fn a_deleted_counter_begins_anew(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![add("c", 9, 0, 10)]).await;
    commit(&*store, vec![Write::Delete { key: counter("c") }]).await;
    assert_eq!(commit(&*store, vec![add("c", 1, 0, 10)]).await.counters, [1]);
}
