//! Runs the sagas of one kind.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join_all, select};

use super::Saga;
use super::row::{BY_DUE, Phase, Progress};
use crate::backbone::Shutdown;
use crate::backbone::retry::{Pause, is_given_up, pause_after};
use crate::kernel::{Context, Error, ErrorKind, Result, Retry};
use crate::ports::store::{CommitError, Document, Expect, IndexRange, KeyWriter, Stored, Work};

/// Sagas that go on side by side.
const AT_ONCE: usize = 16;
/// In a busy store the sagas are looked at so often, not with every commit.
const CALM: Duration = Duration::from_millis(2);

pub(super) async fn run<S: Saga>(saga: &S, shutdown: &Shutdown) {
    let runtime = &*saga.database().runtime;
    let mut committed = saga.database().store.committed();
    let mut pause = Pause::default();
    while !shutdown.is_asked() {
        committed.mark_unchanged();
        match round(saga).await {
            Ok(None) => {
                shutdown.sleep(runtime, CALM).await;
                shutdown.unless_asked(committed.changed()).await;
            }
            Ok(Some(wait)) if wait.is_zero() => {}
            Ok(Some(wait)) => {
                shutdown.sleep(runtime, CALM).await;
                let changed = std::pin::pin!(committed.changed());
                shutdown.unless_asked(select(changed, runtime.sleep(wait))).await;
            }
            Err(error) => {
                tracing::warn!(saga = saga.name(), %error, "sagas stand still; it is tried again");
                shutdown.sleep(runtime, pause.next(runtime)).await;
                continue;
            }
        }
        pause.reset();
    }
}

/// Does the next step of all sagas that are due; returns when the next will be.
async fn round<S: Saga>(saga: &S) -> Result<Option<Duration>> {
    let database = saga.database();
    let prefix = KeyWriter::new().text(saga.name()).finish();
    let range = IndexRange::index(Progress::COLLECTION.name, BY_DUE).prefix(&prefix).limit(AT_ONCE);
    let rows = database.scan::<Progress>(&range).await?.items;
    let now = database.runtime.now();
    let due: Vec<_> = rows.iter().filter(|row| row.due.is_some_and(|due| due <= now)).collect();
    if due.is_empty() {
        // A millisecond more than needed, so that it is due when it is looked at.
        let next = rows.first().and_then(|row| row.due);
        return Ok(next.map(|due| due.since(now) + Duration::from_millis(1)));
    }
    for stepped in join_all(due.into_iter().map(|row| step(saga, row))).await {
        stepped?;
    }
    Ok(Some(Duration::ZERO))
}

/// Does or undoes one step, or writes down that it failed.
async fn step<S: Saga>(saga: &S, row: &Stored<Progress>) -> Result<()> {
    let Some(name) = step_name(saga, row) else {
        let error = Error::data_loss("saga.unknown_step", "the saga has no such step any more");
        return Err(error.with("saga", saga.name()).with("step", row.steps));
    };
    let ctx = context(saga, row, name);
    let mut work = Work::new(saga.database(), Arc::new(ctx.clone()));
    let mut progress = row.value.clone();
    match attempt(saga, name, &ctx, &mut progress, &mut work).await {
        Ok(()) => advance(saga, &mut progress, &work),
        Err(error) => {
            // Nothing of what the step wrote stays.
            work = Work::new(saga.database(), Arc::new(ctx));
            progress = row.value.clone();
            fail(saga, &mut progress, &error, &work);
        }
    }
    work.expect(Progress::key(row.id()), Expect::Version(row.version));
    work.put(&progress)?;
    match saga.database().store.commit(work.into_batch()).await {
        // After a conflict the step is still due: it comes again.
        Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
        Err(error @ (CommitError::Unavailable { .. } | CommitError::Poisoned)) => Err(error.into()),
        Err(error) => refused(saga, row, &error.into()).await,
    }
}

/// What the step wants to write cannot be written: that is a failure of the step.
async fn refused<S: Saga>(saga: &S, row: &Stored<Progress>, error: &Error) -> Result<()> {
    let mut work = Work::new(saga.database(), Arc::new(Context::service(saga.name())));
    let mut progress = row.value.clone();
    fail(saga, &mut progress, error, &work);
    work.expect(Progress::key(row.id()), Expect::Version(row.version));
    work.put(&progress)?;
    match saga.database().store.commit(work.into_batch()).await {
        Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn step_name<S: Saga>(saga: &S, row: &Progress) -> Option<&'static str> {
    let at = match row.phase {
        Phase::Backward => row.steps.checked_sub(1)?,
        _ => row.steps,
    };
    saga.steps().get(at).copied()
}

/// Who acts, and under which key.
fn context<S: Saga>(saga: &S, row: &Progress, step: &str) -> Context {
    let mut ctx = Context::service(saga.name());
    ctx.correlation_id = row.correlation_id.clone();
    let undo = if row.phase == Phase::Backward { ".undo" } else { "" };
    ctx.idempotency_key = format!("{}.{step}{undo}", row.id).parse().ok();
    ctx
}

async fn attempt<S: Saga>(
    saga: &S,
    step: &'static str,
    ctx: &Context,
    progress: &mut Progress,
    work: &mut Work,
) -> Result<()> {
    let mut state = serde_json::from_value(std::mem::take(&mut progress.state)).map_err(|error| {
        Error::data_loss("saga.damaged", "the state of a saga does not read").because(error)
    })?;
    let result = match progress.phase {
        Phase::Backward => {
            AssertUnwindSafe(saga.compensate(step, ctx, &mut state, work)).catch_unwind().await
        }
        _ => AssertUnwindSafe(saga.run(step, ctx, &mut state, work)).catch_unwind().await,
    };
    result.unwrap_or_else(|_| Err(Error::internal("saga.panicked", "a step of a saga panicked")))?;
    progress.state = serde_json::to_value(&state)
        .map_err(|error| Error::internal("saga.unwritable", "the state is not JSON").because(error))?;
    Ok(())
}

fn advance<S: Saga>(saga: &S, progress: &mut Progress, work: &Work) {
    progress.failures = 0;
    match progress.phase {
        Phase::Backward => progress.steps = progress.steps.saturating_sub(1),
        _ => progress.steps += 1,
    }
    progress.due = Some(work.now());
    if progress.phase == Phase::Forward && progress.steps >= saga.steps().len() {
        (progress.phase, progress.due) = (Phase::Done, None);
    }
    if progress.phase == Phase::Backward && progress.steps == 0 {
        (progress.phase, progress.due) = (Phase::Compensated, None);
    }
}

fn fail<S: Saga>(saga: &S, progress: &mut Progress, error: &Error, work: &Work) {
    progress.failures = progress.failures.saturating_add(1);
    let later = work.now().plus(pause_after(progress.failures, &*work.database().runtime));
    let may_mend = error.kind() == ErrorKind::Unavailable || error.retry_advice() != Retry::No;
    if progress.phase == Phase::Backward {
        tracing::error!(saga = saga.name(), id = progress.id, %error, "a compensation failed; it is tried again");
        progress.due = Some(later);
    } else if may_mend && !is_given_up(error, progress.failures) {
        progress.due = Some(later);
    } else {
        tracing::warn!(saga = saga.name(), id = progress.id, %error, "a step failed: the saga is compensated");
        // Nobody knows whether a step happened that something was unavailable for.
        progress.steps += usize::from(error.kind() == ErrorKind::Unavailable);
        progress.failures = 0;
        progress.error_code = Some(error.code().to_owned());
        (progress.phase, progress.due) = match progress.steps {
            0 => (Phase::Compensated, None),
            _ => (Phase::Backward, Some(work.now())),
        };
    }
}
