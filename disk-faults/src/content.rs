//! The bytes of a file, without its holes.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a disk writes whole or not at all.
pub const SECTOR: u64 = 512;
/// Bytes that are kept together.
const PAGE: u64 = 4096;

type Page = [u8; PAGE as usize];

/// Bytes up to a length; holes are zeros and take no memory. Clones share what neither has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    pages: BTreeMap<u64, Arc<Page>>,
    length: u64,
}

impl Content {
    /// How many bytes there are.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Up to `size` bytes from `offset` on; fewer at the end.
    pub fn read(&self, offset: u64, size: u64) -> Vec<u8> {
        let size = size.min(self.length.saturating_sub(offset));
        let mut bytes = vec![0; size as usize];
        for (page, from, to, at) in pieces(offset, size) {
            if let (Some(found), Some(target)) = (self.pages.get(&page), bytes.get_mut(at..at + to - from)) {
                target.copy_from_slice(found.get(from..to).unwrap_or_default());
            }
        }
        bytes
    }

    /// Writes bytes, and lengthens the file when they end behind it.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (page, from, to, at) in pieces(offset, bytes.len() as u64) {
            let page = Arc::make_mut(self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE as usize])));
            if let (Some(target), Some(source)) = (page.get_mut(from..to), bytes.get(at..at + to - from)) {
                target.copy_from_slice(source);
            }
        }
        if !bytes.is_empty() {
            self.length = self.length.max(offset + bytes.len() as u64);
        }
    }

    /// Cuts or lengthens the file; what is behind the end is zeros when it is lengthened again.
    pub fn set_length(&mut self, length: u64) {
        self.length = length;
        self.pages.split_off(&length.div_ceil(PAGE));
        let within = (length % PAGE) as usize;
        if let Some(page) = self.pages.get_mut(&(length / PAGE)).filter(|_| within > 0) {
            Arc::make_mut(page).iter_mut().skip(within).for_each(|byte| *byte = 0);
        }
    }

    /// A sector, also one behind the end, which is zeros.
    fn sector(&self, number: u64) -> Vec<u8> {
        let from = (number * SECTOR % PAGE) as usize;
        let page = self.pages.get(&(number * SECTOR / PAGE));
        page.and_then(|page| page.get(from..from + SECTOR as usize))
            .map_or_else(|| vec![0; SECTOR as usize], <[u8]>::to_vec)
    }

    /// Takes a sector over from another content; the length stays.
    pub(crate) fn take_sector(&mut self, number: u64, from: &Content) {
        let length = self.length;
        self.write(number * SECTOR, &from.sector(number));
        self.length = length;
    }

    /// The sectors from `first` on that are not holes.
    pub(crate) fn sectors_from(&self, first: u64) -> Vec<u64> {
        let each = PAGE / SECTOR;
        let pages = self.pages.range(first / each..).map(|(page, _)| *page);
        pages.flat_map(|page| page * each..(page + 1) * each).filter(|sector| *sector >= first).collect()
    }

    /// Runs of pages that are not holes: where they begin, and their bytes.
    pub(crate) fn runs(&self) -> Vec<(u64, Vec<u8>)> {
        let pages = self.pages.keys().map(|page| page * PAGE);
        pages.map(|offset| (offset, self.read(offset, PAGE))).collect()
    }
}

/// The parts of a range in pages: page, from and to within it, place in the range.
fn pieces(offset: u64, size: u64) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let end = offset + size;
    let mut at = offset;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let (page, from) = (at / PAGE, at % PAGE);
            let to = PAGE.min(from + end - at);
            let place = (at - offset) as usize;
            at += to - from;
            (page, from as usize, to as usize, place)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dice;

    #[test]
    fn it_is_what_a_vector_of_bytes_would_be() {
        let mut dice = Dice::new(7);
        for _ in 0..200 {
            let (mut content, mut model) = (Content::default(), Vec::<u8>::new());
            for _ in 0..20 {
                let offset = dice.below(12_000);
                if dice.one_in(4) {
                    content.set_length(offset);
                    model.resize(offset as usize, 0);
                } else {
                    let bytes = vec![dice.roll() as u8 | 1; dice.below(6_000) as usize];
                    content.write(offset, &bytes);
                    if !bytes.is_empty() {
                        let end = offset as usize + bytes.len();
                        model.resize(model.len().max(end), 0);
                        model[offset as usize..end].copy_from_slice(&bytes);
                    }
                }
                let (from, size) = (dice.below(13_000), dice.below(9_000));
                let expected = model.iter().skip(from as usize).take(size as usize).copied();
                assert_eq!(content.read(from, size), expected.collect::<Vec<_>>());
                assert_eq!(content.length(), model.len() as u64);
            }
        }
    }

    #[test]
    fn a_hole_takes_no_memory() {
        let mut content = Content::default();
        content.set_length(1 << 40);
        content.write(1 << 39, b"x");
        assert_eq!(content.runs().len(), 1);
        assert_eq!(content.read((1 << 39) - 1, 3), [0, b'x', 0]);
    }
}
