//! Starts and stops everything that runs beside the requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::generation::{self, Generations};
use super::lane::{Lane, Progress};
use super::recent::Recent;
use super::relay::Relay;
use super::task::Stopper;
use super::{Handler, Kind, Order, Parts, Task, Topics, sweeper};
use crate::kernel::{Error, Position, Result};
use crate::ports::log::Topic;
use crate::ports::store::Store;
use crate::ports::{Backends, Database};

/// Partitions of a topic unless the builder says otherwise: handlers of four keys side by side.
pub const PARTITIONS: u16 = 4;

/// By handler: held while it is rebuilt.
type Turns = BTreeMap<&'static str, Arc<tokio::sync::Mutex<()>>>;

/// Runs the handlers and the workers of all domains. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Backbone {
    pub(super) backends: Backends,
    partitions: u16,
    pub(super) members: Arc<Mutex<Members>>,
    running: Arc<tokio::sync::Mutex<Option<Running>>>,
    /// Rebuilds that go on after an interruption, while it runs.
    resumed: Arc<Mutex<Option<Stopper>>>,
    /// Only one rebuild of a handler at a time.
    pub(super) rebuilds: Arc<Mutex<Turns>>,
    pub(super) watched: Arc<Mutex<Watched>>,
    recent: Recent,
    /// How often it was stopped: whoever waits for handlers stops waiting.
    pub(super) stops: watch::Sender<u64>,
}

#[derive(Default)]
pub(super) struct Members {
    pub(super) databases: Vec<Database>,
    handlers: Vec<Arc<dyn Handler>>,
    tasks: Vec<Task>,
}

struct Running {
    stopper: Stopper,
    /// Of each handler, per generation.
    lanes: Vec<(&'static str, u64, Stopper)>,
}

/// What [`Backbone::settled`] waits for.
#[derive(Default, Clone)]
pub(super) struct Watched {
    pub(super) relays: Vec<(Arc<dyn Store>, watch::Receiver<Position>)>,
    /// Handler, generation, and how far it is in each partition.
    pub(super) lanes: Vec<(&'static str, u64, Vec<Arc<Progress>>)>,
}

impl Backbone {
    /// Nothing runs yet. Topics have [`PARTITIONS`] partitions.
    pub fn new(backends: Backends) -> Backbone {
        Backbone {
            backends,
            partitions: PARTITIONS,
            members: Arc::default(),
            running: Arc::default(),
            resumed: Arc::default(),
            rebuilds: Arc::default(),
            watched: Arc::default(),
            recent: Recent::default(),
            stops: watch::Sender::new(0),
        }
    }

    /// The same with another number of partitions: 1 to 256, fixed from the first start on.
    #[must_use]
    pub fn with_partitions(mut self, partitions: u16) -> Backbone {
        self.partitions = partitions;
        self
    }

    /// The ports.
    pub fn backends(&self) -> &Backends {
        &self.backends
    }

    /// Adds a domain, before [`Backbone::start`].
    ///
    /// # Errors
    /// `backbone.duplicate_name` when there is a handler or a store of this name already.
    pub fn add(&self, database: &Database, parts: Parts) -> Result<()> {
        let mut members = self.members.lock();
        if members.databases.iter().any(|present| present.store.name() == database.store.name()) {
            return Err(duplicate(database.store.name()));
        }
        for handler in &parts.handlers {
            if members.handlers.iter().any(|present| present.name() == handler.name()) {
                return Err(duplicate(handler.name()));
            }
            members.handlers.push(Arc::clone(handler));
        }
        members.databases.push(database.clone());
        members.tasks.extend(parts.tasks);
        Ok(())
    }

    /// Starts everything: relays, handlers, workers. A rebuild that a crash or a stop interrupted goes on.
    ///
    /// # Errors
    /// `backbone.running` when it was started already; what the log or a store returns.
    pub async fn start(&self) -> Result<()> {
        let mut running = self.running.lock().await;
        if running.is_some() {
            return Err(Error::conflict("backbone.running", "it was started already"));
        }
        let (databases, handlers, tasks) = {
            let members = self.members.lock();
            (members.databases.clone(), members.handlers.clone(), members.tasks.clone())
        };
        for topic in self.topics(&databases, &handlers) {
            self.backends.log.declare(&Topic::new(topic, self.partitions)).await?;
        }
        let mut started = Running { stopper: Stopper::new(), lanes: Vec::new() };
        let resumed = Stopper::new();
        let mut interrupted = Vec::new();
        for handler in &handlers {
            let generations = self.generations(&**handler).await?;
            if generations.building.is_some() || generations.retired.is_some() {
                interrupted.push(Arc::clone(handler));
            }
            started.lanes.push(self.start_lanes(handler, generations.live)?);
        }
        for database in &databases {
            self.start_relay(database, &started.stopper);
        }
        for task in tasks {
            task.start(&*self.backends.runtime, started.stopper.shutdown());
        }
        let runtime = &*self.backends.runtime;
        let sweep = |shutdown| sweeper::run(self.backends.clone(), databases, shutdown);
        started.stopper.shutdown().start(runtime, "backbone.sweeper", sweep);
        *running = Some(started);
        for handler in interrupted {
            let resume = |shutdown| self.clone().resume(handler, shutdown);
            resumed.shutdown().start(runtime, "backbone.rebuild", resume);
        }
        *self.resumed.lock() = Some(resumed);
        Ok(())
    }

    /// Asks everything to end, and waits until it has. It may be started again.
    pub async fn stop(&self) {
        // Rebuilds that go on start and stop lanes themselves: they end first.
        let resumed = self.resumed.lock().take();
        if let Some(resumed) = resumed {
            resumed.stop().await;
        }
        let mut guard = self.running.lock().await;
        let Some(running) = guard.take() else { return };
        self.stops.send_modify(|stops| *stops += 1);
        // Handlers first, so that what they publish at the end still finds its relay.
        for (.., lanes) in running.lanes {
            lanes.stop().await;
        }
        running.stopper.stop().await;
        *self.watched.lock() = Watched::default();
    }

    pub(super) fn handlers(&self) -> Vec<Arc<dyn Handler>> {
        self.members.lock().handlers.clone()
    }

    pub(super) fn handler(&self, name: &str) -> Option<Arc<dyn Handler>> {
        self.members.lock().handlers.iter().find(|handler| handler.name() == name).cloned()
    }

    /// The stores whose events a handler is given.
    pub(super) fn stores_of(&self, handler: &dyn Handler) -> Vec<String> {
        match handler.topics() {
            Topics::Of(stores) => stores.iter().map(|store| (*store).to_owned()).collect(),
            Topics::All => {
                let members = self.members.lock();
                let names = members.databases.iter().map(|database| database.store.name().to_owned());
                names.filter(|name| name != handler.database().store.name()).collect()
            }
        }
    }

    /// Stores of other nodes, and of domains that are not part of this build, are declared too: the
    /// handlers wait for them.
    fn topics(&self, databases: &[Database], handlers: &[Arc<dyn Handler>]) -> BTreeSet<String> {
        let own = databases.iter().map(|database| database.store.name().to_owned());
        own.chain(handlers.iter().flat_map(|handler| self.stores_of(&**handler))).collect()
    }

    fn start_relay(&self, database: &Database, stopper: &Stopper) {
        let relayed = watch::Sender::new(0);
        self.watched.lock().relays.push((Arc::clone(&database.store), relayed.subscribe()));
        let (backends, store) = (self.backends.clone(), Arc::clone(&database.store));
        let (watched, recent) = (Arc::clone(&self.watched), self.recent.clone());
        let relay = Relay { backends, store, relayed, watched, recent };
        let run = |shutdown| relay.run(shutdown);
        stopper.shutdown().start(&*self.backends.runtime, "backbone.relay", run);
    }

    fn start_lanes(
        &self,
        handler: &Arc<dyn Handler>,
        generation: u64,
    ) -> Result<(&'static str, u64, Stopper)> {
        let stopper = Stopper::new();
        let mut progress = Vec::new();
        for store in self.stores_of(&**handler) {
            // The log decides: the topic may have been declared with another number.
            for partition in 0..self.backends.log.ends(&store)?.len() {
                progress.push(Arc::new(Progress::new(store.clone(), partition as u16)));
            }
        }
        let lanes = match handler.order() {
            _ if progress.is_empty() => Vec::new(),
            Order::One => vec![progress.clone()],
            Order::PerKey => progress.iter().map(|one| vec![Arc::clone(one)]).collect(),
        };
        for progress in lanes {
            let (backends, handler) = (self.backends.clone(), Arc::clone(handler));
            let lane = Lane { backends, handler, generation, progress, recent: self.recent.clone() };
            let run = |shutdown| lane.run(shutdown);
            stopper.shutdown().start(&*self.backends.runtime, "backbone.handler", run);
        }
        self.watched.lock().lanes.push((handler.name(), generation, progress));
        Ok((handler.name(), generation, stopper))
    }

    async fn generations(&self, handler: &dyn Handler) -> Result<Generations> {
        match handler.kind() {
            Kind::Reactor => Ok(Generations::default()),
            Kind::Projection => Ok(generation::read(handler.database(), handler.name()).await?.1),
        }
    }

    /// Starts the lanes of another generation of a projection.
    ///
    /// # Errors
    /// `backbone.not_running`.
    pub(super) async fn start_generation(&self, handler: &Arc<dyn Handler>, generation: u64) -> Result<()> {
        let mut running = self.running.lock().await;
        let running = running.as_mut().ok_or_else(not_running)?;
        let lanes = self.start_lanes(handler, generation)?;
        running.lanes.push(lanes);
        Ok(())
    }

    /// Stops the lanes of a generation, and waits until they have ended.
    pub(super) async fn stop_generation(&self, handler: &str, generation: u64) {
        let is_meant = |name: &str, of: u64| name == handler && of == generation;
        self.watched.lock().lanes.retain(|(name, of, _)| !is_meant(name, *of));
        let found = match self.running.lock().await.as_mut() {
            None => Vec::new(),
            Some(running) => running.lanes.extract_if(.., |(name, of, _)| is_meant(name, *of)).collect(),
        };
        for (.., lanes) in found {
            lanes.stop().await;
        }
    }
}

pub(super) fn not_running() -> Error {
    Error::unavailable("backbone.not_running", "the platform was not started, or was stopped")
}

fn duplicate(name: &str) -> Error {
    Error::conflict("backbone.duplicate_name", "there is a store or a handler of this name already")
        .with("name", name)
}
