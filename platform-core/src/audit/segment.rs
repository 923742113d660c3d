//! How entries are stored: a few at a time, as they were appended.
//!
//! A segment is written once and never changed. It is `count (u16) ‖ count hashes ‖ entry bundle`, under
//! the number of its first entry; it never reaches over a multiple of 256, so that a bundle of the log
//! is a range of segments. The hashes stand beside the entries so that a change of an entry can be
//! named, and so that the right edge of the tree is read without hashing.

use std::collections::BTreeSet;

use super::error;
use super::leaf::{Leaf, Told};
use super::tables::{BY_ACTION, BY_ACTOR, BY_SUBJECT, BY_TIME, bucket_of};
use super::tlog::{EntryBundle, TILE_WIDTH};
use crate::kernel::merkle::{HASH_BYTES, MerkleHash};
use crate::kernel::{Result, limits};
use crate::ports::store::{Entry, KeyWriter};

/// Entries of one segment: with an entry in each of the four indexes they stay within
/// [`limits::INDEX_ENTRIES`].
const SEGMENT_ENTRIES: usize = limits::INDEX_ENTRIES / 4;
/// Bytes of the leaves of one segment, so that a page of a query stays small.
const SEGMENT_BYTES: usize = 256 * 1024;

/// Cuts leaves into segments.
pub(super) fn segments<'l, 'a>(mut leaves: &'l [Leaf<'a>]) -> Vec<&'l [Leaf<'a>]> {
    let mut segments = Vec::new();
    while let Some(first) = leaves.first() {
        let to_bundle_end = (TILE_WIDTH - first.index % TILE_WIDTH) as usize;
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
pub(super) fn encode(leaves: &[Leaf<'_>]) -> Result<Vec<u8>> {
    let bytes: usize = leaves.iter().map(|leaf| HASH_BYTES + 2 + leaf.bytes.len()).sum();
    let mut body = Vec::with_capacity(2 + bytes);
    body.extend_from_slice(&(leaves.len() as u16).to_be_bytes());
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

/// The index entries of a segment that begins with this number: by each value that occurs in it and each
/// minute at which it does.
pub(super) fn index_entries<'a>(first: u64, told: impl Iterator<Item = Told<'a>>) -> Vec<Entry> {
    let (mut times, mut actors) = (BTreeSet::new(), BTreeSet::new());
    let (mut subjects, mut actions) = (BTreeSet::new(), BTreeSet::new());
    let mut last = None;
    for told in told {
        let bucket = bucket_of(told.time);
        times.insert(bucket);
        subjects.insert((searchable(told.subject), bucket));
        actions.insert((searchable(told.action), bucket));
        // One actor often does several things in turn.
        if last.replace((told.actor, bucket)) != Some((told.actor, bucket)) {
            actors.insert((told.actor.to_string(), bucket));
        }
    }
    let place = |key: KeyWriter, bucket: u64| key.u64(bucket).u64(first).finish();
    let of_value = |index, value: &str, bucket| {
        Entry::new(index, place(KeyWriter::new().text(searchable(value)), bucket))
    };
    let actions = actions.into_iter().map(|(action, bucket)| of_value(BY_ACTION, action, bucket));
    let actors = actors.iter().map(|(actor, bucket)| of_value(BY_ACTOR, actor, *bucket));
    let subjects = subjects.into_iter().map(|(subject, bucket)| of_value(BY_SUBJECT, subject, bucket));
    let times = times.into_iter().map(|bucket| Entry::new(BY_TIME, place(KeyWriter::new(), bucket)));
    let mut entries: Vec<_> = actions.chain(actors).chain(subjects).chain(times).collect();
    // Two long actors may begin alike.
    entries.dedup();
    entries
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
