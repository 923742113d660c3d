//! What fuzz targets reach behind the facade of this domain.

use serde_json::Value;

use super::leaf::{self, Told};
use super::model::Occurrence;
use super::segment;
use crate::kernel::Result;
use crate::kernel::merkle::MerkleHash;

/// The canonical text of a value.
pub fn canonical(value: &Value) -> String {
    super::canonical::canonical(value)
}

/// The bodies of the segments in which these are stored, from number `first` on.
///
/// # Errors
/// `audit.entry_too_large`.
pub fn encode_segments(first: u64, occurrences: Vec<Occurrence>) -> Result<Vec<Vec<u8>>> {
    let leaves = leaf::leaves(first, occurrences.iter().map(Told::by_occurrence))?;
    segment::segments(&leaves).into_iter().map(segment::encode).collect()
}

/// The hashes and leaves of a segment.
///
/// # Errors
/// `audit.damaged`.
pub fn decode_segment(body: &[u8]) -> Result<Vec<(MerkleHash, &[u8])>> {
    segment::decode(body)
}
