//! One attempt of a handler: its effect, and whatever else belongs to the same commit.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use super::Handler;
use super::retry::is_outage;
use crate::kernel::{Context, Error, Event, Position, Result};
use crate::ports::store::{CommitError, Work};

/// Why an attempt came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The event, or what the handler makes of it.
    Event(Error),
    /// Something that was read changed meanwhile: read and try again.
    Conflict,
    /// The handler's store is out of reach: no event's fault. It may have been applied.
    Outage(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        if is_outage(&error) { Failure::Outage(error) } else { Failure::Event(error) }
    }
}

/// An empty work of a handler.
pub(super) fn work_for(handler: &dyn Handler, generation: u64) -> Work {
    let context = Arc::new(Context::service(handler.name()));
    Work::new(handler.database(), context).in_generation(generation)
}

/// Lets the handler add its effect to `work`, and commits it.
pub(super) async fn apply(
    handler: &dyn Handler,
    events: &[Event],
    mut work: Work,
) -> Result<Position, Failure> {
    if let [event] = events {
        work.caused_by(event);
    }
    let handled = AssertUnwindSafe(handler.handle(events, &mut work)).catch_unwind().await;
    handled.unwrap_or_else(|_| {
        Err(Error::internal("backbone.handler_panicked", "the handler panicked")
            .with("handler", handler.name()))
    })?;
    let done = commit(handler, work).await;
    // A store that is out of reach may have applied it.
    if matches!(done, Ok(_) | Err(Failure::Outage(_))) {
        handler.committed(events);
    }
    done
}

/// Commits; returns the version of what was written.
pub(super) async fn commit(handler: &dyn Handler, work: Work) -> Result<Position, Failure> {
    match handler.database().store.commit(work.into_batch()).await {
        Ok(commit) => Ok(commit.position),
        Err(CommitError::Conflict { .. }) => Err(Failure::Conflict),
        Err(error @ (CommitError::Unavailable { .. } | CommitError::Poisoned)) => {
            Err(Failure::Outage(error.into()))
        }
        Err(error) => Err(Failure::Event(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::backbone::Topics;
    use crate::kernel::BoxFuture;
    use crate::ports::runtime::SimRuntime;
    use crate::ports::store::flaky::{Fault, FlakyStore};
    use crate::ports::store::{Collection, Document, Expect, Schema};
    use crate::ports::{Database, MemoryBackends};

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Row;

    impl Document for Row {
        const COLLECTION: Collection = Collection::json("rows");

        fn id(&self) -> Vec<u8> {
            b"row".to_vec()
        }
    }

    struct Counting {
        db: Database,
        told: AtomicU32,
    }

    impl Handler for Counting {
        fn name(&self) -> &'static str {
            "test.count"
        }

        fn topics(&self) -> Topics {
            Topics::All
        }

        fn database(&self) -> &Database {
            &self.db
        }

        fn handle<'a>(&'a self, _: &'a [Event], work: &'a mut Work) -> BoxFuture<'a, Result<()>> {
            Box::pin(async { work.put(&Row) })
        }

        fn committed(&self, _: &[Event]) {
            self.told.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_handler_is_told_of_a_commit_that_happened_or_may_have_and_of_no_other() {
        let sim = SimRuntime::new(1);
        let memory = MemoryBackends::new(sim.runtime());
        sim.block_on(async {
            let backends = memory.backends().await.unwrap();
            let mut db =
                Database::open(&backends, &Schema::new("test", 1, &[Row::COLLECTION])).await.unwrap();
            let flaky = Arc::new(FlakyStore::new(db.store, sim.runtime()));
            db.store = Arc::clone(&flaky) as _;
            let handler = Counting { db, told: AtomicU32::default() };
            for (told, fault) in [Fault::None, Fault::AppliedSilently, Fault::Lost].into_iter().enumerate() {
                flaky.next(&[fault]);
                let done = apply(&handler, &[], work_for(&handler, 0)).await;
                assert_eq!(done.is_ok(), told == 0);
                assert_eq!(handler.told.load(Ordering::Relaxed) as usize, told + 1);
            }
            let mut work = work_for(&handler, 0);
            work.expect(Row::key("row"), Expect::Absent);
            assert!(matches!(apply(&handler, &[], work).await, Err(Failure::Conflict)));
            assert_eq!(handler.told.load(Ordering::Relaxed), 3);
        });
    }
}
