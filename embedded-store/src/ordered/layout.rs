//! How documents, entries and events stand under keys: everything of a store in one keyspace.
//!
//! | key | value |
//! |---|---|
//! | `d` collection `0` id | version, entries, body |
//! | `i` collection `0` index `0` entry (escaped, ended) id | nothing |
//! | `u` collection `0` unique index `0` entry | id |
//! | `o` commit index | event |
//! | `m` name | what the store knows of itself |
//!
//! Names hold no zero byte, so that no collection begins another.

use std::ops::Bound;

use platform_core::kernel::{Error, EventPosition, Position, Result};
use platform_core::ports::store::{Body, BodyKind, Collection, Entry, Index, KeyReader, KeyWriter};

use super::KeyRange;

/// The first and the last position of the newest group, so that a gap in the journal is seen.
pub(crate) const POSITION: &[u8] = b"mposition";
/// Up to where the outbox was trimmed: where its reading begins.
pub(crate) const TRIMMED: &[u8] = b"mtrimmed";
/// The version of the schema, and its layout as text.
pub(crate) const SCHEMA: &[u8] = b"mschema";

/// What an index was when it was filled.
pub(crate) fn index_signature(collection: &str, index: &str) -> Vec<u8> {
    [b"mindex/", collection.as_bytes(), b"/", index.as_bytes()].concat()
}

/// All signatures of a collection's indexes.
pub(crate) fn index_signatures(collection: &str) -> Vec<u8> {
    index_signature(collection, "")
}

/// All documents of a collection.
pub(crate) fn documents(collection: &str) -> Vec<u8> {
    [b"d", collection.as_bytes(), b"\0"].concat()
}

/// Every key that begins with this prefix, which is one of ours: it ends with a zero or a slash.
pub(crate) fn beneath(prefix: &[u8]) -> KeyRange {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    (Bound::Included(prefix.to_vec()), Bound::Excluded(end))
}

/// A document.
pub(crate) fn document(collection: &str, id: &[u8]) -> Vec<u8> {
    [b"d", collection.as_bytes(), b"\0", id].concat()
}

/// All entries of an index.
pub(crate) fn entries(collection: &str, index: &str, unique: bool) -> Vec<u8> {
    [if unique { b"u" } else { b"i" }, collection.as_bytes(), b"\0", index.as_bytes(), b"\0"].concat()
}

/// An entry of a unique index.
pub(crate) fn unique(collection: &str, index: &str, entry: &[u8]) -> Vec<u8> {
    [b"u", collection.as_bytes(), b"\0", index.as_bytes(), b"\0", entry].concat()
}

/// An entry of a document in an index: its key and its value.
pub(crate) fn entry(collection: &str, index: &Index, entry: &[u8], id: &[u8]) -> (Vec<u8>, Vec<u8>) {
    if index.unique {
        return (unique(collection, index.name, entry), id.to_vec());
    }
    let mut key = entries(collection, index.name, false);
    key.extend_from_slice(&KeyWriter::new().bytes(entry).finish());
    key.extend_from_slice(id);
    (key, Vec::new())
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

fn damaged() -> Error {
    Error::data_loss("store.damaged", "a stored document does not read: restore the store from a backup")
}

/// The value of a document.
pub(crate) fn write_document(version: Position, entries: &[Entry], body: &[u8]) -> Vec<u8> {
    let mut list = Vec::new();
    for entry in entries {
        // Both lengths are bounded by the schema's check and the limits.
        list.push(entry.index.len() as u8);
        list.extend_from_slice(entry.index.as_bytes());
        list.extend_from_slice(&(entry.entry.len() as u16).to_be_bytes());
        list.extend_from_slice(&entry.entry);
    }
    let mut value = Vec::with_capacity(12 + list.len() + body.len());
    value.extend_from_slice(&version.to_be_bytes());
    value.extend_from_slice(&(list.len() as u32).to_be_bytes());
    value.extend_from_slice(&list);
    value.extend_from_slice(body);
    value
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
    pub(crate) fn entries(&self, collection: &Collection) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        let mut rest = self.entries;
        while let Some((length, after)) = rest.split_first() {
            let (name, after) = after.split_at_checked(usize::from(*length)).ok_or_else(damaged)?;
            let (length, after) = after.split_first_chunk::<2>().ok_or_else(damaged)?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (entry, after) = after.split_at_checked(length).ok_or_else(damaged)?;
            rest = after;
            let name = std::str::from_utf8(name).map_err(|_| damaged())?;
            found.extend(
                collection.index(name).map(|index| Entry { index: index.name, entry: entry.to_vec() }),
            );
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
    use super::*;
    use proptest::prelude::*;

    const INDEXES: &[Index] = &[Index::one("by_name"), Index::many("by_tag")];
    const THINGS: Collection = Collection::json("things").indexed(INDEXES, |_, _| Ok(Vec::new()));

    proptest! {
        #[test]
        fn a_document_reads_as_it_was_written(
            version in any::<u64>(), tags in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..4),
            body in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let entries: Vec<Entry> = tags.into_iter().map(|tag| Entry::new("by_tag", tag)).collect();
            let value = write_document(version, &entries, &body);
            let stored = Stored::read(&value).unwrap();
            prop_assert_eq!((stored.version, stored.body), (version, body.as_slice()));
            prop_assert_eq!(stored.entries(&THINGS).unwrap(), entries);
        }

        #[test]
        fn foreign_bytes_do_not_panic(value in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(stored) = Stored::read(&value) {
                let _ = stored.entries(&THINGS).is_ok();
            }
            let _ = (read_shared(&value).is_ok(), event_position(&value).is_ok(), read_group(&value).is_ok());
        }
    }

    #[test]
    fn the_layout_is_what_it_was() {
        let place = EventPosition { commit: 258, index: 3 };
        assert_eq!(event(place), b"o\0\0\0\0\0\0\x01\x02\0\x03");
        assert_eq!(event_position(&event(place)).unwrap(), place);
        let [by_name, ..] = INDEXES else { panic!() };
        assert_eq!(
            entry("things", by_name, b"a\0", b"id"),
            (b"ithings\0by_name\0a\0\xff\0\0id".to_vec(), vec![])
        );
        let entries = [Entry::new("by_name", "n")];
        assert_eq!(write_document(7, &entries, b"{}"), b"\0\0\0\0\0\0\0\x07\0\0\0\x0b\x07by_name\0\x01n{}");
    }
}
