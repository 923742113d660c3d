//! Hears what other nodes changed.

use std::sync::{Arc, Weak};

use tokio::sync::broadcast::error::RecvError;

use crate::ports::Database;
use crate::ports::signals::Signals;

use super::access::AccessMemory;

/// Listens until the users domain is dropped.
pub(super) fn listen(db: &Database, access: &Arc<AccessMemory>, signals: &Arc<dyn Signals>) {
    let (db, access) = (db.clone(), Arc::downgrade(access));
    let mut receiver = signals.receiver();
    let runtime = Arc::clone(&db.runtime);
    let task = async move {
        loop {
            let heard = receiver.recv().await;
            let Some(access) = Weak::upgrade(&access) else { return };
            let done = match heard {
                Ok(signal) => access.heard(&db, &signal).await,
                Err(RecvError::Lagged(_)) => access.missed_signals(&db).await,
                Err(RecvError::Closed) => return,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "roles could not be read anew: until they can, they permit nothing");
            }
        }
    };
    runtime.spawn("users.signals", Box::pin(task));
}
