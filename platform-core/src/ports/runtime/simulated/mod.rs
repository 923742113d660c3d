//! A seeded, single-threaded world with virtual time: the same seed gives the same run.

mod world;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Runtime;
use world::{MAIN, Node, World};

/// Deterministic clock, randomness and scheduling for tests and simulations.
///
/// Tasks run one at a time, chosen by the seed among those that can go on. When none can, virtual
/// time jumps to the next sleeper.
///
/// ```
/// use std::time::Duration;
/// use platform_core::ports::runtime::{Runtime, SimRuntime};
/// let world = SimRuntime::new(7);
/// let runtime = world.runtime();
/// let start = runtime.now();
/// world.block_on(async { runtime.sleep(Duration::from_secs(3600)).await });
/// assert_eq!(runtime.now().since(start), Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct SimRuntime(Arc<World>);

impl SimRuntime {
    /// A world that starts on 2026-01-01T00:00:00Z.
    pub fn new(seed: u64) -> SimRuntime {
        SimRuntime(Arc::new(World::new(seed)))
    }

    /// The port, of the first node.
    pub fn runtime(&self) -> Arc<dyn Runtime> {
        self.node(0)
    }

    /// The port of one of several nodes, which share time and randomness: its tasks can be dropped
    /// alone.
    pub fn node(&self, node: u32) -> Arc<dyn Runtime> {
        Arc::new(Node { world: Arc::clone(&self.0), node })
    }

    /// Moves the wall clock (not the monotonic one) by a jump.
    pub fn jump_clock(&self, by: Duration, back: bool) {
        self.0.jump_clock(by, back);
    }

    /// Lets virtual time pass while the tasks run.
    pub fn advance(&self, duration: Duration) {
        let sleep = self.runtime().sleep(duration);
        self.block_on(sleep);
    }

    /// Drops all tasks where they stand, as a crash does. What they held is free again.
    pub fn crash(&self) {
        self.0.crash(None);
    }

    /// The same with the tasks of one node.
    pub fn crash_node(&self, node: u32) {
        self.0.crash(Some(node));
    }

    /// As [`SimRuntime::block_on`], but only for so many steps of tasks: then it gives up, with `None`.
    pub fn run_steps<T>(&self, steps: u64, future: impl Future<Output = T>) -> Option<T> {
        let mut left = steps;
        self.run(future, &mut || {
            left = left.saturating_sub(1);
            left > 0
        })
    }

    /// Runs the future, and all tasks besides, until it ends.
    ///
    /// # Panics
    /// When nothing can go on any more: a deadlock of the code under test.
    #[allow(clippy::panic)]
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        match self.run(future, &mut || true) {
            Some(value) => value,
            None => panic!("deadlock: no task can go on and nobody sleeps"),
        }
    }

    /// Runs until the future ends, `go_on` says no, or nothing can go on.
    fn run<T>(&self, future: impl Future<Output = T>, go_on: &mut dyn FnMut() -> bool) -> Option<T> {
        let mut future = std::pin::pin!(future);
        self.0.make_ready(MAIN);
        while go_on() {
            let Some(task) = self.0.pick() else {
                if !self.0.wake_next_sleeper() {
                    return None;
                }
                continue;
            };
            let waker = self.0.waker_of(task);
            let mut context = Context::from_waker(&waker);
            if task == MAIN {
                if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                    return Some(value);
                }
            } else {
                self.0.poll_task(task, &mut context);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let run = |seed| {
            let world = SimRuntime::new(seed);
            let runtime = world.runtime();
            let trace = Arc::new(Mutex::new(Vec::new()));
            for task in 0..5 {
                let (trace, runtime2) = (Arc::clone(&trace), Arc::clone(&runtime));
                runtime.spawn(
                    "test",
                    Box::pin(async move {
                        for step in 0..3 {
                            trace.lock().push((task, step, runtime2.new_id()));
                            runtime2.sleep(Duration::from_millis(step)).await;
                        }
                    }),
                );
            }
            world.advance(Duration::from_secs(1));
            trace.lock().clone()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert_eq!(run(1).len(), 15);
    }

    #[test]
    fn time_passes_only_while_all_sleep() {
        let world = SimRuntime::new(1);
        let runtime = world.runtime();
        world.block_on(async {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let inner = Arc::clone(&runtime);
            runtime.spawn(
                "test",
                Box::pin(async move {
                    inner.sleep(Duration::from_secs(5)).await;
                    let _ = sender.send(inner.monotonic());
                }),
            );
            assert_eq!(receiver.await, Ok(Duration::from_secs(5)));
        });
    }

    #[test]
    fn a_crash_of_one_node_leaves_the_others_at_work() {
        let world = SimRuntime::new(1);
        let count = Arc::new(Mutex::new([0, 0]));
        for node in 0..2 {
            let (runtime, count) = (world.node(node), Arc::clone(&count));
            let inner = Arc::clone(&runtime);
            runtime.spawn(
                "test",
                Box::pin(async move {
                    loop {
                        count.lock()[node as usize] += 1;
                        inner.sleep(Duration::from_secs(1)).await;
                    }
                }),
            );
        }
        world.advance(Duration::from_millis(2_500));
        world.crash_node(1);
        world.advance(Duration::from_secs(2));
        assert_eq!(*count.lock(), [5, 3]);
    }

    #[test]
    fn a_sleep_that_is_given_up_wakes_nobody() {
        let world = SimRuntime::new(1);
        drop(world.runtime().sleep(Duration::from_secs(1)));
        assert!(world.run_steps(10, std::future::pending::<()>()).is_none());
        assert_eq!(world.runtime().monotonic(), Duration::ZERO);
    }
}
