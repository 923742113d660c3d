//! A seeded, single-threaded world with virtual time: the same seed gives the same run.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Job, Runtime};
use crate::kernel::{BoxFuture, Result, Timestamp};

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

struct World {
    state: Mutex<State>,
    me: Weak<World>,
}

struct State {
    random: u64,
    elapsed: Duration,
    start: Timestamp,
    next_task: u64,
    tasks: BTreeMap<u64, Option<BoxFuture<'static, ()>>>,
    ready: Vec<u64>,
    sleepers: BTreeMap<(Duration, u64), Option<Waker>>,
    next_sleeper: u64,
}

struct TaskWaker {
    task: u64,
    world: Weak<World>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if let Some(world) = self.world.upgrade() {
            let mut state = world.state.lock();
            if !state.ready.contains(&self.task) {
                state.ready.push(self.task);
            }
        }
    }
}

/// The task of [`SimRuntime::block_on`].
const MAIN: u64 = 0;

impl SimRuntime {
    /// A world that starts on 2026-01-01T00:00:00Z.
    pub fn new(seed: u64) -> SimRuntime {
        SimRuntime(Arc::new_cyclic(|me| World {
            me: me.clone(),
            state: Mutex::new(State {
                random: seed,
                elapsed: Duration::ZERO,
                start: Timestamp::from_secs(1_767_225_600),
                next_task: MAIN + 1,
                tasks: BTreeMap::new(),
                ready: Vec::new(),
                sleepers: BTreeMap::new(),
                next_sleeper: 0,
            }),
        }))
    }

    /// The port.
    pub fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::clone(&self.0) as Arc<dyn Runtime>
    }

    /// Moves the wall clock (not the monotonic one) by a jump.
    pub fn jump_clock(&self, by: Duration, back: bool) {
        let mut state = self.0.state.lock();
        state.start = if back { state.start.minus(by) } else { state.start.plus(by) };
    }

    /// Lets virtual time pass while the tasks run.
    pub fn advance(&self, duration: Duration) {
        let sleep = self.0.sleep(duration);
        self.block_on(sleep);
    }

    /// Drops all tasks where they stand, as a crash does. What they held is free again.
    pub fn crash(&self) {
        let (tasks, sleepers) = {
            let mut state = self.0.state.lock();
            state.ready.clear();
            (std::mem::take(&mut state.tasks), std::mem::take(&mut state.sleepers))
        };
        // Dropped without the lock: what a task drops may wake others.
        drop((tasks, sleepers));
        self.0.state.lock().ready.clear();
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
        self.0.state.lock().ready.push(MAIN);
        while go_on() {
            let Some(task) = self.0.pick() else {
                if !self.0.wake_next_sleeper() {
                    return None;
                }
                continue;
            };
            let waker = Waker::from(Arc::new(TaskWaker { task, world: Arc::downgrade(&self.0) }));
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

impl World {
    fn pick(&self) -> Option<u64> {
        let mut state = self.state.lock();
        let choices = state.ready.len() as u64;
        if choices == 0 {
            return None;
        }
        let at = (state.next_random() % choices) as usize;
        Some(state.ready.swap_remove(at))
    }

    fn poll_task(&self, task: u64, context: &mut Context<'_>) {
        // Taken out while it runs, so that it may spawn others.
        let taken = self.state.lock().tasks.get_mut(&task).and_then(Option::take);
        let Some(mut future) = taken else { return };
        let ended = future.as_mut().poll(context).is_ready();
        let mut state = self.state.lock();
        if ended {
            state.tasks.remove(&task);
        } else {
            state.tasks.insert(task, Some(future));
        }
    }

    fn wake_next_sleeper(&self) -> bool {
        let first = {
            let mut state = self.state.lock();
            let first = state.sleepers.pop_first();
            if let Some(((until, _), _)) = &first {
                state.elapsed = state.elapsed.max(*until);
            }
            first
        };
        match first {
            None => false,
            Some((_, waker)) => {
                if let Some(waker) = waker {
                    waker.wake();
                }
                true
            }
        }
    }
}

impl State {
    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Runtime for World {
    fn now(&self) -> Timestamp {
        let state = self.state.lock();
        state.start.plus(state.elapsed)
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().elapsed
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        let mut state = self.state.lock();
        for chunk in bytes.chunks_mut(8) {
            let word = state.next_random().to_le_bytes();
            for (byte, random) in chunk.iter_mut().zip(word) {
                *byte = random;
            }
        }
    }

    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        let mut state = self.state.lock();
        let id = state.next_task;
        state.next_task += 1;
        state.tasks.insert(id, Some(task));
        state.ready.push(id);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let Some(world) = self.me.upgrade() else { return Box::pin(async {}) };
        let mut place = None;
        let until = {
            let state = world.state.lock();
            state.elapsed + duration
        };
        let world = Arc::downgrade(&world);
        Box::pin(poll_fn(move |context| {
            let Some(world) = world.upgrade() else { return Poll::Ready(()) };
            let mut state = world.state.lock();
            if state.elapsed >= until && (place.is_some() || duration.is_zero()) {
                if let Some(place) = place {
                    state.sleepers.remove(&(until, place));
                }
                return Poll::Ready(());
            }
            let at = *place.get_or_insert_with(|| {
                state.next_sleeper += 1;
                state.next_sleeper
            });
            state.sleepers.insert((until, at), Some(context.waker().clone()));
            Poll::Pending
        }))
    }

    fn compute(&self, job: Job) -> Result<()> {
        job();
        Ok(())
    }

    /// None: it computes at once.
    fn waiting(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
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
}
