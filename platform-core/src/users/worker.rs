//! What runs beside the requests: the keys of erased persons are destroyed, other nodes are heard.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;

use crate::backbone::{Handler, Parts, Shutdown, Task, Topics};
use crate::kernel::{BoxFuture, Event, Result};
use crate::ports::Database;
use crate::ports::store::Work;

use super::Users;
use super::events::ProfileErased;

/// Events that are looked at with one commit.
const EVENTS_OF_A_COMMIT: usize = 256;
/// Between two commits of a busy store: the command has destroyed the key already, or has failed.
const GATHER: Duration = Duration::from_millis(20);

impl Users {
    /// What runs beside the requests.
    pub fn parts(&self) -> Parts {
        let users = self.clone();
        let listener = Task::new("users.signals", move |shutdown| {
            let users = users.clone();
            Box::pin(async move { users.listen(&shutdown).await })
        });
        Parts::none().handler(KeyEraser(self.db.clone())).task(listener)
    }

    async fn listen(&self, shutdown: &Shutdown) {
        let mut receiver = self.signals.receiver();
        // What was said before nobody heard.
        let mut heard = Err(RecvError::Lagged(0));
        loop {
            match heard {
                Ok(signal) => self.access.heard(&signal),
                Err(RecvError::Lagged(_)) => self.access.missed_signals(),
                Err(RecvError::Closed) => return,
            }
            let Some(next) = shutdown.unless_asked(receiver.recv()).await else { return };
            heard = next;
        }
    }
}

/// Destroys the key of an erased person, should the command have had no time to.
pub(super) struct KeyEraser(pub(super) Database);

impl Handler for KeyEraser {
    fn name(&self) -> &'static str {
        "users.erase_keys"
    }

    fn topics(&self) -> Topics {
        Topics::Of(&["users"])
    }

    fn database(&self) -> &Database {
        &self.0
    }

    /// Hardly any event concerns it: it passes over many with one commit.
    fn batch_limit(&self) -> usize {
        EVENTS_OF_A_COMMIT
    }

    fn gather(&self) -> Duration {
        GATHER
    }

    fn handle<'a>(&'a self, events: &'a [Event], _work: &'a mut Work) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let keys = Arc::clone(&self.0.keys);
            for event in events {
                if let Some(erased) = event.decode::<ProfileErased>()? {
                    keys.erase(&erased.user_id.to_string()).await?;
                }
            }
            Ok(())
        })
    }
}
