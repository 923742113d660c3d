//! A limit on everything: at the limit it works, above it is refused.

use super::Place;
use super::kit::*;
use crate::kernel::limits;
use crate::ports::store::{Batch, Body, DocKey, Entry, Expect, IndexRange, Write};

pub async fn keys_have_one_to_the_maximal_number_of_bytes(place: &dyn Place) {
    let store = open(place).await;
    let longest = vec![0xff; limits::KEY_BYTES];
    commit(&*store, vec![Thing::name("n").put(longest.clone())]).await;
    assert!(get(&*store, thing(longest.clone())).await.is_some());
    assert_eq!(scan(&*store, IndexRange::index(THINGS, "by_name")).await.docs[0].id, longest);
    let longer = writes(vec![Thing::default().put(vec![1; limits::KEY_BYTES + 1])]);
    assert_eq!(refused(&*store, longer).await, "store.too_large");
    assert_eq!(refused(&*store, writes(vec![Thing::default().put("")])).await, "store.empty_key");
    let expect = expecting(vec![(thing(vec![1; limits::KEY_BYTES + 1]), Expect::Absent)], vec![]);
    assert_eq!(refused(&*store, expect).await, "store.too_large");
}

pub async fn entries_above_the_maximum_are_refused(place: &dyn Place) {
    let store = open(place).await;
    let long = "e".repeat(limits::INDEX_ENTRY_BYTES + 1);
    for thing in [Thing::mail(&long), Thing::name(&long), Thing::tags(&[&long])] {
        assert_eq!(refused(&*store, writes(vec![thing.put("a")])).await, "store.too_large");
    }
}

pub async fn a_document_has_a_bounded_number_of_entries(place: &dyn Place) {
    let store = open(place).await;
    let with = |count: usize| Write::Put {
        key: thing("a"),
        body: Body::Json("{}".into()),
        entries: (0..count).map(|n| Entry::new("by_tag", format!("{n:04}"))).collect(),
    };
    commit(&*store, vec![with(limits::INDEX_ENTRIES)]).await;
    let range = IndexRange::index(THINGS, "by_tag").limit(1000);
    assert_eq!(scan(&*store, range).await.docs.len(), limits::INDEX_ENTRIES);
    assert_eq!(refused(&*store, writes(vec![with(limits::INDEX_ENTRIES + 1)])).await, "store.too_large");
}

pub async fn operations_are_bounded_and_the_maximum_works(place: &dyn Place) {
    let store = open(place).await;
    let puts = |count: usize| (0..count).map(|n| Thing::default().put(format!("{n:05}"))).collect::<Vec<_>>();
    commit(&*store, puts(limits::BATCH_OPERATIONS)).await;
    let last = format!("{:05}", limits::BATCH_OPERATIONS - 1);
    assert_eq!(version(&*store, thing(last)).await, Some(1));
    assert_eq!(refused(&*store, writes(puts(limits::BATCH_OPERATIONS + 1))).await, "store.too_large");
    let expects: Vec<_> = (0..=limits::BATCH_OPERATIONS).map(|_| (thing("a"), Expect::Absent)).collect();
    assert_eq!(refused(&*store, expecting(expects, vec![])).await, "store.too_large");
}

pub async fn events_of_a_batch_are_bounded(place: &dyn Place) {
    let store = open(place).await;
    let events = |count: usize| Batch { events: (0..count as u64).map(event).collect(), ..Batch::default() };
    store.commit(events(limits::BATCH_EVENTS)).await.unwrap();
    assert_eq!(event_numbers(&*store).await.len(), limits::BATCH_EVENTS);
    assert_eq!(refused(&*store, events(limits::BATCH_EVENTS + 1)).await, "store.too_large");
}

pub async fn the_bytes_of_a_batch_are_bounded(place: &dyn Place) {
    let store = open(place).await;
    let blocks = |count: usize| {
        let put = |n| Write::Put {
            key: DocKey::new(BLOCKS, format!("{n}")),
            body: Body::Binary(vec![0; limits::DOCUMENT_BYTES]),
            entries: Vec::new(),
        };
        writes((0..count).map(put).collect())
    };
    let fits = limits::BATCH_BYTES / limits::DOCUMENT_BYTES - 1;
    store.commit(blocks(fits)).await.unwrap();
    assert_eq!(refused(&*store, blocks(fits + 2)).await, "store.too_large");
}

pub async fn keys_of_a_get_are_bounded(place: &dyn Place) {
    let store = open(place).await;
    let keys = |count: usize| vec![thing("a"); count];
    assert_eq!(store.get(&keys(limits::GET_KEYS)).await.unwrap().len(), limits::GET_KEYS);
    assert_eq!(store.get(&keys(limits::GET_KEYS + 1)).await.unwrap_err().code(), "store.too_large");
}

pub async fn the_documents_of_a_scan_are_bounded(place: &dyn Place) {
    let store = open(place).await;
    let puts = (0..limits::SCAN_DOCUMENTS + 1).map(|n| Thing::default().put(format!("{n:05}")));
    commit(&*store, puts.collect()).await;
    let range = |limit| IndexRange::ids(THINGS).limit(limit);
    let page = scan(&*store, range(limits::SCAN_DOCUMENTS)).await;
    assert!(page.docs.len() == limits::SCAN_DOCUMENTS && page.next.is_some());
    let above = range(limits::SCAN_DOCUMENTS + 1);
    assert_eq!(store.scan(&above).await.unwrap_err().code(), "store.too_large");
    assert_eq!(store.scan(&range(0)).await.unwrap_err().code(), "request.invalid_limit");
}
