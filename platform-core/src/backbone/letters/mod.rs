//! Events that could not be handled, and the later events of their keys that queue behind them.
//!
//! In the handler's own store, in the collection `_inbox`:
//! - `parked`: one row per key whose events wait: how many, and when the first is tried again. It
//!   guards the queue: whoever adds to or takes from it expects the version that was read.
//! - `letter`: the waiting events of a key, in order.
//! - `letter_id`: where the letter with this id stands.

mod drain;
mod model;
mod queue;

pub use model::{DeadLetter, LetterState};

pub(super) use drain::{drain, next_due};
pub(super) use model::Parked;
pub(super) use queue::{Queue, enqueue, find, list, parked_keys};
