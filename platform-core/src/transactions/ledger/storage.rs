//! What the ledger keeps in its store.

use serde::{Deserialize, Serialize};

use crate::kernel::merkle::MerkleHash;
use crate::kernel::{Error, Result, Timestamp};
use crate::ports::store::{Body, Collection, DocKey, Document, Write};

use super::frame::{FRAME_BYTES, Frame};

/// Frames of a block: 32 KiB.
pub const BLOCK_FRAMES: u64 = 256;

/// Frames of a piece of the last block: 2 KiB.
pub const PIECE_FRAMES: u64 = 16;

/// Frames, in blocks of 256: the only truth. All else can be computed from them.
pub const FRAMES: Collection = Collection::binary("frames");
/// The frames of the last block while it is not full, in pieces of 16.
pub const PIECES: Collection = Collection::binary("frame_pieces");
/// Snapshot of accounts, in blocks of 256.
pub const ACCOUNT_BLOCKS: Collection = Collection::binary("account_blocks");
/// Snapshot of pending transfers that have not ended, by checkpoint.
pub const OPEN_PENDING: Collection = Collection::binary("open_pending");
/// Sorted runs of (id, number of the frame).
pub const ID_RUNS: Collection = Collection::binary("id_runs");
/// Filters of the runs of ids.
pub const ID_FILTERS: Collection = Collection::binary("id_filters");
/// Sorted runs of (account, number of the frame).
pub const ACCOUNT_RUNS: Collection = Collection::binary("account_runs");

/// The id of the documents of which a ledger has one.
pub const MAIN: &str = "main";

/// Damage that was noticed.
pub fn damaged(what: &'static str) -> Error {
    Error::data_loss("ledger.damaged", "stored data of the ledger do not read").with("what", what)
}

/// Where the ledger ends. Its version fences a second writer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Pages so far.
    pub page: u64,
    /// The number of the next frame.
    pub next: u64,
    /// The time of the last frame.
    pub time: Timestamp,
    /// `SHA256(0x01 ‖ hash before ‖ root of the page)` with the numbers of the page's frames mixed in.
    pub hash: MerkleHash,
}

impl Document for Head {
    const COLLECTION: Collection = Collection::json("heads");

    fn id(&self) -> Vec<u8> {
        MAIN.into()
    }
}

/// How far runs and snapshots reach, and which runs there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Frames below this number are in the runs and in the snapshots.
    pub upto: u64,
    /// The number of the next run.
    pub next_run: u64,
    /// Runs that were begun and are not in `runs` yet: what an interrupted worker left behind.
    pub unfinished: Vec<u64>,
    /// Runs, oldest first: each covers the frames behind the one before it.
    pub runs: Vec<RunEntry>,
    /// Accounts in the snapshot.
    pub accounts: u64,
    /// Blocks of open pending transfers, under `upto`.
    pub pending_blocks: u32,
}

impl Document for Checkpoint {
    const COLLECTION: Collection = Collection::json("checkpoints");

    fn id(&self) -> Vec<u8> {
        MAIN.into()
    }
}

/// A run of ids and a run of accounts over the same frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEntry {
    /// Their number.
    pub run: u64,
    /// The first frame.
    pub first: u64,
    /// Behind the last frame.
    pub end: u64,
    /// Chunks of the filter.
    pub filter_chunks: u32,
    /// Blocks of ids.
    pub id_blocks: u32,
    /// Blocks of accounts.
    pub account_blocks: u32,
}

/// Where the fences of a run stand among its blocks.
pub const FENCES: u32 = u32::MAX;

/// A block of a run, a chunk of a filter, a block of open pending transfers.
pub fn part(collection: &Collection, run: u64, part: u32) -> DocKey {
    let mut id = run.to_be_bytes().to_vec();
    id.extend_from_slice(&part.to_be_bytes());
    DocKey::new(collection.name, id)
}

/// A block of the snapshot of accounts.
pub fn account_block(block: u64) -> DocKey {
    DocKey::new(ACCOUNT_BLOCKS.name, block.to_be_bytes())
}

/// A write of bytes.
pub fn put(key: DocKey, bytes: Vec<u8>) -> Write {
    Write::Put { key, body: Body::Binary(bytes), entries: Vec::new() }
}

/// The frames of a block.
///
/// # Errors
/// `ledger.damaged`.
pub fn decode_frames(block: &[u8]) -> Result<Vec<Frame>> {
    let (frames, rest) = block.as_chunks::<FRAME_BYTES>();
    if !rest.is_empty() {
        return Err(damaged("frame block"));
    }
    frames.iter().map(|frame| Frame::decode(frame).ok_or_else(|| damaged("frame"))).collect()
}

/// One frame of a block; `None` when the block ends before it.
///
/// # Errors
/// `ledger.damaged`.
pub fn frame_of_block(block: &[u8], number: u64) -> Result<Option<Frame>> {
    let (frames, _) = block.as_chunks::<FRAME_BYTES>();
    match frames.get((number % BLOCK_FRAMES) as usize) {
        Some(frame) => Frame::decode(frame).map(Some).ok_or_else(|| damaged("frame")),
        None => Ok(None),
    }
}
