//! Hears what other nodes changed, and writes what was counted.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;

use super::memory::{FLAGS_CHANGED, Memory};
use crate::ports::Database;
use crate::ports::signals::Signals;

/// How often counts are written; also how often the set is looked at without a signal, since one may be
/// lost.
const PERIOD: Duration = Duration::from_secs(5);

/// Listens and writes until the flags domain is dropped.
pub(super) fn start(db: &Database, memory: &Arc<Memory>, signals: &Arc<dyn Signals>) {
    listen(db.clone(), Arc::downgrade(memory), signals);
    write(db.clone(), Arc::downgrade(memory));
}

fn listen(db: Database, memory: Weak<Memory>, signals: &Arc<dyn Signals>) {
    let mut receiver = signals.receiver();
    let runtime = Arc::clone(&db.runtime);
    let task = async move {
        loop {
            let concerned = match receiver.recv().await {
                Ok(signal) => signal.topic == FLAGS_CHANGED,
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return,
            };
            let Some(memory) = memory.upgrade() else { return };
            if concerned && let Err(error) = memory.refresh(&db).await {
                tracing::warn!(%error, "flags could not be read anew after a signal");
            }
        }
    };
    runtime.spawn("flags.signals", Box::pin(task));
}

fn write(db: Database, memory: Weak<Memory>) {
    let runtime = Arc::clone(&db.runtime);
    let task = async move {
        loop {
            db.runtime.sleep(PERIOD).await;
            let Some(memory) = memory.upgrade() else { return };
            if let Err(error) = memory.write_counts(&db).await {
                tracing::warn!(%error, "counts of evaluations could not be written; they are kept");
            }
            if let Err(error) = memory.refresh(&db).await {
                tracing::warn!(%error, "flags could not be read anew");
            }
        }
    };
    runtime.spawn("flags.counts", Box::pin(task));
}
