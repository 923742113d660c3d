//! Starts and stops everything that runs beside the requests.

use std::sync::Arc;

use parking_lot::Mutex;

use super::task::Stopper;
use super::{Handler, Parts, Task};
use crate::kernel::{Error, Result};
use crate::ports::{Backends, Database};

/// Runs the handlers and the workers of all domains.
pub struct Backbone {
    backends: Backends,
    members: Mutex<Members>,
    running: tokio::sync::Mutex<Option<Stopper>>,
}

#[derive(Default)]
struct Members {
    databases: Vec<Database>,
    handlers: Vec<Arc<dyn Handler>>,
    tasks: Vec<Task>,
}

impl Backbone {
    /// Nothing runs yet.
    pub fn new(backends: Backends) -> Backbone {
        Backbone { backends, members: Mutex::default(), running: tokio::sync::Mutex::default() }
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

    /// Starts everything.
    ///
    /// # Errors
    /// `backbone.running` when it was started already.
    pub async fn start(&self) -> Result<()> {
        let mut running = self.running.lock().await;
        if running.is_some() {
            return Err(Error::conflict("backbone.running", "it was started already"));
        }
        let stopper = Stopper::new();
        let tasks = self.members.lock().tasks.clone();
        for task in tasks {
            task.start(&*self.backends.runtime, stopper.shutdown());
        }
        *running = Some(stopper);
        Ok(())
    }

    /// Asks everything to end, and waits until it has. It may be started again.
    pub async fn stop(&self) {
        if let Some(stopper) = self.running.lock().await.take() {
            stopper.stop().await;
        }
    }
}

fn duplicate(name: &str) -> Error {
    Error::conflict("backbone.duplicate_name", "there is a store or a handler of this name already")
        .with("name", name)
}
