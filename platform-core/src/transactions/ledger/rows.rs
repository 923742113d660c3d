//! Immutable sorted runs of rows of a fixed width, kept in binary blocks.
//!
//! A row sorts as bytes. Of a run only the first row of every block, and perhaps a filter, is in memory.

use super::filter::Filter;

/// Bytes of a block at most: read as one, and few of them per run.
const BLOCK_BYTES: usize = 24 * 1024;

/// Bytes of a chunk of a filter.
const FILTER_CHUNK_BYTES: usize = 1024 * 1024;

/// What of a run is in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run<const W: usize> {
    /// Its number.
    pub number: u64,
    /// The first row of every block.
    pub fences: Vec<[u8; W]>,
    /// Says which rows are surely not in it.
    pub filter: Option<Filter>,
}

/// A run as it is written: its blocks, and what is in memory of it.
#[derive(Debug)]
pub struct Written<const W: usize> {
    /// The blocks, in their order.
    pub blocks: Vec<Vec<u8>>,
    /// What is in memory.
    pub run: Run<W>,
}

/// Makes a run of sorted rows.
pub fn write<const W: usize>(number: u64, rows: &[[u8; W]], filter: Option<Filter>) -> Written<W> {
    let per_block = (BLOCK_BYTES / W).max(1);
    let blocks = rows.chunks(per_block).map(|rows| rows.as_flattened().to_vec()).collect();
    let fences = rows.chunks(per_block).filter_map(|rows| rows.first().copied()).collect();
    Written { blocks, run: Run { number, fences, filter } }
}

impl<const W: usize> Run<W> {
    /// The blocks in which rows that begin with `prefix` may stand.
    pub fn blocks_of(&self, prefix: &[u8]) -> std::ops::Range<u32> {
        let key = |row: &[u8; W]| row.get(..prefix.len()).unwrap_or_default().cmp(prefix);
        let from = self.fences.partition_point(|row| key(row).is_lt());
        let to = self.fences.partition_point(|row| key(row).is_le());
        // Rows with the prefix may stand at the end of the block before the first fence that has it.
        from.saturating_sub(1) as u32..to as u32
    }

    /// The last block that may hold a row below `row`.
    pub fn block_below(&self, row: &[u8; W]) -> Option<u32> {
        self.fences.partition_point(|fence| fence < row).checked_sub(1).map(|block| block as u32)
    }

    /// The fences as one document.
    pub fn fence_bytes(&self) -> Vec<u8> {
        self.fences.as_flattened().to_vec()
    }

    /// The filter in documents of at most a megabyte.
    pub fn filter_chunks(&self) -> Vec<Vec<u8>> {
        let bytes = self.filter.as_ref().map(Filter::to_bytes).unwrap_or_default();
        bytes.chunks(FILTER_CHUNK_BYTES).map(<[u8]>::to_vec).collect()
    }
}

/// The rows of a block; `None` when it is damaged.
pub fn rows<const W: usize>(block: &[u8]) -> Option<&[[u8; W]]> {
    let (rows, rest) = block.as_chunks::<W>();
    rest.is_empty().then_some(rows)
}

/// The rows of a block that begin with `prefix`.
pub fn with_prefix<'a, const W: usize>(rows: &'a [[u8; W]], prefix: &[u8]) -> &'a [[u8; W]] {
    let key = |row: &[u8; W]| row.get(..prefix.len()).unwrap_or_default().cmp(prefix);
    let from = rows.partition_point(|row| key(row).is_lt());
    let to = rows.partition_point(|row| key(row).is_le());
    rows.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_found_by_prefix_across_blocks(
            keys in proptest::collection::btree_set((0u8..5, any::<u16>()), 0..6000), prefix in 0u8..6, below in any::<(u8, u16)>(),
        ) {
            let row = |(key, number): (u8, u16)| {
                let mut row = [0u8; 22];
                row[0] = key;
                row[20..].copy_from_slice(&number.to_be_bytes());
                row
            };
            let all: Vec<_> = keys.iter().map(|key| row(*key)).collect();
            let written = write(1, &all, None);
            let found: BTreeSet<_> = written.run.blocks_of(&[prefix])
                .filter_map(|block| written.blocks.get(block as usize))
                .flat_map(|block| with_prefix::<22>(rows(block).unwrap(), &[prefix]).to_vec())
                .collect();
            let expected: BTreeSet<_> = all.iter().filter(|row| row[0] == prefix).copied().collect();
            prop_assert_eq!(found, expected);

            let bound = row((below.0 % 6, below.1));
            let last = written.run.block_below(&bound).and_then(|block| {
                rows::<22>(&written.blocks[block as usize]).unwrap().iter().rfind(|row| **row < bound).copied()
            });
            prop_assert_eq!(last, all.iter().rfind(|row| **row < bound).copied());
        }
    }

    #[test]
    fn a_block_that_was_cut_is_noticed() {
        assert_eq!(rows::<22>(&[0; 23]), None);
    }
}
