//! Appending: entries, tiles and the head of the tree, all in one work.

use std::sync::Arc;

use parking_lot::Mutex;

use super::error;
use super::leaf::{self, Told};
use super::reader;
use super::segment;
use super::tables::{Head, segment_key, tile_key};
use super::tlog::TILE_WIDTH;
use crate::kernel::Result;
use crate::kernel::merkle::{self, Frontier, MerkleHash};
use crate::ports::store::{Body, Work, Write};

/// Adds entries to the log. Its memory is only a cache: the head of the tree in the store decides.
#[derive(Debug, Clone, Default)]
pub(super) struct Appender {
    edge: Arc<Mutex<Option<Edge>>>,
}

/// The hashes in the growing tile of level 0, of a tree with this size and root.
#[derive(Debug, Clone)]
struct Edge {
    size: u64,
    root: MerkleHash,
    hashes: Vec<MerkleHash>,
}

impl Appender {
    /// Adds entries to what the work will commit. The head becomes an expect: of two appenders one is
    /// run again.
    ///
    /// # Errors
    /// `audit.damaged`, `audit.entry_too_large`, and those of the store.
    pub(super) async fn append(&self, work: &mut Work, told: Vec<Told<'_>>) -> Result<()> {
        let head = work.load::<Head>(Head::ID).await?.ok_or_else(|| error::damaged("head"))?;
        let mut frontier = head.frontier()?;
        let leaves = leaf::leaves(head.size, told)?;
        for part in segment::segments(&leaves) {
            let Some(first) = part.first() else { continue };
            work.write(Write::Put {
                key: segment_key(first.index),
                body: Body::Binary(segment::encode(part)?),
                entries: segment::index_entries(first.index, part.iter().map(|leaf| leaf.told)),
            });
        }
        let mut hashes = self.edge(work, &frontier).await?;
        let mut full = Vec::new();
        for leaf in &leaves {
            frontier.append(leaf.hash);
            hashes.push(leaf.hash);
            if hashes.len() as u64 == TILE_WIDTH {
                full.push((leaf.index / TILE_WIDTH, std::mem::take(&mut hashes)));
            }
        }
        write_tiles(work, full).await?;
        work.put(&Head::at(&frontier, head.origin))?;
        *self.edge.lock() = Some(Edge { size: frontier.size(), root: frontier.root(), hashes });
        Ok(())
    }

    async fn edge(&self, work: &Work, frontier: &Frontier) -> Result<Vec<MerkleHash>> {
        let known = self.edge.lock().take();
        match known {
            Some(edge) if edge.size == frontier.size() && edge.root == frontier.root() => Ok(edge.hashes),
            _ => {
                let index = frontier.size() / TILE_WIDTH;
                let mut hashes = reader::stored_leaf_hashes(&*work.database().store, index).await?;
                let width = (frontier.size() % TILE_WIDTH) as usize;
                if hashes.len() < width {
                    return Err(error::damaged("entries"));
                }
                hashes.truncate(width);
                Ok(hashes)
            }
        }
    }
}

/// Writes full tiles of level 0, and what follows from them above: the growing tile of every level is
/// rewritten once per 256 hashes below it.
pub(super) async fn write_tiles(work: &mut Work, full: Vec<(u64, Vec<MerkleHash>)>) -> Result<()> {
    let mut level = 0;
    let mut below = full;
    while !below.is_empty() {
        let mut above: Vec<(u64, Vec<MerkleHash>)> = Vec::new();
        for (index, hashes) in below {
            write_tile(work, level, index, &hashes);
            if hashes.len() as u64 != TILE_WIDTH {
                continue;
            }
            let parent = index / TILE_WIDTH;
            if above.last().is_none_or(|(last, _)| *last != parent) {
                let width = (index % TILE_WIDTH) as usize;
                above.push((parent, growing_tile(work, level + 1, parent, width).await?));
            }
            if let Some((_, tile)) = above.last_mut() {
                tile.push(merkle::root(hashes));
            }
        }
        below = above;
        level += 1;
    }
    Ok(())
}

/// The first `width` hashes of a tile above level 0, as they were stored.
async fn growing_tile(work: &Work, level: u8, index: u64, width: usize) -> Result<Vec<MerkleHash>> {
    if width == 0 {
        return Ok(Vec::new());
    }
    let doc = work.database().store.get(&[tile_key(level, index)]).await?.pop().flatten();
    let mut hashes = reader::tile_hashes(&doc.ok_or_else(|| error::damaged("tile"))?)?;
    if hashes.len() < width {
        return Err(error::damaged("tile"));
    }
    hashes.truncate(width);
    Ok(hashes)
}

fn write_tile(work: &mut Work, level: u8, index: u64, hashes: &[MerkleHash]) {
    let body = hashes.iter().flat_map(|hash| hash.0).collect();
    work.write(Write::Put { key: tile_key(level, index), body: Body::Binary(body), entries: Vec::new() });
}
