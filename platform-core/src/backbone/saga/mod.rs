//! Sagas: steps over several domains, each undone in reverse order when a later one fails.
//!
//! A command starts a saga with its own commit ([`start`]). From then on it is certain to end: done,
//! or compensated. Its state stands in the owner's store, which declares [`Progress::COLLECTION`].

mod row;
mod runner;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::kernel::{BoxFuture, Context, Error, IdempotencyKey, Result};
use crate::ports::Database;
use crate::ports::store::Work;

pub use row::{Phase, Progress};

use super::Task;

/// Steps that belong together, over several domains.
///
/// # Behavior
/// - The steps run one after the other. What a step writes through `work` and the saga's own progress
///   are one commit.
/// - A step may run several times (after a crash, a conflict, an outage), so what it does in other
///   domains has to be idempotent: `ctx` carries an idempotency key of the saga and the step, with which
///   a command of another domain happens once.
/// - A step that fails because something is unavailable or in conflict is tried again, ten times in
///   about 17 s. If it fails for good, the steps before it are compensated in reverse order; it
///   itself, too, when nobody knows whether it happened.
/// - A compensation has to succeed in the end: it is tried again without limit. It must be content
///   when its step never happened.
pub trait Saga: Send + Sync + 'static {
    /// What the steps know and find out.
    type State: Serialize + DeserializeOwned + Send + Sync;

    /// `domain.what_it_does`. Never change it.
    fn name(&self) -> &'static str;

    /// The names of the steps, in order. Running sagas remember how many they have done: never change
    /// the order of steps that exist.
    fn steps(&self) -> &'static [&'static str];

    /// Where its state is kept: a store that declares [`Progress::COLLECTION`].
    fn database(&self) -> &Database;

    /// Does a step.
    ///
    /// # Errors
    /// Whatever keeps the step from being done.
    fn run<'a>(
        &'a self,
        step: &'static str,
        ctx: &'a Context,
        state: &'a mut Self::State,
        work: &'a mut Work,
    ) -> BoxFuture<'a, Result<()>>;

    /// Undoes a step.
    ///
    /// # Errors
    /// Whatever keeps it from being undone now.
    fn compensate<'a>(
        &'a self,
        step: &'static str,
        ctx: &'a Context,
        state: &'a mut Self::State,
        work: &'a mut Work,
    ) -> BoxFuture<'a, Result<()>>;
}

/// Starts a saga with the commit of `work`. `id` names it within its kind: 1 to 128 visible ASCII
/// characters. `false` when it was started before: nothing changes then.
///
/// # Errors
/// `saga.invalid_id`; what loading returns.
pub async fn start<S: Serialize>(work: &mut Work, saga: &'static str, id: &str, state: &S) -> Result<bool> {
    if id.len() > 128 || id.parse::<IdempotencyKey>().is_err() {
        return Err(Error::invalid("saga.invalid_id", "an id is 1 to 128 visible ASCII characters"));
    }
    if work.load::<Progress>(Progress::id_of(saga, id)).await?.is_some() {
        return Ok(false);
    }
    let state = serde_json::to_value(state)
        .map_err(|error| Error::internal("saga.unwritable", "the state is not JSON").because(error))?;
    let progress = Progress::new(saga, id, state, work.now(), work.context().correlation_id.clone());
    work.put(&progress)?;
    Ok(true)
}

/// How far a saga is; `None` when it was never started.
///
/// # Errors
/// `store.unavailable`, `store.damaged`.
pub async fn progress(database: &Database, saga: &str, id: &str) -> Result<Option<Progress>> {
    Ok(database.get::<Progress>(Progress::id_of(saga, id)).await?.map(|stored| stored.value))
}

/// The worker that runs the sagas of this kind: [`super::Parts::saga`] adds it.
pub(super) fn task<S: Saga>(saga: S) -> Task {
    let saga = std::sync::Arc::new(saga);
    Task::new("backbone.saga", move |shutdown| {
        let saga = std::sync::Arc::clone(&saga);
        Box::pin(async move { runner::run(&*saga, &shutdown).await })
    })
}
