//! Group commit: one thread per store that writes whatever queued up while it was syncing.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use machine::yield_to_others;
use platform_core::kernel::{Error, Position, Result};
use platform_core::ports::store::{Batch, Commit, CommitError, Prepared, Schema};
use tokio::sync::{oneshot, watch};

use crate::acknowledged::Acknowledged;

/// Batches that may wait; a caller beyond that waits for room.
const QUEUE: usize = 4096;
/// Batches of one group: a few milliseconds of work, so that the first of them does not wait long.
const GROUP_BATCHES: usize = 1024;
/// Bytes of one group: bounds the memory of a transaction.
const GROUP_BYTES: usize = 32 * 1024 * 1024;
/// How long a writer has nothing to do before it tidies up.
const IDLE: Duration = Duration::from_secs(5);

/// Answers of a group, in its order.
pub(crate) type Answers = Vec<Result<Commit, CommitError>>;

/// Why a whole group failed.
pub(crate) enum Failure {
    /// Nothing of it was applied, and the engine goes on.
    RolledBack(Error),
    /// Nothing of it was applied, for a reason that every batch alone would meet too (a full disk).
    Refused(Error),
    /// Nothing of it was applied, and nothing more ever is: the store is poisoned.
    Lost(Error),
    /// It is not known what reached the disk: the store is poisoned.
    Unknown(Error),
}

/// What writes groups: the only owner of a store's write access.
pub(crate) trait Engine: Send + 'static {
    /// Plans and applies the batches as one transaction with one fsync. Refused batches fail alone.
    fn commit(&mut self, batches: &[Prepared]) -> Result<Answers, Failure>;

    /// The position of the last durable commit.
    fn position(&self) -> Position;

    /// What need not be done before the batches are answered.
    fn after_commit(&mut self);

    /// Tidies up after some time without work; errors are the engine's own business.
    fn idle(&mut self);
}

/// How it ended, and the batch: whoever made it frees it, while the writer writes.
type Answer = (Result<Commit, CommitError>, Prepared);

struct Waiting {
    batch: Prepared,
    answer: oneshot::Sender<Answer>,
}

/// The queue in front of a store's writer thread.
pub(crate) struct GroupWriter {
    schema: Arc<Schema>,
    queue: Option<flume::Sender<Waiting>>,
    thread: Option<JoinHandle<()>>,
    committed: Arc<watch::Sender<Position>>,
}

impl GroupWriter {
    /// Starts the thread.
    pub(crate) fn start(
        schema: Arc<Schema>,
        engine: impl Engine,
        acknowledged: Acknowledged,
    ) -> Result<GroupWriter> {
        let (sender, receiver) = flume::bounded(QUEUE);
        let committed = Arc::new(watch::Sender::new(engine.position()));
        let writer = Writer { engine, acknowledged, committed: Arc::clone(&committed), poisoned: false };
        let is_following = schema.is_following;
        let thread = std::thread::Builder::new()
            .name(format!("store-{}", schema.store))
            .stack_size(512 * 1024)
            .spawn(move || {
                if is_following {
                    yield_to_others();
                }
                writer.run(&receiver);
            })
            .map_err(|error| Error::unavailable("store.unavailable", "no thread to write").because(error))?;
        Ok(GroupWriter { schema, queue: Some(sender), thread: Some(thread), committed })
    }

    /// Checks the batch here, queues it, and waits until it is durable.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        let batch = Prepared::new(&self.schema, batch)?;
        let (answer, answered) = oneshot::channel();
        let closed = |maybe_applied| CommitError::Unavailable {
            maybe_applied,
            cause: Error::unavailable("store.closed", "the store's writer has ended"),
        };
        let Some(queue) = &self.queue else { return Err(closed(false)) };
        let waiting = Waiting { batch, answer };
        // The queue is seldom full: the short way needs no future of its own.
        match queue.try_send(waiting) {
            Ok(()) => {}
            Err(flume::TrySendError::Full(waiting)) => {
                queue.send_async(waiting).await.map_err(|_| closed(false))?;
            }
            Err(flume::TrySendError::Disconnected(_)) => return Err(closed(false)),
        }
        answered.await.map_or_else(|_| Err(closed(true)), |(answer, _)| answer)
    }

    pub(crate) fn committed(&self) -> watch::Receiver<Position> {
        self.committed.subscribe()
    }
}

impl Drop for GroupWriter {
    /// Waits until everything that was queued is answered: afterwards the store can be opened again.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(store = self.schema.store, "the store's writer had panicked");
        }
    }
}

struct Writer<E> {
    engine: E,
    acknowledged: Acknowledged,
    committed: Arc<watch::Sender<Position>>,
    poisoned: bool,
}

impl<E: Engine> Writer<E> {
    fn run(mut self, queue: &flume::Receiver<Waiting>) {
        let mut untidy = false;
        loop {
            let first = if untidy {
                match queue.recv_timeout(IDLE) {
                    Ok(first) => first,
                    Err(flume::RecvTimeoutError::Disconnected) => break,
                    Err(flume::RecvTimeoutError::Timeout) => {
                        self.tidy();
                        untidy = false;
                        continue;
                    }
                }
            } else {
                match queue.recv() {
                    Ok(first) => first,
                    Err(flume::RecvError::Disconnected) => break,
                }
            };
            let (batches, answers) = drain(queue, first);
            self.commit(batches, answers);
            untidy = true;
        }
        // A trim may have come without a commit after it.
        self.tidy();
    }

    fn tidy(&mut self) {
        if !self.poisoned {
            self.engine.idle();
        }
    }

    fn commit(&mut self, batches: Vec<Prepared>, askers: Askers) {
        let answers = self.answers(&batches);
        let position = self.engine.position();
        // Readers that wait for a position are woken before the one who wrote it goes on.
        self.committed.send_if_modified(|at| std::mem::replace(at, position) != position);
        for (asker, answer) in askers.into_iter().zip(answers.into_iter().zip(batches)) {
            // Whoever gave up waiting does not need the answer.
            let _ = asker.send(answer);
        }
        if self.poisoned {
            return;
        }
        if let Err(error) = self.acknowledged.note(position) {
            tracing::warn!(%error, "the acknowledged position was not noted");
        }
        self.engine.after_commit();
    }

    fn answers(&mut self, batches: &[Prepared]) -> Answers {
        if self.poisoned {
            return batches.iter().map(|_| Err(CommitError::Poisoned)).collect();
        }
        match self.engine.commit(batches) {
            Ok(answers) => answers,
            Err(Failure::RolledBack(cause)) if batches.len() > 1 => {
                tracing::warn!(%cause, "a group failed and is written batch by batch");
                batches.chunks(1).flat_map(|batch| self.answers(batch)).collect()
            }
            Err(Failure::RolledBack(cause) | Failure::Refused(cause)) => {
                tracing::error!(%cause, "a commit failed and was rolled back");
                let answer = || CommitError::Unavailable { maybe_applied: false, cause: cause.clone() };
                batches.iter().map(|_| Err(answer())).collect()
            }
            Err(Failure::Lost(cause)) => self.poison(batches, false, &cause),
            Err(Failure::Unknown(cause)) => self.poison(batches, true, &cause),
        }
    }

    fn poison(&mut self, batches: &[Prepared], maybe_applied: bool, cause: &Error) -> Answers {
        tracing::error!(%cause, "what is on the disk is not known any more: the store is poisoned");
        self.poisoned = true;
        let answer = || CommitError::Unavailable { maybe_applied, cause: cause.clone() };
        batches.iter().map(|_| Err(answer())).collect()
    }
}

type Askers = Vec<oneshot::Sender<Answer>>;

/// Takes what waits: no timer, only what is there.
fn drain(queue: &flume::Receiver<Waiting>, first: Waiting) -> (Vec<Prepared>, Askers) {
    let mut bytes = first.batch.bytes();
    let (mut batches, mut askers) = (vec![first.batch], vec![first.answer]);
    while batches.len() < GROUP_BATCHES && bytes < GROUP_BYTES {
        let Ok(next) = queue.try_recv() else { break };
        bytes += next.batch.bytes();
        batches.push(next.batch);
        askers.push(next.answer);
    }
    (batches, askers)
}
