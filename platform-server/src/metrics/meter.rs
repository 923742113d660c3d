//! What one connection counts with: a client mostly repeats itself, and to find its series again costs more than to
//! count.

use parking_lot::Mutex;

/// The series that a connection counted with last.
pub(crate) struct Last<L, M>(Mutex<Option<(L, M)>>);

impl<L, M> Default for Last<L, M> {
    fn default() -> Last<L, M> {
        Last(Mutex::default())
    }
}

impl<L: PartialEq + Clone, M> Last<L, M> {
    /// Counts with the series of these labels, which `find` looks up when it is another than the last one.
    pub(super) fn with(&self, labels: &L, find: impl FnOnce() -> M, count: impl FnOnce(&M)) {
        let mut last = self.0.lock();
        match &*last {
            Some((before, series)) if before == labels => count(series),
            _ => {
                let series = find();
                count(&series);
                *last = Some((labels.clone(), series));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_series_is_looked_up_when_it_is_another() {
        let (last, looked_up) = (Last::default(), Cell::new(0));
        let count = |label: u8| {
            let mut counted = 0;
            let find = || {
                looked_up.set(looked_up.get() + 1);
                label
            };
            last.with(&label, find, |series| counted = *series);
            assert_eq!(counted, label, "what is counted with is what was asked for");
        };
        [1, 1, 1, 2, 2, 1].into_iter().for_each(count);
        assert_eq!(looked_up.get(), 3);
    }
}
