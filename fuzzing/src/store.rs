//! Composed keys, stored documents.

use std::cmp::Ordering;

use embedded_store::fuzzing::Documents;
use platform_core::kernel::Timestamp;
use platform_core::ports::store::{
    Body, BodyKind, Collection, Entry, IdempotencyRecord, Index, KeyReader, KeyWriter,
};

use crate::input::{Input, refused, text};

/// A part of a composed key.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Bytes(Vec<u8>),
    Text(String),
    Number(u64),
    Time(Timestamp),
    Fixed([u8; 5]),
}

fn part(kind: u8, input: &mut Input<'_>) -> Part {
    match kind % 5 {
        0 => Part::Bytes(input.bytes().to_vec()),
        1 => Part::Text(input.text()),
        2 => Part::Number(input.u64()),
        3 => Part::Time(Timestamp::from_micros(input.u64())),
        _ => Part::Fixed(input.array()),
    }
}

fn write(parts: &[Part]) -> Vec<u8> {
    let add = |key: KeyWriter, part: &Part| match part {
        Part::Bytes(bytes) => key.bytes(bytes),
        Part::Text(text) => key.text(text),
        Part::Number(number) => key.u64(*number),
        Part::Time(at) => key.time(*at),
        Part::Fixed(bytes) => key.fixed(bytes),
    };
    parts.iter().fold(KeyWriter::new(), add).finish()
}

fn read(like: &Part, reader: &mut KeyReader<'_>) -> platform_core::kernel::Result<Part> {
    Ok(match like {
        Part::Bytes(_) => Part::Bytes(reader.bytes()?),
        Part::Text(_) => Part::Text(reader.text()?),
        Part::Number(_) => Part::Number(reader.u64()?),
        Part::Time(_) => Part::Time(reader.time()?),
        Part::Fixed(_) => Part::Fixed(reader.fixed()?),
    })
}

pub(crate) fn key_codec(bytes: &[u8]) {
    let mut input = Input(bytes);
    let kinds: Vec<u8> = input.take(usize::from(input.0.first().copied().unwrap_or_default() % 5)).to_vec();
    let mut tuple = || kinds.iter().map(|kind| part(*kind, &mut input)).collect::<Vec<Part>>();
    let (a, b) = (tuple(), tuple());
    let (written_a, written_b) = (write(&a), write(&b));
    assert_eq!(written_a.cmp(&written_b), a.cmp(&b), "keys sort as their parts do: {a:?} {b:?}");
    let mut reader = KeyReader::new(&written_a);
    for part in &a {
        assert_eq!(read(part, &mut reader).expect("what was written reads"), *part);
    }
    assert!(reader.rest().is_empty());
    // Foreign bytes: what reads is what would have been written.
    let mut reader = KeyReader::new(bytes);
    let mut found = Vec::new();
    for like in a.iter().cycle().take(16) {
        match read(like, &mut reader) {
            Ok(part) => found.push(part),
            Err(error) => {
                refused(&error, &["store.damaged"]);
                break;
            }
        }
    }
    if found.len() == 16 {
        assert_eq!([write(&found), reader.rest().to_vec()].concat(), bytes);
    }
}

fn no_entries(_: &[u8], _: &Body) -> platform_core::kernel::Result<Vec<Entry>> {
    Ok(Vec::new())
}

const COLLECTION: Collection =
    Collection::binary("orders").indexed(&[Index::one("by_customer"), Index::many("by_tag")], no_entries);

pub(crate) fn stored_documents(bytes: &[u8]) {
    let documents = Documents::of(COLLECTION).unwrap();
    match documents.decode(bytes) {
        Ok((version, entries, body)) => {
            let written = documents.encode(version, &entries, body);
            assert_eq!(documents.decode(&written).unwrap(), (version, entries, body));
        }
        Err(error) => refused(&error, &["store.damaged"]),
    }
    if let Err(error) = Body::from_bytes(BodyKind::Json, bytes.to_vec()) {
        refused(&error, &["store.damaged"]);
    }
    if let Some(text) = text(bytes) {
        match IdempotencyRecord::read(&Body::Json(text.to_owned())) {
            Ok(record) => assert_eq!(record.fingerprint.len(), 32),
            Err(error) => refused(&error, &["store.damaged"]),
        }
    }
    let mut input = Input(bytes);
    let version = input.u64();
    let entries: Vec<Entry> = (0..input.byte() % 4)
        .map(|number| Entry::new(if number % 2 == 0 { "by_customer" } else { "by_tag" }, input.bytes()))
        .collect();
    let written = documents.encode(version, &entries, input.0);
    let (read_version, read_entries, body) = documents.decode(&written).unwrap();
    assert_eq!((read_version, body), (version, input.0));
    assert_eq!(read_entries.cmp(&entries), Ordering::Equal);
}
