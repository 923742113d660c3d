//! Closing a page: its bytes, its Merkle root, the new head.

use crate::kernel::merkle::{self, MerkleHash};
use crate::ports::store::Write;

use super::blocks;
use super::draft::Draft;
use super::frame::{FRAME_BYTES, Frame};
use super::storage::Head;

/// A page that is ready to be committed.
#[derive(Debug)]
pub struct SealedPage {
    /// The blocks that it changes.
    pub writes: Vec<Write>,
    /// The Merkle root over its frames (RFC 6962: a leaf is a frame).
    pub root: MerkleHash,
    /// The head after it.
    pub head: Head,
}

/// Marks the end of a page, and computes what is to be written. `partial` holds the frames of the last
/// block that the page goes on with.
pub fn seal(draft: &mut Draft, partial: &[Frame], before: &Head) -> Option<SealedPage> {
    let (first, next) = (draft.first(), draft.next());
    draft.amend(next.checked_sub(1)?, |frame| frame.page_end = true);
    let time = draft.frames().last()?.time;
    let mut bytes = Vec::with_capacity((partial.len() + draft.frames().len()) * FRAME_BYTES);
    partial.iter().chain(draft.frames()).for_each(|frame| frame.encode(&mut bytes));
    let own = bytes.get(partial.len() * FRAME_BYTES..)?;
    let root = merkle::root(own.as_chunks::<FRAME_BYTES>().0.iter().map(|frame| merkle::leaf_hash(frame)));
    let head = Head { page: before.page + 1, next, time, hash: chain(&before.hash, &root, first, next) };
    let writes = blocks::writes_of(first, &bytes);
    Some(SealedPage { writes, root, head })
}

/// The hash of a page: everything before it, its frames, and where they stand.
pub fn chain(before: &MerkleHash, root: &MerkleHash, first: u64, next: u64) -> MerkleHash {
    let mut place = [0; 16];
    let (from, to) = place.split_at_mut(8);
    from.copy_from_slice(&first.to_be_bytes());
    to.copy_from_slice(&next.to_be_bytes());
    merkle::node_hash(before, &merkle::node_hash(root, &merkle::leaf_hash(&place)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{RawId, Timestamp};
    use crate::transactions::ledger::frame::Kind;
    use crate::transactions::ledger::storage::decode_frames;

    #[test]
    fn a_page_goes_on_in_the_last_block_and_keeps_what_stands_there() {
        let frame = |n: u64| Frame::blank(Kind::Transfer, RawId([n as u8; 16]), Timestamp::from_micros(n));
        let partial: Vec<_> = (0..200).map(frame).collect();
        let mut draft = Draft::new(200);
        for number in 200..300 {
            draft.push(frame(number), None);
        }
        let before = Head { page: 3, next: 200, time: Timestamp::EPOCH, hash: merkle::empty_root() };
        let page = seal(&mut draft, &partial, &before).unwrap();
        assert_eq!((page.head.page, page.head.next, page.head.time), (4, 300, Timestamp::from_micros(299)));
        let put = page.writes.iter().filter_map(|write| match write {
            Write::Put { body, .. } => Some(decode_frames(body.as_bytes()).unwrap()),
            _ => None,
        });
        let all: Vec<_> = put.flatten().collect();
        assert_eq!(all.len(), 300);
        assert_eq!(all[..200], partial);
        assert!(all.iter().zip(0..).all(|(frame, n)| frame.page_end == (n == 299)));
    }
}
