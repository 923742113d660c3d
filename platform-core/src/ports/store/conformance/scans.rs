//! Ordered reading: ranges, directions, pages.

use std::ops::Bound::{Excluded, Included, Unbounded};

use super::Place;
use super::kit::*;
use crate::kernel::Cursor;
use crate::ports::store::{Body, DocKey, IndexRange, KeyWriter, Write};

fn by(index: &'static str) -> IndexRange {
    IndexRange::index(THINGS, index)
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

pub async fn ids_come_in_the_order_of_their_bytes(place: &dyn Place) {
    let store = open(place).await;
    let order: [&[u8]; 7] = [b"\0", b"\0\0", b"\0\xff", b"a", b"a\0", b"b", b"\xff"];
    commit(&*store, order.iter().rev().map(|id| Thing::default().put(*id)).collect()).await;
    let found = all_pages(&*store, IndexRange::ids(THINGS)).await;
    assert_eq!(found, order);
    let mut backward = all_pages(&*store, IndexRange::ids(THINGS).backward()).await;
    backward.reverse();
    assert_eq!(backward, order);
}

pub async fn keys_with_every_byte_value_are_kept_apart(place: &dyn Place) {
    let store = open(place).await;
    let ids: Vec<Vec<u8>> = (0..=255).flat_map(|byte: u8| [vec![byte], vec![b'k', byte, b'k']]).collect();
    let body = |id: &[u8]| Body::Binary(id.iter().rev().copied().chain([7; 100]).collect());
    let put = |id: &Vec<u8>| Write::Put {
        key: DocKey::new(BLOCKS, id.clone()),
        body: body(id),
        entries: Vec::new(),
    };
    commit(&*store, ids.iter().map(put).collect()).await;
    let keys: Vec<DocKey> = ids.iter().map(|id| DocKey::new(BLOCKS, id.clone())).collect();
    for (id, doc) in ids.iter().zip(store.get(&keys).await.unwrap()) {
        let doc = doc.unwrap();
        assert_eq!((&doc.id, doc.body), (id, body(id)));
    }
    let mut sorted = ids.clone();
    sorted.sort();
    assert_eq!(all_pages(&*store, IndexRange::ids(BLOCKS).limit(100)).await, sorted);
}

pub async fn bounds_include_and_exclude(place: &dyn Place) {
    let store = open(place).await;
    for id in ["a", "b", "c", "d"] {
        let whole = Thing { mail: Some(id.into()), tags: vec![id.into()], ..Thing::name(id) };
        commit(&*store, vec![whole.put(id)]).await;
    }
    let ranges = [
        (Included("b"), Excluded("d"), "bc"),
        (Excluded("b"), Included("d"), "cd"),
        (Excluded("a"), Excluded("b"), ""),
        (Unbounded, Included("b"), "ab"),
        (Excluded("c"), Unbounded, "d"),
        (Included("bb"), Unbounded, "cd"),
    ];
    let all = [IndexRange::ids(THINGS), by("by_mail"), by("by_name"), by("by_tag")];
    for range in all {
        for (from, to, expected) in ranges {
            let range = range.clone().between(from.map(bytes), to.map(bytes));
            assert_eq!(ids(&*store, range.clone()).await.concat(), expected, "{range:?}");
            let backward: String = expected.chars().rev().collect();
            assert_eq!(ids(&*store, range.clone().backward()).await.concat(), backward, "{range:?}");
        }
    }
}

pub async fn a_prefix_covers_what_begins_with_it(place: &dyn Place) {
    let store = open(place).await;
    let all: [&[u8]; 6] = [b"a", b"ab", b"ab\0", b"ab\xff\xff", b"ac", b"\xff\xffx"];
    commit(&*store, all.iter().map(|id| Thing::default().put(*id)).collect()).await;
    let under = |prefix: &'static [u8]| all_pages(&*store, IndexRange::ids(THINGS).prefix(prefix));
    assert_eq!(under(b"ab").await, all[1..4]);
    assert_eq!(under(b"\xff\xff").await, all[5..]);
    assert_eq!(under(b"").await, all);
    assert!(under(b"b").await.is_empty());
}

pub async fn exactly_finds_one_entry(place: &dyn Place) {
    let store = open(place).await;
    for name in ["n", "na", "m"] {
        commit(&*store, vec![Thing::name(name).put(name)]).await;
    }
    assert_eq!(ids(&*store, by("by_name").exactly(b"n")).await, ["n"]);
    assert_eq!(ids(&*store, IndexRange::ids(THINGS).exactly(b"na")).await, ["na"]);
    assert!(ids(&*store, by("by_name").exactly(b"")).await.is_empty());
}

pub async fn an_empty_range_is_empty(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::name("b").put("b")]).await;
    for range in [IndexRange::ids(THINGS), by("by_name")] {
        for (from, to) in [(Included("c"), Included("a")), (Excluded("b"), Excluded("b"))] {
            let range = range.clone().between(from.map(bytes), to.map(bytes));
            assert!(ids(&*store, range.clone()).await.is_empty());
            assert!(ids(&*store, range.backward()).await.is_empty());
        }
    }
}

pub async fn pages_cover_everything_once(place: &dyn Place) {
    let store = open(place).await;
    let expected: Vec<Vec<u8>> = (0..57).map(|n| bytes(&format!("{n:03}"))).collect();
    commit(&*store, expected.iter().map(|id| Thing::default().put(id.clone())).collect()).await;
    for limit in [1, 2, 7, 57, 58, 1000] {
        assert_eq!(all_pages(&*store, IndexRange::ids(THINGS).limit(limit)).await, expected);
        let mut backward = all_pages(&*store, IndexRange::ids(THINGS).limit(limit).backward()).await;
        backward.reverse();
        assert_eq!(backward, expected);
    }
}

/// Pages of an index forward and backward, against the order that is expected.
async fn check_pages(place: &dyn Place, index: &'static str, make: impl Fn(usize) -> Thing) {
    let store = open(place).await;
    let mut expected = Vec::new();
    for n in 0..40 {
        let write = make(n).put(format!("{n:02}"));
        let Write::Put { key, entries, .. } = &write else { unreachable!() };
        expected
            .extend(entries.iter().filter(|e| e.index == index).map(|e| (e.entry.clone(), key.id.clone())));
        commit(&*store, vec![write]).await;
    }
    expected.sort();
    let expected: Vec<Vec<u8>> = expected.into_iter().map(|(_, id)| id).collect();
    for limit in [1, 3, 8, 200] {
        assert_eq!(all_pages(&*store, by(index).limit(limit)).await, expected, "{limit}");
        let mut backward = all_pages(&*store, by(index).limit(limit).backward()).await;
        backward.reverse();
        assert_eq!(backward, expected, "{limit}, backward");
    }
}

pub async fn pages_of_equal_entries_cover_everything_once(place: &dyn Place) {
    check_pages(place, "by_name", |n| Thing::name(["x", "xx", "y"][n % 3])).await;
}

pub async fn pages_of_many_entries_cover_everything_once(place: &dyn Place) {
    check_pages(place, "by_tag", |n| Thing::tags(&["p", "q", "qq", "r"][n % 2..n % 4 + 1])).await;
}

pub async fn pages_of_a_unique_index_cover_everything_once(place: &dyn Place) {
    check_pages(place, "by_mail", |n| Thing::mail(&format!("{}", n * 7919 % 101))).await;
}

pub async fn the_last_page_has_no_cursor(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, (0..4).map(|n| Thing::name("n").put(format!("{n}"))).collect()).await;
    for range in [IndexRange::ids(THINGS), by("by_name")] {
        assert!(scan(&*store, range.clone().limit(4)).await.next.is_none());
        assert!(scan(&*store, range.clone().limit(5)).await.next.is_none());
        let first = scan(&*store, range.clone().limit(3)).await;
        let last = scan(&*store, range.limit(3).after(first.next)).await;
        assert_eq!((last.docs.len(), last.next), (1, None));
    }
}

pub async fn a_page_after_the_end_is_empty(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, (0..4).map(|n| Thing::name("n").put(format!("{n}"))).collect()).await;
    let first = scan(&*store, by("by_name").limit(3)).await;
    commit(&*store, vec![delete("3")]).await;
    let page = scan(&*store, by("by_name").limit(3).after(first.next)).await;
    assert_eq!((page.docs.len(), page.next), (0, None));
}

pub async fn pages_go_on_while_writers_run(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, (0..50).map(|n| Thing::name("n").put(format!("{:02}", n * 2))).collect()).await;
    for backward in [false, true] {
        let mut range = by("by_name").limit(5);
        range.reverse = backward;
        let mut found = Vec::new();
        let mut round = 0;
        loop {
            let page = scan(&*store, range.clone()).await;
            found.extend(page.docs.iter().map(|doc| String::from_utf8(doc.id.clone()).unwrap()));
            let Some(next) = page.next else { break };
            range = range.after(Some(next));
            // Replaced on both sides, added on both sides, and taken away again.
            let odd = |n: u64| format!("{:02}x", n % 100);
            commit(&*store, vec![Thing::name("n").put(odd(round)), Thing::name("n").put("48")]).await;
            commit(&*store, vec![delete(odd(round))]).await;
            round += 7;
        }
        let mut sorted = found.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), found.len(), "nothing twice");
        let stayed = found.iter().filter(|id| !id.ends_with('x')).count();
        assert_eq!(stayed, 50, "nothing left out");
    }
}

pub async fn a_cursor_outlives_its_document(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, ["a", "b", "c", "d"].map(|id| Thing::name("n").put(id)).to_vec()).await;
    for range in [IndexRange::ids(THINGS), by("by_name")] {
        let first = scan(&*store, range.clone().limit(2)).await;
        commit(&*store, vec![delete("b")]).await;
        assert_eq!(ids(&*store, range.limit(2).after(first.next)).await, ["c", "d"]);
        commit(&*store, vec![Thing::name("n").put("b")]).await;
    }
}

pub async fn a_cursor_does_not_open_what_the_range_closes(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, ["a1", "a2", "b1", "b2", "c1"].map(|id| Thing::name(id).put(id)).to_vec()).await;
    let cursor = |id: &str| {
        Some(Cursor::from_bytes(KeyWriter::new().bytes(id.as_bytes()).bytes(id.as_bytes()).finish()))
    };
    for range in [IndexRange::ids(THINGS), by("by_name")] {
        let range = range.prefix(b"b");
        assert_eq!(ids(&*store, range.clone().after(cursor("a1"))).await, ["b1", "b2"]);
        assert!(ids(&*store, range.clone().after(cursor("c1"))).await.is_empty());
        let backward = range.backward();
        assert_eq!(ids(&*store, backward.clone().after(cursor("c1"))).await, ["b2", "b1"]);
        assert!(ids(&*store, backward.after(cursor("a1"))).await.is_empty());
    }
}

pub async fn a_foreign_cursor_is_refused(place: &dyn Place) {
    let store = open(place).await;
    for foreign in [&b""[..], b"x", b"x\0\0", b"\0\x07\0\0"] {
        let range = by("by_name").after(Some(Cursor::from_bytes(foreign.to_vec())));
        assert_eq!(store.scan(&range).await.unwrap_err().code(), "request.invalid_cursor");
    }
}

pub async fn a_document_stands_once_per_entry(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::tags(&["a", "b", "c"]).put("x"), Thing::tags(&["b"]).put("y")]).await;
    assert_eq!(ids(&*store, by("by_tag")).await, ["x", "x", "y", "x"]);
    assert_eq!(all_pages(&*store, by("by_tag").limit(1)).await.concat(), b"xxyx");
}

pub async fn random_ranges_agree_with_a_model(place: &dyn Place) {
    let store = open(place).await;
    let mut random = Random(42);
    let mut word = |most: u64| -> Vec<u8> {
        let length = random.below(most);
        (0..length).map(|_| [0, 1, b'a', 0xfe, 0xff][random.below(5) as usize]).collect()
    };
    let mut model = std::collections::BTreeSet::new();
    let mut batch = Vec::new();
    for n in 0..120_u8 {
        let (id, entry) = ([word(3), vec![n]].concat(), word(4));
        model.insert((entry.clone(), id.clone()));
        let entries = vec![crate::ports::store::Entry::new("by_name", entry)];
        batch.push(Write::Put { key: thing(id), body: Body::Json("{}".into()), entries });
    }
    commit(&*store, batch).await;
    for round in 0..300 {
        let (low, high) = (word(4), word(4));
        let from = [Unbounded, Included(low.clone()), Excluded(low)][round % 3].clone();
        let to = [Unbounded, Included(high.clone()), Excluded(high)][round / 3 % 3].clone();
        let mut range = by("by_name").between(from.clone(), to.clone()).limit(1 + round % 40);
        range.reverse = round % 2 == 1;
        let inside = model.iter().filter(|(entry, _)| {
            (match &from {
                Unbounded => true,
                Included(from) => entry >= from,
                Excluded(from) => entry > from,
            }) && match &to {
                Unbounded => true,
                Included(to) => entry <= to,
                Excluded(to) => entry < to,
            }
        });
        let mut expected: Vec<Vec<u8>> = inside.map(|(_, id)| id.clone()).collect();
        if range.reverse {
            expected.reverse();
        }
        assert_eq!(all_pages(&*store, range.clone()).await, expected, "{range:?}");
    }
}
