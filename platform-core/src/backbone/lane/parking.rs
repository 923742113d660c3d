//! The keys of a lane whose events wait, and when the first of each is tried again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Feed, Lane, Progress};
use crate::backbone::letters::{Parked, Queue, drain, parked_keys};
use crate::kernel::{Event, Result, Timestamp};

/// All keys that are parked by this lane, and perhaps some that are not any more: a redrive takes
/// them away elsewhere. The rows in the store decide.
pub(super) struct Parking {
    /// `(store, key)`.
    keys: BTreeMap<(String, String), Place>,
    progress: Vec<Arc<Progress>>,
}

#[derive(Clone, Copy)]
struct Place {
    partition: u16,
    due: Option<Timestamp>,
}

impl Parking {
    pub(super) async fn open(lane: &Lane, feeds: &[Feed]) -> Result<Parking> {
        let progress: Vec<_> = feeds.iter().map(|feed| Arc::clone(&feed.progress)).collect();
        let mut parking = Parking { keys: BTreeMap::new(), progress };
        let parked = parked_keys(lane.handler.database(), lane.handler.name(), lane.generation).await?;
        for parked in parked {
            let is_own = |progress: &Arc<Progress>| {
                (progress.partition, &progress.store) == (parked.partition, &parked.store)
            };
            if parking.progress.iter().any(is_own) {
                parking.insert(&parked);
            }
        }
        parking.show();
        Ok(parking)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn contains(&self, event: &Event) -> bool {
        !self.is_empty() && self.keys.contains_key(&(event.store.to_string(), event.key.clone()))
    }

    /// The key was parked, or is still.
    pub(super) fn insert(&mut self, parked: &Parked) {
        let place = Place { partition: parked.partition, due: parked.due };
        self.keys.insert((parked.store.clone(), parked.key.clone()), place);
        self.show();
    }

    /// The key is free.
    pub(super) fn remove(&mut self, store: &str, key: &str) {
        self.keys.remove(&(store.to_owned(), key.to_owned()));
        self.show();
    }

    /// Tries the keys again that are due.
    pub(super) async fn drain_due(&mut self, lane: &Lane) -> Result<()> {
        let now = lane.backends.runtime.now();
        let is_due = |place: &Place| place.due.is_some_and(|due| due <= now);
        let due: Vec<_> =
            self.keys.iter().filter(|(_, place)| is_due(place)).map(|(name, _)| name.clone()).collect();
        for (store, key) in due {
            let (handler, generation) = (lane.handler.name(), lane.generation);
            let queue = Queue { handler, generation, store: &store, key: &key };
            match drain(&*lane.handler, &queue).await?.left {
                Some(parked) => self.insert(&parked),
                None => self.remove(&store, &key),
            }
        }
        Ok(())
    }

    /// How long until a key is due.
    pub(super) fn next_due(&self, lane: &Lane) -> Option<Duration> {
        let first = self.keys.values().filter_map(|place| place.due).min()?;
        // A millisecond more than needed, so that it is due when it is looked at.
        Some(first.since(lane.backends.runtime.now()) + Duration::from_millis(1))
    }

    fn show(&self) {
        for progress in &self.progress {
            let of_partition = |(name, place): &(&(String, String), &Place)| {
                place.due.is_some() && place.partition == progress.partition && name.0 == progress.store
            };
            let count = self.keys.iter().filter(of_partition).count();
            progress.retrying.send_if_modified(|shown| std::mem::replace(shown, count) != count);
        }
    }
}
