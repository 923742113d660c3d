//! What runs beside the requests: writing denials, signing checkpoints.

use std::time::Duration;

use tokio::sync::watch;

use super::Audit;
use super::denials::WINDOW;
use super::model::Occurrence;
use crate::kernel::{Event, Result};
use crate::ports::store::Work;

/// Between two checkpoints, so that a busy log is signed a few times a second and not per commit. Well
/// below the second that an entry may wait for its checkpoint.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_millis(200);
/// Without a commit, a denial or a count that waits for the end of its window.
const IDLE: Duration = Duration::from_secs(60);
/// After an error, before the next attempt.
const AFTER_ERROR: Duration = Duration::from_millis(500);

impl Audit {
    /// Turns events into entries, within the work that also marks them as handled.
    ///
    /// # Errors
    /// `audit.damaged`, `audit.entry_too_large`, and those of the store.
    pub async fn record_events(&self, events: &[Event], work: &mut Work) -> Result<()> {
        self.appender.append(work, events.iter().map(Occurrence::of_event).collect()).await
    }

    /// Writes denials and signs checkpoints until `stop` becomes true; then once more, so that nothing
    /// stays unsaid.
    ///
    /// # Errors
    /// None before the end; then those of the last write.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) -> Result<()> {
        let mut committed = self.db.store.committed();
        while !*stop.borrow() {
            let pause = match self.tick().await {
                Ok(()) => BETWEEN_CHECKPOINTS,
                Err(error) => {
                    tracing::warn!(%error, "the audit log could not be written; it is tried again");
                    AFTER_ERROR
                }
            };
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                () = self.db.runtime.sleep(pause) => {}
            }
            let idle = if self.denials.lock().is_empty() { IDLE } else { WINDOW };
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                () = self.wake.notified() => {}
                changed = committed.changed() => if changed.is_err() { break },
                () = self.db.runtime.sleep(idle) => {}
            }
        }
        self.flush().await
    }

    /// Writes what is complete and signs what is committed.
    async fn tick(&self) -> Result<()> {
        self.write_denials(false).await?;
        self.sign().await.map(|_| ())
    }

    /// Writes all denials and signs everything.
    ///
    /// # Errors
    /// Those of the store and of the keys.
    pub async fn flush(&self) -> Result<()> {
        self.write_denials(true).await?;
        self.sign().await.map(|_| ())
    }
}
