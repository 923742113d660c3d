//! What a writer appends to its log between two fsyncs, as one write.
//!
//! SQLite writes a frame of the log in two pieces, and a commit has some frames; nobody reads them before the
//! fsync that ends the commit. They are gathered here and written at once before it. And where the file has to
//! grow it grows by [`STEP`], with zeros: an fsync behind blocks that are there already takes half the time of
//! one that also has to note new blocks (120 µs beside 230 here). SQLite ends its reading of a log at the first
//! frame that is none.

/// By how much the file grows.
const STEP: i64 = 64 * 1024;

/// Bytes that are held at most; a large transaction is written in pieces. With what the file grows by they are
/// less than the 128 KiB that SQLite's own VFS writes at once.
const LIMIT: usize = 64 * 1024;

/// Pieces that follow each other, not written yet.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    /// Where the first of them belongs.
    begin: i64,
    /// The size of the file.
    size: i64,
}

impl Gathered {
    /// For a file of this size.
    pub(super) fn of(size: i64) -> Gathered {
        Gathered { bytes: Vec::new(), begin: 0, size }
    }

    /// Takes a piece if it follows what is held and there is room; `false` when [`Gathered::write`] has to come
    /// before it.
    pub(super) fn take(&mut self, piece: &[u8], offset: i64) -> bool {
        if self.bytes.is_empty() {
            self.begin = offset;
        } else if offset != self.end() || self.bytes.len() + piece.len() > LIMIT {
            return false;
        }
        self.bytes.extend_from_slice(piece);
        true
    }

    /// Writes what is held, by `write(bytes, offset)`, and holds nothing afterwards. What could not be written
    /// is forgotten: it belongs to a transaction that fails with it. The zeros by which the file grows come
    /// first: where a full disk takes only a part of what is held, the end of the commit is missing. Behind the head of
    /// the log, which SQLite syncs before the first frame, nothing grows: while it is not on the disk, what
    /// stood in the file before it was emptied might come back in the room, and count as frames.
    ///
    /// # Errors
    /// Those of `write`.
    pub(super) fn write<E>(&mut self, mut write: impl FnMut(&[u8], i64) -> Result<(), E>) -> Result<(), E> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let (begin, end, size) = (self.begin, self.end(), self.size);
        let bytes = std::mem::take(&mut self.bytes);
        let grown = if begin > 0 && end > size { (end + STEP - 1) / STEP * STEP } else { end };
        if grown > end {
            let zeros = vec![0; usize::try_from(grown - end).unwrap_or(0)];
            write(&zeros, end)?;
            self.size = grown;
        }
        write(&bytes, begin)?;
        self.size = self.size.max(end);
        self.bytes = bytes;
        self.bytes.clear();
        Ok(())
    }

    /// The file was cut, or something else has written to it.
    pub(super) fn resized(&mut self, size: i64) {
        self.size = size;
    }

    fn end(&self) -> i64 {
        self.begin + self.bytes.len().cast_signed() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(gathered: &mut Gathered) -> Vec<(Vec<u8>, i64)> {
        let mut seen = Vec::new();
        let write = |bytes: &[u8], offset| {
            seen.push((bytes.to_vec(), offset));
            Ok::<(), ()>(())
        };
        gathered.write(write).unwrap();
        seen
    }

    #[test]
    fn pieces_that_follow_each_other_are_one_write() {
        let mut gathered = Gathered::of(1 << 20);
        assert!(gathered.take(b"head", 32) && gathered.take(b"page", 36));
        assert!(!gathered.take(b"elsewhere", 50));
        assert_eq!(written(&mut gathered), [(b"headpage".to_vec(), 32)]);
        assert_eq!(written(&mut gathered), []);
        assert!(gathered.take(b"elsewhere", 50));
    }

    #[test]
    fn a_file_grows_by_steps_of_zeros_before_what_is_held_is_written() {
        let mut gathered = Gathered::of(0);
        assert!(gathered.take(&[1; 32], 0));
        assert_eq!(written(&mut gathered), [(vec![1; 32], 0)], "the head of a log stands alone");
        assert!(gathered.take(&[1; 100], 32));
        let zeros = vec![0; STEP as usize - 132];
        assert_eq!(written(&mut gathered), [(zeros, 132), (vec![1; 100], 32)]);
        assert!(gathered.take(&[2; 100], 132));
        assert_eq!(written(&mut gathered), [(vec![2; 100], 132)], "the blocks are there");
        gathered.resized(0);
        assert!(gathered.take(&[3; 100], STEP - 50));
        assert_eq!(written(&mut gathered)[0], (vec![0; STEP as usize - 50], STEP + 50));
    }

    #[test]
    fn what_could_not_be_written_is_forgotten_and_the_file_has_not_grown() {
        let mut gathered = Gathered::of(0);
        assert!(gathered.take(&[1; 100], 32));
        assert_eq!(gathered.write(|_, _| Err("full")), Err("full"));
        assert_eq!(written(&mut gathered), []);
        assert!(gathered.take(&[1; 100], 32));
        assert_eq!(written(&mut gathered).len(), 2, "it grows anew");
    }

    #[test]
    fn more_than_the_limit_is_written_in_pieces() {
        let mut gathered = Gathered::of(0);
        assert!(gathered.take(&vec![1; LIMIT], 0));
        assert!(!gathered.take(&[1], LIMIT as i64));
        assert!(Gathered::of(0).take(&vec![1; LIMIT + 1], 0), "what is alone is taken whatever its size");
    }
}
