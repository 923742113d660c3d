//! Faults that are planted on purpose, to prove that the simulation finds faults of their kinds.
//!
//! They are in a build with the feature `planted-faults` only, which no release has; and even there none
//! is active before a test says so, for its own thread.

use std::cell::Cell;

/// A planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// The mark of a handler is written without a look at who wrote it meanwhile: of two nodes that
    /// handle an event, both have its effect.
    UnfencedMark,
    /// A commit of which nobody knows whether it happened is simply tried again.
    DoubledRetry,
    /// An account may fall one cent below its floor.
    FloorOffByOne,
    /// The end of a session is told to the other nodes, and forgotten where it was decided.
    ForgottenCell,
    /// A message is handed over without its deadline.
    DeadlineForgotten,
}

impl Plant {
    /// All of them.
    pub const ALL: [Plant; 5] = [
        Plant::UnfencedMark,
        Plant::DoubledRetry,
        Plant::FloorOffByOne,
        Plant::ForgottenCell,
        Plant::DeadlineForgotten,
    ];
}

thread_local! {
    static ACTIVE: Cell<Option<Plant>> = const { Cell::new(None) };
}

/// From now on, in this thread, this fault is active, and no other.
pub fn plant(plant: Option<Plant>) {
    ACTIVE.set(plant);
}

pub(crate) fn is_active(plant: Plant) -> bool {
    ACTIVE.get() == Some(plant)
}
