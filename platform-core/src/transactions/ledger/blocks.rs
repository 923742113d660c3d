//! Where frames stand: in blocks of 256. Those of the last block, while it is not full, stand in pieces of
//! 16, so that a page of one transfer does not write a whole block again.

use crate::kernel::Result;
use crate::ports::store::{Doc, DocKey, Store, Write};

use super::frame::FRAME_BYTES;
use super::storage::{BLOCK_FRAMES, FRAMES, PIECE_FRAMES, PIECES, put};

/// Blocks of one read from the store: about 2 MiB.
const READ_BLOCKS: usize = 64;

/// What is written of a page from frame `first` on. `bytes` are the frames from the beginning of the block
/// of `first`.
pub fn writes_of(first: u64, bytes: &[u8]) -> Vec<Write> {
    let mut writes = Vec::new();
    let begin = first - first % BLOCK_FRAMES;
    let blocks = bytes.chunks(BLOCK_FRAMES as usize * FRAME_BYTES);
    for (block, number) in blocks.zip((begin..).step_by(BLOCK_FRAMES as usize)) {
        if block.len() == BLOCK_FRAMES as usize * FRAME_BYTES {
            writes.push(put(frame_block(number), block.to_vec()));
            let pieces = (number..first).step_by(PIECE_FRAMES as usize);
            writes.extend(pieces.map(|number| Write::Delete { key: frame_piece(number) }));
        } else {
            let pieces = block.chunks(PIECE_FRAMES as usize * FRAME_BYTES);
            let pieces = pieces.zip((number..).step_by(PIECE_FRAMES as usize));
            let changed = pieces.filter(|(_, number)| number + PIECE_FRAMES > first);
            writes.extend(changed.map(|(piece, number)| put(frame_piece(number), piece.to_vec())));
        }
    }
    writes
}

/// The bytes of blocks, as far as they exist; `next` is the number behind the last frame that is known.
///
/// # Errors
/// `store.unavailable`.
pub async fn read(store: &dyn Store, blocks: &[u64], next: u64) -> Result<Vec<Option<Vec<u8>>>> {
    let mut read = Vec::with_capacity(blocks.len());
    for blocks in blocks.chunks(READ_BLOCKS) {
        let keys: Vec<Vec<DocKey>> = blocks.iter().map(|block| keys_of(*block, next)).collect();
        let mut docs = store.get(&keys.concat()).await?.into_iter();
        read.extend(keys.iter().map(|keys| joined(docs.by_ref().take(keys.len()))));
    }
    Ok(read)
}

/// A block that is surely full stands under its own key; the last one may have been filled meanwhile.
fn keys_of(block: u64, next: u64) -> Vec<DocKey> {
    let begin = block * BLOCK_FRAMES;
    let mut keys = vec![frame_block(begin)];
    if begin + BLOCK_FRAMES > next {
        keys.extend((begin..begin + BLOCK_FRAMES).step_by(PIECE_FRAMES as usize).map(frame_piece));
    }
    keys
}

/// The block from what stands under its keys: pieces stand in the place of what is there of the whole (of a
/// last block that was not yet written in pieces). A gap ends it, so that frames behind it are missed.
fn joined(mut docs: impl Iterator<Item = Option<Doc>>) -> Option<Vec<u8>> {
    let mut block = docs.next().flatten().map(|doc| doc.body.as_bytes().to_vec()).unwrap_or_default();
    // All of them are taken, also when the block is full.
    for (piece, begin) in docs.zip((0..).step_by(PIECE_FRAMES as usize * FRAME_BYTES)) {
        if let Some(piece) = piece
            && block.len() >= begin
        {
            block.truncate(begin);
            block.extend_from_slice(piece.body.as_bytes());
        }
    }
    (!block.is_empty()).then_some(block)
}

/// The block that holds a frame.
fn frame_block(number: u64) -> DocKey {
    DocKey::new(FRAMES.name, (number / BLOCK_FRAMES).to_be_bytes())
}

/// The piece that holds a frame of the last block.
fn frame_piece(number: u64) -> DocKey {
    DocKey::new(PIECES.name, (number / PIECE_FRAMES).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::ports::store::Body;

    #[test]
    fn a_last_block_that_was_written_whole_is_continued_in_pieces() {
        let all: Vec<u8> = (0..40u8).flat_map(|number| [number; FRAME_BYTES]).collect();
        let doc =
            |key: DocKey, bytes: &[u8]| Doc { id: key.id, version: 1, body: Body::Binary(bytes.to_vec()) };
        let mut stored = BTreeMap::from([(frame_block(0), all[..20 * FRAME_BYTES].to_vec())]);
        let read = |stored: &BTreeMap<DocKey, Vec<u8>>| {
            joined(keys_of(0, 40).into_iter().map(|key| Some(doc(key.clone(), stored.get(&key)?))))
        };
        assert_eq!(read(&stored).unwrap(), all[..20 * FRAME_BYTES]);
        for write in writes_of(20, &all) {
            let Write::Put { key, body, .. } = write else { panic!("{write:?}") };
            stored.insert(key, body.as_bytes().to_vec());
        }
        assert_eq!(read(&stored).unwrap(), all);
        stored.remove(&frame_piece(16));
        assert_eq!(read(&stored).unwrap(), all[..20 * FRAME_BYTES], "nothing stands in another's place");
    }

    proptest! {
        #[test]
        fn whatever_the_pages_their_frames_are_read_as_they_were_written(
            pages in proptest::collection::vec(prop_oneof![1..40u64, 200..600u64], 1..30),
        ) {
            let mut stored: BTreeMap<DocKey, Vec<u8>> = BTreeMap::new();
            let mut all: Vec<u8> = Vec::new();
            let mut next = 0;
            for frames in pages {
                let first = next;
                next += frames;
                for number in first..next {
                    all.extend([number as u8; FRAME_BYTES]);
                }
                let begin = (first - first % BLOCK_FRAMES) as usize * FRAME_BYTES;
                for write in writes_of(first, &all[begin..]) {
                    match write {
                        Write::Put { key, body, .. } => drop(stored.insert(key, body.as_bytes().to_vec())),
                        Write::Delete { key } => prop_assert!(stored.remove(&key).is_some()),
                        Write::Add { .. } => prop_assert!(false),
                    }
                }
                // Every block stands there once: whole, or in pieces.
                let bytes: usize = stored.values().map(Vec::len).sum();
                prop_assert_eq!(bytes, all.len());
                for known in [first, next] {
                    let mut read: Vec<u8> = Vec::new();
                    for block in 0..next.div_ceil(BLOCK_FRAMES) {
                        if known < next && (block + 1) * BLOCK_FRAMES <= known { continue; }
                        let docs = keys_of(block, known).into_iter().map(|key| stored.get(&key).map(|bytes| Doc {
                            id: key.id, version: 1, body: Body::Binary(bytes.clone()),
                        }));
                        read.extend(joined(docs).unwrap());
                    }
                    prop_assert!(all.ends_with(&read));
                    prop_assert!(known < next || read.len() == all.len());
                }
            }
        }
    }
}
