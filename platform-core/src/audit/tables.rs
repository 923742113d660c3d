//! What the store of this domain holds.

use serde::{Deserialize, Serialize};

use super::error;
use super::leaf::Told;
use super::model::AuditEntry;
use super::segment;
use crate::kernel::merkle::{Frontier, MerkleHash};
use crate::kernel::{Result, Sealed, Timestamp};
use crate::ports::store::{Body, Collection, DocKey, Document, Entry, Index, Schema};

/// The name of the store.
pub const STORE: &str = "audit";

pub(super) const BY_TIME: &str = "by_time";
pub(super) const BY_ACTOR: &str = "by_actor";
pub(super) const BY_SUBJECT: &str = "by_subject";
pub(super) const BY_ACTION: &str = "by_action";

/// Segments of entries, by the number of their first.
pub(super) const ENTRIES: Collection = Collection::binary("entries")
    .indexed(
        &[Index::many(BY_TIME), Index::many(BY_ACTOR), Index::many(BY_SUBJECT), Index::many(BY_ACTION)],
        reindex,
    )
    .kept();

/// Tiles of hashes, by level and number: full ones, and the growing one of every level above 0.
pub(super) const TILES: Collection = Collection::binary("tiles");

/// The schema of the store.
pub fn schema() -> Schema {
    Schema::new(STORE, 1, &[ENTRIES, TILES, Head::COLLECTION, Origin::COLLECTION, Signed::COLLECTION])
        .following()
}

/// The minute of a time: within it, a query returns entries by number.
pub(super) fn bucket_of(time: Timestamp) -> u64 {
    time.as_secs() / 60
}

pub(super) fn segment_key(first: u64) -> DocKey {
    DocKey::new(ENTRIES.name, first.to_be_bytes())
}

pub(super) fn tile_key(level: u8, index: u64) -> DocKey {
    DocKey::new(TILES.name, [&[level], index.to_be_bytes().as_slice()].concat())
}

fn reindex(_id: &[u8], body: &Body) -> Result<Vec<Entry>> {
    let entries = segment::decode(body.as_bytes())?
        .into_iter()
        .map(|(_, leaf)| AuditEntry::from_leaf(leaf))
        .collect::<Result<Vec<_>>>()?;
    let first = entries.first().map_or(0, |entry| entry.index);
    Ok(segment::index_entries(first, entries.iter().map(|entry| Told::by_occurrence(&entry.what))))
}

/// The right edge of the tree, and which origin it is signed for: one document that every append changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) size: u64,
    pub(super) peaks: Vec<MerkleHash>,
    /// The number of the present origin.
    pub(super) origin: u64,
}

impl Head {
    pub(super) const ID: &[u8] = b"head";

    pub(super) fn frontier(&self) -> Result<Frontier> {
        Frontier::from_parts(self.size, self.peaks.clone()).ok_or_else(|| error::damaged("head"))
    }

    pub(super) fn at(frontier: &Frontier, origin: u64) -> Head {
        Head { size: frontier.size(), peaks: frontier.peaks().to_vec(), origin }
    }
}

impl Document for Head {
    const COLLECTION: Collection = Collection::json("head");

    fn id(&self) -> Vec<u8> {
        Head::ID.to_vec()
    }
}

/// A name under which the log is signed, with its key. A restore opens a new one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// From 0.
    pub(super) number: u64,
    /// A URL without scheme: the name of the log and of its key.
    pub(super) name: String,
    /// The key that checks, in its text form.
    pub(super) verifier: String,
    /// The seed of the key that signs.
    pub(super) sealed_seed: Sealed,
    pub(super) opened_at: Timestamp,
    /// The size of the log when the origin was opened.
    pub(super) size: u64,
}

impl Origin {
    pub(super) fn id_of(number: u64) -> Vec<u8> {
        number.to_be_bytes().to_vec()
    }
}

impl Document for Origin {
    const COLLECTION: Collection = Collection::json("origins");

    fn id(&self) -> Vec<u8> {
        Origin::id_of(self.number)
    }
}

/// The last signed checkpoint of an origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Signed {
    /// The origin's number.
    pub(super) origin: u64,
    pub(super) size: u64,
    pub(super) at: Timestamp,
    /// The signed note.
    pub(super) note: String,
}

impl Document for Signed {
    const COLLECTION: Collection = Collection::json("checkpoints");

    fn id(&self) -> Vec<u8> {
        Origin::id_of(self.origin)
    }
}
