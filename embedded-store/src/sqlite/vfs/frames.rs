//! The checksums of SQLite's own log, looked at whenever a page is read from it.
//!
//! SQLite looks at them in a recovery only. Meanwhile it serves what the disk says stands in the log, and a
//! checkpoint would move a damaged page into the file, where it would get a sum as if it were whole. So here a page
//! is compared with the head of its frame. The sums are a chain: that of a frame is made from the sum before it, which
//! stands in the frame before or in the head of the log, so a frame that was never written is seen, too
//! (<https://www.sqlite.org/fileformat2.html#walformat>). 4 KiB take about 1 µs and two more reads.

/// Bytes of the head of a log.
const LOG_HEAD: i64 = 32;
/// Bytes of the head of a frame: number of the page, size of the database, two salts, two sums.
pub(super) const FRAME_HEAD: usize = 24;
/// Bytes of a sum.
pub(super) const SUM: usize = 8;

/// A frame whose page is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where its head stands.
    pub(super) head: i64,
    /// Where the sum stands that its own is made from.
    pub(super) sum_before: i64,
}

impl Frame {
    /// The frame whose page has this size and place in a log; `None`: that is no page.
    pub(super) fn with_page(size: usize, offset: i64) -> Option<Frame> {
        if size < 512 || !size.is_power_of_two() {
            return None;
        }
        let frame = (FRAME_HEAD + size) as i64;
        let head = offset - FRAME_HEAD as i64;
        let number = (head - LOG_HEAD) / frame;
        if head < LOG_HEAD || LOG_HEAD + number * frame != head {
            return None;
        }
        let sum_before = if number == 0 { LOG_HEAD } else { head - size as i64 } - SUM as i64;
        Some(Frame { head, sum_before })
    }
}

/// Whether a page is the one that the head of its frame was made for.
pub(super) fn is_whole(head: &[u8; FRAME_HEAD], before: [u8; SUM], page: &[u8]) -> bool {
    let Some((said, sum)) = head.split_first_chunk::<8>().zip(head.last_chunk::<SUM>()) else { return false };
    // Logs are written in the order of the machine; one from elsewhere is read, too.
    [u32::from_le_bytes, u32::from_be_bytes].into_iter().any(|word| {
        let after = summed(summed(halves(before), said.0, word), page, word);
        after == halves(*sum)
    })
}

fn halves(sum: [u8; SUM]) -> (u32, u32) {
    let both = u64::from_be_bytes(sum);
    ((both >> 32) as u32, both as u32)
}

/// The sum after these bytes.
fn summed(before: (u32, u32), bytes: &[u8], word: fn([u8; 4]) -> u32) -> (u32, u32) {
    let (words, _) = bytes.as_chunks::<4>();
    let (pairs, _) = words.as_chunks::<2>();
    pairs.iter().fold(before, |(first, second), [one, two]| {
        let first = first.wrapping_add(word(*one)).wrapping_add(second);
        (first, second.wrapping_add(word(*two)).wrapping_add(first))
    })
}

/// Which frames of a log have no sum yet. A transaction that is too large for memory writes a page once more in the
/// place where it stands already; it makes the sums from there on anew when it ends, and until then reads
/// its own pages. Nobody else does.
#[derive(Debug, Default)]
pub(super) struct Unsummed {
    /// Where the page belongs whose head was written just now.
    next_page: i64,
    from: Option<i64>,
}

impl Unsummed {
    /// This much is written here.
    pub(super) fn writes(&mut self, size: usize, offset: i64) {
        if size == FRAME_HEAD {
            self.next_page = offset + FRAME_HEAD as i64;
        } else if offset == self.next_page {
            self.next_page = 0;
        } else if Frame::with_page(size, offset).is_some() {
            self.from = Some(self.from.map_or(offset, |from| from.min(offset)));
        }
    }

    /// What was written is a whole transaction now.
    pub(super) fn synced(&mut self) {
        self.from = None;
    }

    /// Whether the page here has a sum.
    pub(super) fn has_sum(&self, offset: i64) -> bool {
        self.from.is_none_or(|from| offset < from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_the_head_of_the_log_and_each_other() {
        let frame = |size, offset| Frame::with_page(size, offset);
        assert_eq!(frame(4096, 56), Some(Frame { head: 32, sum_before: 24 }));
        assert_eq!(frame(4096, 56 + 4120), Some(Frame { head: 32 + 4120, sum_before: 32 + 16 }));
        assert_eq!(frame(4096, 57), None);
        assert_eq!(frame(4120, 32), None, "a whole frame, as a recovery reads it");
        assert_eq!(frame(32, 0), None);
        assert_eq!(frame(512, 0), None);
    }

    /// What SQLite itself has written.
    #[test]
    fn the_sums_are_those_of_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plain.db");
        let sql = rusqlite::Connection::open(&path).unwrap();
        sql.execute_batch(
            "PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(9000))",
        )
        .unwrap();
        let log = std::fs::read(folder.path().join("plain.db-wal")).unwrap();
        let size = 4096;
        let mut frames = 0;
        for offset in (56..log.len()).step_by(FRAME_HEAD + size) {
            let frame = Frame::with_page(size, offset as i64).unwrap();
            let (head, before) = (frame.head as usize, frame.sum_before as usize);
            let head: [u8; FRAME_HEAD] = log[head..head + FRAME_HEAD].try_into().unwrap();
            let before: [u8; SUM] = log[before..before + SUM].try_into().unwrap();
            let mut page = log[offset..offset + size].to_vec();
            assert!(is_whole(&head, before, &page));
            page[offset % size] ^= 4;
            assert!(!is_whole(&head, before, &page));
            page[offset % size] ^= 4;
            assert!(!is_whole(&head, [before[0] ^ 1, 0, 0, 0, 0, 0, 0, 0], &page));
            frames += 1;
        }
        assert!(frames > 3, "{frames}");
    }

    #[test]
    fn a_page_that_is_written_in_place_has_no_sum_until_the_transaction_ends() {
        let mut unsummed = Unsummed::default();
        for head in [32, 32 + 4120] {
            unsummed.writes(FRAME_HEAD, head);
            unsummed.writes(4096, head + 24);
        }
        assert!(unsummed.has_sum(56) && unsummed.has_sum(56 + 4120));
        unsummed.writes(4096, 56 + 4120);
        assert!(unsummed.has_sum(56) && !unsummed.has_sum(56 + 4120) && !unsummed.has_sum(56 + 2 * 4120));
        unsummed.synced();
        assert!(unsummed.has_sum(56 + 4120));
    }
}
