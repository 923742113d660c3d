//! What runs beside the requests: following the changes of other nodes, and writing what was counted.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::broadcast::error::RecvError;

use super::Flags;
use super::memory::FLAGS_CHANGED;
use crate::backbone::{Parts, Shutdown, Task};

/// How often counts are written; also how often the set is looked at without a signal, since one may be
/// lost.
const PERIOD: Duration = Duration::from_secs(5);

impl Flags {
    /// What this domain contributes to a platform.
    pub fn parts(&self) -> Parts {
        let (follower, counter) = (self.clone(), self.clone());
        Parts::none()
            .task(Task::new("flags.follow", move |shutdown| {
                let flags = follower.clone();
                Box::pin(async move { flags.follow(&shutdown).await })
            }))
            .task(Task::new("flags.count", move |shutdown| {
                let flags = counter.clone();
                Box::pin(async move { flags.count(&shutdown).await })
            }))
    }

    /// Reads the set anew whenever another node has changed it.
    async fn follow(&self, shutdown: &Shutdown) {
        let mut signals = self.memory.signals().receiver();
        while !shutdown.is_asked() {
            if let Err(error) = self.memory.refresh(&self.db).await {
                tracing::warn!(%error, "flags could not be read anew: the last ones stay in force");
            }
            loop {
                let signal = pin!(signals.recv());
                let next = select(signal, self.db.runtime.sleep(PERIOD));
                match shutdown.unless_asked(next).await {
                    Some(Either::Left((Ok(signal), _))) if *signal.topic != *FLAGS_CHANGED => {}
                    None | Some(Either::Left((Err(RecvError::Closed), _))) => return,
                    Some(_) => break,
                }
            }
        }
    }

    /// Writes counts from time to time, and once more at the end.
    async fn count(&self, shutdown: &Shutdown) {
        while !shutdown.is_asked() {
            shutdown.sleep(&*self.db.runtime, PERIOD).await;
            if let Err(error) = self.memory.write_counts(&self.db).await {
                tracing::warn!(%error, "counts of evaluations could not be written; they are kept");
            }
        }
    }
}
