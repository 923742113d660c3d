//! Schemas change; indexes are filled before a store opens.

use super::Place;
use super::kit::*;
use crate::kernel::Result;
use crate::ports::store::{Body, Collection, CommitError, DocKey, Entry, Index, IndexRange, Schema, Write};

const NOTHING: &[Index] = &[];

fn with(version: u32, indexes: &'static [Index]) -> Schema {
    Schema::new("suite", version, &[Collection::json(THINGS).indexed(indexes, only(indexes))])
}

/// Entries of the declared indexes only.
fn only(indexes: &'static [Index]) -> fn(&[u8], &Body) -> Result<Vec<Entry>> {
    match indexes.len() {
        0 => |_, _| Ok(Vec::new()),
        1 => |id, body| Ok(reindex(id, body)?.into_iter().filter(|e| e.index == "by_name").collect()),
        _ => reindex,
    }
}

fn by(index: &'static str) -> IndexRange {
    IndexRange::index(THINGS, index)
}

/// A write with the entries of the one index `by_name`, or none.
fn named(id: &str, name: &str, indexed: bool) -> Write {
    let Write::Put { key, body, entries } = Thing::name(name).put(id) else { unreachable!() };
    Write::Put { key, body, entries: if indexed { entries } else { Vec::new() } }
}

const BY_NAME: &[Index] = &[Index::one("by_name")];
const BY_UNIQUE_NAME: &[Index] = &[Index::unique("by_name")];
const BY_MANY_NAMES: &[Index] = &[Index::many("by_name")];

pub async fn a_new_collection_is_made(place: &dyn Place) {
    let store = open_as(place, &Schema::new("suite", 1, &[Collection::json(COUNTERS)])).await.unwrap();
    commit(&*store, vec![add("c", 1, 0, 9)]).await;
    drop(store);
    let store = open(place).await;
    commit(&*store, vec![add("c", 1, 0, 9), Thing::mail("m").put("a"), block("b", b"b")]).await;
    assert_eq!(ids(&*store, by("by_mail")).await, ["a"]);
    assert_eq!(get(&*store, DocKey::new(COUNTERS, "c")).await.unwrap().body.as_bytes(), b"2");
}

pub async fn a_new_index_is_filled(place: &dyn Place) {
    let store = open_as(place, &with(1, NOTHING)).await.unwrap();
    for n in 0..5 {
        let whole = Thing {
            mail: Some(format!("m{n}")),
            name: Some(format!("n{}", n % 2)),
            tags: vec!["all".into(), format!("t{n}")],
            phones: vec![format!("p{n}")],
        };
        let Write::Put { key, body, .. } = whole.put(format!("{n}")) else { unreachable!() };
        commit(&*store, vec![Write::Put { key, body, entries: Vec::new() }]).await;
    }
    commit(&*store, vec![Write::Put { key: thing("9"), body: Body::Json("{}".into()), entries: vec![] }])
        .await;
    drop(store);
    let store = open_as(place, &with(2, INDEXES)).await.unwrap();
    assert_eq!(ids(&*store, by("by_mail")).await.concat(), "01234");
    assert_eq!(ids(&*store, by("by_name")).await.concat(), "02413");
    assert_eq!(ids(&*store, by("by_tag").exactly(b"all")).await.concat(), "01234");
    assert_eq!(ids(&*store, by("by_phone").exactly(b"p3")).await, ["3"]);
    commit(&*store, vec![delete("3"), Thing::name("n0").put("4")]).await;
    assert_eq!(ids(&*store, by("by_tag")).await.len(), 6);
    assert_eq!(ids(&*store, by("by_name")).await.concat(), "0241");
}

pub async fn a_changed_index_is_rebuilt(place: &dyn Place) {
    fn backwards(_id: &[u8], body: &Body) -> Result<Vec<Entry>> {
        let thing: Thing = serde_json::from_slice(body.as_bytes()).unwrap();
        Ok(thing
            .name
            .iter()
            .map(|name| Entry::new("by_name", name.bytes().rev().collect::<Vec<_>>()))
            .collect())
    }
    const SECOND: &[Index] = &[Index::one("by_name").version(2)];
    let store = open_as(place, &with(1, BY_NAME)).await.unwrap();
    commit(&*store, vec![named("a", "xy", true), named("b", "yx", true)]).await;
    assert_eq!(ids(&*store, by("by_name")).await, ["a", "b"]);
    drop(store);
    let changed = Schema::new("suite", 1, &[Collection::json(THINGS).indexed(SECOND, backwards)]);
    let store = open_as(place, &changed).await.unwrap();
    assert_eq!(ids(&*store, by("by_name")).await, ["b", "a"]);
    assert_eq!(ids(&*store, by("by_name").exactly(b"yx")).await, ["a"]);
}

pub async fn an_index_that_was_away_is_filled_anew(place: &dyn Place) {
    let store = open_as(place, &with(1, BY_NAME)).await.unwrap();
    commit(&*store, vec![named("a", "x", true), named("b", "x", true)]).await;
    drop(store);
    let store = open_as(place, &with(1, NOTHING)).await.unwrap();
    assert_eq!(store.scan(&by("by_name")).await.unwrap_err().code(), "store.undeclared");
    commit(&*store, vec![named("a", "y", false), delete("b"), named("c", "x", false)]).await;
    drop(store);
    let store = open_as(place, &with(1, BY_NAME)).await.unwrap();
    assert_eq!(ids(&*store, by("by_name")).await, ["c", "a"]);
}

pub async fn a_unique_index_over_duplicates_is_refused(place: &dyn Place) {
    let store = open_as(place, &with(1, BY_NAME)).await.unwrap();
    commit(&*store, vec![named("a", "x", true), named("b", "x", true)]).await;
    drop(store);
    let refused = open_as(place, &with(2, BY_UNIQUE_NAME)).await.err().unwrap();
    assert_eq!(refused.code(), "store.not_unique");
    let store = open_as(place, &with(1, BY_NAME)).await.unwrap();
    assert_eq!(ids(&*store, by("by_name")).await, ["a", "b"]);
    commit(&*store, vec![named("b", "y", true)]).await;
    drop(store);
    let store = open_as(place, &with(2, BY_UNIQUE_NAME)).await.unwrap();
    assert_eq!(ids(&*store, by("by_name")).await, ["a", "b"]);
}

pub async fn an_index_may_become_many(place: &dyn Place) {
    let store = open_as(place, &with(1, BY_NAME)).await.unwrap();
    commit(&*store, vec![named("a", "x", true), named("b", "y", true)]).await;
    drop(store);
    let store = open_as(place, &with(2, BY_MANY_NAMES)).await.unwrap();
    assert_eq!(ids(&*store, by("by_name")).await, ["a", "b"]);
    let Write::Put { key, body, mut entries } = named("a", "x", true) else { unreachable!() };
    entries.push(Entry::new("by_name", "z"));
    commit(&*store, vec![Write::Put { key, body, entries }]).await;
    assert_eq!(ids(&*store, by("by_name")).await, ["a", "b", "a"]);
    drop(store);
    let store = open_as(place, &with(3, BY_NAME)).await.unwrap();
    assert_eq!(ids(&*store, by("by_name")).await, ["a", "b"]);
}

pub async fn counters_are_no_obstacle(place: &dyn Place) {
    let store = open_as(place, &with(1, NOTHING)).await.unwrap();
    let count = || Write::Add { key: thing("c"), delta: 4, min: 0, max: 9 };
    commit(&*store, vec![named("a", "x", false), count()]).await;
    drop(store);
    let store = open_as(place, &with(2, BY_NAME)).await.unwrap();
    assert_eq!(ids(&*store, by("by_name")).await, ["a"]);
    assert_eq!(commit(&*store, vec![count()]).await.counters, [8]);
}

pub async fn many_documents_are_filled(place: &dyn Place) {
    const COUNT: usize = 1_234;
    let store = open_as(place, &with(1, NOTHING)).await.unwrap();
    let names = (0..COUNT).map(|n| named(&format!("{n:05}"), &format!("{:05}", COUNT - n), false));
    commit(&*store, names.collect()).await;
    drop(store);
    let store = open_as(place, &with(2, BY_UNIQUE_NAME)).await.unwrap();
    let mut found = all_pages(&*store, by("by_name").limit(500)).await;
    found.reverse();
    assert_eq!(found, all_pages(&*store, IndexRange::ids(THINGS).limit(500)).await);
    assert_eq!(found.len(), COUNT);
}

pub async fn filling_keeps_versions_and_position(place: &dyn Place) {
    let store = open_as(place, &with(1, NOTHING)).await.unwrap();
    commit(&*store, vec![named("a", "x", false)]).await;
    commit(&*store, vec![named("b", "y", false)]).await;
    drop(store);
    let store = open_as(place, &with(2, BY_NAME)).await.unwrap();
    assert_eq!(*store.committed().borrow(), 2);
    assert_eq!(version(&*store, thing("a")).await, Some(1));
    assert_eq!(commit(&*store, vec![named("c", "z", true)]).await.position, 3);
}

pub async fn a_new_unique_index_holds_from_then_on(place: &dyn Place) {
    let store = open_as(place, &with(1, NOTHING)).await.unwrap();
    commit(&*store, vec![named("a", "x", false)]).await;
    drop(store);
    let store = open_as(place, &with(2, BY_UNIQUE_NAME)).await.unwrap();
    let taken = store.commit(writes(vec![named("b", "x", true)])).await;
    assert!(matches!(taken, Err(CommitError::Unique { .. })), "{taken:?}");
    commit(&*store, vec![named("a", "y", true), named("b", "x", true)]).await;
    assert_eq!(ids(&*store, by("by_name")).await, ["b", "a"]);
}
