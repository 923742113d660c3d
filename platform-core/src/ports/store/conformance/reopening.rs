//! What is acknowledged is there after the next opening.

use super::Place;
use super::kit::*;
use crate::kernel::EventPosition;
use crate::ports::store::{Batch, Collection, DocKey, Expect, Index, IndexRange, Schema};

pub async fn everything_survives(place: &dyn Place) {
    let store = open(place).await;
    let whole = Thing {
        mail: Some("m".into()),
        name: Some("n".into()),
        tags: vec!["t".into(), "u".into()],
        phones: vec!["1".into(), "2".into()],
    };
    let first = vec![whole.put("a"), Thing::name("n").put("b"), block("x", b"\0\xff"), add("c", 5, 0, 9)];
    store.commit(Batch { writes: first, events: vec![event(1)], ..Batch::default() }).await.unwrap();
    commit(&*store, vec![delete("b")]).await;
    drop(store);

    let store = open(place).await;
    assert_eq!(*store.committed().borrow(), 2);
    let doc = get(&*store, thing("a")).await.unwrap();
    assert_eq!(doc.version, 1);
    assert_eq!(serde_json::from_slice::<Thing>(doc.body.as_bytes()).unwrap(), whole);
    assert_eq!(get(&*store, DocKey::new(BLOCKS, "x")).await.unwrap().body.as_bytes(), b"\0\xff");
    for (index, count) in [("by_mail", 1), ("by_name", 1), ("by_tag", 2), ("by_phone", 2)] {
        assert_eq!(ids(&*store, IndexRange::index(THINGS, index)).await, vec!["a"; count], "{index}");
    }
    assert_eq!(event_numbers(&*store).await, [1]);
    assert_eq!(commit(&*store, vec![add("c", 0, 0, 9)]).await.counters, [5]);
}

pub async fn positions_go_on(place: &dyn Place) {
    for expected in 1..=4 {
        let store = open(place).await;
        assert_eq!(commit(&*store, vec![Thing::default().put("a")]).await.position, expected);
    }
    let store = open(place).await;
    let batch = expecting(vec![(thing("a"), Expect::Version(4))], vec![delete("a")]);
    assert_eq!(store.commit(batch).await.unwrap().position, 5);
}

pub async fn a_second_handle_of_a_store_is_refused(place: &dyn Place) {
    let store = open(place).await;
    assert_eq!(store.stores.open(&schema()).await.err().unwrap().code(), "store.locked");
    let Opened { store, stores } = store;
    drop(store);
    stores.open(&schema()).await.unwrap();
}

pub async fn a_second_opener_is_refused_or_shares(place: &dyn Place) {
    let store = open(place).await;
    if place.is_shared() {
        let other = open(place).await;
        assert_eq!(commit(&*store, vec![Thing::default().put("a")]).await.position, 1);
        assert_eq!(version(&*other, thing("a")).await, Some(1));
        assert_eq!(commit(&*other, vec![Thing::default().put("a")]).await.position, 2);
        store.committed().wait_for(|position| *position == 2).await.unwrap();
        assert_eq!(version(&*store, thing("a")).await, Some(2));
        return;
    }
    let refused = match place.stores() {
        Err(error) => error,
        Ok(stores) => stores.open(&schema()).await.err().unwrap(),
    };
    assert_eq!(refused.code(), "store.locked");
    commit(&*store, vec![Thing::default().put("a")]).await;
    drop(store);
    assert_eq!(version(&*open(place).await, thing("a")).await, Some(1));
}

pub async fn a_newer_schema_is_refused(place: &dyn Place) {
    let newer = Schema { version: schema().version + 1, ..schema() };
    let store = open_as(place, &newer).await.unwrap();
    commit(&*store, vec![Thing::default().put("a")]).await;
    drop(store);
    assert_eq!(open_as(place, &schema()).await.err().unwrap().code(), "store.newer_schema");
    let store = open_as(place, &newer).await.unwrap();
    assert_eq!(version(&*store, thing("a")).await, Some(1));
}

pub async fn stores_of_one_place_are_apart(place: &dyn Place) {
    let first = open(place).await;
    let second = first.stores.open(&Schema { store: "second", ..schema() }).await.unwrap();
    assert_eq!(second.name(), "second");
    commit(&*first, vec![Thing::mail("m").put("a")]).await;
    commit(&*first, vec![Thing::mail("m").put("a")]).await;
    assert_eq!(commit(&*second, vec![Thing::mail("m").put("b")]).await.position, 1);
    assert_eq!(get(&*second, thing("a")).await, None);
    assert!(second.outbox(EventPosition::START, 1).await.unwrap().is_empty());
    drop((first, second));
    let first = open(place).await;
    assert_eq!(*first.committed().borrow(), 2);
}

pub async fn names_that_are_not_allowed_are_refused(place: &dyn Place) {
    let stores = place.stores().unwrap();
    const BAD: &[Index] = &[Index::one("body")];
    let schemas = [
        Schema::new("Upper", 1, &[]),
        Schema::new("../escape", 1, &[]),
        Schema::new("", 1, &[]),
        Schema::new("s", 1, &[Collection::json("with space")]),
        Schema::new("s", 1, &[Collection::json("_own")]),
        Schema::new("s", 1, &[Collection::json("twice"), Collection::binary("twice")]),
        Schema::new("s", 1, &[Collection::json("fine").indexed(BAD, reindex)]),
    ];
    for schema in schemas {
        assert_eq!(stores.open(&schema).await.err().unwrap().code(), "store.invalid_schema", "{schema:?}");
    }
}

pub async fn many_reopenings_keep_what_was_acknowledged(place: &dyn Place) {
    let mut random = Random(7);
    for round in 0..15_u64 {
        let store = open(place).await;
        assert_eq!(all_pages(&*store, IndexRange::index(THINGS, "by_mail")).await.len() as u64, round * 3);
        assert_eq!(*store.committed().borrow(), round * 3);
        for n in 0..3 {
            let id = format!("{:08}-{round}-{n}", random.below(99_999_999));
            commit(&*store, vec![Thing::mail(&id).put(id.as_str())]).await;
        }
    }
}
