//! A batch is applied as a whole or not at all, and reads see durable commits only.

use futures_util::future::join;

use super::Place;
use super::kit::*;
use crate::ports::store::{Batch, CommitError, DocKey, Expect, IndexRange, Write};

pub async fn a_new_store_is_empty_and_at_position_zero(place: &dyn Place) {
    let store = open(place).await;
    assert_eq!(store.name(), "suite");
    assert_eq!(*store.committed().borrow(), 0);
    assert!(scan(&*store, IndexRange::ids(THINGS)).await.docs.is_empty());
    assert!(event_numbers(&*store).await.is_empty());
}

pub async fn positions_count_from_one_without_gaps(place: &dyn Place) {
    let store = open(place).await;
    for expected in 1..=5 {
        assert_eq!(commit(&*store, vec![Thing::default().put("a")]).await.position, expected);
    }
}

pub async fn a_refused_batch_takes_no_position(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::default().put("a")]).await;
    let refused = expecting(vec![(thing("a"), Expect::Absent)], vec![]);
    assert!(is_conflict(&store.commit(refused).await));
    assert_eq!(commit(&*store, vec![Thing::default().put("b")]).await.position, 2);
}

pub async fn an_empty_batch_takes_a_position(place: &dyn Place) {
    let store = open(place).await;
    assert_eq!(store.commit(Batch::default()).await.unwrap().position, 1);
    assert_eq!(*store.committed().borrow(), 1);
}

pub async fn a_batch_is_applied_as_a_whole(place: &dyn Place) {
    let store = open(place).await;
    let batch = Batch {
        writes: vec![Thing::name("x").put("a"), block("b", b"bytes"), add("c", 3, 0, 10)],
        events: vec![event(1), event(2)],
        ..Batch::default()
    };
    assert_eq!(store.commit(batch).await.unwrap().counters, [3]);
    let keys = [thing("a"), DocKey::new(BLOCKS, "b"), DocKey::new(COUNTERS, "c")];
    assert!(store.get(&keys).await.unwrap().iter().all(|doc| doc.as_ref().is_some_and(|d| d.version == 1)));
    assert_eq!(ids(&*store, IndexRange::index(THINGS, "by_name").exactly(b"x")).await, ["a"]);
    assert_eq!(event_numbers(&*store).await, [1, 2]);
}

pub async fn a_refused_batch_leaves_no_trace(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::mail("m").put("a"), add("c", 1, 0, 1)]).await;
    let with = |expects, last| Batch {
        expects,
        writes: vec![Thing::name("new").put("n"), block("n", b"n"), last],
        events: vec![event(1)],
        idempotency: Some(remember("k", 1, "answer")),
    };
    let stale = with(vec![(thing("a"), Expect::Version(9))], delete("a"));
    assert!(is_conflict(&store.commit(stale).await));
    let taken = with(vec![], Thing::mail("m").put("b"));
    assert!(matches!(store.commit(taken).await, Err(CommitError::Unique { .. })));
    let beyond = with(vec![], add("c", 1, 0, 1));
    assert!(matches!(store.commit(beyond).await, Err(CommitError::OutOfRange { .. })));

    let keys = [thing("n"), DocKey::new(BLOCKS, "n"), thing("b")];
    assert!(store.get(&keys).await.unwrap().iter().all(Option::is_none));
    assert!(ids(&*store, IndexRange::index(THINGS, "by_name")).await.is_empty());
    assert!(event_numbers(&*store).await.is_empty());
    let again = Batch { idempotency: Some(remember("k", 2, "other")), ..Batch::default() };
    assert_eq!(store.commit(again).await.unwrap().replayed, None);
}

pub async fn committed_tells_the_position_and_wakes(place: &dyn Place) {
    let store = open(place).await;
    let mut committed = store.committed();
    let waits = async { *committed.wait_for(|at| *at >= 3).await.unwrap() };
    let writes = async {
        for _ in 0..3 {
            commit(&*store, vec![Thing::default().put("a")]).await;
        }
    };
    assert_eq!(join(waits, writes).await.0, 3);
}

pub async fn deleting_what_is_not_there_does_nothing(place: &dyn Place) {
    let store = open(place).await;
    assert_eq!(commit(&*store, vec![delete("a")]).await.position, 1);
    assert_eq!(get(&*store, thing("a")).await, None);
}

pub async fn a_put_replaces_the_whole_document(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::name("long before").put("a")]).await;
    commit(&*store, vec![Thing::mail("m").put("a")]).await;
    let doc = get(&*store, thing("a")).await.unwrap();
    assert_eq!(serde_json::from_slice::<Thing>(doc.body.as_bytes()).unwrap(), Thing::mail("m"));
}

pub async fn a_batch_writes_a_document_at_most_once(place: &dyn Place) {
    let store = open(place).await;
    let twice = writes(vec![Thing::default().put("a"), delete("a")]);
    assert_eq!(refused(&*store, twice).await, "store.written_twice");
}

pub async fn get_answers_in_the_order_of_the_keys(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::name("1").put("a"), Thing::name("2").put("b")]).await;
    let found = store.get(&[thing("b"), thing("x"), thing("a"), thing("b")]).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|doc| doc.map(|doc| doc.id)).collect();
    assert_eq!(found, [Some(b"b".to_vec()), None, Some(b"a".to_vec()), Some(b"b".to_vec())]);
}

pub async fn get_of_nothing_returns_nothing(place: &dyn Place) {
    assert!(open(place).await.get(&[]).await.unwrap().is_empty());
}

pub async fn one_get_sees_one_snapshot(place: &dyn Place) {
    let store = open(place).await;
    let pair = || vec![Thing::default().put("a"), block("z", b"same version")];
    commit(&*store, pair()).await;
    let writer = async {
        for _ in 0..100 {
            commit(&*store, pair()).await;
        }
    };
    let reader = async {
        for _ in 0..200 {
            let found = store.get(&[thing("a"), DocKey::new(BLOCKS, "z")]).await.unwrap();
            assert_eq!(found[0].as_ref().unwrap().version, found[1].as_ref().unwrap().version);
            tokio::task::yield_now().await;
        }
    };
    join(writer, reader).await;
}

pub async fn one_scan_sees_one_snapshot(place: &dyn Place) {
    let store = open(place).await;
    let all = || (0..20).map(|n| Thing::tags(&["t"]).put(format!("{n:02}"))).collect::<Vec<_>>();
    commit(&*store, all()).await;
    let writer = async {
        for _ in 0..50 {
            commit(&*store, all()).await;
        }
    };
    let reader = async {
        for _ in 0..100 {
            let page = scan(&*store, IndexRange::index(THINGS, "by_tag").exactly(b"t")).await;
            assert_eq!(page.docs.len(), 20);
            assert!(page.docs.iter().all(|doc| doc.version == page.docs[0].version));
            tokio::task::yield_now().await;
        }
    };
    join(writer, reader).await;
}

pub async fn the_same_id_in_two_collections_is_two_documents(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::name("t").put("a"), Thing::name("o").put_in(OTHERS, "a")]).await;
    commit(&*store, vec![delete("a")]).await;
    assert_eq!(version(&*store, DocKey::new(OTHERS, "a")).await, Some(1));
    assert_eq!(ids(&*store, IndexRange::index(OTHERS, "by_name")).await, ["a"]);
    assert!(ids(&*store, IndexRange::index(THINGS, "by_name")).await.is_empty());
}

pub async fn undeclared_collections_and_indexes_are_refused(place: &dyn Place) {
    let store = open(place).await;
    let key = || DocKey::new("nowhere", "a");
    assert_eq!(store.get(&[key()]).await.unwrap_err().code(), "store.undeclared");
    assert_eq!(store.scan(&IndexRange::ids("nowhere")).await.unwrap_err().code(), "store.undeclared");
    let range = IndexRange::index(THINGS, "by_nothing");
    assert_eq!(store.scan(&range).await.unwrap_err().code(), "store.undeclared");
    let write = writes(vec![Write::Delete { key: key() }]);
    assert_eq!(refused(&*store, write).await, "store.undeclared");
    let expect = expecting(vec![(key(), Expect::Absent)], vec![]);
    assert_eq!(refused(&*store, expect).await, "store.undeclared");
    let Write::Put { key, body, mut entries } = Thing::default().put("a") else { unreachable!() };
    entries.push(crate::ports::store::Entry::new("by_nothing", "x"));
    assert_eq!(refused(&*store, writes(vec![Write::Put { key, body, entries }])).await, "store.undeclared");
}

pub async fn a_caller_that_gives_up_does_no_harm(place: &dyn Place) {
    let store = open(place).await;
    for number in 0..20 {
        let commit = store.commit(Batch {
            writes: vec![Thing::name("x").put(format!("{number:02}"))],
            events: vec![event(number)],
            ..Batch::default()
        });
        // Polled once, then dropped.
        let _ = futures_util::FutureExt::now_or_never(commit);
    }
    let last = commit(&*store, vec![Thing::name("x").put("last")]).await.position;
    let found = ids(&*store, IndexRange::index(THINGS, "by_name")).await;
    assert_eq!(found.len() as u64, last);
    assert_eq!(event_numbers(&*store).await.len() as u64, last - 1);
}
