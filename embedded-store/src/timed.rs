//! Measures how long the groups of a writer take.

use std::sync::Arc;
use std::time::Instant;

use platform_core::kernel::{Histogram, Position};
use platform_core::ports::store::{Prepared, StoreTimings};

use crate::group::{Answers, Engine, Failure};

/// An engine whose groups are timed.
pub(crate) struct Timed<E> {
    pub(crate) engine: E,
    pub(crate) timings: Arc<StoreTimings>,
}

impl<E: Engine> Engine for Timed<E> {
    fn commit(&mut self, batches: &[Prepared]) -> Result<Answers, Failure> {
        timed(&self.timings.commit, || self.engine.commit(batches))
    }

    fn position(&self) -> Position {
        self.engine.position()
    }

    fn after_commit(&mut self) {
        self.engine.after_commit();
    }

    fn idle(&mut self) {
        self.engine.idle();
    }
}

/// Does something, and observes how long it took.
pub(crate) fn timed<T>(times: &Histogram, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let done = work();
    times.observe(begin.elapsed());
    done
}
