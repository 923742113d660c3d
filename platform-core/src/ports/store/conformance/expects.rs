//! Versions, and what a command expects of them.

use super::Place;
use super::kit::*;
use crate::ports::store::{CommitError, Expect};

pub async fn absent_holds_only_while_there_is_nothing(place: &dyn Place) {
    let store = open(place).await;
    let create = || expecting(vec![(thing("a"), Expect::Absent)], vec![Thing::default().put("a")]);
    store.commit(create()).await.unwrap();
    assert!(is_conflict(&store.commit(create()).await));
    commit(&*store, vec![delete("a")]).await;
    store.commit(create()).await.unwrap();
}

pub async fn a_version_holds_only_while_it_is_the_last(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::default().put("a")]).await;
    let update =
        |version| expecting(vec![(thing("a"), Expect::Version(version))], vec![Thing::default().put("a")]);
    assert!(is_conflict(&store.commit(update(0)).await));
    assert!(is_conflict(&store.commit(update(2)).await));
    assert_eq!(store.commit(update(1)).await.unwrap().position, 2);
    assert!(is_conflict(&store.commit(update(1)).await));
    store.commit(update(2)).await.unwrap();
}

pub async fn a_version_of_nothing_is_a_conflict(place: &dyn Place) {
    let store = open(place).await;
    for version in [0, 1] {
        let batch = expecting(vec![(thing("a"), Expect::Version(version))], vec![]);
        assert!(is_conflict(&store.commit(batch).await));
    }
}

pub async fn an_expect_guards_a_document_that_is_not_written(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::default().put("guard")]).await;
    let guarded =
        |id: &str| expecting(vec![(thing("guard"), Expect::Version(1))], vec![Thing::default().put(id)]);
    store.commit(guarded("a")).await.unwrap();
    commit(&*store, vec![Thing::default().put("guard")]).await;
    assert!(is_conflict(&store.commit(guarded("b")).await));
    assert_eq!(get(&*store, thing("b")).await, None);
}

pub async fn the_conflict_names_the_document_that_changed(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::default().put("a"), Thing::default().put("b")]).await;
    let expects = vec![
        (thing("a"), Expect::Version(1)),
        (thing("b"), Expect::Absent),
        (thing("c"), Expect::Version(1)),
    ];
    match store.commit(expecting(expects, vec![])).await {
        Err(CommitError::Conflict { key }) => assert_eq!(key, thing("b")),
        other => panic!("{other:?}"),
    }
}

pub async fn a_batch_of_expects_alone_is_checked(place: &dyn Place) {
    let store = open(place).await;
    assert_eq!(
        store.commit(expecting(vec![(thing("a"), Expect::Absent)], vec![])).await.unwrap().position,
        1
    );
    commit(&*store, vec![Thing::default().put("a")]).await;
    assert!(is_conflict(&store.commit(expecting(vec![(thing("a"), Expect::Absent)], vec![])).await));
}

pub async fn versions_are_not_reused_after_delete_and_re_create(place: &dyn Place) {
    let store = open(place).await;
    let first = commit(&*store, vec![Thing::default().put("a")]).await.position;
    commit(&*store, vec![delete("a")]).await;
    let second = commit(&*store, vec![Thing::default().put("a")]).await.position;
    assert!(second > first);
    assert_eq!(version(&*store, thing("a")).await, Some(second));
    let stale = expecting(vec![(thing("a"), Expect::Version(first))], vec![delete("a")]);
    assert!(is_conflict(&store.commit(stale).await));
}

pub async fn a_version_is_the_position_of_the_last_write(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::default().put("a"), Thing::default().put("b")]).await;
    commit(&*store, vec![Thing::default().put("c")]).await;
    commit(&*store, vec![Thing::name("new").put("b")]).await;
    let found = store.get(&[thing("a"), thing("b"), thing("c")]).await.unwrap();
    assert_eq!(found.into_iter().map(|doc| doc.unwrap().version).collect::<Vec<_>>(), [1, 3, 2]);
}

pub async fn an_equal_put_moves_the_version(place: &dyn Place) {
    let store = open(place).await;
    for expected in 1..=3 {
        commit(&*store, vec![Thing::mail("same").put("a")]).await;
        assert_eq!(version(&*store, thing("a")).await, Some(expected));
    }
}

pub async fn documents_of_one_batch_share_their_version(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, (0..10).map(|n| Thing::default().put(format!("{n}"))).collect()).await;
    let page = scan(&*store, crate::ports::store::IndexRange::ids(THINGS)).await;
    assert!(page.docs.len() == 10 && page.docs.iter().all(|doc| doc.version == 1));
}

pub async fn a_conflict_can_be_decided_again(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![add("unused", 0, 0, 0), Thing::name("0").put("a")]).await;
    let increment = || async {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let doc = get(&*store, thing("a")).await.unwrap();
            let now: Thing = serde_json::from_slice(doc.body.as_bytes()).unwrap();
            let next = now.name.unwrap().parse::<u32>().unwrap() + 1;
            let expects = vec![(thing("a"), Expect::Version(doc.version))];
            let batch = expecting(expects, vec![Thing::name(&next.to_string()).put("a")]);
            match store.commit(batch).await {
                Ok(_) => return attempts,
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    futures_util::future::join_all((0..20).map(|_| increment())).await;
    let doc = get(&*store, thing("a")).await.unwrap();
    assert_eq!(serde_json::from_slice::<Thing>(doc.body.as_bytes()).unwrap(), Thing::name("20"));
}
