//! What runs beside the requests: following the changes of other nodes.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::broadcast::error::RecvError;

use super::Gateway;
use super::memory::ROUTES_CHANGED;
use crate::backbone::{Parts, Shutdown, Task};

/// How often the table is looked at without a signal, since one may be lost.
const PERIOD: Duration = Duration::from_secs(5);

impl Gateway {
    /// What this domain contributes to a platform.
    pub fn parts(&self) -> Parts {
        let follower = self.clone();
        Parts::none().task(Task::new("gateway.follow", move |shutdown| {
            let gateway = follower.clone();
            Box::pin(async move { gateway.follow(&shutdown).await })
        }))
    }

    /// Reads the table anew whenever another node has changed it.
    async fn follow(&self, shutdown: &Shutdown) {
        let mut signals = self.memory.signals().receiver();
        while !shutdown.is_asked() {
            if let Err(error) = self.memory.refresh(&self.db).await {
                tracing::warn!(%error, "routes could not be read anew: the last table stays in force");
            }
            loop {
                let signal = pin!(signals.recv());
                let next = select(signal, self.db.runtime.sleep(PERIOD));
                match shutdown.unless_asked(next).await {
                    Some(Either::Left((Ok(signal), _))) if *signal.topic != *ROUTES_CHANGED => {}
                    None | Some(Either::Left((Err(RecvError::Closed), _))) => return,
                    Some(_) => break,
                }
            }
        }
    }
}
