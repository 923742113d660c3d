//! The sequencer's worker: writes full segments to runs, beside the pages.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::kernel::Result;
use crate::ports::Database;
use crate::ports::store::Store;

use super::checkpoint::Checkpointer;
use super::load;
use super::storage::RunEntry;
use super::view::View;

/// Who writes full segments to runs.
pub(super) enum Worker {
    /// Nobody; the state of the last checkpoint, when it is in memory.
    Idle(Option<Box<Checkpointer>>),
    /// A task, which tells what it came to.
    Busy(oneshot::Receiver<Wrote>),
    /// Nobody, and nobody can: see [`Wrote::Overtaken`].
    Overtaken,
}

/// What became of the full segments.
pub(super) enum Wrote {
    /// They are in runs; the state as of the last of them.
    All(Box<Checkpointer>),
    /// Not all of them; they are written again later.
    Failed,
    /// Another process (one that was taken for dead) has written runs that end elsewhere than the segments
    /// in this memory, which must be loaded anew.
    Overtaken,
}

impl From<Wrote> for Worker {
    fn from(wrote: Wrote) -> Worker {
        match wrote {
            Wrote::All(checkpointer) => Worker::Idle(Some(checkpointer)),
            Wrote::Failed => Worker::Idle(None),
            Wrote::Overtaken => Worker::Overtaken,
        }
    }
}

impl Worker {
    /// Waits until nobody writes.
    pub(super) async fn rest(&mut self) {
        if let Worker::Busy(done) = self {
            *self = done.await.unwrap_or(Wrote::Failed).into();
        }
    }

    /// Whether nobody writes.
    pub(super) fn is_idle(&mut self) -> bool {
        if let Worker::Busy(done) = self {
            match done.try_recv() {
                Ok(wrote) => *self = wrote.into(),
                Err(oneshot::error::TryRecvError::Closed) => *self = Worker::Idle(None),
                Err(oneshot::error::TryRecvError::Empty) => return false,
            }
        }
        true
    }

    /// Whether the memory must be loaded anew.
    pub(super) fn is_overtaken(&self) -> bool {
        matches!(self, Worker::Overtaken)
    }

    /// Ends the growing segment and has it written.
    pub(super) fn write(&mut self, db: &Database, view: &Arc<View>) {
        let Worker::Idle(checkpointer) = self else { return };
        let checkpointer = checkpointer.take();
        view.write().tail.seal();
        let (sender, receiver) = oneshot::channel();
        let (store, view) = (Arc::clone(&db.store), Arc::clone(view));
        db.runtime.spawn(
            "ledger checkpoint",
            Box::pin(async move {
                let wrote = write_sealed(&store, &view, checkpointer).await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "a checkpoint of the ledger was not written; it is tried again later");
                    Wrote::Failed
                });
                // Whoever waits for the answer may close the store after it.
                drop((store, view));
                // Nobody waits any more when the ledger is gone.
                drop(sender.send(wrote));
            }),
        );
        *self = Worker::Busy(receiver);
    }
}

/// Writes every sealed segment, oldest first.
async fn write_sealed(
    store: &Arc<dyn Store>,
    view: &View,
    checkpointer: Option<Box<Checkpointer>>,
) -> Result<Wrote> {
    let mut checkpointer = match checkpointer {
        Some(checkpointer) => checkpointer,
        None => Box::new(load::load_checkpoint(store).await?),
    };
    loop {
        let Some(segment) = view.read().tail.oldest_sealed() else { return Ok(Wrote::All(checkpointer)) };
        let stored = &checkpointer.checkpoint;
        let own = |run: &&RunEntry| run.first == segment.first() && run.end == segment.end();
        let pair = match stored.runs.iter().find(own).cloned() {
            // Its checkpoint was committed after all, though nobody was told.
            Some(entry) => load::run(store.as_ref(), &entry).await?,
            None if stored.upto == segment.first() => checkpointer.write(&segment).await?,
            None => return Ok(Wrote::Overtaken),
        };
        let mut seen = view.write();
        let mut runs = seen.runs.to_vec();
        runs.push(Arc::new(pair));
        seen.runs = Arc::new(runs);
        seen.tail.drop_below(segment.end());
    }
}
