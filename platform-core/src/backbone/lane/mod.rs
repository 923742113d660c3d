//! A lane: one handler's partitions, worked off one event after the other.
//!
//! A handler with [`super::Order::PerKey`] has a lane per partition, one with [`super::Order::One`] a
//! single lane for all.

mod deliver;
mod feed;
mod parking;

use std::sync::Arc;

use futures_util::future::select_all;

pub(super) use feed::Progress;

use super::recent::Recent;
use super::retry::Pause;
use super::{Handler, Shutdown};
use crate::kernel::{BoxFuture, Result};
use crate::ports::Backends;
use feed::Feed;
use parking::Parking;

/// Records that are read from the log at once, when a handler takes fewer.
const READ_AT_ONCE: usize = 64;

/// A lane that does not run yet.
pub(super) struct Lane {
    pub(super) backends: Backends,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) generation: u64,
    /// One per partition.
    pub(super) progress: Vec<Arc<Progress>>,
    pub(super) recent: Recent,
}

/// A lane at work.
struct Running<'a> {
    lane: &'a Lane,
    feeds: Vec<Feed>,
    parking: Parking,
    pause: Pause,
    /// Which partition goes first next time, so that none starves.
    turn: usize,
}

impl Lane {
    /// Works until it is asked to end.
    pub(super) async fn run(self, shutdown: Shutdown) {
        let mut pause = Pause::default();
        while !shutdown.is_asked() {
            let result = match self.open().await {
                Ok(mut running) => {
                    pause.reset();
                    running.run(&shutdown).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                tracing::error!(handler = self.handler.name(), %error, "a handler stands still; it begins anew");
                let runtime = &*self.backends.runtime;
                shutdown.sleep(runtime, pause.next(runtime)).await;
            }
        }
    }

    /// Reads where it stands.
    async fn open(&self) -> Result<Running<'_>> {
        let mut feeds = Vec::new();
        for progress in &self.progress {
            feeds.push(Feed::open(self, Arc::clone(progress)).await?);
        }
        let parking = Parking::open(self, &feeds).await?;
        Ok(Running { lane: self, feeds, parking, pause: Pause::default(), turn: 0 })
    }
}

impl Running<'_> {
    async fn run(&mut self, shutdown: &Shutdown) -> Result<()> {
        while !shutdown.is_asked() {
            self.parking.drain_due(self.lane).await?;
            let limit = self.lane.handler.batch_limit().max(1);
            for feed in &mut self.feeds {
                feed.fill(&*self.lane.backends.log, limit.max(READ_AT_ONCE)).await?;
            }
            match self.deliver(limit, shutdown).await? {
                0 if self.feeds.iter().all(Feed::is_at_end) => self.wait(shutdown).await,
                delivered if (1..limit).contains(&delivered) => self.gather(shutdown).await,
                _ => {}
            }
        }
        Ok(())
    }

    /// Lets events gather after a batch that was not full, unless somebody waits for one.
    async fn gather(&self, shutdown: &Shutdown) {
        let pause = self.lane.handler.gather();
        if pause.is_zero() {
            return;
        }
        let mut wakes: Vec<BoxFuture<'_, ()>> = vec![self.lane.backends.runtime.sleep(pause)];
        wakes.extend(
            self.feeds.iter().map(|feed| -> BoxFuture<'_, ()> { Box::pin(feed.progress.wanted.notified()) }),
        );
        shutdown.unless_asked(select_all(wakes)).await;
    }

    /// Waits for a record, or for a parked key to come due.
    async fn wait(&mut self, shutdown: &Shutdown) {
        let mut wakes: Vec<BoxFuture<'_, ()>> = Vec::with_capacity(self.feeds.len() + 1);
        if let Some(pause) = self.parking.next_due(self.lane) {
            wakes.push(self.lane.backends.runtime.sleep(pause));
        }
        wakes.extend(self.feeds.iter().map(|feed| -> BoxFuture<'_, ()> { Box::pin(feed.more()) }));
        shutdown.unless_asked(select_all(wakes)).await;
    }
}
