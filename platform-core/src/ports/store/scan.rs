//! Ordered reading.

use std::ops::Bound;

use super::{Doc, KeyReader, KeyWriter};
use crate::kernel::{Cursor, Error, Result, limits};

/// A stretch of a collection, in the order of (entry, id) of an index, or of the ids.
///
/// ```
/// use platform_core::ports::store::IndexRange;
/// let range = IndexRange::index("orders", "by_customer").prefix(b"ada").backward().limit(20);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRange {
    /// The declared collection.
    pub collection: &'static str,
    /// The declared index; `None` for the ids.
    pub index: Option<&'static str>,
    /// Where the entries (or ids) begin.
    pub from: Bound<Vec<u8>>,
    /// Where they end.
    pub to: Bound<Vec<u8>>,
    /// From the end to the beginning.
    pub reverse: bool,
    /// Documents at most, 1 to [`limits::SCAN_DOCUMENTS`].
    pub limit: usize,
    /// Where the page before ended: [`ScanPage::next`].
    pub after: Option<Cursor>,
}

impl IndexRange {
    /// A whole collection by its ids.
    pub fn ids(collection: &'static str) -> IndexRange {
        IndexRange {
            collection,
            index: None,
            from: Bound::Unbounded,
            to: Bound::Unbounded,
            reverse: false,
            limit: limits::PAGE_DEFAULT,
            after: None,
        }
    }

    /// A whole index.
    pub fn index(collection: &'static str, index: &'static str) -> IndexRange {
        IndexRange { index: Some(index), ..IndexRange::ids(collection) }
    }

    /// Only entries (or ids) that begin with `prefix`.
    #[must_use]
    pub fn prefix(mut self, prefix: &[u8]) -> IndexRange {
        self.from = Bound::Included(prefix.to_vec());
        self.to = after_prefix(prefix);
        self
    }

    /// Only this entry (or id).
    #[must_use]
    pub fn exactly(mut self, entry: &[u8]) -> IndexRange {
        self.from = Bound::Included(entry.to_vec());
        self.to = Bound::Included(entry.to_vec());
        self
    }

    /// Only entries (or ids) between two bounds.
    #[must_use]
    pub fn between(mut self, from: Bound<Vec<u8>>, to: Bound<Vec<u8>>) -> IndexRange {
        self.from = from;
        self.to = to;
        self
    }

    /// From the end to the beginning.
    #[must_use]
    pub fn backward(mut self) -> IndexRange {
        self.reverse = true;
        self
    }

    /// Documents at most.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> IndexRange {
        self.limit = limit;
        self
    }

    /// After the page that ended here.
    #[must_use]
    pub fn after(mut self, cursor: Option<Cursor>) -> IndexRange {
        self.after = cursor;
        self
    }

    /// The `(entry, id)` of the last document of the page before; for a scan by id both are the id.
    ///
    /// # Errors
    /// `request.invalid_cursor`.
    pub fn after_entry(&self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let invalid = |_| Error::invalid("request.invalid_cursor", "not a cursor of this list");
        match &self.after {
            None => Ok(None),
            Some(cursor) => {
                let mut reader = KeyReader::new(cursor.as_bytes());
                Ok(Some((reader.bytes().map_err(invalid)?, reader.bytes().map_err(invalid)?)))
            }
        }
    }

    /// As [`IndexRange::after_entry`], but only a cursor behind the bound where the scan begins: a foreign
    /// one must not open what the range closes. With a cursor that bound needs no look any more.
    ///
    /// # Errors
    /// `request.invalid_cursor`.
    pub fn after_within(&self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let begin = if self.reverse { &self.to } else { &self.from };
        Ok(self.after_entry()?.filter(|(entry, _)| match (begin, self.reverse) {
            (Bound::Unbounded, _) => true,
            (Bound::Included(begin), false) => entry >= begin,
            (Bound::Excluded(begin), false) => entry > begin,
            (Bound::Included(begin), true) => entry <= begin,
            (Bound::Excluded(begin), true) => entry < begin,
        }))
    }

    /// Checks the limit.
    ///
    /// # Errors
    /// `store.too_large` or `request.invalid_limit`.
    pub fn check_limits(&self) -> Result<()> {
        if self.limit == 0 {
            return Err(Error::invalid("request.invalid_limit", "a scan returns at least one document"));
        }
        super::batch::at_most("scan", self.limit, limits::SCAN_DOCUMENTS)
    }
}

/// The first bound behind everything that begins with `prefix`.
fn after_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Bound::Excluded(end);
        }
    }
    Bound::Unbounded
}

/// A page of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPage {
    /// The documents. One with several entries in the range stands there once per entry.
    pub docs: Vec<Doc>,
    /// Where the next page begins; `None` when this page reached the end.
    pub next: Option<Cursor>,
}

impl ScanPage {
    /// A page from up to `limit + 1` hits `(entry, document)`: the surplus one only tells that there
    /// is more.
    pub fn from_hits(limit: usize, mut hits: Vec<(Vec<u8>, Doc)>) -> ScanPage {
        let more = hits.len() > limit;
        hits.truncate(limit);
        let next = hits
            .last()
            .filter(|_| more)
            .map(|(entry, doc)| Cursor::from_bytes(KeyWriter::new().bytes(entry).bytes(&doc.id).finish()));
        ScanPage { docs: hits.into_iter().map(|(_, doc)| doc).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(after_prefix(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 0xff]), Bound::Excluded(vec![2]));
        assert_eq!(after_prefix(&[0xff, 0xff]), Bound::Unbounded);
        assert_eq!(after_prefix(b""), Bound::Unbounded);
    }
}
