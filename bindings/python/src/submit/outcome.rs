//! What became of submitted transfers: a byte for each, and a record for each that was refused.

use platform_core::kernel::TransferId;
use platform_core::transactions::ledger::page::Outcome;
use platform_core::transactions::ledger::rejection::Rejection;
use platform_core::transactions::ledger::state::NewTransfer;

use crate::record::record;
use crate::values::{Bytes, Id};

/// The code of what was there before. No reason has this number.
const EXISTED: u8 = u8::MAX;

/// What became of transfers, in their order.
pub(crate) struct Submitted {
    ids: Vec<TransferId>,
    outcomes: Vec<Outcome>,
}

impl Submitted {
    pub(crate) fn ids_of(transfers: &[NewTransfer]) -> Vec<TransferId> {
        transfers.iter().map(|transfer| transfer.id).collect()
    }

    pub(crate) fn new(ids: Vec<TransferId>, outcomes: Vec<Outcome>) -> Submitted {
        Submitted { ids, outcomes }
    }

    fn count(&self, is_counted: fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| is_counted(outcome)).count()
    }

    fn refused(&self) -> impl Iterator<Item = FailedTransfer> {
        self.ids.iter().zip(&self.outcomes).enumerate().filter_map(|(index, (id, outcome))| match outcome {
            Outcome::Rejected(rejection) => {
                Some(FailedTransfer(Refused { index, id: *id, rejection: *rejection }))
            }
            _ => None,
        })
    }
}

/// A transfer that was refused.
pub(crate) struct Refused {
    index: usize,
    id: TransferId,
    rejection: Rejection,
}

record! {
    /// What became of submitted transfers: a byte for each, and an object only for each that was refused.
    Submission(it: Submitted) {
        /// How many were recorded now.
        created: usize = it.count(|outcome| matches!(outcome, Outcome::Created(_)));
        /// How many had been recorded before, with the same fields.
        existed: usize = it.count(|outcome| matches!(outcome, Outcome::Exists(_)));
        /// How many were refused.
        rejected: usize = it.count(|outcome| matches!(outcome, Outcome::Rejected(_)));
        /// A byte for each transfer, in their order: 0 recorded now, 255 recorded before, else the number of the reason
        /// for which it was refused.
        codes: Bytes = Bytes(it.outcomes.iter().map(|outcome| match outcome {
            Outcome::Created(_) => 0,
            Outcome::Exists(_) => EXISTED,
            Outcome::Rejected(rejection) => u8::try_from(rejection.number()).unwrap_or(EXISTED - 1),
        }).collect());
        /// The ids of the transfers, in their order, 16 bytes each.
        ids: Bytes = Bytes(it.ids.iter().flat_map(TransferId::as_bytes).copied().collect());
        /// Those that were refused.
        failed: Vec<FailedTransfer> = it.refused().collect();
    }
}

record! {
    /// A submitted transfer that was refused.
    FailedTransfer(it: Refused) {
        /// Its place among those that were submitted, from 0.
        index: usize = it.index;
        /// Its id.
        id: Id<TransferId> = Id(it.id);
        /// Why: the stable code.
        code: &'static str = it.rejection.code();
        /// Why: a sentence for people.
        detail: &'static str = it.rejection.message();
    }
}
