//! Index entries: where they come from, and that they go.

use super::Place;
use super::kit::*;
use crate::kernel::limits;
use crate::ports::store::{Body, CommitError, Entry, IndexRange, Write};

fn by(index: &'static str) -> IndexRange {
    IndexRange::index(THINGS, index)
}

pub async fn a_unique_entry_is_refused_to_a_second_document(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::mail("m").put("a")]).await;
    let second = store.commit(writes(vec![Thing::mail("m").put("b")])).await;
    assert!(
        matches!(second, Err(CommitError::Unique { collection: THINGS, index: "by_mail" })),
        "{second:?}"
    );
    let both = store.commit(writes(vec![Thing::mail("n").put("b"), Thing::mail("n").put("c")])).await;
    assert!(matches!(both, Err(CommitError::Unique { .. })), "{both:?}");
}

pub async fn a_document_keeps_its_own_unique_entry(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::mail("m").put("a")]).await;
    commit(&*store, vec![Thing { name: Some("n".into()), ..Thing::mail("m") }.put("a")]).await;
    assert_eq!(ids(&*store, by("by_mail").exactly(b"m")).await, ["a"]);
}

pub async fn a_replaced_entry_is_gone_and_the_new_one_is_found(place: &dyn Place) {
    let store = open(place).await;
    for name in ["x", "y", "z"] {
        commit(&*store, vec![Thing { mail: Some(name.into()), ..Thing::name(name) }.put("a")]).await;
        for index in ["by_name", "by_mail"] {
            assert_eq!(scan(&*store, by(index)).await.docs.len(), 1);
            assert_eq!(ids(&*store, by(index).exactly(name.as_bytes())).await, ["a"]);
        }
    }
}

pub async fn a_deleted_document_has_no_entries(place: &dyn Place) {
    let store = open(place).await;
    let whole = Thing {
        mail: Some("m".into()),
        name: Some("n".into()),
        tags: vec!["t".into(), "u".into()],
        phones: vec!["1".into()],
    };
    commit(&*store, vec![whole.put("a"), Thing::tags(&["t"]).put("b")]).await;
    commit(&*store, vec![delete("a")]).await;
    for (index, left) in [("by_mail", 0), ("by_name", 0), ("by_tag", 1), ("by_phone", 0)] {
        assert_eq!(scan(&*store, by(index)).await.docs.len(), left, "{index}");
    }
    commit(&*store, vec![whole.put("c")]).await;
}

pub async fn a_missing_value_has_no_entry(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::default().put("a"), Thing::default().put("b"), Thing::mail("m").put("c")])
        .await;
    assert_eq!(ids(&*store, by("by_mail")).await, ["c"]);
    assert!(ids(&*store, by("by_name")).await.is_empty());
    commit(&*store, vec![Thing::default().put("c")]).await;
    assert!(ids(&*store, by("by_mail").backward()).await.is_empty());
}

pub async fn all_entries_of_a_document_are_found(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::tags(&["red", "round", "ripe"]).put("a"), Thing::tags(&["red"]).put("b")])
        .await;
    assert_eq!(ids(&*store, by("by_tag").exactly(b"red")).await, ["a", "b"]);
    assert_eq!(ids(&*store, by("by_tag").exactly(b"ripe")).await, ["a"]);
    assert_eq!(ids(&*store, by("by_tag").prefix(b"r")).await, ["a", "b", "a", "a"]);
}

pub async fn many_entries_are_replaced_one_by_one(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::tags(&["a", "b", "c"]).put("x")]).await;
    commit(&*store, vec![Thing::tags(&["d", "b"]).put("x")]).await;
    for (tag, found) in [("a", false), ("b", true), ("c", false), ("d", true)] {
        assert_eq!(!ids(&*store, by("by_tag").exactly(tag.as_bytes())).await.is_empty(), found, "{tag}");
    }
    commit(&*store, vec![Thing::default().put("x")]).await;
    assert!(ids(&*store, by("by_tag")).await.is_empty());
}

pub async fn entries_compare_as_bytes(place: &dyn Place) {
    let store = open(place).await;
    let entries: [&[u8]; 9] =
        [b"\0", b"\0\0", b"\x01", b"B", b"Ba", b"a", b"a\0", "ä".as_bytes(), b"\xff\xff"];
    for (n, entry) in entries.iter().enumerate().rev() {
        let write = Write::Put {
            key: thing(format!("{n}")),
            body: Body::Json("{}".into()),
            entries: vec![
                Entry::new("by_name", *entry),
                Entry::new("by_tag", *entry),
                Entry::new("by_mail", *entry),
            ],
        };
        commit(&*store, vec![write]).await;
    }
    for index in ["by_name", "by_tag", "by_mail"] {
        assert_eq!(ids(&*store, by(index)).await.concat(), "012345678", "{index}");
        assert_eq!(ids(&*store, by(index).backward()).await.concat(), "876543210", "{index}");
    }
}

pub async fn an_empty_entry_is_an_entry(place: &dyn Place) {
    let store = open(place).await;
    let write = |id: &str| Write::Put {
        key: thing(id),
        body: Body::Json("{}".into()),
        entries: vec![Entry::new("by_mail", ""), Entry::new("by_name", ""), Entry::new("by_tag", "")],
    };
    commit(&*store, vec![write("a"), Thing::mail("m").put("b")]).await;
    assert_eq!(ids(&*store, by("by_mail")).await, ["a", "b"]);
    assert_eq!(ids(&*store, by("by_name").exactly(b"")).await, ["a"]);
    assert_eq!(ids(&*store, by("by_tag").exactly(b"")).await, ["a"]);
    assert!(matches!(store.commit(writes(vec![write("c")])).await, Err(CommitError::Unique { .. })));
}

pub async fn an_entry_of_maximal_length_is_found(place: &dyn Place) {
    let store = open(place).await;
    let long = |last: char| format!("{}{last}", "e".repeat(limits::INDEX_ENTRY_BYTES - 1));
    for last in ['a', 'b'] {
        let name = long(last);
        let whole = Thing { mail: Some(name.clone()), tags: vec![name.clone()], ..Thing::name(&name) };
        commit(&*store, vec![whole.put(last.to_string())]).await;
    }
    for index in ["by_mail", "by_name", "by_tag"] {
        assert_eq!(ids(&*store, by(index).exactly(long('b').as_bytes())).await, ["b"], "{index}");
        let pages = all_pages(&*store, by(index).limit(1)).await;
        assert_eq!(pages, [b"a", b"b"], "{index}");
    }
}

pub async fn unique_holds_for_many_entries_too(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::phones(&["1", "2"]).put("a")]).await;
    let second = store.commit(writes(vec![Thing::phones(&["3", "2"]).put("b")])).await;
    assert!(
        matches!(second, Err(CommitError::Unique { collection: THINGS, index: "by_phone" })),
        "{second:?}"
    );
    commit(&*store, vec![Thing::phones(&["1"]).put("a")]).await;
    commit(&*store, vec![Thing::phones(&["3", "2"]).put("b")]).await;
    assert_eq!(ids(&*store, by("by_phone")).await, ["a", "b", "b"]);
}

pub async fn unique_holds_within_one_collection(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::mail("m").put("a"), Thing::mail("m").put_in(OTHERS, "b")]).await;
    assert_eq!(ids(&*store, IndexRange::index(OTHERS, "by_mail")).await, ["b"]);
}

pub async fn unique_entries_of_a_many_index_swap(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::phones(&["1", "2"]).put("a"), Thing::phones(&["3"]).put("b")]).await;
    commit(&*store, vec![Thing::phones(&["3"]).put("a"), Thing::phones(&["1", "2"]).put("b")]).await;
    assert_eq!(ids(&*store, by("by_phone")).await, ["b", "b", "a"]);
}

pub async fn an_entry_twice_is_refused(place: &dyn Place) {
    let store = open(place).await;
    let batch = writes(vec![Thing::tags(&["t", "u", "t"]).put("a")]);
    assert_eq!(refused(&*store, batch).await, "store.entry_twice");
}

pub async fn two_entries_of_a_single_index_are_refused(place: &dyn Place) {
    let store = open(place).await;
    let entries = vec![Entry::new("by_name", "x"), Entry::new("by_name", "y")];
    let write = Write::Put { key: thing("a"), body: Body::Json("{}".into()), entries };
    assert_eq!(refused(&*store, writes(vec![write])).await, "store.entry_twice");
}

pub async fn binary_documents_have_indexes_too(place: &dyn Place) {
    let store = open(place).await;
    let blocks = |index| IndexRange::index(BLOCKS, index);
    commit(&*store, vec![block("x", b"\x02\x01"), block("y", b"\x01\xff"), block("z", b"\x01\x02")]).await;
    assert_eq!(ids(&*store, blocks("by_first")).await, ["y", "z", "x"]);
    assert_eq!(ids(&*store, blocks("by_first").backward()).await, ["x", "z", "y"]);
    assert_eq!(ids(&*store, blocks("by_all")).await, ["z", "y", "x"]);
    assert_eq!(ids(&*store, blocks("by_byte").exactly(b"\x02")).await, ["x", "z"]);
    let taken = store.commit(writes(vec![block("w", b"\x02\x01")])).await;
    assert!(matches!(taken, Err(CommitError::Unique { collection: BLOCKS, index: "by_all" })), "{taken:?}");
    commit(&*store, vec![block("x", b"\x01\x02\x03")]).await;
    assert_eq!(ids(&*store, blocks("by_first")).await, ["x", "y", "z"]);
    assert_eq!(all_pages(&*store, blocks("by_first").limit(1)).await.concat(), b"xyz");
}

pub async fn a_freed_unique_entry_is_free_at_once(place: &dyn Place) {
    let store = open(place).await;
    commit(&*store, vec![Thing::mail("m").put("a")]).await;
    commit(&*store, vec![Thing::mail("other").put("a"), Thing::mail("m").put("b")]).await;
    commit(&*store, vec![delete("b")]).await;
    commit(&*store, vec![Thing::mail("m").put("c")]).await;
    assert_eq!(ids(&*store, by("by_mail").exactly(b"m")).await, ["c"]);
}

pub async fn equal_entries_are_ordered_by_id(place: &dyn Place) {
    let store = open(place).await;
    for id in ["c", "a", "b", "ab"] {
        commit(&*store, vec![Thing { name: Some("n".into()), ..Thing::tags(&["t"]) }.put(id)]).await;
    }
    for index in ["by_name", "by_tag"] {
        assert_eq!(ids(&*store, by(index)).await, ["a", "ab", "b", "c"]);
        assert_eq!(ids(&*store, by(index).backward()).await, ["c", "b", "ab", "a"]);
    }
}
