//! Epochs: what a remembered decision depends on, and how it is forgotten everywhere at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// Cells between two sweeps of those that nobody remembers any more.
const SWEEP_EVERY: usize = 4_096;

/// An epoch as it was when somebody looked. Whoever decides on what they read takes it *before*
/// reading: then a change that comes between is noticed.
#[derive(Debug, Clone)]
pub struct Seen {
    cell: Arc<AtomicU64>,
    value: u64,
}

impl Seen {
    /// Whether nothing has changed since.
    pub fn is_current(&self) -> bool {
        self.cell.load(Ordering::Acquire) == self.value
    }
}

/// One epoch per thing. A cell lives as long as a decision depends on it.
#[derive(Debug)]
pub struct Epochs<K> {
    cells: Mutex<Cells<K>>,
}

#[derive(Debug)]
struct Cells<K> {
    by_key: BTreeMap<K, Weak<AtomicU64>>,
    made: usize,
    /// What a new cell starts with: never a value that a former cell of the same key had.
    next: u64,
}

impl<K> Default for Epochs<K> {
    fn default() -> Self {
        Epochs { cells: Mutex::new(Cells { by_key: BTreeMap::new(), made: 0, next: 0 }) }
    }
}

impl<K: Ord + Clone> Epochs<K> {
    /// The epoch of a thing as it is now.
    pub fn seen(&self, key: &K) -> Seen {
        let mut cells = self.cells.lock();
        if let Some(cell) = cells.by_key.get(key).and_then(Weak::upgrade) {
            let value = cell.load(Ordering::Acquire);
            return Seen { cell, value };
        }
        cells.made += 1;
        if cells.made.is_multiple_of(SWEEP_EVERY) {
            cells.by_key.retain(|_, cell| cell.strong_count() > 0);
        }
        cells.next += 1;
        let value = cells.next;
        let cell = Arc::new(AtomicU64::new(value));
        cells.by_key.insert(key.clone(), Arc::downgrade(&cell));
        Seen { cell, value }
    }

    /// Forgets every decision that depends on this thing. Called after the commit and before the answer.
    pub fn advance(&self, key: &K) {
        let mut cells = self.cells.lock();
        cells.next += 1;
        if let Some(cell) = cells.by_key.get(key).and_then(Weak::upgrade) {
            cell.store(cells.next, Ordering::Release);
        }
    }

    /// Forgets every decision: after signals may have been missed.
    pub fn advance_all(&self) {
        let mut cells = self.cells.lock();
        cells.next += 1;
        let next = cells.next;
        for cell in cells.by_key.values().filter_map(Weak::upgrade) {
            cell.store(next, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advance_is_seen_by_every_holder_and_by_no_other_key() {
        let epochs = Epochs::default();
        let (first, second, other) = (epochs.seen(&1), epochs.seen(&1), epochs.seen(&2));
        assert!(first.is_current() && second.is_current());
        epochs.advance(&1);
        assert!(!first.is_current() && !second.is_current() && other.is_current());
        assert!(epochs.seen(&1).is_current());
        epochs.advance_all();
        assert!(!other.is_current());
    }

    #[test]
    fn cells_that_nobody_holds_are_swept() {
        let epochs = Epochs::default();
        let held = epochs.seen(&usize::MAX);
        for key in 0..3 * SWEEP_EVERY {
            epochs.seen(&key);
        }
        assert!(epochs.cells.lock().by_key.len() <= SWEEP_EVERY + 1);
        epochs.advance(&usize::MAX);
        assert!(!held.is_current());
    }
}
