//! Reading the stored log: entries by number, hashes by tile, proofs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::error;
use super::segment;
use super::tables::{ENTRIES, tile_key};
use super::tlog::{EntryBundle, TILE_WIDTH, Tile};
use crate::kernel::Result;
use crate::kernel::merkle::{HASH_BYTES, MerkleHash, Node, Plan, plan_root, root};
use crate::ports::store::{Doc, IndexRange, Store};

/// The number of a segment: that of its first entry.
pub(super) fn first_of(segment: &Doc) -> Result<u64> {
    segment.id.as_slice().try_into().map(u64::from_be_bytes).map_err(|_| error::damaged("segment id"))
}

/// The hashes of a stored tile.
pub(super) fn tile_hashes(tile: &Doc) -> Result<Vec<MerkleHash>> {
    match tile.body.as_bytes().as_chunks::<HASH_BYTES>() {
        (hashes, []) if !hashes.is_empty() => Ok(hashes.iter().copied().map(MerkleHash).collect()),
        _ => Err(error::damaged("tile")),
    }
}

/// The segments of a bundle, in order.
pub(super) async fn segments_of_bundle(store: &dyn Store, bundle: u64) -> Result<Vec<Doc>> {
    let first = bundle.saturating_mul(TILE_WIDTH);
    let last = first.saturating_add(TILE_WIDTH - 1);
    let range = IndexRange::ids(ENTRIES.name)
        .between(Bound::Included(first.to_be_bytes().to_vec()), Bound::Included(last.to_be_bytes().to_vec()))
        .limit(TILE_WIDTH as usize);
    Ok(store.scan(&range).await?.docs)
}

/// The hashes that stand beside the entries of a bundle.
pub(super) async fn stored_leaf_hashes(store: &dyn Store, bundle: u64) -> Result<Vec<MerkleHash>> {
    let mut hashes = Vec::new();
    for segment in segments_of_bundle(store, bundle).await? {
        if first_of(&segment)? != bundle * TILE_WIDTH + hashes.len() as u64 {
            return Err(error::damaged("entries"));
        }
        let (stored, _) = segment::split(segment.body.as_bytes()).ok_or_else(|| error::damaged("segment"))?;
        hashes.extend(stored);
    }
    Ok(hashes)
}

/// The first `width` leaves of a bundle.
pub(super) async fn bundle_leaves(store: &dyn Store, bundle: u64, width: u16) -> Result<Vec<Vec<u8>>> {
    let mut leaves = Vec::new();
    for segment in segments_of_bundle(store, bundle).await? {
        if first_of(&segment)? != bundle * TILE_WIDTH + leaves.len() as u64 {
            return Err(error::damaged("entries"));
        }
        leaves.extend(segment::decode(segment.body.as_bytes())?.into_iter().map(|(_, leaf)| leaf.to_vec()));
    }
    if leaves.len() < usize::from(width) {
        return Err(error::damaged("entries"));
    }
    leaves.truncate(usize::from(width));
    Ok(leaves)
}

/// The first `width` entries of a bundle, in the standard's form.
pub(super) async fn bundle(store: &dyn Store, index: u64, width: u16) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for leaf in bundle_leaves(store, index, width).await? {
        EntryBundle::push(&mut bytes, &leaf)?;
    }
    Ok(bytes)
}

/// A tile with its width, in the standard's form.
pub(super) async fn tile(store: &dyn Store, tile: Tile) -> Result<Vec<u8>> {
    let mut tiles = Tiles::load(store, [(tile.level, tile.index)].into()).await?;
    let hashes = tiles.0.remove(&(tile.level, tile.index)).unwrap_or_default();
    match hashes.get(..usize::from(tile.width)) {
        Some(hashes) => Ok(hashes.iter().flat_map(|hash| hash.0).collect()),
        None => Err(error::damaged("tile")),
    }
}

/// The leaf of one entry; `None` beyond the end.
pub(super) async fn leaf(store: &dyn Store, index: u64) -> Result<Option<Vec<u8>>> {
    let range = IndexRange::ids(ENTRIES.name)
        .between(Bound::Unbounded, Bound::Included(index.to_be_bytes().to_vec()))
        .backward()
        .limit(1);
    let Some(segment) = store.scan(&range).await?.docs.pop() else { return Ok(None) };
    let at = (index - first_of(&segment)?) as usize;
    Ok(segment::decode(segment.body.as_bytes())?.get(at).map(|(_, leaf)| leaf.to_vec()))
}

/// The hashes of a proof.
pub(super) async fn resolve(store: &dyn Store, plan: &Plan) -> Result<Vec<MerkleHash>> {
    let tiles = Tiles::load(store, plan.nodes().map(|node| Place::of(node).tile).collect()).await?;
    plan.resolve(|node| tiles.hash(node)).ok_or_else(|| error::damaged("tile"))
}

/// The root of the tree of the first `size` entries, from the stored hashes.
pub(super) async fn root_at(store: &dyn Store, size: u64) -> Result<MerkleHash> {
    Ok(resolve(store, &plan_root(size)).await?.first().copied().unwrap_or_else(|| root([])))
}

/// Where the hash of a node is found: a stretch of a tile.
struct Place {
    tile: (u8, u64),
    from: usize,
    to: usize,
}

impl Place {
    fn of(node: Node) -> Place {
        let (level, height) = (node.level / 8, node.level % 8);
        let first = node.index << height;
        let from = (first % TILE_WIDTH) as usize;
        Place { tile: (level, first / TILE_WIDTH), from, to: from + (1 << height) }
    }
}

/// Tiles by level and number.
struct Tiles(BTreeMap<(u8, u64), Vec<MerkleHash>>);

impl Tiles {
    async fn load(store: &dyn Store, wanted: BTreeSet<(u8, u64)>) -> Result<Tiles> {
        let keys: Vec<_> = wanted.iter().map(|(level, index)| tile_key(*level, *index)).collect();
        let docs = store.get(&keys).await?;
        let mut tiles = BTreeMap::new();
        for ((level, index), doc) in wanted.into_iter().zip(docs) {
            let hashes = match doc {
                Some(doc) => tile_hashes(&doc)?,
                // The growing tile of level 0 is not stored: its hashes stand beside the entries.
                None if level == 0 => stored_leaf_hashes(store, index).await?,
                None => return Err(error::damaged("tile")),
            };
            tiles.insert((level, index), hashes);
        }
        Ok(Tiles(tiles))
    }

    fn hash(&self, node: Node) -> Option<MerkleHash> {
        let place = Place::of(node);
        let hashes = self.0.get(&place.tile)?.get(place.from..place.to)?;
        Some(root(hashes.iter().copied()))
    }
}
