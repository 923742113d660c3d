//! Frames, runs, pages.

use futures_util::FutureExt;
use platform_core::kernel::{RawId, Timestamp, merkle};
use platform_core::ports::store::{Batch, MemoryStore, Schema, Store};
use platform_core::transactions::ledger::blocks;
use platform_core::transactions::ledger::checkpoint::{accounts_from, pending_from};
use platform_core::transactions::ledger::draft::Draft;
use platform_core::transactions::ledger::filter::{Filter, hash};
use platform_core::transactions::ledger::frame::{AccountFrame, FRAME_BYTES, Frame, Kind};
use platform_core::transactions::ledger::rows;
use platform_core::transactions::ledger::seal::seal;
use platform_core::transactions::ledger::storage::{
    BLOCK_FRAMES, FRAMES, Head, PIECES, decode_frames, frame_of_block,
};
use platform_core::transactions::ledger::view::ID_ROW;

use crate::input::{Input, refused};

pub(crate) fn frames(bytes: &[u8]) {
    for chunk in bytes.as_chunks::<FRAME_BYTES>().0 {
        let Some(frame) = Frame::decode(chunk) else { continue };
        let mut written = Vec::new();
        frame.encode(&mut written);
        assert_eq!(written, chunk, "a frame has one form");
        if let Some(opened) = AccountFrame::from_frame(&frame) {
            assert_eq!(AccountFrame::from_frame(&opened.to_frame(frame.time)), Some(opened));
        }
    }
    match decode_frames(bytes) {
        Ok(frames) => {
            let mut written = Vec::new();
            frames.iter().for_each(|frame| frame.encode(&mut written));
            assert_eq!(written, bytes);
            for (number, frame) in frames.iter().enumerate().take(BLOCK_FRAMES as usize) {
                assert_eq!(frame_of_block(bytes, number as u64).unwrap(), Some(*frame));
            }
        }
        Err(error) => refused(&error, &["ledger.damaged"]),
    }
}

pub(crate) fn runs(bytes: &[u8]) {
    match accounts_from(bytes) {
        Ok(accounts) => assert_eq!(accounts.len() * 81, bytes.len()),
        Err(error) => refused(&error, &["ledger.damaged"]),
    }
    match pending_from(bytes) {
        Ok(pending) => assert_eq!(pending.len() * 56, bytes.len()),
        Err(error) => refused(&error, &["ledger.damaged"]),
    }
    if let Some(filter) = Filter::from_bytes(bytes) {
        assert_eq!(filter.to_bytes(), bytes);
    }
    assert_eq!(rows::rows::<ID_ROW>(bytes).is_some(), bytes.len().is_multiple_of(ID_ROW));
    // Rows of a few different beginnings, repeated until there are several blocks.
    let mut input = Input(bytes);
    let (repeat, prefix) = (usize::from(input.u32() as u16 % 2_000) + 1, input.take(3).to_vec());
    let (some, _) = input.0.as_chunks::<ID_ROW>();
    let mut all: Vec<[u8; ID_ROW]> = Vec::new();
    for (row, number) in some.iter().take(4).flat_map(|row| std::iter::repeat_n(row, repeat)).zip(0u32..) {
        let mut row = *row;
        row[ID_ROW - 4..].copy_from_slice(&number.to_be_bytes());
        all.push(row);
    }
    all.sort_unstable();
    let mut filter = Filter::for_ids(all.len());
    let id = |row: &[u8; ID_ROW]| RawId(*row.first_chunk().unwrap());
    all.iter().for_each(|row| filter.add(hash(id(row))));
    let filter = Filter::from_bytes(&filter.to_bytes()).expect("a filter reads");
    assert!(all.iter().all(|row| filter.may_contain(hash(id(row)))), "a filter never denies what is there");
    let written = rows::write(7, &all, None);
    let wanted: Vec<_> = all.iter().filter(|row| row.starts_with(&prefix)).copied().collect();
    let found: Vec<_> = written
        .run
        .blocks_of(&prefix)
        .filter_map(|block| written.blocks.get(block as usize))
        .flat_map(|block| rows::with_prefix(rows::rows::<ID_ROW>(block).unwrap(), &prefix))
        .copied()
        .collect();
    assert_eq!(found, wanted, "the blocks of a prefix hold all its rows");
}

fn frame(input: &mut Input<'_>, number: u64) -> Frame {
    let mut frame = Frame::blank(
        Kind::Transfer,
        RawId(input.array::<2>().repeat(8).try_into().unwrap()),
        Timestamp::from_micros(number),
    );
    frame.reference = u64::from(input.byte());
    frame
}

/// Pages of any lengths, written one after the other: every frame is read as it was written.
pub(crate) fn pages(bytes: &[u8]) {
    let mut input = Input(bytes);
    let store = MemoryStore::open(&Schema::new("ledger", 1, &[FRAMES, PIECES])).expect("a schema");
    let mut all: Vec<Frame> = Vec::new();
    let mut head = Head { page: 0, next: 0, time: Timestamp::EPOCH, hash: merkle::empty_root() };
    for _ in 0..4 {
        if input.is_empty() {
            break;
        }
        let length = u64::from(input.u32() as u16 % 600) + 1;
        let first = head.next;
        let partial = all[(first - first % BLOCK_FRAMES) as usize..].to_vec();
        let mut draft = Draft::new(first);
        for number in first..first + length {
            draft.push(frame(&mut input, number), None);
        }
        let page = seal(&mut draft, &partial, &head).expect("a page that is not empty");
        assert_eq!((page.head.page, page.head.next), (head.page + 1, first + length));
        all.extend(draft.frames());
        head = page.head;
        let batch = Batch { writes: page.writes, ..Batch::default() };
        store.commit(batch).now_or_never().expect("memory does not wait").expect("a page fits");
        let numbers: Vec<u64> = (0..head.next.div_ceil(BLOCK_FRAMES)).collect();
        let read = blocks::read(&store, &numbers, head.next).now_or_never().unwrap().unwrap();
        let read: Vec<Frame> = read
            .into_iter()
            .flat_map(|block| decode_frames(&block.expect("no block is missing")).unwrap())
            .collect();
        assert!(read == all, "what was written is read");
    }
}
