//! How far events are behind: from a store to the log, and from the log to the handlers.

use std::sync::Arc;
use std::time::Duration;

use super::Backbone;
use crate::kernel::{Event, EventPosition, Result};
use crate::ports::store::Store;

/// A store whose events go to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxLag {
    /// The store.
    pub store: String,
    /// The age of the oldest event that is committed and not yet in the log; zero when there is none.
    pub age: Duration,
}

/// A handler of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerLag {
    /// The handler.
    pub handler: &'static str,
    /// Events in the log that it has not seen.
    pub events: u64,
}

impl Backbone {
    /// The stores of all domains.
    pub fn stores(&self) -> Vec<Arc<dyn Store>> {
        self.members.lock().databases.iter().map(|database| Arc::clone(&database.store)).collect()
    }

    /// How far each outbox is behind; nothing when nothing runs.
    ///
    /// # Errors
    /// What a store returns.
    pub async fn outbox_lag(&self) -> Result<Vec<OutboxLag>> {
        let relays = self.watched.lock().relays.clone();
        let mut lags = Vec::new();
        for (store, relayed) in relays {
            let relayed = *relayed.borrow();
            let mut age = Duration::ZERO;
            if *store.committed().borrow() > relayed
                && let Some((_, json)) = store.outbox(EventPosition::end_of(relayed), 1).await?.first()
            {
                age = self.backends.runtime.now().since(Event::from_json(json)?.time);
            }
            lags.push(OutboxLag { store: store.name().to_owned(), age });
        }
        Ok(lags)
    }

    /// How far each handler is behind the log; nothing when nothing runs.
    ///
    /// # Errors
    /// What the log returns.
    pub async fn handler_lag(&self) -> Result<Vec<HandlerLag>> {
        let watched = self.watched.lock().clone();
        let ends = self.ends(&watched).await?;
        let lag_of = |(handler, _, lanes): &(&'static str, u64, Vec<Arc<super::lane::Progress>>)| {
            let behind = lanes.iter().map(|progress| {
                let end =
                    ends.get(&progress.store).and_then(|ends| ends.get(usize::from(progress.partition)));
                end.map_or(0, |(_, end)| end.saturating_sub(*progress.next.borrow()))
            });
            HandlerLag { handler, events: behind.sum() }
        };
        Ok(watched.lanes.iter().map(lag_of).collect())
    }
}
