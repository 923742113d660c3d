//! What a domain contributes to a platform.

use std::sync::Arc;

use super::saga::{self, Saga};
use super::{Handler, Task};

/// What a domain contributes to a platform, besides its store.
#[derive(Default, Clone)]
pub struct Parts {
    /// What it does about events.
    pub handlers: Vec<Arc<dyn Handler>>,
    /// Its workers.
    pub tasks: Vec<Task>,
}

impl Parts {
    /// Nothing.
    pub fn none() -> Parts {
        Parts::default()
    }

    /// The same with a handler.
    #[must_use]
    pub fn handler(mut self, handler: impl Handler) -> Parts {
        self.handlers.push(Arc::new(handler));
        self
    }

    /// The same with a saga, and the worker that runs it.
    #[must_use]
    pub fn saga<S: Saga>(mut self, saga: S) -> Parts {
        self.tasks.push(saga::task(saga));
        self
    }

    /// The same with a worker.
    #[must_use]
    pub fn task(mut self, task: Task) -> Parts {
        self.tasks.push(task);
        self
    }
}
