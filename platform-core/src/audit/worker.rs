//! What runs beside the requests: the appender of events, the writing of notices, the signing.

use std::time::Duration;

use futures_util::future::select;

use super::Audit;
use super::leaf::Told;
use crate::backbone::{Handler, Order, Parts, Shutdown, Task, Topics};
use crate::kernel::{BoxFuture, Event, Result};
use crate::ports::Database;
use crate::ports::store::Work;

/// Between two checkpoints, so that a busy log is signed a few times a second and not per commit. Well
/// below the second that an entry may wait for its checkpoint.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_millis(200);
/// Without a commit, a notice or a count that waits for the end of its window.
const IDLE: Duration = Duration::from_secs(60);
/// After an error, before the next attempt.
const AFTER_ERROR: Duration = Duration::from_millis(500);
/// Events that become entries in one commit: about four full tiles.
const EVENTS_OF_A_COMMIT: usize = 1_024;
/// Between two commits of a busy log: at most 20 a second, each with its fsync, its marks and its head. Far
/// below the second that an entry may wait for its checkpoint.
const GATHER: Duration = Duration::from_millis(50);

/// Turns every event of every domain into an entry. Entries, tiles, the head of the tree and the mark of
/// the last event are one commit.
pub(super) struct EventAppender(pub(super) Audit);

impl Handler for EventAppender {
    fn name(&self) -> &'static str {
        "audit.append"
    }

    fn topics(&self) -> Topics {
        Topics::All
    }

    /// All entries go to one tree.
    fn order(&self) -> Order {
        Order::One
    }

    fn database(&self) -> &Database {
        &self.0.db
    }

    fn batch_limit(&self) -> usize {
        EVENTS_OF_A_COMMIT
    }

    fn gather(&self) -> Duration {
        GATHER
    }

    fn handle<'a>(&'a self, events: &'a [Event], work: &'a mut Work) -> BoxFuture<'a, Result<()>> {
        Box::pin(
            async move { self.0.appender.append(work, events.iter().map(Told::by_event).collect()).await },
        )
    }
}

impl Audit {
    /// What runs beside the requests: for [`crate::backbone::Backbone::add`].
    pub fn parts(&self) -> Parts {
        let audit = self.clone();
        let signer = Task::new("audit.sign", move |shutdown| {
            let audit = audit.clone();
            Box::pin(async move { audit.run(&shutdown).await })
        });
        Parts::none().handler(EventAppender(self.clone())).task(signer)
    }

    /// Writes notices and signs checkpoints until it is time to end; then once more, so that nothing
    /// stays unsaid.
    async fn run(&self, shutdown: &Shutdown) {
        let mut committed = self.db.store.committed();
        while !shutdown.is_asked() {
            if let Err(error) = self.write_and_sign(false).await {
                tracing::warn!(%error, "the audit log could not be written; it is tried again");
                shutdown.sleep(&*self.db.runtime, AFTER_ERROR).await;
                continue;
            }
            shutdown.sleep(&*self.db.runtime, BETWEEN_CHECKPOINTS).await;
            let idle = self.notices.lock().due_in(self.db.runtime.now()).unwrap_or(IDLE);
            let noticed = std::pin::pin!(self.wake.woken());
            let appended = std::pin::pin!(committed.changed());
            shutdown.unless_asked(select(select(noticed, appended), self.db.runtime.sleep(idle))).await;
        }
        if let Err(error) = self.write_and_sign(true).await {
            tracing::error!(%error, "the last denials and disclosures could not be written to the audit log");
        }
    }

    /// Writes the notices that are complete, or all at the end, and signs what is committed.
    async fn write_and_sign(&self, all: bool) -> Result<()> {
        self.write_notices(all).await?;
        self.sign().await.map(|_| ())
    }

    /// Writes all denials and disclosures that were recorded, and signs everything: after it, what was
    /// denied or shown before can be found.
    ///
    /// # Errors
    /// Those of the store and of the keys.
    pub async fn flush(&self) -> Result<()> {
        self.write_and_sign(true).await
    }
}
