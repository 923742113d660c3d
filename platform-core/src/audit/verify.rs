//! Everything recomputed from what is stored.

use serde::Serialize;

use super::error;
use super::model::AuditEntry;
use super::reader::{segments_of_bundle, tile_hashes};
use super::segment;
use super::tables::{Head, Origin, Signed, tile_key};
use super::tlog::{Checkpoint, EntryBundle, TILE_WIDTH, VerifierKey};
use crate::kernel::Result;
use crate::kernel::merkle::{self, Frontier, MerkleHash, leaf_hash};
use crate::ports::store::{Document, Store, Stored};

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The name of the log.
    pub origin: String,
    /// The key that the checkpoint was checked with.
    pub verifier: String,
    /// The entries of the log.
    pub entries: u64,
    /// How many of them the last checkpoint is signed over; the rest were appended a moment ago.
    pub signed: u64,
    /// The recomputed root over all entries; absent when an entry is missing.
    pub root: Option<MerkleHash>,
    /// The first entry that is not what was appended, if there is one.
    pub first_bad: Option<BadEntry>,
    /// Whether the checkpoint carries a signature of the key over the recomputed root.
    pub checkpoint_holds: bool,
}

/// An entry that is not what was appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadEntry {
    /// Its number; where only a range could be named, the first of the range.
    pub index: u64,
    /// What is wrong.
    pub reason: &'static str,
}

impl Report {
    /// Whether everything is as it was appended and signed.
    pub fn holds(&self) -> bool {
        self.first_bad.is_none() && self.checkpoint_holds
    }
}

/// Recomputes the log of a store: entries against their hashes, hashes against tiles, tiles against the
/// head, the head against the signed checkpoint. With `trusted` the checkpoint must be signed by that
/// key; otherwise by the one that the store names. Works while others append.
///
/// # Errors
/// `audit.not_found` when the store holds no log; those of the store. That the log is not what it was is
/// no error: it is the report.
pub async fn verify(store: &dyn Store, trusted: Option<&VerifierKey>) -> Result<Report> {
    let head: Head = document(store, Head::ID.to_vec()).await?.ok_or_else(error::not_found)?;
    let origin: Option<Origin> = document(store, Origin::id_of(head.origin)).await?;
    let signed: Option<Signed> = document(store, Origin::id_of(head.origin)).await?;
    let stored_key = origin.as_ref().and_then(|origin| origin.verifier.parse::<VerifierKey>().ok());
    let key = trusted.cloned().or(stored_key);
    let checkpoint = match (&signed, &key) {
        (Some(signed), Some(key)) => Checkpoint::open(&signed.note, key).ok(),
        _ => None,
    };
    // Read again: what the checkpoint is over was committed before it was signed.
    let head: Head = document(store, Head::ID.to_vec()).await?.ok_or_else(error::not_found)?;
    let signed = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
    let mut walk = Walk::new(head.size, signed);
    let first_bad = match walk.run(store).await? {
        Some(bad) => Some(bad),
        None if signed > head.size => bad(head.size, "it is missing: the checkpoint is over more"),
        None => walk.compare(store, &head).await?,
    };
    let complete = walk.frontier.size() == head.size;
    let root_at_checkpoint = walk.root_at_checkpoint;
    let checkpoint_holds = checkpoint.is_some_and(|checkpoint| root_at_checkpoint == Some(checkpoint.root));
    Ok(Report {
        origin: origin.map(|origin| origin.name).unwrap_or_default(),
        verifier: key.map(|key| key.to_string()).unwrap_or_default(),
        entries: head.size,
        signed,
        root: complete.then(|| walk.frontier.root()),
        first_bad,
        checkpoint_holds,
    })
}

async fn document<T: Document>(store: &dyn Store, id: Vec<u8>) -> Result<Option<T>> {
    let doc = store.get(&[T::key(id)]).await?.pop().flatten();
    Ok(doc.as_ref().map(Stored::<T>::from_doc).transpose()?.map(|stored| stored.value))
}

/// A walk over all entries, with the tree that they give.
struct Walk {
    size: u64,
    checkpoint: u64,
    frontier: Frontier,
    root_at_checkpoint: Option<MerkleHash>,
    /// The hashes of the growing tile of each level.
    growing: Vec<Vec<MerkleHash>>,
}

impl Walk {
    fn new(size: u64, checkpoint: u64) -> Walk {
        let mut walk = Walk {
            size,
            checkpoint,
            frontier: Frontier::default(),
            root_at_checkpoint: None,
            growing: vec![Vec::new()],
        };
        walk.look_at_checkpoint();
        walk
    }

    fn look_at_checkpoint(&mut self) {
        if self.checkpoint == self.frontier.size() {
            self.root_at_checkpoint = Some(self.frontier.root());
        }
    }

    /// The first entry that is missing, or whose bytes do not have the hash that was stored.
    async fn run(&mut self, store: &dyn Store) -> Result<Option<BadEntry>> {
        for bundle in 0..self.size.div_ceil(TILE_WIDTH) {
            let first = bundle * TILE_WIDTH;
            let tile = store.get(&[tile_key(0, bundle)]).await?.pop().flatten();
            let tile = tile.map(|doc| tile_hashes(&doc)).transpose();
            let Ok(tile) = tile else { return Ok(bad(first, "the tile of its hashes does not read")) };
            let full = first + TILE_WIDTH <= self.size;
            if full && tile.as_ref().is_none_or(|tile| tile.len() as u64 != TILE_WIDTH) {
                return Ok(bad(first, "the tile of its hashes is missing"));
            }
            for segment in segments_of_bundle(store, bundle).await? {
                if let Some(bad) = self.segment(&segment.id, segment.body.as_bytes(), tile.as_deref())? {
                    return Ok(Some(bad));
                }
            }
            let expected = self.size.min(first + TILE_WIDTH);
            if self.frontier.size() < expected {
                return Ok(bad(self.frontier.size(), "it is missing"));
            }
            if let Some(bad) = self.close_tiles(store).await? {
                return Ok(Some(bad));
            }
        }
        Ok(None)
    }

    fn segment(&mut self, id: &[u8], body: &[u8], tile: Option<&[MerkleHash]>) -> Result<Option<BadEntry>> {
        let next = self.frontier.size();
        if next >= self.size {
            return Ok(None); // appended after the head was read
        }
        if id != next.to_be_bytes() {
            return Ok(bad(next, "it is missing"));
        }
        let Some((hashes, mut bundle)) = segment::split(body) else {
            return Ok(bad(next, "its segment does not read"));
        };
        if hashes.is_empty() {
            return Ok(bad(next, "it is missing"));
        }
        for stored in hashes {
            let index = self.frontier.size();
            if index >= self.size {
                return Ok(None);
            }
            let Some((leaf, rest)) = EntryBundle::first(bundle) else {
                return Ok(bad(index, "its length does not fit its segment"));
            };
            bundle = rest;
            let hash = leaf_hash(leaf);
            let at = (index % TILE_WIDTH) as usize;
            if hash != stored {
                return Ok(bad(index, "its bytes do not have the hash that was stored beside them"));
            }
            if tile.is_some_and(|tile| tile.get(at) != Some(&hash)) {
                return Ok(bad(index, "its bytes do not have the hash in the tile"));
            }
            if AuditEntry::from_leaf(leaf).map(|entry| entry.index).ok() != Some(index) {
                return Ok(bad(index, "it is no entry with this number"));
            }
            self.frontier.append(hash);
            if let Some(growing) = self.growing.first_mut() {
                growing.push(hash);
            }
            self.look_at_checkpoint();
        }
        Ok(if bundle.is_empty() {
            None
        } else {
            bad(self.frontier.size() - 1, "bytes follow it in its segment")
        })
    }

    /// Passes full tiles up, comparing the stored ones on the way.
    async fn close_tiles(&mut self, store: &dyn Store) -> Result<Option<BadEntry>> {
        let mut level = 0;
        while let Some(tile) = self.growing.get_mut(level).filter(|tile| tile.len() as u64 == TILE_WIDTH) {
            let hashes = std::mem::take(tile);
            let width = 1u64.checked_shl(8 * (level as u32 + 1)).unwrap_or(u64::MAX);
            let index = (self.frontier.size() - 1) / width;
            if level > 0 && !same_tile(store, level as u8, index, &hashes).await? {
                return Ok(bad(index * width, "a tile above it does not follow from the entries"));
            }
            match self.growing.get_mut(level + 1) {
                Some(above) => above.push(merkle::root(hashes)),
                None => self.growing.push(vec![merkle::root(hashes)]),
            }
            level += 1;
        }
        Ok(None)
    }

    /// The growing tiles and the head, against what the entries give.
    async fn compare(&self, store: &dyn Store, head: &Head) -> Result<Option<BadEntry>> {
        for (level, hashes) in
            self.growing.iter().enumerate().skip(1).filter(|(_, hashes)| !hashes.is_empty())
        {
            let width = 1u64.checked_shl(8 * (level as u32 + 1)).unwrap_or(u64::MAX);
            let index = (self.frontier.size() - 1) / width;
            if !same_tile(store, level as u8, index, hashes).await? {
                return Ok(bad(index * width, "a tile above it does not follow from the entries"));
            }
        }
        if self.frontier.peaks() == head.peaks {
            return Ok(None);
        }
        let mut first = 0;
        for (at, own) in self.frontier.peaks().iter().enumerate() {
            if head.peaks.get(at) != Some(own) {
                break;
            }
            let rest = head.size - first;
            first += 1 << rest.ilog2();
        }
        Ok(bad(first, "from here on the entries do not give the head of the tree"))
    }
}

async fn same_tile(store: &dyn Store, level: u8, index: u64, hashes: &[MerkleHash]) -> Result<bool> {
    let doc = store.get(&[tile_key(level, index)]).await?.pop().flatten();
    Ok(doc.and_then(|doc| tile_hashes(&doc).ok()).is_some_and(|stored| stored.starts_with(hashes)))
}

fn bad(index: u64, reason: &'static str) -> Option<BadEntry> {
    Some(BadEntry { index, reason })
}
