//! Rebuilding a projection from the first event.

use std::sync::Arc;

use super::generation::{self, Generations};
use super::retry::Pause;
use super::{Backbone, Handler, Kind, Shutdown};
use crate::kernel::{Error, ErrorKind, Result};

/// The code of a log that begins after the first event.
const HISTORY_GONE: &str = "backbone.history_gone";

impl Backbone {
    /// Rebuilds a projection: a new generation is computed from the first event on beside the living
    /// one, takes its place when it has caught up, and the old one is removed. A rebuild that a crash or a
    /// stop interrupted goes on where it was, by itself, after the next start; whoever asks for one
    /// that is under way waits for it.
    ///
    /// # Errors
    /// `backbone.no_such_handler`; `backbone.not_rebuildable` for reactors and for projections that
    /// name no collections; `backbone.history_gone` when retention has removed events or the log was replaced;
    /// `backbone.rebuilding` when another process rebuilds it; `backbone.not_running`.
    pub async fn rebuild(&self, name: &str) -> Result<()> {
        let handler = self.handler(name).ok_or_else(|| {
            Error::not_found("backbone.no_such_handler", "there is no handler of this name")
        })?;
        if handler.kind() != Kind::Projection || handler.generations().is_empty() {
            return Err(Error::invalid("backbone.not_rebuildable", "only a projection with generations"));
        }
        let asked = generation::read(handler.database(), name).await?.1;
        let turn = self.turn(handler.name());
        let _turn = turn.lock().await;
        if generation::read(handler.database(), name).await?.1.live != asked.live {
            // It was rebuilt while we waited.
            return Ok(());
        }
        self.remove_retired(&*handler).await?;
        let before = generation::read(handler.database(), name).await?.1;
        self.check_history(&*handler, before.history_gone).await?;
        let begin = |old: Generations| Generations { building: old.building.or(Some(old.live + 1)), ..old };
        let begun = generation::change(handler.database(), name, begin).await?;
        self.build(&handler, begun.live, begun.building.unwrap_or(begun.live + 1)).await
    }

    /// Goes on with what was interrupted, until it is done, cannot be done, or is to end.
    pub(super) async fn resume(self, handler: Arc<dyn Handler>, shutdown: Shutdown) {
        let mut pause = Pause::default();
        while let Some(Err(error)) = shutdown.unless_asked(self.finish(&handler)).await {
            let handler = handler.name();
            if error.kind() != ErrorKind::Unavailable {
                tracing::error!(handler, %error, "a rebuild that was interrupted cannot go on");
                return;
            }
            tracing::warn!(handler, %error, "a rebuild that was interrupted is tried again");
            let runtime = &*self.backends.runtime;
            shutdown.sleep(runtime, pause.next(runtime)).await;
        }
    }

    async fn finish(&self, handler: &Arc<dyn Handler>) -> Result<()> {
        let turn = self.turn(handler.name());
        let _turn = turn.lock().await;
        self.remove_retired(&**handler).await?;
        let (database, name) = (handler.database(), handler.name());
        let before = generation::read(database, name).await?.1;
        let Some(new) = before.building else { return Ok(()) };
        if let Err(error) = self.check_history(&**handler, before.history_gone).await {
            if error.code() == HISTORY_GONE {
                generation::remove(&**handler, new).await?;
                generation::change(database, name, |now| Generations { building: None, ..now }).await?;
            }
            return Err(error);
        }
        self.build(handler, before.live, new).await
    }

    /// To be held while a handler is rebuilt.
    fn turn(&self, handler: &'static str) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.rebuilds.lock().entry(handler).or_default())
    }

    async fn remove_retired(&self, handler: &dyn Handler) -> Result<()> {
        let (database, name) = (handler.database(), handler.name());
        if let Some(retired) = generation::read(database, name).await?.1.retired {
            generation::remove(handler, retired).await?;
            generation::change(database, name, |now| Generations { retired: None, ..now }).await?;
        }
        Ok(())
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
        self.remove_retired(&**handler).await
    }

    async fn check_history(&self, handler: &dyn Handler, mut is_gone: bool) -> Result<()> {
        for store in self.stores_of(handler) {
            is_gone |= self.backends.log.bounds(&store).await?.iter().any(|(first, _)| *first > 0);
            if is_gone {
                return Err(Error::precondition(
                    HISTORY_GONE,
                    "the log does not hold every event from the first on",
                )
                .with("topic", store));
            }
        }
        Ok(())
    }
}
