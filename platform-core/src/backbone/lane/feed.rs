//! The records of one partition, as a handler still has to see them.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{Notify, watch};

use super::Lane;
use crate::backbone::mark::{Mark, StoredMark, mark_key, read_marks};
use crate::backbone::recent::Tail;
use crate::backbone::{Kind, generation};
use crate::kernel::{Event, EventPosition, Position, Result};
use crate::ports::log::{EventLog, Record};
use crate::ports::store::DocKey;

/// How far a handler is in a partition: whoever waits for it looks here.
pub(in crate::backbone) struct Progress {
    pub(in crate::backbone) store: String,
    pub(in crate::backbone) partition: u16,
    /// Everything before this offset was seen.
    pub(in crate::backbone) next: watch::Sender<u64>,
    /// Everything up to this event was handled, and that is committed.
    pub(in crate::backbone) handled: watch::Sender<EventPosition>,
    /// The events of all commits up to this one were handled.
    pub(in crate::backbone) passed: watch::Sender<Position>,
    /// Keys whose events failed and are tried again by themselves.
    pub(in crate::backbone) retrying: watch::Sender<usize>,
    /// Told by who begins to wait: the lane lets no more events gather then.
    pub(in crate::backbone) wanted: Notify,
}

impl Progress {
    pub(in crate::backbone) fn new(store: String, partition: u16) -> Progress {
        Progress {
            store,
            partition,
            next: watch::Sender::new(0),
            handled: watch::Sender::new(EventPosition::START),
            passed: watch::Sender::new(0),
            retrying: watch::Sender::new(0),
            wanted: Notify::new(),
        }
    }
}

/// An event that waits, with the mark that says that it was handled.
pub(super) struct Waiting {
    pub(super) event: Event,
    pub(super) mark: Mark,
}

pub(super) struct Feed {
    pub(super) progress: Arc<Progress>,
    pub(super) mark_key: DocKey,
    pub(super) mark: StoredMark,
    pub(super) waiting: VecDeque<Waiting>,
    /// The next offset to read.
    read_from: u64,
    end: watch::Receiver<u64>,
    recent: Arc<Tail>,
}

impl Feed {
    /// Reads where the handler stands in this partition.
    pub(super) async fn open(lane: &Lane, progress: Arc<Progress>) -> Result<Feed> {
        let (log, store, partition) = (&*lane.backends.log, progress.store.as_str(), progress.partition);
        let mark_key = mark_key(lane.handler.name(), lane.generation, store, partition);
        let keys = [mark_key.clone()];
        let mark = read_marks(lane.handler.database(), &keys).await?.pop().flatten();
        let ends = log.ends(store)?;
        let end = ends
            .into_iter()
            .nth(usize::from(partition))
            .ok_or_else(|| crate::ports::log::undeclared(store))?;
        let first = log.bounds(store).await?.get(usize::from(partition)).map_or(0, |bounds| bounds.0);
        let read_from = match mark {
            Some((_, mark)) if is_there(log, &progress, first, mark).await? => mark.offset.max(first),
            // The log is not the one that the mark speaks of (restored, replaced): the positions tell
            // what was handled.
            Some(_) => {
                if lane.handler.kind() == Kind::Projection {
                    generation::history_is_gone(lane.handler.database(), lane.handler.name()).await?;
                }
                first
            }
            None => first,
        };
        let lost = mark.map_or(0, |(_, mark)| first.saturating_sub(mark.offset));
        if lost > 0 {
            tracing::error!(
                handler = lane.handler.name(),
                store,
                partition,
                lost,
                "retention removed events before they were handled"
            );
        }
        progress.next.send_replace(read_from);
        progress.handled.send_replace(mark.map_or(EventPosition::START, |(_, mark)| mark.position));
        let recent = lane.recent.tail(store, partition);
        Ok(Feed { progress, mark_key, mark, waiting: VecDeque::new(), read_from, end, recent })
    }

    /// Reads on when nothing waits.
    pub(super) async fn fill(&mut self, log: &dyn EventLog, limit: usize) -> Result<()> {
        let end = *self.end.borrow_and_update();
        if !self.waiting.is_empty() || self.read_from >= end {
            return Ok(());
        }
        let mut events = self.recent.from(self.read_from, limit);
        if events.is_empty() {
            let (store, partition) = (&self.progress.store, self.progress.partition);
            let records = log.read(store, partition, self.read_from, limit).await?;
            events = records.iter().map(decode).collect::<Result<_>>()?;
        }
        self.read_from = events.last().map_or(end, |(last, _)| last + 1);
        for (offset, event) in events {
            let mark = Mark { position: event.position, offset: offset + 1 };
            let next = Waiting { event, mark };
            // Nothing waited before: whatever is not behind the one before it is a duplicate.
            if self.waiting.back().is_none_or(|last| last.event.position < next.event.position) {
                self.waiting.push_back(next);
            }
        }
        self.drop_handled();
        Ok(())
    }

    /// Drops what is at or below the mark: duplicates, and what was handled before a crash.
    pub(super) fn drop_handled(&mut self) {
        let done = self.mark.map_or(EventPosition::START, |(_, mark)| mark.position);
        // They wait in the order of their positions.
        while self.mark.is_some() && self.waiting.pop_front_if(|it| it.event.position <= done).is_some() {}
        self.progress.handled.send_if_modified(|shown| std::mem::replace(shown, done) != done);
        let upcoming = self.waiting.front().map_or(done.commit, |waiting| waiting.event.position.commit);
        let passed = upcoming.saturating_sub(1);
        self.progress.passed.send_if_modified(|shown| std::mem::replace(shown, passed) != passed);
        let next = self.waiting.front().map_or(self.read_from, |waiting| waiting.mark.offset - 1);
        self.progress.next.send_if_modified(|shown| std::mem::replace(shown, next) != next);
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.waiting.is_empty() && self.read_from >= *self.end.borrow()
    }

    /// Ends when the partition has grown since it was read.
    pub(super) async fn more(&self) {
        let mut end = self.end.clone();
        let read_from = self.read_from;
        if end.wait_for(|end| *end > read_from).await.is_err() {
            // The log is gone, and the platform with it: nothing will ever come.
            std::future::pending::<()>().await;
        }
    }
}

fn decode(record: &Record) -> Result<(u64, Event)> {
    let event = Event::from_json(&record.value)
        .map_err(|error| error.with("partition", record.partition).with("offset", record.offset))?;
    Ok((record.offset, event))
}

/// Whether the record before the mark's offset is the one that the mark names. What retention has
/// removed is taken on trust.
async fn is_there(log: &dyn EventLog, progress: &Progress, first: u64, mark: Mark) -> Result<bool> {
    let Some(offset) = mark.offset.checked_sub(1) else { return Ok(true) };
    if offset < first {
        return Ok(true);
    }
    let record = log.read(&progress.store, progress.partition, offset, 1).await?.pop();
    match record {
        Some(record) => Ok(Event::from_json(&record.value)?.position == mark.position),
        None => Ok(false),
    }
}
