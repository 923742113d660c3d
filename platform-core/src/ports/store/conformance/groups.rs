//! Batches that wait together: each is checked against those before it.

use futures_util::future::join_all;

use super::Place;
use super::kit::*;
use crate::kernel::{EventPosition, Result};
use crate::ports::store::{Batch, Commit, CommitError, DocKey, Expect, IndexRange, Store, Write};

/// Commits all at once: in the order of the list, as far as the engine groups them.
async fn together(store: &dyn Store, batches: Vec<Batch>) -> Vec<Result<Commit, CommitError>> {
    join_all(batches.into_iter().map(|batch| store.commit(batch))).await
}

fn successes(results: &[Result<Commit, CommitError>]) -> usize {
    results.iter().filter(|result| result.is_ok()).count()
}

pub async fn of_two_batches_on_one_version_one_wins(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::default().put("a")]).await;
    let update =
        |name: &str| expecting(vec![(thing("a"), Expect::Version(1))], vec![Thing::name(name).put("a")]);
    let results = together(&*store, vec![update("x"), update("y")]).await;
    assert!(results[0].is_ok() && is_conflict(&results[1]), "{results:?}");
    assert_eq!(ids(&*store, IndexRange::index(THINGS, "by_name").exactly(b"x")).await, ["a"]);
}

pub async fn of_two_batches_on_an_absent_document_one_wins(place: &dyn Place) {
    let store = open(place).await;
    let create = || expecting(vec![(thing("a"), Expect::Absent)], vec![Thing::default().put("a")]);
    let results = together(&*store, (0..8).map(|_| create()).collect()).await;
    assert_eq!(successes(&results), 1);
    assert_eq!(results.iter().filter(|result| is_conflict(result)).count(), 7);
    assert_eq!(version(&*store, thing("a")).await, Some(1));
}

pub async fn of_two_batches_on_one_unique_entry_one_wins(place: &dyn Place) {
    let store = open(place).await;
    let take = |id: &str| writes(vec![Thing::mail("m").put(id)]);
    let results = together(&*store, vec![take("a"), take("b"), take("c")]).await;
    assert!(results[0].is_ok());
    for result in &results[1..] {
        assert!(
            matches!(result, Err(CommitError::Unique { collection: THINGS, index: "by_mail" })),
            "{result:?}"
        );
    }
    assert_eq!(ids(&*store, IndexRange::ids(THINGS)).await, ["a"]);
}

pub async fn a_counter_bound_holds_over_a_group(place: &dyn Place) {
    let store = open(place).await;
    let results = together(&*store, (0..50).map(|_| writes(vec![add("c", 1, 0, 30)])).collect()).await;
    assert_eq!(successes(&results), 30);
    for result in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(matches!(result, CommitError::OutOfRange { value: 30, .. }), "{result:?}");
    }
}

pub async fn a_refused_batch_does_not_hurt_its_group(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::mail("m").put("taken")]).await;
    let batches = (0..30).map(|n| match n % 3 {
        0 => writes(vec![Thing::name("good").put(format!("{n:02}"))]),
        1 => expecting(vec![(thing("taken"), Expect::Absent)], vec![Thing::default().put(format!("{n:02}"))]),
        _ => writes(vec![Thing::mail("m").put(format!("{n:02}"))]),
    });
    let results = together(&*store, batches.collect()).await;
    for (n, result) in results.iter().enumerate() {
        match n % 3 {
            0 => assert_eq!(result.as_ref().unwrap().position, 2 + n as u64 / 3),
            1 => assert!(is_conflict(result)),
            _ => assert!(matches!(result, Err(CommitError::Unique { .. }))),
        }
    }
    assert_eq!(ids(&*store, IndexRange::index(THINGS, "by_name").exactly(b"good")).await.len(), 10);
    assert_eq!(ids(&*store, IndexRange::ids(THINGS)).await.len(), 11);
}

pub async fn batches_see_those_before_them_in_the_group(place: &dyn Place) {
    let store = open(place).await;
    let create = || expecting(vec![(thing("a"), Expect::Absent)], vec![Thing::default().put("a")]);
    let update =
        |version| expecting(vec![(thing("a"), Expect::Version(version))], vec![Thing::name("n").put("a")]);
    let remove = expecting(vec![(thing("a"), Expect::Version(2))], vec![delete("a")]);
    let results = together(&*store, vec![create(), update(1), remove, create(), update(4), update(2)]).await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, true, true, true, false]);
    assert_eq!(version(&*store, thing("a")).await, Some(5));
}

pub async fn unique_entries_swap_within_a_batch(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::mail("1").put("a"), Thing::mail("2").put("b"), Thing::mail("3").put("c")])
        .await;
    commit(&*store, vec![Thing::mail("2").put("a"), Thing::mail("3").put("b"), Thing::mail("1").put("c")])
        .await;
    assert_eq!(ids(&*store, IndexRange::index(THINGS, "by_mail")).await, ["c", "a", "b"]);
}

pub async fn unique_entries_wander_within_a_group(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::mail("x").put("0")]).await;
    let mut batches = Vec::new();
    for n in 0..10 {
        batches.push(writes(vec![Thing::default().put(format!("{n}"))]));
        batches.push(writes(vec![Thing::mail("x").put(format!("{}", n + 1))]));
    }
    let results = together(&*store, batches).await;
    assert_eq!(successes(&results), 20, "{results:?}");
    assert_eq!(ids(&*store, IndexRange::index(THINGS, "by_mail")).await, ["10"]);
}

pub async fn an_entry_that_a_delete_frees_can_be_taken_in_the_group(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::mail("m").put("a")]).await;
    let batches = vec![writes(vec![delete("a")]), writes(vec![Thing::mail("m").put("b")])];
    assert_eq!(successes(&together(&*store, batches).await), 2);
    assert_eq!(ids(&*store, IndexRange::index(THINGS, "by_mail")).await, ["b"]);
}

pub async fn positions_follow_the_order_of_the_queue(place: &dyn Place) {
    let store = open(place).await;
    let results = together(&*store, (0..100).map(|n| writes(vec![add("c", n, 0, 10_000)])).collect()).await;
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result.as_ref().unwrap().position, n as u64 + 1);
    }
}

pub async fn of_many_writes_in_a_group_the_last_stays(place: &dyn Place) {
    let store = open(place).await;
    let batches = (0..20).map(|n| writes(vec![Thing::name(&format!("{n:02}")).put("a")])).collect();
    assert_eq!(successes(&together(&*store, batches).await), 20);
    let doc = get(&*store, thing("a")).await.unwrap();
    assert_eq!(doc.version, 20);
    assert_eq!(serde_json::from_slice::<Thing>(doc.body.as_bytes()).unwrap(), Thing::name("19"));
}

pub async fn entries_of_overwritten_writes_do_not_stay(place: &dyn Place) {
    let store = open(place).await;
    let step = |n: u64| Thing {
        mail: Some(format!("mail {n}")),
        name: Some(format!("name {n}")),
        tags: vec![format!("tag {n}"), format!("tag {}", n + 1)],
        phones: vec![format!("phone {n}")],
    };
    let batches = (0..10).map(|n| writes(vec![step(n).put("a")])).collect();
    assert_eq!(successes(&together(&*store, batches).await), 10);
    for (index, count) in [("by_mail", 1), ("by_name", 1), ("by_tag", 2), ("by_phone", 1)] {
        assert_eq!(ids(&*store, IndexRange::index(THINGS, index)).await.len(), count, "{index}");
    }
    let free = writes(vec![Thing { mail: Some("mail 3".into()), ..Thing::phones(&["phone 4"]) }.put("b")]);
    store.commit(free).await.unwrap();
}

pub async fn what_is_made_and_deleted_in_a_group_leaves_nothing(place: &dyn Place) {
    let store = open(place).await;
    let whole = Thing { name: Some("n".into()), ..Thing::tags(&["t"]) };
    let batches = vec![writes(vec![whole.put("a")]), writes(vec![delete("a")])];
    assert_eq!(successes(&together(&*store, batches).await), 2);
    assert_eq!(get(&*store, thing("a")).await, None);
    for index in ["by_name", "by_tag"] {
        assert!(ids(&*store, IndexRange::index(THINGS, index)).await.is_empty());
    }
}

pub async fn a_repeated_request_within_a_group_is_applied_once(place: &dyn Place) {
    let store = open(place).await;
    let request = |number| Batch {
        writes: vec![add("c", 1, 0, 100)],
        events: vec![event(number)],
        idempotency: Some(remember("k", 1, &format!("answer {number}"))),
        ..Batch::default()
    };
    let results = together(&*store, (0..5).map(request).collect()).await;
    for (n, result) in results.iter().enumerate() {
        let commit = result.as_ref().unwrap();
        assert_eq!(commit.position, 1);
        assert_eq!(commit.replayed.as_deref(), (n > 0).then_some(&b"answer 0"[..]));
    }
    assert_eq!(event_numbers(&*store).await, [0]);
    assert_eq!(commit(&*store, vec![add("c", 0, 0, 100)]).await.counters, [1]);
}

pub async fn counters_add_up_within_a_group(place: &dyn Place) {
    let store = open(place).await;
    let results = together(&*store, (1..=20).map(|n| writes(vec![add("c", n, 0, 1000)])).collect()).await;
    let mut sum = 0;
    for (result, n) in results.iter().zip(1..) {
        sum += n;
        assert_eq!(result.as_ref().unwrap().counters, [sum]);
    }
    assert_eq!(get(&*store, DocKey::new(COUNTERS, "c")).await.unwrap().body.as_bytes(), b"210");
}

pub async fn events_of_a_group_stand_in_commit_order(place: &dyn Place) {
    let store = open(place).await;
    let batch = |n: u64| Batch { events: vec![event(2 * n), event(2 * n + 1)], ..Batch::default() };
    let results = together(&*store, (0..40).map(batch).collect()).await;
    assert_eq!(successes(&results), 40);
    assert_eq!(event_numbers(&*store).await, (0..80).collect::<Vec<_>>());
    let places = store.outbox(EventPosition::START, 1000).await.unwrap();
    for (n, (place, _)) in places.iter().enumerate() {
        assert_eq!(*place, EventPosition { commit: n as u64 / 2 + 1, index: (n % 2) as u16 });
    }
}

pub async fn many_concurrent_batches_lose_nothing(place: &dyn Place) {
    let store = open(place).await;
    let writer = |writer: u64| {
        let store = &store;
        async move {
            for n in 0..25 {
                let id = format!("{writer:02}-{n:02}");
                let batch = Batch {
                    expects: vec![(thing(id.as_str()), Expect::Absent)],
                    writes: vec![Thing::mail(&id).put(id.as_str()), add("sum", 1, 0, i64::MAX)],
                    events: vec![event(writer * 100 + n)],
                    ..Batch::default()
                };
                store.commit(batch).await.unwrap();
            }
        }
    };
    join_all((0..20).map(writer)).await;
    assert_eq!(*store.committed().borrow(), 500);
    assert_eq!(all_pages(&*store, IndexRange::index(THINGS, "by_mail").limit(77)).await.len(), 500);
    assert_eq!(event_numbers(&*store).await.len(), 500);
    let counter = store.commit(writes(vec![Write::Add {
        key: DocKey::new(COUNTERS, "sum"),
        delta: 0,
        min: 0,
        max: i64::MAX,
    }]));
    assert_eq!(counter.await.unwrap().counters, [500]);
}
