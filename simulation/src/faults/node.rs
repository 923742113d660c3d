//! A node's own machine: its tasks end with it, and its pool for long computations is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use platform_core::kernel::{BoxFuture, Result, Timestamp, limits};
use platform_core::ports::runtime::{Job, Runtime, busy};

use crate::stage::Stage;

/// The runtime of a node.
pub struct NodeRuntime {
    inner: Arc<dyn Runtime>,
    stage: Arc<Stage>,
    computing: Arc<AtomicUsize>,
}

impl NodeRuntime {
    /// Of the node with this number.
    pub fn new(stage: &Arc<Stage>, node: u32) -> NodeRuntime {
        NodeRuntime { inner: stage.sim.node(node), stage: Arc::clone(stage), computing: Arc::default() }
    }
}

impl Runtime for NodeRuntime {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn monotonic(&self) -> Duration {
        self.inner.monotonic()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.inner.fill_random(bytes);
    }

    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.inner.spawn(name, task);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.inner.sleep(duration)
    }

    /// A computation takes some milliseconds; now and then the pool is full.
    fn compute(&self, job: Job) -> Result<()> {
        let full = self.stage.strikes(5);
        if full || self.computing.load(Ordering::Relaxed) >= limits::HASH_QUEUE {
            return Err(busy());
        }
        self.computing.fetch_add(1, Ordering::Relaxed);
        let pause = self.inner.sleep(Duration::from_micros(self.stage.within(1, 20_000)));
        let computing = Arc::clone(&self.computing);
        self.inner.spawn(
            "computation",
            Box::pin(async move {
                pause.await;
                job();
                computing.fetch_sub(1, Ordering::Relaxed);
            }),
        );
        Ok(())
    }

    fn waiting(&self) -> usize {
        self.computing.load(Ordering::Relaxed)
    }
}
