//! Hands waiting events to the handler.

use super::Running;
use super::feed::Waiting;
use super::parking::Parking;
use crate::backbone::Shutdown;
use crate::backbone::effect::{Failure, apply, commit, work_for};
use crate::backbone::letters::{Parked, Queue, enqueue, next_due};
use crate::backbone::mark::{Mark, advance, read_marks};
use crate::kernel::{Error, Event, Result, limits};
use crate::ports::store::{DocKey, Work};

/// Up to which event a feed is part of a batch.
struct Share {
    feed: usize,
    upto: Mark,
}

impl Running<'_> {
    /// Hands over the next batch; returns how many events it had.
    ///
    /// # Errors
    /// Only what calls for a new beginning: a damaged row.
    pub(super) async fn deliver(&mut self, limit: usize, shutdown: &Shutdown) -> Result<usize> {
        let mut limit = limit;
        let mut conflicts = 0;
        self.turn = self.turn.wrapping_add(1);
        loop {
            let (events, shares) = self.batch(limit);
            let Some(first) = events.first() else { return Ok(0) };
            if shutdown.is_asked() {
                return Ok(0);
            }
            let attempt = match self.parking.contains(first) {
                true => self.queue_behind(first, &shares).await,
                false => self.handle(&events, &shares).await,
            };
            match attempt {
                Ok(()) => {
                    self.pause.reset();
                    return Ok(events.len());
                }
                Err(Failure::Conflict) if conflicts < limits::COMMAND_ATTEMPTS => {
                    conflicts += 1;
                    self.read_marks_again().await?;
                }
                Err(Failure::Conflict) => {
                    let error = Error::conflict("store.conflict", "what the handler read kept changing");
                    self.give_up_or_halve(&error, first, &shares, &mut limit, events.len()).await?;
                }
                Err(Failure::Event(error)) => {
                    self.give_up_or_halve(&error, first, &shares, &mut limit, events.len()).await?;
                }
                Err(Failure::Outage(error)) => self.outage(&error, shutdown).await?,
            }
        }
    }

    /// The next events, at most `limit`: none of a parked key, or one of a parked key alone.
    fn batch(&self, limit: usize) -> (Vec<Event>, Vec<Share>) {
        let mut events: Vec<Event> = Vec::new();
        let mut shares: Vec<Share> = Vec::new();
        let in_turn = self.feeds.iter().enumerate().cycle().skip(self.turn % self.feeds.len().max(1));
        for (at, feed) in in_turn.take(self.feeds.len()) {
            for Waiting { event, mark } in &feed.waiting {
                let parked = self.parking.contains(event);
                if events.len() >= limit || parked && !events.is_empty() {
                    return (events, shares);
                }
                events.push(event.clone());
                match shares.last_mut() {
                    Some(share) if share.feed == at => share.upto = *mark,
                    _ => shares.push(Share { feed: at, upto: *mark }),
                }
                if parked {
                    return (events, shares);
                }
            }
        }
        (events, shares)
    }

    fn work(&self, shares: &[Share]) -> Result<Work> {
        let mut work = work_for(&*self.lane.handler, self.lane.generation);
        for share in shares {
            if let Some(feed) = self.feeds.get(share.feed) {
                advance(&mut work, feed.mark_key.clone(), feed.mark, share.upto)?;
            }
        }
        Ok(work)
    }

    async fn handle(&mut self, events: &[Event], shares: &[Share]) -> Result<(), Failure> {
        let version = apply(&*self.lane.handler, events, self.work(shares)?).await?;
        self.advanced(shares, version);
        Ok(())
    }

    /// Moves the feeds on after the commit.
    fn advanced(&mut self, shares: &[Share], version: u64) {
        for share in shares {
            if let Some(feed) = self.feeds.get_mut(share.feed) {
                feed.mark = Some((version, share.upto));
                feed.drop_handled();
            }
        }
    }

    fn queue<'e>(&self, event: &'e Event) -> Queue<'e> {
        Queue {
            handler: self.lane.handler.name(),
            generation: self.lane.generation,
            store: &event.store,
            key: &event.key,
        }
    }

    /// The event's key is parked: the event queues behind.
    async fn queue_behind(&mut self, event: &Event, shares: &[Share]) -> Result<(), Failure> {
        let mut work = self.work(shares)?;
        if !enqueue(&self.queue(event), &mut work, event, None).await? {
            self.parking.remove(&event.store, &event.key);
            return Err(Failure::Conflict);
        }
        let version = commit(&*self.lane.handler, work).await?;
        self.advanced(shares, version);
        Ok(())
    }

    /// A batch that fails is tried in smaller parts; an event that fails alone parks its key.
    async fn give_up_or_halve(
        &mut self,
        error: &Error,
        first: &Event,
        shares: &[Share],
        limit: &mut usize,
        tried: usize,
    ) -> Result<()> {
        if tried > 1 {
            *limit = tried / 2;
            return Ok(());
        }
        tracing::warn!(handler = self.lane.handler.name(), event = %first.id, %error, "an event failed: its key waits");
        match self.park(error, first, shares).await {
            Ok(()) => self.read_marks_again().await,
            // Somebody else works here: begin anew with what they have written.
            Err(Failure::Conflict) => {
                Err(Error::conflict("store.conflict", "a parked key changed meanwhile"))
            }
            Err(Failure::Outage(error) | Failure::Event(error)) => Err(error),
        }
    }

    async fn park(&mut self, error: &Error, event: &Event, shares: &[Share]) -> Result<(), Failure> {
        let mut work = self.work(shares)?;
        let Some(partition) = shares.first().and_then(|share| self.feeds.get(share.feed)) else {
            return Ok(());
        };
        let parked = Parked {
            store: event.store.to_string(),
            partition: partition.progress.partition,
            key: event.key.clone(),
            count: 1,
            failures: 1,
            due: next_due(&work, error, 1),
        };
        enqueue(&self.queue(event), &mut work, event, Some((error, parked.clone()))).await?;
        let version = commit(&*self.lane.handler, work).await?;
        self.parking.insert(&parked);
        self.advanced(shares, version);
        Ok(())
    }

    /// Waits while the handler's store is out of reach, then sees what was applied all the same.
    async fn outage(&mut self, error: &Error, shutdown: &Shutdown) -> Result<()> {
        let runtime = &*self.lane.backends.runtime;
        let pause = self.pause.next(runtime);
        tracing::warn!(handler = self.lane.handler.name(), %error, pause_ms = pause.as_millis(), "the store of a handler is out of reach");
        shutdown.sleep(runtime, pause).await;
        if shutdown.is_asked() {
            return Ok(());
        }
        self.read_marks_again().await
    }

    /// Others may have advanced the marks, or a commit of ours did so unseen: then they may have parked
    /// keys, too. The marks are read first: whoever parks a key later advances one, and fences us.
    async fn read_marks_again(&mut self) -> Result<()> {
        let keys: Vec<DocKey> = self.feeds.iter().map(|feed| feed.mark_key.clone()).collect();
        let marks = read_marks(self.lane.handler.database(), &keys).await?;
        let mut has_changed = false;
        for (feed, mark) in self.feeds.iter_mut().zip(marks) {
            has_changed |= feed.mark != mark;
            feed.mark = mark;
            feed.drop_handled();
        }
        if has_changed {
            self.parking = Parking::open(self.lane, &self.feeds).await?;
        }
        Ok(())
    }
}
