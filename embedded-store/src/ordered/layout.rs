//! How documents, entries and events stand under keys: everything of a store in one keyspace.
//!
//! | key | value |
//! |---|---|
//! | code of a collection, id | version, entries, body |
//! | code of an index, entry (escaped, ended), id | nothing |
//! | code of a unique index, entry | id |
//! | `o` commit index | event |
//! | `m` name | what the store knows of itself, in it the codes ([`super::names`]) |

use std::ops::Bound;

use platform_core::kernel::{Error, EventPosition, Position, Result};
use platform_core::ports::store::{Body, BodyKind, Entry, Index, KeyReader, KeyWriter};

use super::KeyRange;
use super::names::{Code, CodedCollection};

/// The version of this layout.
pub(crate) const LAYOUT: u32 = 2;

/// The first and the last position of the newest group, so that a gap in the journal is seen.
pub(crate) const POSITION: &[u8] = b"mposition";
/// Up to where the outbox was trimmed: where its reading begins.
pub(crate) const TRIMMED: &[u8] = b"mtrimmed";
/// The version of the schema, and its layout as text.
pub(crate) const SCHEMA: &[u8] = b"mschema";
/// The version of the layout of keys and values.
pub(crate) const FORMAT: &[u8] = b"mformat";
/// Before the name to which a code was given.
pub(crate) const CODES: &[u8] = b"mcode/";

/// What an index was when it was filled.
pub(crate) fn index_signature(collection: &str, index: &str) -> Vec<u8> {
    [b"mindex/", collection.as_bytes(), b"/", index.as_bytes()].concat()
}

/// All signatures of a collection's indexes.
pub(crate) fn index_signatures(collection: &str) -> Vec<u8> {
    index_signature(collection, "")
}

/// Every key that begins with this prefix.
pub(crate) fn beneath(prefix: &[u8]) -> KeyRange {
    (Bound::Included(prefix.to_vec()), behind(prefix))
}

/// Where the keys that begin with this prefix end.
pub(crate) fn behind(prefix: &[u8]) -> Bound<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX);
    let Some((last, before)) = last.and_then(|last| prefix.get(..=last)).and_then(<[u8]>::split_last) else {
        return Bound::Unbounded;
    };
    Bound::Excluded([before, &[last + 1]].concat())
}

/// What all documents of a collection and all entries of an index begin with.
pub(crate) fn prefix(code: Code) -> Vec<u8> {
    key(code, &[])
}

/// A document of a collection, or an entry of a unique index.
pub(crate) fn key(code: Code, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 + rest.len());
    code.write_to(&mut key);
    key.extend_from_slice(rest);
    key
}

/// An entry of a document in an index: its key and its value.
pub(crate) fn entry<'a>((index, code): (&Index, Code), entry: &[u8], id: &'a [u8]) -> (Vec<u8>, &'a [u8]) {
    if index.unique {
        return (key(code, entry), id);
    }
    let mut key = key(code, &KeyWriter::new().bytes(entry).finish());
    key.extend_from_slice(id);
    (key, &[])
}

/// Entry and id behind the prefix of a shared index.
pub(crate) fn read_shared(rest: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut reader = KeyReader::new(rest);
    Ok((reader.bytes()?, reader.rest().to_vec()))
}

/// An event.
pub(crate) fn event(position: EventPosition) -> Vec<u8> {
    [&b"o"[..], &position.commit.to_be_bytes(), &position.index.to_be_bytes()].concat()
}

/// The position in the key of an event.
pub(crate) fn event_position(key: &[u8]) -> Result<EventPosition> {
    let mut reader = KeyReader::new(key.get(1..).unwrap_or_default());
    let commit = reader.u64()?;
    Ok(EventPosition { commit, index: u16::from_be_bytes(reader.fixed()?) })
}

/// First and last position of a group.
pub(crate) fn write_group(first: Position, last: Position) -> [u8; 16] {
    let mut bytes = [0; 16];
    let (low, high) = bytes.split_at_mut(8);
    low.copy_from_slice(&first.to_be_bytes());
    high.copy_from_slice(&last.to_be_bytes());
    bytes
}

/// What [`write_group`] wrote.
pub(crate) fn read_group(bytes: &[u8]) -> Result<(Position, Position)> {
    let mut reader = KeyReader::new(bytes);
    Ok((reader.u64()?, reader.u64()?))
}

/// A stored document, borrowed from its value.
pub(crate) struct Stored<'a> {
    pub(crate) version: Position,
    entries: &'a [u8],
    pub(crate) body: &'a [u8],
}

pub(super) fn damaged() -> Error {
    Error::data_loss("store.damaged", "a stored document does not read: restore the store from a backup")
}

/// Makes `value` that of a document. Its entries are those of declared indexes.
pub(crate) fn write_document(
    value: &mut Vec<u8>,
    collection: CodedCollection<'_>,
    version: Position,
    entries: &[Entry],
    body: &[u8],
) {
    let coded = || entries.iter().filter_map(|entry| Some((collection.index(entry.index)?.1, &entry.entry)));
    let length: usize = coded().map(|(_, entry)| 4 + entry.len()).sum();
    value.clear();
    value.reserve(12 + length + body.len());
    value.extend_from_slice(&version.to_be_bytes());
    // Both lengths are bounded by the limits.
    value.extend_from_slice(&(length as u32).to_be_bytes());
    for (code, entry) in coded() {
        value.extend_from_slice(&code.to_bytes());
        value.extend_from_slice(&(entry.len() as u16).to_be_bytes());
        value.extend_from_slice(entry);
    }
    value.extend_from_slice(body);
}

impl<'a> Stored<'a> {
    /// Reads the value of a document.
    ///
    /// # Errors
    /// `store.damaged`.
    pub(crate) fn read(value: &'a [u8]) -> Result<Stored<'a>> {
        let (version, rest) = value.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (entries, body) = rest.split_at_checked(length).ok_or_else(damaged)?;
        Ok(Stored { version: u64::from_be_bytes(*version), entries, body })
    }

    /// The entries of those indexes that are declared.
    ///
    /// # Errors
    /// `store.damaged`.
    pub(crate) fn entries(&self, collection: CodedCollection<'_>) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        let mut rest = self.entries;
        while !rest.is_empty() {
            let (code, after) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
            let (length, after) = after.split_first_chunk::<2>().ok_or_else(damaged)?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (entry, after) = after.split_at_checked(length).ok_or_else(damaged)?;
            rest = after;
            let index = collection.index_of(*code);
            found.extend(index.map(|index| Entry { index: index.name, entry: entry.to_vec() }));
        }
        Ok(found)
    }

    /// The body.
    ///
    /// # Errors
    /// `store.damaged`.
    pub(crate) fn body(&self, kind: BodyKind) -> Result<Body> {
        Body::from_bytes(kind, self.body.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use platform_core::ports::store::{Collection, Schema};
    use proptest::prelude::*;

    use super::super::names::Coded;
    use super::*;

    const INDEXES: &[Index] = &[Index::one("by_name"), Index::many("by_tag")];
    const THINGS: Collection = Collection::json("things").indexed(INDEXES, |_, _| Ok(Vec::new()));

    fn coded() -> Coded {
        Coded::of(&Arc::new(Schema {
            store: "test",
            version: 1,
            collections: vec![THINGS],
            is_following: false,
        }))
        .unwrap()
    }

    proptest! {
        #[test]
        fn a_document_reads_as_it_was_written(
            version in any::<u64>(), tags in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..4),
            body in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let coded = coded();
            let things = coded.collection("things").unwrap();
            let entries: Vec<Entry> = tags.into_iter().map(|tag| Entry::new("by_tag", tag)).collect();
            let mut value = Vec::new();
            write_document(&mut value, things, version, &entries, &body);
            let stored = Stored::read(&value).unwrap();
            prop_assert_eq!((stored.version, stored.body), (version, body.as_slice()));
            prop_assert_eq!(stored.entries(things).unwrap(), entries);
        }

        #[test]
        fn foreign_bytes_do_not_panic(value in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(stored) = Stored::read(&value) {
                let _ = stored.entries(coded().collection("things").unwrap()).is_ok();
            }
            let _ = (read_shared(&value).is_ok(), event_position(&value).is_ok(), read_group(&value).is_ok());
        }

        #[test]
        fn a_prefix_has_beneath_it_what_begins_with_it(
            prefix in proptest::collection::vec(prop_oneof![Just(0xff), any::<u8>()], 1..4),
            key in proptest::collection::vec(prop_oneof![Just(0xff), any::<u8>()], 0..6),
        ) {
            let range = beneath(&prefix);
            let within = std::ops::RangeBounds::<Vec<u8>>::contains(&range, &key);
            prop_assert_eq!(within, key.starts_with(&prefix));
        }
    }

    #[test]
    fn the_layout_is_what_it_was() {
        let place = EventPosition { commit: 258, index: 3 };
        assert_eq!(event(place), b"o\0\0\0\0\0\0\x01\x02\0\x03");
        assert_eq!(event_position(&event(place)).unwrap(), place);
        let coded = coded();
        let things = coded.collection("things").unwrap();
        let by_name = things.index("by_name").unwrap();
        assert_eq!(key(things.code, b"id"), b"\x80id");
        assert_eq!(entry(by_name, b"a\0", b"id"), (b"\x81a\0\xff\0\0id".to_vec(), &b""[..]));
        let entries = [Entry::new("by_name", "n")];
        let mut value = b"of another one".to_vec();
        write_document(&mut value, things, 7, &entries, b"{}");
        assert_eq!(value, b"\0\0\0\0\0\0\0\x07\0\0\0\x05\0\x01\0\x01n{}");
    }
}
