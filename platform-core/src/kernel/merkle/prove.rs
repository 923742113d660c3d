//! Which nodes of a tree a proof consists of.

use super::MerkleHash;
use super::frontier::fold_right;

/// The root of the perfect subtree over the leaves `index << level .. (index + 1) << level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// The height: 0 is a leaf.
    pub level: u8,
    /// The number among its level, from 0.
    pub index: u64,
}

/// The hashes of a proof, each as the perfect subtrees that it is made of, largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan(Vec<Vec<Node>>);

impl Plan {
    /// Every node that the proof needs.
    pub fn nodes(&self) -> impl Iterator<Item = Node> {
        self.0.iter().flatten().copied()
    }

    /// The proof, from the hashes of its nodes; `None` when one of them is not known.
    pub fn resolve(&self, mut hash_of: impl FnMut(Node) -> Option<MerkleHash>) -> Option<Vec<MerkleHash>> {
        self.0
            .iter()
            .map(|peaks| {
                let hashes = peaks.iter().map(|node| hash_of(*node)).collect::<Option<Vec<_>>>()?;
                fold_right(&hashes)
            })
            .collect()
    }
}

/// The root of the tree of `size` leaves; nothing for the empty tree.
pub fn plan_root(size: u64) -> Plan {
    Plan(if size == 0 { Vec::new() } else { vec![peaks(0, size)] })
}

/// Proof that the leaf `index` is in the tree of `size` leaves (RFC 6962, 2.1.1); `None` outside of it.
pub fn plan_inclusion(index: u64, size: u64) -> Option<Plan> {
    plan_subtree_inclusion(index, 0, size)
}

/// Proof that the leaf `index` is in the subtree `start..end`; `None` when it is not, or when that is no
/// subtree.
pub fn plan_subtree_inclusion(index: u64, start: u64, end: u64) -> Option<Plan> {
    if !is_subtree(start, end) || index < start || index >= end {
        return None;
    }
    let (mut low, mut high) = (start, end);
    let mut from_root = Vec::new();
    while high - low > 1 {
        let middle = split(low, high);
        if index < middle {
            from_root.push(peaks(middle, high));
            high = middle;
        } else {
            from_root.push(peaks(low, middle));
            low = middle;
        }
    }
    from_root.reverse();
    Some(Plan(from_root))
}

/// Proof that the tree of `old` leaves is a prefix of the tree of `new` leaves (RFC 6962, 2.1.2); empty
/// when one of them is empty or both are equal; `None` when it cannot be one.
pub fn plan_consistency(old: u64, new: u64) -> Option<Plan> {
    if old == 0 { Some(Plan::default()) } else { plan_subtree_consistency(0, old, new) }
}

/// Proof that the subtree `start..end` is part of the tree of `size` leaves; `None` when that is no
/// subtree of it.
pub fn plan_subtree_consistency(start: u64, end: u64, size: u64) -> Option<Plan> {
    if !is_subtree(start, end) || end > size {
        return None;
    }
    let (mut low, mut high) = (0, size);
    let mut from_root = Vec::new();
    let mut known = true; // whether the verifier knows the hash of what is left at the end
    while (start.max(low), end) != (low, high) {
        let middle = split(low, high);
        if end <= middle {
            from_root.push(peaks(middle, high));
            high = middle;
        } else {
            from_root.push(peaks(low, middle));
            known = known && start >= middle;
            low = middle;
        }
    }
    if !known {
        from_root.push(peaks(low, high));
    }
    from_root.reverse();
    Some(Plan(from_root))
}

/// Whether `start..end` is a subtree: not empty, and starting at a multiple of its width rounded up to a
/// power of two.
pub(super) fn is_subtree(start: u64, end: u64) -> bool {
    start < end
        && match (end - start).checked_next_power_of_two() {
            Some(width) => start.is_multiple_of(width),
            None => start == 0,
        }
}

/// Where RFC 6962 splits `low..high` of at least two leaves: after the largest power of two below.
fn split(low: u64, high: u64) -> u64 {
    low + (1 << (high - low - 1).ilog2())
}

/// The perfect subtrees of `low..high`, which starts at a multiple of the largest of them.
fn peaks(low: u64, high: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut at = low;
    while at < high {
        let level = (high - at).ilog2();
        nodes.push(Node { level: level as u8, index: at >> level });
        at += 1 << level;
    }
    nodes
}
