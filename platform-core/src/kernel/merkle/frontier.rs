//! The right edge of a growing tree.

use super::{MerkleHash, empty_root, node_hash};

/// What must be remembered of a tree to append to it: the roots of its perfect subtrees, largest first.
/// At most 64 hashes, whatever the size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<MerkleHash>,
}

impl Frontier {
    /// From a size and the roots of its perfect subtrees; `None` when their number is not the number of
    /// one bits of the size.
    pub fn from_parts(size: u64, peaks: Vec<MerkleHash>) -> Option<Frontier> {
        (peaks.len() == size.count_ones() as usize).then_some(Frontier { size, peaks })
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, largest first.
    pub fn peaks(&self) -> &[MerkleHash] {
        &self.peaks
    }

    /// Adds one leaf.
    pub fn append(&mut self, leaf: MerkleHash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            // A one bit of the size is a peak, so there is one to take.
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root.
    pub fn root(&self) -> MerkleHash {
        fold_right(&self.peaks).unwrap_or_else(empty_root)
    }
}

/// Hashes neighbouring perfect subtrees together, largest first, as RFC 6962 does; `None` for none.
pub(super) fn fold_right(peaks: &[MerkleHash]) -> Option<MerkleHash> {
    let (last, rest) = peaks.split_last()?;
    Some(rest.iter().rev().fold(*last, |right, left| node_hash(left, &right)))
}
