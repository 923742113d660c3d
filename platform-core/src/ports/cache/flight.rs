//! Single flight: of the callers that want one value at once, one loads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::kernel::Result;

type Landed = Option<Result<Bytes>>;

/// The loads that are under way, by key. An adapter keeps them under the lock of its values.
#[derive(Default)]
pub(super) struct Flights(BTreeMap<String, Arc<watch::Sender<Landed>>>);

/// The part of one caller.
pub(super) enum Seat {
    /// Loads.
    Lead(Lead),
    /// Waits for the one who loads.
    Wait(watch::Receiver<Landed>),
}

/// The right to load a key, until it is dropped.
pub(super) struct Lead(Arc<watch::Sender<Landed>>);

impl Flights {
    /// Joins the load of a key, or begins it.
    pub(super) fn board(&mut self, key: &str) -> Seat {
        match self.0.get(key) {
            Some(flight) => Seat::Wait(flight.subscribe()),
            None => {
                let flight = Arc::new(watch::Sender::new(None));
                self.0.insert(key.to_owned(), Arc::clone(&flight));
                Seat::Lead(Lead(flight))
            }
        }
    }

    /// Lets nobody join the present load of a key any more.
    pub(super) fn overtake(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Lets nobody join any of the present loads any more.
    pub(super) fn overtake_all(&mut self) {
        self.0.clear();
    }

    /// Ends a load, also one that was given up. Returns whether nothing has overtaken it.
    pub(super) fn end(&mut self, key: &str, lead: &Lead) -> bool {
        let is_current = self.0.get(key).is_some_and(|flight| Arc::ptr_eq(flight, &lead.0));
        if is_current {
            self.0.remove(key);
        }
        is_current
    }
}

impl Lead {
    /// Tells all who wait.
    pub(super) fn land(&self, loaded: &Result<Bytes>) {
        self.0.send_replace(Some(loaded.clone()));
    }
}

/// What the one who loads brought; nothing when that one gave up.
pub(super) async fn landed(mut waiting: watch::Receiver<Landed>) -> Landed {
    waiting.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone())
}
