//! What became of transfers since the start: counted in memory, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::kernel::{Context, Result};

use super::ledger::page::Outcome;
use super::ledger::rejection::Rejection;
use super::{LEDGER_READ, Transactions};

/// What became of transfers since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerCounts {
    /// Recorded.
    pub posted: u64,
    /// Refused, by the stable code of the reason; only those that occurred.
    pub rejected: Vec<(&'static str, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    posted: AtomicU64,
    rejected: [AtomicU64; Rejection::ALL.len()],
}

impl Counts {
    /// One addition for all that were recorded, and one for each that was refused.
    pub(super) fn count(&self, outcomes: &[Outcome]) {
        let mut posted = 0;
        for outcome in outcomes {
            match outcome {
                Outcome::Created(_) => posted += 1,
                Outcome::Exists(_) => {}
                Outcome::Rejected(rejection) => {
                    if let Some(count) = self.rejected.get(*rejection as usize) {
                        count.fetch_add(1, Relaxed);
                    }
                }
            }
        }
        self.posted.fetch_add(posted, Relaxed);
    }
}

impl Transactions {
    /// What became of transfers since the start.
    ///
    /// # Errors
    /// `auth.…` without [`LEDGER_READ`].
    pub fn counts(&self, context: &Context) -> Result<LedgerCounts> {
        context.require(&LEDGER_READ)?;
        let counts = self.counts.rejected.iter().map(|count| count.load(Relaxed));
        let named = Rejection::ALL.iter().map(|rejection| rejection.code()).zip(counts);
        Ok(LedgerCounts {
            posted: self.counts.posted.load(Relaxed),
            rejected: named.filter(|(_, count)| *count > 0).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rejection_has_a_place_of_its_own() {
        let counts = Counts::default();
        let outcomes: Vec<_> = Rejection::ALL.iter().map(|reason| Outcome::Rejected(*reason)).collect();
        counts.count(&outcomes);
        counts.count(&outcomes[1..]);
        let seen: Vec<_> = counts.rejected.iter().map(|count| count.load(Relaxed)).collect();
        assert_eq!(seen[0], 1);
        assert!(seen[1..].iter().all(|count| *count == 2), "{seen:?}");
    }
}
