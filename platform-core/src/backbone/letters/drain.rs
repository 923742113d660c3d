//! Handles what waits, in order.

use super::model::{Cause, Letter, Parked};
use super::queue::{Queue, delete_letter, write_letter};
use crate::backbone::Handler;
use crate::backbone::effect::{Failure, apply, work_for};
use crate::backbone::retry::{is_given_up, pause_after};
use crate::kernel::{Error, Event, Position, Result, limits};
use crate::ports::store::{DocKey, Expect, Work};

/// How far a drain came.
#[derive(Debug)]
pub(crate) struct Drained {
    /// Letters that were handled now.
    pub(crate) handled: u64,
    /// The key's row when a letter failed; `None` when the queue is empty and gone.
    pub(crate) left: Option<Parked>,
    /// Why a letter failed.
    pub(crate) error: Option<Error>,
}

/// Handles the letters of a queue one after the other, until it is empty or one of them fails.
///
/// # Errors
/// `store.…` when the handler's store is out of reach; `store.conflict` when others keep changing it.
pub(crate) async fn drain(handler: &dyn Handler, queue: &Queue<'_>) -> Result<Drained> {
    let database = handler.database();
    let mut handled = 0;
    let mut conflicts = 0;
    loop {
        let Some((version, parked)) = queue.parked(database).await? else {
            return Ok(Drained { handled, left: None, error: None });
        };
        let Some(first) = queue.first(database).await? else {
            return Err(Error::data_loss("backbone.damaged", "a key waits for letters that are not there"));
        };
        let step = Step { handler, queue, version, parked, first };
        match step.run().await {
            Ok(left) => {
                handled += 1;
                if left == 0 {
                    return Ok(Drained { handled, left: None, error: None });
                }
            }
            Err(Failure::Conflict) if conflicts < limits::COMMAND_ATTEMPTS => {
                conflicts += 1;
                let pause = pause_after(1, &*database.runtime);
                database.runtime.sleep(pause).await;
            }
            Err(Failure::Outage(error)) => return Err(error),
            Err(Failure::Conflict) => {
                return Err(Error::conflict("store.conflict", "the queue changed meanwhile; try again"));
            }
            Err(Failure::Event(error)) => match step.failed(&error).await {
                Ok(left) => return Ok(Drained { handled, left: Some(left), error: Some(error) }),
                Err(Failure::Conflict) => conflicts += 1,
                Err(Failure::Outage(error) | Failure::Event(error)) => return Err(error),
            },
        }
    }
}

/// One letter, with what was read around it.
struct Step<'a> {
    handler: &'a dyn Handler,
    queue: &'a Queue<'a>,
    version: Position,
    parked: Parked,
    first: (DocKey, Position, Letter),
}

impl Step<'_> {
    fn event(&self) -> Result<Event, Failure> {
        Event::from_json(self.first.2.event.to_string().as_bytes()).map_err(Failure::Event)
    }

    /// Handles the letter: the effect and its removal are one commit. Returns how many are left.
    async fn run(&self) -> Result<u64, Failure> {
        let event = self.event()?;
        let mut work = work_for(self.handler, self.queue.generation);
        let (key, version, letter) = &self.first;
        delete_letter(&mut work, key.clone(), *version, letter);
        let left = self.parked.count.saturating_sub(1);
        let after = Parked { count: left, failures: 0, due: Some(work.now()), ..self.parked.clone() };
        let row = (left > 0).then_some(&after);
        self.queue.put_parked(&mut work, Expect::Version(self.version), row).map_err(Failure::Event)?;
        apply(self.handler, std::slice::from_ref(&event), work).await?;
        Ok(left)
    }

    /// Writes down that the letter failed once more.
    async fn failed(&self, error: &Error) -> Result<Parked, Failure> {
        let mut work = work_for(self.handler, self.queue.generation);
        let failures = self.parked.failures.saturating_add(1);
        let parked = Parked { failures, due: next_due(&work, error, failures), ..self.parked.clone() };
        let (key, version, letter) = &self.first;
        let letter = Letter { cause: Some(Cause::new(error, work.now())), ..letter.clone() };
        work.expect(key.clone(), Expect::Version(*version));
        let written = write_letter(&mut work, key, &letter)
            .and_then(|()| self.queue.put_parked(&mut work, Expect::Version(self.version), Some(&parked)));
        written.map_err(Failure::Event)?;
        crate::backbone::effect::commit(self.handler, work).await?;
        if parked.due.is_none() {
            log_dead(self.handler, error, &parked);
        }
        Ok(parked)
    }
}

/// When an event that failed so often is tried again; `None`: not by itself.
pub(crate) fn next_due(work: &Work, error: &Error, failures: u32) -> Option<crate::kernel::Timestamp> {
    let pause = pause_after(failures, &*work.database().runtime);
    (!is_given_up(error, failures)).then(|| work.now().plus(pause))
}

fn log_dead(handler: &dyn Handler, error: &Error, parked: &Parked) {
    tracing::error!(
        handler = handler.name(),
        store = parked.store,
        code = error.code(),
        waiting = parked.count,
        "an event failed too often: it is a dead letter, and its key waits for a redrive"
    );
}
