//! A request that comes twice is applied once.

use super::Place;
use super::kit::*;
use crate::kernel::Timestamp;
use crate::ports::store::{
    Batch, CommitError, Expect, Idempotency, IdempotencyRecord, IndexRange, KeyWriter,
};

fn request(record: Idempotency) -> Batch {
    Batch {
        writes: vec![add("c", 1, 0, 100)],
        events: vec![event(1)],
        idempotency: Some(record),
        ..Batch::default()
    }
}

pub async fn a_repetition_gets_the_first_answer_and_applies_nothing(place: &dyn Place) {
    let store = open(place).await;
    let first = store.commit(request(remember("k", 1, "first"))).await.unwrap();
    assert_eq!((first.position, first.replayed, first.counters), (1, None, vec![1]));
    commit(&*store, vec![Thing::default().put("between")]).await;
    let second = store.commit(request(remember("k", 1, "second"))).await.unwrap();
    assert_eq!((second.position, second.replayed.as_deref()), (1, Some(&b"first"[..])));
    assert!(second.counters.is_empty());
    assert_eq!(event_numbers(&*store).await, [1]);
    assert_eq!(*store.committed().borrow(), 2);
    assert_eq!(commit(&*store, vec![add("c", 0, 0, 100)]).await.counters, [1]);
}

pub async fn another_request_under_the_key_is_refused(place: &dyn Place) {
    let store = open(place).await;
    store.commit(request(remember("k", 1, "first"))).await.unwrap();
    let reused = store.commit(request(remember("k", 2, "second"))).await;
    assert!(matches!(reused, Err(CommitError::KeyReused)), "{reused:?}");
    assert_eq!(*store.committed().borrow(), 1);
}

pub async fn another_scope_is_another_key(place: &dyn Place) {
    let store = open(place).await;
    store.commit(request(remember("k", 1, "first"))).await.unwrap();
    let other = Idempotency { scope: "user_2|suite".into(), ..remember("k", 2, "second") };
    assert_eq!(store.commit(request(other)).await.unwrap().replayed, None);
    // The border between scope and key is part of the key.
    let shifted = Idempotency { scope: "user_1|suitek".into(), ..remember("", 3, "third") };
    assert_eq!(store.commit(request(shifted)).await.unwrap().replayed, None);
}

pub async fn an_expired_record_is_invisible_at_once(place: &dyn Place) {
    let store = open(place).await;
    store.commit(request(remember("k", 1, "first"))).await.unwrap();
    let just_before =
        Idempotency { now: Timestamp::from_micros(LATER.as_micros() - 1), ..remember("k", 1, "x") };
    assert!(store.commit(request(just_before)).await.unwrap().replayed.is_some());
    let at_expiry = Idempotency {
        now: LATER,
        expires_at: LATER.plus(std::time::Duration::from_secs(60)),
        ..remember("k", 2, "second")
    };
    let commit = store.commit(request(at_expiry.clone())).await.unwrap();
    assert_eq!((commit.position, commit.replayed), (2, None));
    let again = store.commit(request(at_expiry)).await.unwrap();
    assert_eq!((again.position, again.replayed.as_deref()), (2, Some(&b"second"[..])));
}

pub async fn a_repetition_is_answered_before_any_expect(place: &dyn Place) {
    let store = open(place).await;
    let create = || Batch {
        expects: vec![(thing("a"), Expect::Absent)],
        writes: vec![Thing::mail("m").put("a")],
        idempotency: Some(remember("k", 1, "made")),
        ..Batch::default()
    };
    store.commit(create()).await.unwrap();
    assert_eq!(store.commit(create()).await.unwrap().replayed.as_deref(), Some(&b"made"[..]));
}

pub async fn a_refused_batch_remembers_nothing(place: &dyn Place) {
    let store = open(place).await;
    let refused =
        Batch { expects: vec![(thing("a"), Expect::Version(1))], ..request(remember("k", 1, "no")) };
    assert!(is_conflict(&store.commit(refused).await));
    assert_eq!(store.commit(request(remember("k", 2, "yes"))).await.unwrap().replayed, None);
}

pub async fn records_survive_reopening(place: &dyn Place) {
    let store = open(place).await;
    store.commit(request(remember("k", 1, "first"))).await.unwrap();
    drop(store);
    let store = open(place).await;
    let again = store.commit(request(remember("k", 1, "second"))).await.unwrap();
    assert_eq!((again.position, again.replayed.as_deref()), (1, Some(&b"first"[..])));
}

pub async fn a_record_can_be_read_before_deciding(place: &dyn Place) {
    let store = open(place).await;
    let key = IdempotencyRecord::key("user_1|suite", "k");
    assert_eq!(get(&*store, key.clone()).await, None);
    store.commit(request(remember("k", 1, "first"))).await.unwrap();
    let doc = get(&*store, key).await.unwrap();
    let record = IdempotencyRecord::read(&doc.body).unwrap();
    assert_eq!((doc.version, record.fingerprint, record.expires_at), (1, [1; 32], LATER));
    assert_eq!(record.response, b"first");
}

pub async fn expired_records_are_found_by_their_expiry(place: &dyn Place) {
    let store = open(place).await;
    for (key, seconds) in [("late", 300), ("soon", 100), ("later", 200)] {
        let expires_at = NOW.plus(std::time::Duration::from_secs(seconds));
        store.commit(request(Idempotency { expires_at, ..remember(key, 1, key) })).await.unwrap();
    }
    let until = NOW.plus(std::time::Duration::from_secs(200));
    let to = std::ops::Bound::Included(KeyWriter::new().time(until).finish());
    let range = IndexRange::index("_idempotency", "by_expiry").between(std::ops::Bound::Unbounded, to);
    let found = scan(&*store, range).await.docs;
    let answers: Vec<_> =
        found.iter().map(|doc| IdempotencyRecord::read(&doc.body).unwrap().response).collect();
    assert_eq!(answers, [b"soon".to_vec(), b"later".to_vec()]);
}
