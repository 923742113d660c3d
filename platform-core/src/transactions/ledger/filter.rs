//! Hashing of ids, and filters that say that an id is surely not in a run.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::kernel::RawId;

/// Hashes ids for maps in memory, each map from a beginning of its own that nobody knows: ids are their callers'
/// to choose, and 8,190 that were chosen to collide would cost a page 34 million comparisons. Nothing is
/// iterated in the order of these maps.
#[derive(Clone)]
pub struct IdHash(u64);

impl Default for IdHash {
    fn default() -> IdHash {
        IdHash(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for IdHash {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher(self.0)
    }
}

/// Folds the 16 bytes of an id with two multiplications.
#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }

    fn write_usize(&mut self, _length: usize) {}
}

/// A 64-bit hash of an id, with well mixed bits.
pub fn hash(id: RawId) -> u64 {
    let mut hasher = IdHasher::default();
    hasher.write(&id.0);
    let mixed = (hasher.finish() ^ (hasher.finish() >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

/// Words of 64 bits in a line: a look-up touches one line of the processor's cache.
const LINE: usize = 8;
/// Bits per id. A wrong "perhaps" costs the reading of a block, and a page of 8,190 random ids asks every
/// run: with 16 bits and 46 runs that were some 300 blocks a page, with 24 bits it is a handful.
const BITS_PER_ID: usize = 24;
/// Bits that an id sets: nine bits of the hash each.
const PROBES: u32 = 7;

/// A Bloom filter in lines of 512 bits (Putze, Sanders, Singler 2007).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    words: Vec<u64>,
}

impl Filter {
    /// For this many ids.
    pub fn for_ids(ids: usize) -> Filter {
        Filter { words: vec![0; (ids * BITS_PER_ID).div_ceil(64 * LINE).max(1) * LINE] }
    }

    /// Adds an id by its [`hash`].
    pub fn add(&mut self, hash: u64) {
        let line = self.line(hash);
        for (word, bit) in probes(hash) {
            if let Some(word) = self.words.get_mut(line + word) {
                *word |= bit;
            }
        }
    }

    /// `false`: it was surely not added.
    pub fn may_contain(&self, hash: u64) -> bool {
        let line = self.line(hash);
        probes(hash).all(|(word, bit)| self.words.get(line + word).is_some_and(|word| word & bit != 0))
    }

    /// The bytes, little endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// From the bytes; `None` when they are not whole lines.
    pub fn from_bytes(bytes: &[u8]) -> Option<Filter> {
        let (words, rest) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        (rest.is_empty() && !words.is_empty() && words.len().is_multiple_of(LINE)).then_some(Filter { words })
    }

    /// Bytes in memory.
    pub fn size_bytes(&self) -> usize {
        self.words.len() * 8
    }

    /// The first word of the line of a hash: its upper half, scaled to the number of lines.
    fn line(&self, hash: u64) -> usize {
        let lines = (self.words.len() / LINE) as u64;
        (((hash >> 32) * lines) >> 32) as usize * LINE
    }
}

fn probes(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    let bits = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..PROBES).map(move |probe| {
        let at = (bits >> (probe * 9)) & 511;
        ((at >> 6) as usize, 1 << (at & 63))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Timestamp;

    fn id(number: u64) -> RawId {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&number.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes());
        RawId::v7(Timestamp::from_millis(1_700_000_000_000 + number / 100), random)
    }

    #[test]
    fn what_was_added_is_found_and_few_others_are() {
        let mut filter = Filter::for_ids(100_000);
        for number in 0..100_000 {
            filter.add(hash(id(number)));
        }
        let filter = Filter::from_bytes(&filter.to_bytes()).unwrap();
        assert!((0..100_000).all(|number| filter.may_contain(hash(id(number)))));
        let wrong = (100_000..300_000).filter(|number| filter.may_contain(hash(id(*number)))).count();
        assert!(wrong < 60, "{wrong} of 200,000");
    }

    #[test]
    fn bytes_that_are_no_filter_are_refused() {
        assert_eq!(Filter::from_bytes(&[]), None);
        assert_eq!(Filter::from_bytes(&[0; 63]), None);
        assert_eq!(Filter::from_bytes(&[0; 72]), None);
        assert!(!Filter::from_bytes(&[0; 64]).unwrap().may_contain(7));
    }
}
