//! From a store's outbox to its topic of the log.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select;
use tokio::sync::watch;

use super::Shutdown;
use super::retry::Pause;
use crate::kernel::{Error, Event, EventPosition, Position, Result};
use crate::ports::Backends;
use crate::ports::log::{NewRecord, partition_of};
use crate::ports::store::Store;

/// Events that are appended at once: one fsync of the log for all of them.
const AT_ONCE: usize = 256;
/// The outbox is trimmed after so many events, and when the store has been quiet for a while: a trim
/// is a write of the store.
const TRIM_AFTER: usize = 4_096;
/// Quiet for so long.
const TRIM_PAUSE: Duration = Duration::from_secs(2);

/// Moves the events of one store to the log, in order.
///
/// Where it stands is not written anywhere: the last record of each partition of the log tells which
/// events are there. So a crash between append and trim repeats nothing.
pub(super) struct Relay {
    pub(super) backends: Backends,
    pub(super) store: Arc<dyn Store>,
    /// Every commit up to here has its events in the log.
    pub(super) relayed: watch::Sender<Position>,
}

/// What a relay knows while it runs.
struct Place {
    /// The last event of each partition of the log, as it was at the start.
    tails: Vec<EventPosition>,
    /// The last event that was moved.
    after: EventPosition,
    untrimmed: usize,
}

impl Relay {
    pub(super) async fn run(self, shutdown: Shutdown) {
        let mut pause = Pause::default();
        while !shutdown.is_asked() {
            if let Err(error) = self.relay(&shutdown, &mut pause).await {
                tracing::warn!(store = self.store.name(), %error, "the relay failed; it begins anew");
                shutdown.sleep(&*self.backends.runtime, pause.next(&*self.backends.runtime)).await;
            }
        }
    }

    async fn relay(&self, shutdown: &Shutdown, pause: &mut Pause) -> Result<()> {
        let mut place = Place { tails: self.tails().await?, after: EventPosition::START, untrimmed: 0 };
        let mut committed = self.store.committed();
        while !shutdown.is_asked() {
            let upto = *committed.borrow_and_update();
            let moved = self.step(&mut place).await?;
            pause.reset();
            if moved == AT_ONCE {
                continue;
            }
            self.relayed.send_replace(upto);
            self.wait(&mut place, &mut committed, shutdown).await?;
        }
        self.trim(&mut place).await
    }

    /// The position of the last event of every partition.
    async fn tails(&self) -> Result<Vec<EventPosition>> {
        let (log, topic) = (&self.backends.log, self.store.name());
        let mut tails = Vec::new();
        for (partition, (first, end)) in log.bounds(topic).await?.into_iter().enumerate() {
            let last = match end {
                end if end > first => log.read(topic, partition as u16, end - 1, 1).await?.pop(),
                _ => None,
            };
            let position = last.map(|record| Event::from_json(&record.value).map(|event| event.position));
            tails.push(position.transpose()?.unwrap_or_default());
        }
        Ok(tails)
    }

    /// Moves the next events; returns how many were there.
    async fn step(&self, place: &mut Place) -> Result<usize> {
        let events = self.store.outbox(place.after, AT_ONCE).await?;
        let (count, Some((last, _))) = (events.len(), events.last()) else { return Ok(0) };
        let last = *last;
        let mut records = Vec::with_capacity(count);
        for (position, json) in events {
            let mut event = Event::from_json(&json)?;
            event.store = self.store.name().to_owned();
            event.position = position;
            let partition = partition_of(&event.key, place.tails.len() as u16);
            let there = place.tails.get(usize::from(partition)).is_some_and(|tail| *tail >= position);
            if !there {
                records.push(NewRecord::new(event.key.clone(), event.to_json()));
            }
        }
        if !records.is_empty() {
            self.backends.log.append(self.store.name(), records).await?;
        }
        place.after = last;
        place.untrimmed += count;
        if place.untrimmed >= TRIM_AFTER {
            self.trim(place).await?;
        }
        Ok(count)
    }

    async fn trim(&self, place: &mut Place) -> Result<()> {
        if std::mem::take(&mut place.untrimmed) > 0 {
            self.store.trim_outbox(place.after).await?;
        }
        Ok(())
    }

    /// Waits for a commit; trims when none comes for a while.
    async fn wait(
        &self,
        place: &mut Place,
        committed: &mut watch::Receiver<Position>,
        shutdown: &Shutdown,
    ) -> Result<()> {
        if place.untrimmed > 0 {
            let quiet = self.backends.runtime.sleep(TRIM_PAUSE);
            let mut seen = committed.clone();
            shutdown.unless_asked(select(Box::pin(seen.changed()), quiet)).await;
            if !committed.has_changed().unwrap_or(true) && !shutdown.is_asked() {
                return self.trim(place).await;
            }
            return Ok(());
        }
        match shutdown.unless_asked(committed.changed()).await {
            Some(Err(_)) => Err(Error::unavailable("store.unavailable", "the store was closed")),
            Some(Ok(())) | None => Ok(()),
        }
    }
}
