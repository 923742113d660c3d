//! The audit log: entries, segments, paths, notes, checkpoints.

use std::sync::LazyLock;

use platform_core::audit::fuzzing::{canonical, decode_segment, encode_segments};
use platform_core::audit::tlog::{
    Checkpoint, EntryBundle, Resource, SignedNote, SigningKey, TILE_WIDTH, Tile, VerifierKey,
};
use platform_core::audit::{AuditEntry, Occurrence, Outcome};
use platform_core::kernel::merkle::{MerkleHash, leaf_hash};
use platform_core::kernel::{Actor, CorrelationId, EventId, RawId, Secret, Timestamp};
use serde_json::{Value, json};

use crate::input::{Input, has_one_text, refused, text};

pub(crate) fn canonical_json(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    let text = canonical(&value);
    let again: Value = serde_json::from_str(&text).expect("canonical JSON is JSON");
    assert_eq!(canonical(&again), text, "one text for one value");
}

pub(crate) fn entry(bytes: &[u8]) {
    match AuditEntry::from_leaf(bytes) {
        Ok(entry) => match entry.to_leaf() {
            Ok(leaf) => {
                let again = AuditEntry::from_leaf(&leaf).expect("what is written reads");
                assert_eq!(again.to_leaf().unwrap(), leaf, "one leaf for one entry");
                assert_eq!(
                    (again.index, &again.what.id, again.what.time),
                    (entry.index, &entry.what.id, entry.what.time)
                );
            }
            Err(error) => refused(&error, &["audit.entry_too_large"]),
        },
        Err(error) => refused(&error, &["audit.invalid_entry"]),
    }
}

fn occurrence(input: &mut Input<'_>) -> Occurrence {
    Occurrence {
        id: EventId(RawId(input.array::<4>().repeat(4).try_into().unwrap())),
        time: Timestamp::from_secs(u64::from(input.u32())),
        action: input.text(),
        actor: Actor::System,
        subject: input.text(),
        outcome: Outcome::Success,
        correlation_id: CorrelationId::from_raw(RawId([1; 16])),
        causation_id: None,
        source: None,
        count: None,
        data: json!({"text": input.text(), "number": input.byte()}),
    }
}

pub(crate) fn segment(bytes: &[u8]) {
    match decode_segment(bytes) {
        Ok(leaves) => {
            let mut written = (leaves.len() as u16).to_be_bytes().to_vec();
            leaves.iter().for_each(|(hash, _)| written.extend_from_slice(hash.as_bytes()));
            leaves.iter().for_each(|(_, leaf)| EntryBundle::push(&mut written, leaf).unwrap());
            assert_eq!(written, bytes, "a segment has one form");
        }
        Err(error) => refused(&error, &["audit.damaged"]),
    }
    let mut input = Input(bytes);
    let first = u64::from(input.u32());
    let count = usize::from(input.byte()) % 80;
    let occurrences: Vec<_> = (0..count).map(|_| occurrence(&mut input)).collect();
    let segments = encode_segments(first, occurrences.clone()).expect("small entries");
    let mut read = Vec::new();
    for body in &segments {
        let leaves = decode_segment(body).expect("what is written reads");
        let begin = first + read.len() as u64;
        assert_eq!(begin / TILE_WIDTH, (begin + leaves.len() as u64 - 1) / TILE_WIDTH, "within one bundle");
        for (hash, leaf) in leaves {
            assert_eq!(leaf_hash(leaf), hash);
            read.push(AuditEntry::from_leaf(leaf).unwrap());
        }
    }
    assert!(read.iter().map(|entry| &entry.what).eq(&occurrences));
    assert!(read.iter().map(|entry| entry.index).eq(first..first + count as u64));
}

pub(crate) fn tile_paths(bytes: &[u8]) {
    if let Some(text) = text(bytes)
        && let Some(Resource::Tile(tile)) = has_one_text::<Resource>(text, "audit.invalid_path")
    {
        assert!((1..=TILE_WIDTH as u16).contains(&tile.width));
    }
    if let Some(entries) = EntryBundle::entries(bytes) {
        let mut written = Vec::new();
        entries.iter().for_each(|entry| EntryBundle::push(&mut written, entry).unwrap());
        assert_eq!(written, bytes);
    }
    let mut input = Input(bytes);
    let (level, index, size) = (input.byte(), input.u64(), input.u64());
    let width = Tile::width_at(level, index, size);
    assert!(u64::from(width) <= TILE_WIDTH);
    if width > 0 && level < 64 {
        let resource = Resource::Tile(Tile { level, index, width });
        assert_eq!(resource.to_string().parse::<Resource>().unwrap(), resource);
    }
    let small = size % 70_000;
    let mut covered = 0;
    for tile in Tile::all(small) {
        assert_eq!(tile.width, Tile::width_at(tile.level, tile.index, small));
        covered += if tile.level == 0 { u64::from(tile.width) } else { 0 };
    }
    assert_eq!(covered, small, "every entry is in a tile");
}

const NAME: &str = "example.com/log";

/// What is signed, and the key.
static SIGNED: LazyLock<(String, SigningKey)> = LazyLock::new(|| {
    let key = SigningKey::from_seed(NAME, &[7; 32]).unwrap();
    let root = MerkleHash([9; 32]);
    let checkpoint = Checkpoint { origin: NAME.to_owned(), size: 42, root, extensions: Vec::new() };
    (checkpoint.sign(&key).unwrap().to_string(), key)
});

pub(crate) fn checkpoint(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    has_one_text::<Checkpoint>(text, "audit.invalid_checkpoint");
    let (signed, key) = &*SIGNED;
    match Checkpoint::open(text, key.verifier()) {
        Ok(opened) => assert_eq!(opened.sign(key).unwrap().to_string(), *signed, "a signature was forged"),
        Err(error) => refused(
            &error,
            &["audit.invalid_note", "audit.invalid_checkpoint", "audit.not_signed", "audit.bad_signature"],
        ),
    }
    // What is a checkpoint and is signed opens, and says the same.
    if let Ok(checkpoint) = text.parse::<Checkpoint>()
        && let Ok(note) = checkpoint.sign(key)
    {
        match Checkpoint::open(&note.to_string(), key.verifier()) {
            Ok(opened) => assert_eq!(opened, checkpoint),
            Err(error) => {
                refused(&error, &["audit.invalid_checkpoint"]);
                assert_ne!(checkpoint.origin, NAME);
            }
        }
    }
}

pub(crate) fn signed_note(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Some(note) = has_one_text::<SignedNote>(text, "audit.invalid_note") {
        let (signed, key) = &*SIGNED;
        match note.verify(key.verifier()) {
            Ok(own) => assert!(signed.starts_with(own), "a signature was forged"),
            Err(error) => refused(&error, &["audit.not_signed", "audit.bad_signature"]),
        }
    }
    has_one_text::<VerifierKey>(text, "audit.invalid_key");
    match SigningKey::from_text(&Secret::new(text)) {
        Ok(key) => assert!(key.verifier().verifies(b"x", &key.sign(b"x"))),
        Err(error) => refused(&error, &["audit.invalid_key"]),
    }
    // Whatever may be signed is read as it was signed.
    let (_, key) = &*SIGNED;
    match SignedNote::sign(text.to_owned(), key) {
        Ok(note) => match note.to_string().parse::<SignedNote>() {
            Ok(again) => assert_eq!(again.verify(key.verifier()).unwrap(), text),
            Err(error) => {
                refused(&error, &["audit.invalid_note"]);
                assert!(text.len() > 60_000, "what was signed does not read: {text:?}");
            }
        },
        Err(error) => refused(&error, &["audit.invalid_note"]),
    }
}
