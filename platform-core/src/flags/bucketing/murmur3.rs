//! MurmurHash3, x86, 32 bits, seed 0 (Austin Appleby, public domain), in pieces.

/// The hash of the bytes so far.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::flags) struct Murmur3 {
    hash: u32,
    /// Bytes of an incomplete block, the first in the lowest place.
    tail: u32,
    length: u32,
}

const fn mix(block: u32) -> u32 {
    block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

impl Murmur3 {
    /// Adds bytes.
    pub(in crate::flags) fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !self.length.is_multiple_of(4) {
            let Some((first, others)) = rest.split_first() else { return };
            self.byte(*first);
            rest = others;
        }
        let (blocks, remainder) = rest.as_chunks::<4>();
        for block in blocks {
            self.block(u32::from_le_bytes(*block));
            self.length = self.length.wrapping_add(4);
        }
        for byte in remainder {
            self.byte(*byte);
        }
    }

    fn byte(&mut self, byte: u8) {
        self.tail |= u32::from(byte) << (8 * (self.length % 4));
        self.length = self.length.wrapping_add(1);
        if self.length.is_multiple_of(4) {
            self.block(self.tail);
            self.tail = 0;
        }
    }

    fn block(&mut self, block: u32) {
        self.hash = (self.hash ^ mix(block)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }

    /// The hash.
    pub(in crate::flags) fn finish(self) -> u32 {
        let mut hash = self.hash ^ mix(self.tail) ^ self.length;
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        hash ^ (hash >> 16)
    }
}

impl std::fmt::Write for Murmur3 {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.update(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash(bytes: &[u8]) -> u32 {
        let mut hash = Murmur3::default();
        hash.update(bytes);
        hash.finish()
    }

    #[test]
    fn known_hashes() {
        // Preimages of the extremes, and the common check values of seed 0.
        for (text, expected) in [
            ("ejOoVL", 0),
            ("bY9fO-", 1),
            ("SI7p-", 0x7fff_ffff),
            ("6LvT0", 0x8000_0000),
            ("ceQdGm", u32::MAX),
            ("flag-user", 2_410_693_464),
            ("", 0),
            ("test", 0xba6b_d213),
            ("Hello, world!", 0xc036_3e43),
            ("The quick brown fox jumps over the lazy dog", 0x2e4f_f723),
        ] {
            assert_eq!(hash(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn pieces_give_the_hash_of_the_whole(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..9)) {
            let mut hash_of_pieces = Murmur3::default();
            for piece in &pieces {
                hash_of_pieces.update(piece);
            }
            prop_assert_eq!(hash_of_pieces.finish(), hash(&pieces.concat()));
        }
    }
}
