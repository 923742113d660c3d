//! What a simulated world is made of: its tasks, its sleepers, its time, its random numbers.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::super::{Job, Runtime};
use crate::kernel::{BoxFuture, Result, Timestamp};

/// The task of [`super::SimRuntime::block_on`].
pub(super) const MAIN: u64 = 0;

pub(super) struct World {
    state: Mutex<State>,
}

struct State {
    random: u64,
    elapsed: Duration,
    start: Timestamp,
    next_task: u64,
    tasks: BTreeMap<u64, Task>,
    /// In order, whoever woke them in whatever order: a `watch` wakes those who wait at random.
    ready: Vec<u64>,
    sleepers: BTreeMap<(Duration, u64), Waker>,
    next_sleeper: u64,
}

struct Task {
    node: u32,
    /// Absent while it runs.
    future: Option<BoxFuture<'static, ()>>,
}

struct TaskWaker {
    task: u64,
    world: Weak<World>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if let Some(world) = self.world.upgrade() {
            world.state.lock().make_ready(self.task);
        }
    }
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        World {
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
        }
    }

    pub(super) fn waker_of(self: &Arc<World>, task: u64) -> Waker {
        Waker::from(Arc::new(TaskWaker { task, world: Arc::downgrade(self) }))
    }

    pub(super) fn make_ready(&self, task: u64) {
        self.state.lock().make_ready(task);
    }

    pub(super) fn jump_clock(&self, by: Duration, back: bool) {
        let mut state = self.state.lock();
        state.start = if back { state.start.minus(by) } else { state.start.plus(by) };
    }

    /// Drops the tasks of a node, or all.
    pub(super) fn crash(&self, node: Option<u32>) {
        let dropped: Vec<Task> = {
            let mut state = self.state.lock();
            let is_hit = |task: &Task| node.is_none_or(|node| task.node == node);
            let hit: Vec<u64> =
                state.tasks.iter().filter(|(_, task)| is_hit(task)).map(|(id, _)| *id).collect();
            state.ready.retain(|task| hit.binary_search(task).is_err());
            hit.iter().filter_map(|task| state.tasks.remove(task)).collect()
        };
        // Dropped without the lock: what a task drops may wake others.
        drop(dropped);
    }

    /// The next task, chosen by the seed among those that can go on.
    pub(super) fn pick(&self) -> Option<u64> {
        let mut state = self.state.lock();
        let choices = state.ready.len() as u64;
        if choices == 0 {
            return None;
        }
        let at = (state.next_random() % choices) as usize;
        Some(state.ready.remove(at))
    }

    pub(super) fn poll_task(&self, task: u64, context: &mut Context<'_>) {
        // Taken out while it runs, so that it may spawn others.
        let taken = self.state.lock().tasks.get_mut(&task).and_then(|task| task.future.take());
        let Some(mut future) = taken else { return };
        let ended = future.as_mut().poll(context).is_ready();
        let mut state = self.state.lock();
        if ended {
            state.tasks.remove(&task);
        } else if let Some(task) = state.tasks.get_mut(&task) {
            task.future = Some(future);
        }
    }

    /// Lets time pass until the first sleeper wakes; `false` when nobody sleeps.
    pub(super) fn wake_next_sleeper(&self) -> bool {
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
                waker.wake();
                true
            }
        }
    }
}

impl State {
    fn make_ready(&mut self, task: u64) {
        if let Err(at) = self.ready.binary_search(&task) {
            self.ready.insert(at, task);
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The world as one node of it sees it.
pub(super) struct Node {
    pub(super) world: Arc<World>,
    pub(super) node: u32,
}

impl Runtime for Node {
    fn now(&self) -> Timestamp {
        let state = self.world.state.lock();
        state.start.plus(state.elapsed)
    }

    fn monotonic(&self) -> Duration {
        self.world.state.lock().elapsed
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        let mut state = self.world.state.lock();
        for chunk in bytes.chunks_mut(8) {
            let word = state.next_random().to_le_bytes();
            for (byte, random) in chunk.iter_mut().zip(word) {
                *byte = random;
            }
        }
    }

    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        let mut state = self.world.state.lock();
        let id = state.next_task;
        state.next_task += 1;
        state.tasks.insert(id, Task { node: self.node, future: Some(task) });
        state.make_ready(id);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let until = self.world.state.lock().elapsed + duration;
        let world = Arc::downgrade(&self.world);
        Box::pin(Sleep { world, until, is_long: !duration.is_zero(), place: None })
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

/// Ends when its time has come. One that is dropped before leaves no sleeper behind.
struct Sleep {
    world: Weak<World>,
    until: Duration,
    /// Ends only after others had a turn.
    is_long: bool,
    place: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(world) = self.world.upgrade() else { return Poll::Ready(()) };
        let mut state = world.state.lock();
        if state.elapsed >= self.until && (self.place.is_some() || !self.is_long) {
            return Poll::Ready(());
        }
        let at = *self.place.get_or_insert_with(|| {
            state.next_sleeper += 1;
            state.next_sleeper
        });
        state.sleepers.insert((self.until, at), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let (Some(world), Some(place)) = (self.world.upgrade(), self.place) {
            let waker = world.state.lock().sleepers.remove(&(self.until, place));
            // Dropped without the lock.
            drop(waker);
        }
    }
}
