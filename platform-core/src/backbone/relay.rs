//! From a store's outbox to its topic of the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::Shutdown;
use super::engine::Watched;
use super::recent::{Recent, Tail};
use super::retry::Pause;
use crate::kernel::{Error, Event, EventPosition, Position, Result};
use crate::ports::Backends;
use crate::ports::log::{NewRecord, partition_of};
use crate::ports::store::Store;

/// Events that are appended at once: one fsync of the log for all of them.
const AT_ONCE: usize = 256;
/// Between two appends: the first event of a quiet store goes at once, those of a busy one together. So
/// the fsyncs of the log and of the handlers do not stand in the way of each commit of the store.
const GATHER: Duration = Duration::from_millis(5);
/// The outbox is trimmed after so many events, and when the store has been quiet for a while: a trim
/// is a write of the store.
const TRIM_AFTER: usize = 4_096;
/// Quiet for so long.
const TRIM_PAUSE: Duration = Duration::from_secs(2);

/// Moves the events of one store to the log, in order.
///
/// Where it stands is not written anywhere: the last record of each partition of the log tells which
/// events are there. So a crash between append and trim repeats nothing.
///
/// An event stays in the outbox until every handler has handled it. So a log that is lost or replaced
/// by an older one loses nothing that is still to be done: it is filled anew.
pub(super) struct Relay {
    pub(super) backends: Backends,
    pub(super) store: Arc<dyn Store>,
    /// Every commit up to here has its events in the log.
    pub(super) relayed: watch::Sender<Position>,
    pub(super) watched: Arc<Mutex<Watched>>,
    pub(super) recent: Recent,
}

/// What a relay knows while it runs.
struct Place {
    /// The last event of each partition of the log, as it was at the start.
    tails: Vec<EventPosition>,
    /// What handlers find in memory of each partition.
    recent: Vec<Arc<Tail>>,
    /// The last event that was moved.
    after: EventPosition,
    /// What was moved and is still in the outbox: each event, and its partition.
    untrimmed: VecDeque<(EventPosition, u16)>,
    /// When so many are untrimmed, a trim is tried.
    trim_at: usize,
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
        let tails = self.tails().await?;
        let recent = (0..tails.len() as u16).map(|partition| self.recent.tail(self.store.name(), partition));
        let mut place = Place {
            recent: recent.collect(),
            tails,
            after: EventPosition::START,
            untrimmed: VecDeque::new(),
            trim_at: TRIM_AFTER,
        };
        let mut committed = self.store.committed();
        while !shutdown.is_asked() {
            let upto = *committed.borrow_and_update();
            let moved = self.step(&mut place).await?;
            pause.reset();
            if moved == AT_ONCE {
                // There may be more of the last commit.
                self.advance(place.after.commit.saturating_sub(1));
                continue;
            }
            self.advance(upto);
            if moved > 0 {
                shutdown.sleep(&*self.backends.runtime, GATHER).await;
            }
            self.wait(&mut place, &mut committed, shutdown).await?;
        }
        self.trim(&mut place).await.map(|_| ())
    }

    fn advance(&self, upto: Position) {
        self.relayed.send_if_modified(|relayed| std::mem::replace(relayed, upto.max(*relayed)) < upto);
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
        let (mut records, mut appended) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut moved = Vec::with_capacity(count);
        let store: Arc<str> = self.store.name().into();
        for (position, json) in events {
            let event = Event { store: Arc::clone(&store), position, ..Event::from_json(&json)? };
            let partition = partition_of(&event.key, place.tails.len() as u16);
            let there = place.tails.get(usize::from(partition)).is_some_and(|tail| *tail >= position);
            if !there {
                let json = event.to_json();
                let bytes = json.len();
                records.push(NewRecord::new(event.key.clone(), json));
                appended.push((partition, event, bytes));
            }
            moved.push((position, partition));
        }
        if !records.is_empty() {
            let offsets = self.backends.log.append(self.store.name(), records).await?;
            for (offset, (partition, event, bytes)) in offsets.into_iter().zip(appended) {
                if let Some(recent) = place.recent.get(usize::from(partition)) {
                    recent.keep(offset, event, bytes);
                }
            }
        }
        place.after = last;
        place.untrimmed.extend(moved);
        if place.untrimmed.len() >= place.trim_at {
            self.trim(place).await?;
            place.trim_at = place.untrimmed.len() + TRIM_AFTER;
        }
        Ok(count)
    }

    /// Forgets what every handler has handled; whether something was left.
    async fn trim(&self, place: &mut Place) -> Result<bool> {
        let handled = self.handled(place.tails.len());
        let is_done = |(position, partition): &(EventPosition, u16)| {
            handled.get(usize::from(*partition)).is_some_and(|upto| position <= upto)
        };
        let mut done = None;
        while let Some((position, _)) = place.untrimmed.pop_front_if(|event| is_done(event)) {
            done = Some(position);
        }
        if let Some(upto) = done {
            self.store.trim_outbox(upto).await?;
        }
        Ok(!place.untrimmed.is_empty())
    }

    /// Per partition: everything up to here was handled by every handler.
    fn handled(&self, partitions: usize) -> Vec<EventPosition> {
        let mut handled = vec![EventPosition::end_of(Position::MAX); partitions];
        let watched = self.watched.lock();
        let lanes = watched.lanes.iter().flat_map(|(_, _, lanes)| lanes);
        for progress in lanes.filter(|progress| progress.store == self.store.name()) {
            if let Some(upto) = handled.get_mut(usize::from(progress.partition)) {
                *upto = (*upto).min(*progress.handled.borrow());
            }
        }
        handled
    }

    /// Waits for a commit; trims when none comes for a while.
    async fn wait(
        &self,
        place: &mut Place,
        committed: &mut watch::Receiver<Position>,
        shutdown: &Shutdown,
    ) -> Result<()> {
        if !place.untrimmed.is_empty() {
            let quiet = self.backends.runtime.sleep(TRIM_PAUSE);
            let mut seen = committed.clone();
            shutdown.unless_asked(select(Box::pin(seen.changed()), quiet)).await;
            if committed.has_changed().unwrap_or(true) || shutdown.is_asked() || !self.trim(place).await? {
                return Ok(());
            }
            // A handler stands still: it is looked after again with the next commit.
        }
        match shutdown.unless_asked(committed.changed()).await {
            Some(Err(_)) => Err(Error::unavailable("store.unavailable", "the store was closed")),
            Some(Ok(())) | None => Ok(()),
        }
    }
}
