//! How entries are stored: a few at a time, as they were appended.
//!
//! A segment is written once and never changed. It is `count (u16) ‖ count hashes ‖ entry bundle`, under
//! the number of its first entry; it never reaches over a multiple of 256, so that a bundle of the log
//! is a range of segments. The hashes stand beside the entries so that a change of an entry can be
//! named, and so that the right edge of the tree is read without hashing.

use std::collections::BTreeSet;

use super::error;
use super::model::{AuditEntry, Occurrence};
use super::tables::{BY_ACTION, BY_ACTOR, BY_SUBJECT, BY_TIME, bucket_of};
use super::tlog::{EntryBundle, TILE_WIDTH};
use crate::kernel::merkle::{HASH_BYTES, MerkleHash, leaf_hash};
use crate::kernel::{Result, limits};
use crate::ports::store::{Entry, KeyWriter};

/// Entries of one segment: with an entry in each of the four indexes they stay within
/// [`limits::INDEX_ENTRIES`].
const SEGMENT_ENTRIES: usize = limits::INDEX_ENTRIES / 4;
/// Bytes of the leaves of one segment, so that a page of a query stays small.
const SEGMENT_BYTES: usize = 256 * 1024;

/// An entry with the bytes that are hashed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    pub(super) entry: AuditEntry,
    pub(super) bytes: Vec<u8>,
    pub(super) hash: MerkleHash,
}

/// Numbers and encodes occurrences.
pub(super) fn leaves(first: u64, occurrences: Vec<Occurrence>) -> Result<Vec<Leaf>> {
    (first..)
        .zip(occurrences)
        .map(|(index, what)| {
            let entry = AuditEntry { index, what };
            let bytes = entry.to_leaf()?;
            let hash = leaf_hash(&bytes);
            Ok(Leaf { entry, bytes, hash })
        })
        .collect()
}

/// Cuts leaves into segments.
pub(super) fn segments(mut leaves: &[Leaf]) -> Vec<&[Leaf]> {
    let mut segments = Vec::new();
    while let Some(first) = leaves.first() {
        let to_bundle_end = (TILE_WIDTH - first.entry.index % TILE_WIDTH) as usize;
        let mut bytes = 0;
        let fitting = leaves
            .iter()
            .take(SEGMENT_ENTRIES.min(to_bundle_end))
            .take_while(|leaf| {
                bytes += leaf.bytes.len();
                bytes <= SEGMENT_BYTES
            })
            .count();
        let (segment, rest) = leaves.split_at_checked(fitting.max(1)).unwrap_or((leaves, &[]));
        segments.push(segment);
        leaves = rest;
    }
    segments
}

/// The body of a segment.
pub(super) fn encode(leaves: &[Leaf]) -> Result<Vec<u8>> {
    let mut body = (leaves.len() as u16).to_be_bytes().to_vec();
    leaves.iter().for_each(|leaf| body.extend_from_slice(leaf.hash.as_bytes()));
    leaves.iter().try_for_each(|leaf| EntryBundle::push(&mut body, &leaf.bytes))?;
    Ok(body)
}

/// The stored hashes of a body, and the bundle behind them; `None` when there are fewer than it says.
pub(super) fn split(body: &[u8]) -> Option<(Vec<MerkleHash>, &[u8])> {
    let (count, rest) = body.split_first_chunk::<2>()?;
    let (hashes, bundle) = rest.split_at_checked(usize::from(u16::from_be_bytes(*count)) * HASH_BYTES)?;
    let (hashes, _) = hashes.as_chunks::<HASH_BYTES>();
    Some((hashes.iter().copied().map(MerkleHash).collect(), bundle))
}

/// The hashes and the leaves of a body.
///
/// # Errors
/// `audit.damaged` when the body is not of the form of a segment.
pub(super) fn decode(body: &[u8]) -> Result<Vec<(MerkleHash, &[u8])>> {
    let damaged = || error::damaged("segment");
    let (hashes, bundle) = split(body).ok_or_else(damaged)?;
    let leaves = EntryBundle::entries(bundle).ok_or_else(damaged)?;
    if leaves.len() == hashes.len() { Ok(hashes.into_iter().zip(leaves).collect()) } else { Err(damaged()) }
}

/// The index entries of a segment: by each value that occurs in it and each minute at which it does.
pub(super) fn index_entries<'a>(entries: impl Iterator<Item = &'a AuditEntry>) -> Vec<Entry> {
    let mut all = BTreeSet::new();
    let mut first = None;
    for entry in entries {
        let first = *first.get_or_insert(entry.index);
        let bucket = bucket_of(entry.what.time);
        all.insert(Entry::new(BY_TIME, KeyWriter::new().u64(bucket).u64(first).finish()));
        for (index, value) in [
            (BY_ACTOR, entry.what.actor.to_string()),
            (BY_SUBJECT, entry.what.subject.clone()),
            (BY_ACTION, entry.what.action.clone()),
        ] {
            let key = KeyWriter::new().text(searchable(&value)).u64(bucket).u64(first).finish();
            all.insert(Entry::new(index, key));
        }
    }
    all.into_iter().collect()
}

/// What of a value goes into an index: its first bytes, so that an index entry keeps its limit.
pub(super) fn searchable(value: &str) -> &str {
    // A zero byte takes two, and the bucket and the number take 18.
    let mut end = value.len().min(limits::INDEX_ENTRY_BYTES / 4);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value.get(..end).unwrap_or_default()
}
