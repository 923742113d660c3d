//! The memory in which passwords are hashed.

use argon2::Block;
use parking_lot::Mutex;

/// Blocks of a piece at least: 33 MiB, of which only what a hash needs is ever touched. glibc gives pieces of up to
/// 32 MiB from heaps that it keeps (136 MiB after a flood of logins, 2026-11-22), and larger ones straight from the
/// system and back to it.
const BLOCKS: usize = 33 * 1024;

/// As many pieces as there are computations at once. While there are others a piece is used again, which saves its
/// first touch (a millisecond); the last one gives all of them back.
#[derive(Debug, Default)]
pub(in crate::auth) struct HashMemory(Mutex<Pieces>);

#[derive(Debug, Default)]
struct Pieces {
    in_use: usize,
    free: Vec<Vec<Block>>,
}

/// A piece in use.
struct Piece<'a> {
    memory: &'a HashMemory,
    blocks: Vec<Block>,
}

impl HashMemory {
    /// Works with so many blocks; what is in them is of no meaning.
    pub(super) fn with<T>(&self, count: usize, work: impl FnOnce(&mut [Block]) -> T) -> T {
        let mut piece = self.take();
        if piece.blocks.len() < count {
            piece.blocks.reserve_exact(count.max(BLOCKS).saturating_sub(piece.blocks.len()));
            piece.blocks.resize(count, Block::new());
        }
        work(&mut piece.blocks)
    }

    fn take(&self) -> Piece<'_> {
        let mut pieces = self.0.lock();
        pieces.in_use += 1;
        Piece { memory: self, blocks: pieces.free.pop().unwrap_or_default() }
    }
}

impl Drop for Piece<'_> {
    fn drop(&mut self) {
        let mut pieces = self.memory.0.lock();
        pieces.in_use -= 1;
        if pieces.in_use > 0 {
            pieces.free.push(std::mem::take(&mut self.blocks));
        } else {
            pieces.free.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_used_again_while_there_are_others_and_the_last_gives_all_back() {
        let memory = HashMemory::default();
        memory.with(8, |outer| {
            assert!(outer.len() >= 8);
            memory.with(4, |_| ());
            assert_eq!(memory.0.lock().free.len(), 1);
            memory.with(16, |inner| assert!(inner.len() >= 16));
            assert_eq!(memory.0.lock().free.len(), 1);
        });
        let pieces = memory.0.lock();
        assert_eq!((pieces.free.len(), pieces.in_use), (0, 0));
    }

    #[test]
    fn who_panics_gives_back_what_he_had() {
        let memory = HashMemory::default();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            memory.with(1, |_| -> () { panic!("on purpose") });
        }));
        assert!(panicked.is_err());
        assert_eq!(memory.0.lock().in_use, 0);
    }
}
