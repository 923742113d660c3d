//! What runs beside the requests: pending transfers expire in their time, and what other nodes record is seen.

use super::Transactions;
use crate::backbone::Parts;

impl Transactions {
    /// What this domain contributes to a platform. What the ledger writes beside its pages is a task of
    /// its own.
    pub fn parts(&self) -> Parts {
        let parts = Parts::none().task(self.ledger.task());
        if self.alone { parts } else { parts.task(self.ledger.follower()) }
    }
}
