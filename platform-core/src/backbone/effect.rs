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
    commit(handler, work).await
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
