//! The sequencer's worker: writes full segments to runs, beside the pages.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::kernel::Result;
use crate::ports::Database;
use crate::ports::store::Store;

use super::checkpoint::Checkpointer;
use super::load;
use super::view::View;

/// Who writes full segments to runs.
pub(super) enum Worker {
    /// Nobody; the state of the last checkpoint, when it is in memory.
    Idle(Option<Box<Checkpointer>>),
    /// A task, which gives the state back.
    Busy(oneshot::Receiver<Option<Box<Checkpointer>>>),
}

impl Worker {
    /// Waits until nobody writes.
    pub(super) async fn rest(&mut self) {
        if let Worker::Busy(done) = self {
            *self = Worker::Idle(done.await.unwrap_or_default());
        }
    }

    /// Whether nobody writes.
    pub(super) fn is_idle(&mut self) -> bool {
        if let Worker::Busy(done) = self {
            match done.try_recv() {
                Ok(checkpointer) => *self = Worker::Idle(checkpointer),
                Err(oneshot::error::TryRecvError::Closed) => *self = Worker::Idle(None),
                Err(oneshot::error::TryRecvError::Empty) => return false,
            }
        }
        true
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
                let written = write_sealed(&store, &view, checkpointer).await;
                if let Err(error) = &written {
                    tracing::warn!(%error, "a checkpoint of the ledger was not written; it is tried again later");
                }
                // Nobody waits any more when the ledger is gone.
                drop(sender.send(written.ok()));
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
) -> Result<Box<Checkpointer>> {
    let mut checkpointer = match checkpointer {
        Some(checkpointer) => checkpointer,
        None => Box::new(load::load_checkpoint(store).await?),
    };
    loop {
        let Some(segment) = view.read().tail.oldest_sealed() else { return Ok(checkpointer) };
        let written = checkpointer.checkpoint.runs.iter().find(|run| run.first == segment.first());
        let pair = match written.cloned() {
            // Its checkpoint was committed after all, though nobody was told.
            Some(entry) => load::run(store.as_ref(), &entry).await?,
            None => checkpointer.write(&segment).await?,
        };
        let mut seen = view.write();
        let mut runs = seen.runs.to_vec();
        runs.push(Arc::new(pair));
        seen.runs = Arc::new(runs);
        seen.tail.drop_below(segment.end());
    }
}
