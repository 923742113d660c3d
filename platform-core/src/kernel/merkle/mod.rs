//! Merkle trees as in RFC 6962: hashes, proofs and their verification.
//!
//! Pure arithmetic, without storage: the audit log keeps its entries in such a tree, a ledger page its
//! transfers. Subtree proofs follow draft-ietf-plants-merkle-tree-certs, sections 4.3 and 4.4.

mod frontier;
mod prove;
mod verify;

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

pub use frontier::Frontier;
pub use prove::{
    Node, Plan, plan_consistency, plan_inclusion, plan_root, plan_subtree_consistency, plan_subtree_inclusion,
};
pub use verify::{
    verify_consistency, verify_inclusion, verify_subtree_consistency, verify_subtree_inclusion,
};

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 hash of a leaf or a node. Text form: standard base 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MerkleHash(pub [u8; HASH_BYTES]);

impl MerkleHash {
    /// From exactly 32 bytes; `None` otherwise.
    pub fn from_slice(bytes: &[u8]) -> Option<MerkleHash> {
        bytes.try_into().ok().map(MerkleHash)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl fmt::Display for MerkleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for MerkleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for MerkleHash {
    type Err = super::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        BASE64_STANDARD
            .decode(text)
            .ok()
            .and_then(|bytes| MerkleHash::from_slice(&bytes))
            .ok_or_else(|| super::Error::invalid("merkle.invalid_hash", "a hash is 32 bytes in base 64"))
    }
}

impl Serialize for MerkleHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MerkleHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Not by the library that signs and encrypts: it makes and destroys a context on the heap for each hash, which costs more
/// than a hash of so few bytes.
fn sha256(parts: &[&[u8]]) -> MerkleHash {
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| digest.update(part));
    MerkleHash(digest.finalize().into())
}

/// `SHA256(0x00 ‖ entry)`.
pub fn leaf_hash(entry: &[u8]) -> MerkleHash {
    sha256(&[&[0], entry])
}

/// `SHA256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &MerkleHash, right: &MerkleHash) -> MerkleHash {
    sha256(&[&[1], &left.0, &right.0])
}

/// The root of the tree without leaves: `SHA256("")`.
pub fn empty_root() -> MerkleHash {
    sha256(&[])
}

/// The root over the hashes of the leaves.
///
/// ```
/// use platform_core::kernel::merkle;
/// let leaves = [merkle::leaf_hash(b"one"), merkle::leaf_hash(b"two")];
/// assert_eq!(merkle::root(leaves), merkle::node_hash(&leaves[0], &leaves[1]));
/// ```
pub fn root(leaves: impl IntoIterator<Item = MerkleHash>) -> MerkleHash {
    let mut frontier = Frontier::default();
    leaves.into_iter().for_each(|leaf| frontier.append(leaf));
    frontier.root()
}

#[cfg(test)]
mod tests;
