//! Verification of proofs: RFC 9162 2.1.3.2 and 2.1.4.2, and their generalisation to subtrees.

use super::prove::is_subtree;
use super::{MerkleHash, empty_root, node_hash};

/// Whether `proof` shows that `leaf` is the leaf `index` of the tree with `size` leaves and this root.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &MerkleHash,
    proof: &[MerkleHash],
    root: &MerkleHash,
) -> bool {
    verify_subtree_inclusion(index, 0, size, leaf, proof, root)
}

/// Whether `proof` shows that `leaf` is the leaf `index` of the subtree `start..end` with this root.
pub fn verify_subtree_inclusion(
    index: u64,
    start: u64,
    end: u64,
    leaf: &MerkleHash,
    proof: &[MerkleHash],
    root: &MerkleHash,
) -> bool {
    if !is_subtree(start, end) || index < start || index >= end {
        return false;
    }
    let (mut at, mut last) = (index - start, end - start - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            let levels = at.trailing_zeros().min(63);
            (at, last) = (at >> levels, last >> levels);
        } else {
            hash = node_hash(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the tree of `old` leaves with root `old_root` is a prefix of the other.
/// From the empty tree there is nothing to show: it is refused, unless both are empty.
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[MerkleHash],
    old_root: &MerkleHash,
    new_root: &MerkleHash,
) -> bool {
    if old == 0 && (new != 0 || new_root != old_root) {
        return false;
    }
    verify_subtree_consistency(0, old, new, proof, old_root, new_root)
}

/// Whether `proof` shows that the subtree `start..end` with this root is part of the tree of `size`
/// leaves. An empty subtree is part of every tree; its proof is empty.
pub fn verify_subtree_consistency(
    start: u64,
    end: u64,
    size: u64,
    proof: &[MerkleHash],
    subtree_root: &MerkleHash,
    root: &MerkleHash,
) -> bool {
    if start == end && end <= size {
        return proof.is_empty() && *subtree_root == empty_root();
    }
    if !is_subtree(start, end) || end > size {
        return false;
    }
    let (mut first, mut last, mut total) = (start, end - 1, size - 1);
    let to_the_edge = last == total;
    while first != last && (to_the_edge || last & 1 == 1) {
        (first, last, total) = (first >> 1, last >> 1, total >> 1);
    }
    let (mut sub, mut hash, rest) = match proof.split_first() {
        _ if first == last => (*subtree_root, *subtree_root, proof),
        Some((seed, rest)) => (*seed, *seed, rest),
        None => return false,
    };
    for sibling in rest {
        if total == 0 {
            return false;
        }
        if last & 1 == 1 || last == total {
            if first < last {
                sub = node_hash(sibling, &sub);
            }
            hash = node_hash(sibling, &hash);
            while last & 1 == 0 && last != 0 {
                (first, last, total) = (first >> 1, last >> 1, total >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (first, last, total) = (first >> 1, last >> 1, total >> 1);
    }
    total == 0 && sub == *subtree_root && hash == *root
}
