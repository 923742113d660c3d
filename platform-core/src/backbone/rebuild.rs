//! Rebuilding a projection from the first event.

use std::sync::Arc;

use super::engine::not_running;
use super::generation::{self, Generations};
use super::{Backbone, Handler, Kind};
use crate::kernel::{Error, Result};

impl Backbone {
    /// Rebuilds a projection: a new generation is computed from the first event on beside the living
    /// one, takes its place when it has caught up, and the old one is removed. A rebuild that a crash
    /// interrupted goes on where it was when it is asked for again.
    ///
    /// # Errors
    /// `backbone.no_such_handler`; `backbone.not_rebuildable` for reactors and for projections that
    /// name no collections; `backbone.history_gone` when retention has removed events or the log was replaced;
    /// `backbone.rebuilding`; `backbone.not_running`.
    pub async fn rebuild(&self, name: &str) -> Result<()> {
        let handler = self.handler(name).ok_or_else(|| {
            Error::not_found("backbone.no_such_handler", "there is no handler of this name")
        })?;
        if handler.kind() != Kind::Projection || handler.generations().is_empty() {
            return Err(Error::invalid("backbone.not_rebuildable", "only a projection with generations"));
        }
        let database = handler.database();
        let before = generation::read(database, name).await?.1;
        self.check_history(&*handler, before.history_gone).await?;
        if let Some(retired) = before.retired {
            generation::remove(&*handler, retired).await?;
        }
        let generations = generation::change(database, name, |old| Generations {
            building: Some(old.building.unwrap_or(old.live + 1)),
            retired: None,
            ..old
        });
        let Generations { live: old, building: Some(new), .. } = generations.await? else {
            return Err(not_running());
        };
        self.build(&handler, old, new).await
    }

    async fn build(&self, handler: &Arc<dyn Handler>, old: u64, new: u64) -> Result<()> {
        let (database, name) = (handler.database(), handler.name());
        self.start_generation(handler, new).await?;
        if let Err(error) = self.unless_stopped(self.generation_caught_up(name, new)).await {
            self.stop_generation(name, new).await;
            return Err(error);
        }
        let swapped = Generations { live: new, retired: Some(old), ..Generations::default() };
        if let Err(error) = generation::change(database, name, |_| swapped).await {
            self.stop_generation(name, new).await;
            return Err(error);
        }
        self.stop_generation(name, old).await;
        generation::remove(&**handler, old).await?;
        generation::change(database, name, |now| Generations { retired: None, ..now }).await?;
        Ok(())
    }

    async fn check_history(&self, handler: &dyn Handler, mut is_gone: bool) -> Result<()> {
        for store in self.stores_of(handler) {
            is_gone |= self.backends.log.bounds(&store).await?.iter().any(|(first, _)| *first > 0);
            if is_gone {
                return Err(Error::precondition(
                    "backbone.history_gone",
                    "the log does not hold every event from the first on",
                )
                .with("topic", store));
            }
        }
        Ok(())
    }
}
