//! How often each variant was given: counted in memory without a lock, written by a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// The counts of one compiled flag.
#[derive(Debug)]
pub(super) struct FlagCounts {
    key: Box<str>,
    /// Sorted, as in the flag; the last cell counts evaluations without a variant.
    variants: Box<[Box<str>]>,
    cells: Box<[AtomicU64]>,
}

impl FlagCounts {
    /// Counts one evaluation.
    pub(super) fn count(&self, variant: Option<usize>) {
        let index = variant.unwrap_or(self.variants.len());
        if let Some(cell) = self.cells.get(index) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A count that is to be added to what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) flag: String,
    /// Empty for evaluations without a variant.
    pub(super) variant: String,
    pub(super) count: u64,
}

/// All counts that may still grow.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<Vec<Arc<FlagCounts>>>);

impl Counters {
    /// Counts for a flag that is compiled anew.
    pub(super) fn open<'a>(&self, key: &str, variants: impl Iterator<Item = &'a str>) -> Arc<FlagCounts> {
        let variants: Box<[Box<str>]> = variants.map(Into::into).collect();
        let cells = (0..=variants.len()).map(|_| AtomicU64::new(0)).collect();
        let counts = Arc::new(FlagCounts { key: key.into(), variants, cells });
        self.0.lock().push(Arc::clone(&counts));
        counts
    }

    /// Takes what was counted since the last time. Counts of flags that nobody holds any more are let go.
    pub(super) fn take(&self) -> Vec<Counted> {
        let mut taken = Vec::new();
        self.0.lock().retain(|counts| {
            // Held by none but us before it is read: nothing can be added afterwards.
            let finished = Arc::strong_count(counts) == 1;
            let names = counts.variants.iter().map(|name| &**name).chain([""]);
            for (cell, variant) in counts.cells.iter().zip(names) {
                let count = cell.swap(0, Ordering::Relaxed);
                if count > 0 {
                    taken.push(Counted { flag: counts.key.to_string(), variant: variant.to_owned(), count });
                }
            }
            !finished
        });
        taken
    }

    /// Counts again what could not be written.
    pub(super) fn put_back(&self, counted: Vec<Counted>) {
        let mut all = self.0.lock();
        for Counted { flag, variant, count } in counted {
            let variants: Box<[Box<str>]> =
                if variant.is_empty() { [].into() } else { [variant.into()].into() };
            let mut cells = vec![AtomicU64::new(count)];
            if !variants.is_empty() {
                cells.push(AtomicU64::new(0));
            }
            all.push(Arc::new(FlagCounts { key: flag.into(), variants, cells: cells.into() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_counted_is_lost_when_a_flag_changes_or_writing_fails() {
        let counters = Counters::default();
        let old = counters.open("f", ["off", "on"].into_iter());
        old.count(Some(1));
        let new = counters.open("f", ["on"].into_iter());
        new.count(Some(0));
        new.count(None);
        old.count(Some(1));
        let counted =
            |flag: &str, variant: &str, count| Counted { flag: flag.into(), variant: variant.into(), count };
        let taken = counters.take();
        assert_eq!(taken, [counted("f", "on", 2), counted("f", "on", 1), counted("f", "", 1)]);
        old.count(Some(0));
        drop(old);
        assert_eq!(counters.take(), [counted("f", "off", 1)]);
        assert_eq!(counters.0.lock().len(), 1);
        counters.put_back(taken.clone());
        assert_eq!(counters.take(), taken);
        assert_eq!(counters.0.lock().len(), 1);
    }
}
