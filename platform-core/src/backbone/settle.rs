//! Waiting until everything that happened so far was heard by everybody.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::Backbone;
use super::engine::{Watched, not_running};
use super::lane::Progress;
use crate::kernel::{Error, Position, Positions, Result, Retry};

/// An event causes another, that a third ..., at most this deep. Waiting for more would never end in
/// a platform that is always busy.
const DEPTH: usize = 16;

/// The next offset of every partition, per store.
type Ends = BTreeMap<String, Vec<(u64, u64)>>;

impl Backbone {
    /// Waits until every handler has seen every event published so far, and those that these caused
    /// (16 deep at most). An event that fails is waited for until it is handled or given up.
    ///
    /// # Errors
    /// `backbone.not_running` when nothing runs, or it is stopped meanwhile; what the log returns.
    pub async fn settled(&self) -> Result<()> {
        self.unless_stopped(self.settle()).await
    }

    /// Waits until every handler has handled the events of all commits up to these positions: not what
    /// was committed later, and not what these events cause in turn. An event that failed does not hold
    /// up the wait: its key waits by itself. Nor does the rebuilding of a projection.
    ///
    /// # Errors
    /// `positions.not_reached` when it takes longer than `within`; `positions.unknown_store` for a store
    /// that is no part of this platform; `backbone.not_running` when nothing runs, or it is stopped
    /// meanwhile; what the log returns.
    pub async fn wait_for(&self, positions: &Positions, within: Duration) -> Result<()> {
        let reached = pin!(self.unless_stopped(self.reach(positions)));
        match select(reached, self.backends.runtime.sleep(within)).await {
            Either::Left((reached, _)) => reached,
            Either::Right(_) => Err(Error::unavailable(
                "positions.not_reached",
                "not everything that was asked for is visible yet",
            )
            .retry(Retry::After(Duration::from_secs(1)))),
        }
    }

    async fn reach(&self, positions: &Positions) -> Result<()> {
        let watched = self.watched.lock().clone();
        if watched.relays.is_empty() {
            return Err(not_running());
        }
        let mut live = BTreeMap::new();
        for (handler, generation, lanes) in &watched.lanes {
            // A projection that is being rebuilt has two: the later one is not read yet.
            let (of, present) = live.entry(*handler).or_insert((*generation, lanes));
            if generation < of {
                (*of, *present) = (*generation, lanes);
            }
        }
        for (store, position) in positions.iter() {
            let relay = watched.relays.iter().find(|(known, _)| known.name() == store);
            let (_, relayed) = relay.ok_or_else(unknown_store)?;
            relayed.clone().wait_for(|upto| *upto >= position).await.map_err(|_| not_running())?;
            let ends = self.backends.log.bounds(store).await?;
            for progress in live.values().flat_map(|(_, lanes)| lanes.iter()).filter(|one| one.store == store)
            {
                let end = ends.get(usize::from(progress.partition)).map_or(0, |end| end.1);
                passed(progress, position, end).await?;
            }
        }
        Ok(())
    }

    /// Gives a wait up when everything is stopped meanwhile.
    pub(super) async fn unless_stopped(&self, wait: impl Future<Output = Result<()>>) -> Result<()> {
        let mut stops = self.stops.subscribe();
        match select(std::pin::pin!(stops.changed()), std::pin::pin!(wait)).await {
            Either::Left(_) => Err(not_running()),
            Either::Right((done, _)) => done,
        }
    }

    async fn settle(&self) -> Result<()> {
        let mut before = Ends::new();
        for _ in 0..DEPTH {
            let watched = self.watched.lock().clone();
            if watched.relays.is_empty() {
                return Err(not_running());
            }
            relayed(&watched).await?;
            let ends = self.ends(&watched).await?;
            if ends == before {
                break;
            }
            for (_, _, lanes) in &watched.lanes {
                for progress in lanes {
                    self.caught_up(progress, &ends).await?;
                }
            }
            before = ends;
        }
        Ok(())
    }

    /// Waits until the lanes of one generation have seen what is in the log now.
    pub(super) async fn generation_caught_up(&self, handler: &str, generation: u64) -> Result<()> {
        let watched = self.watched.lock().clone();
        let ends = self.ends(&watched).await?;
        let lanes = watched.lanes.iter().find(|(name, of, _)| *name == handler && *of == generation);
        let (_, _, lanes) = lanes.ok_or_else(not_running)?;
        for progress in lanes {
            self.caught_up(progress, &ends).await?;
        }
        Ok(())
    }

    pub(super) async fn ends(&self, watched: &Watched) -> Result<Ends> {
        let mut ends = Ends::new();
        for progress in watched.lanes.iter().flat_map(|(_, _, lanes)| lanes) {
            if !ends.contains_key(&progress.store) {
                ends.insert(progress.store.clone(), self.backends.log.bounds(&progress.store).await?);
            }
        }
        Ok(ends)
    }

    async fn caught_up(&self, progress: &Progress, ends: &Ends) -> Result<()> {
        let of_store = ends.get(&progress.store);
        let end = of_store.and_then(|ends| ends.get(usize::from(progress.partition))).map_or(0, |end| end.1);
        let mut next = progress.next.subscribe();
        if *next.borrow_and_update() < end {
            progress.wanted.notify_one();
        }
        next.wait_for(|next| *next >= end).await.map_err(|_| not_running())?;
        let mut retrying = progress.retrying.subscribe();
        retrying.wait_for(|keys| *keys == 0).await.map_err(|_| not_running())?;
        Ok(())
    }
}

/// Waits until a handler has handled the events of a partition up to a commit; all of them are before `end`.
async fn passed(progress: &Progress, position: Position, end: u64) -> Result<()> {
    let (mut passed, mut next) = (progress.passed.subscribe(), progress.next.subscribe());
    if *passed.borrow_and_update() < position && *next.borrow_and_update() < end {
        progress.wanted.notify_one();
    }
    let (passed, next) = (passed.wait_for(|upto| *upto >= position), next.wait_for(|next| *next >= end));
    let is_there = match select(pin!(passed), pin!(next)).await {
        Either::Left((passed, _)) => passed.is_ok(),
        Either::Right((next, _)) => next.is_ok(),
    };
    if is_there { Ok(()) } else { Err(not_running()) }
}

fn unknown_store() -> Error {
    Error::invalid("positions.unknown_store", "a position names a store that is not part of this platform")
}

/// Waits until the events of all commits so far are in the log.
async fn relayed(watched: &Watched) -> Result<()> {
    for (store, relayed) in &watched.relays {
        let committed = *store.committed().borrow();
        relayed.clone().wait_for(|upto| *upto >= committed).await.map_err(|_| not_running())?;
    }
    Ok(())
}
