//! Workers: tasks that run beside the requests, and end together.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::{Notify, mpsc, watch};

use crate::kernel::{BoxFuture, Result};
use crate::ports::runtime::Runtime;

/// The first pause after a failure of a repeating task.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause after failures of a repeating task.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Tells tasks to end. Whoever holds a clone is waited for.
#[derive(Clone)]
pub struct Shutdown {
    asked: watch::Receiver<bool>,
    _held: mpsc::Sender<()>,
}

/// The other end of [`Shutdown`].
pub(crate) struct Stopper {
    ask: watch::Sender<bool>,
    ended: mpsc::Receiver<()>,
    held: mpsc::Sender<()>,
}

impl Stopper {
    pub(crate) fn new() -> Stopper {
        let (held, ended) = mpsc::channel(1);
        Stopper { ask: watch::Sender::new(false), ended, held }
    }

    pub(crate) fn shutdown(&self) -> Shutdown {
        Shutdown { asked: self.ask.subscribe(), _held: self.held.clone() }
    }

    /// Asks all to end, and waits until they have.
    pub(crate) async fn stop(mut self) {
        self.ask.send_replace(true);
        drop(self.held);
        while self.ended.recv().await.is_some() {}
    }
}

impl Shutdown {
    /// Starts a task that is waited for until everything it held is dropped: so a store is closed when the
    /// platform has stopped and is gone.
    pub(crate) fn start<F: Future<Output = ()> + Send + 'static>(
        self,
        runtime: &dyn Runtime,
        name: &'static str,
        run: impl FnOnce(Shutdown) -> F,
    ) {
        let task = run(self.clone());
        let run = async move {
            task.await;
            drop(self);
        };
        runtime.spawn(name, Box::pin(run));
    }

    /// Whether it is time to end.
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow() || self.asked.has_changed().is_err()
    }

    /// Ends when it is time to end.
    pub async fn asked(&self) {
        let mut asked = self.asked.clone();
        // An error means that the platform is gone: then it is time, too.
        let _ = asked.wait_for(|asked| *asked).await;
    }

    /// Runs a future to its end, or gives it up when it is time to end: `None`.
    pub async fn unless_asked<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        if self.is_asked() {
            return None;
        }
        match select(std::pin::pin!(self.asked()), std::pin::pin!(future)).await {
            Either::Left(_) => None,
            Either::Right((value, _)) => Some(value),
        }
    }

    /// Sleeps; ends early when it is time to end.
    pub async fn sleep(&self, runtime: &dyn Runtime, duration: Duration) {
        self.unless_asked(runtime.sleep(duration)).await;
    }
}

/// Wakes a repeating task before its time. Clones wake the same task.
#[derive(Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// There is something to do. Remembered if the task is busy.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Waits for the next wake.
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}

/// A worker of a domain. Started with the platform, stopped with it; may be started again.
#[derive(Clone)]
pub struct Task {
    pub(crate) name: &'static str,
    run: Arc<dyn Fn(Shutdown) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Task {
    /// A task that ends by itself when [`Shutdown::asked`] says so.
    pub fn new(
        name: &'static str,
        run: impl Fn(Shutdown) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Task {
        Task { name, run: Arc::new(run) }
    }

    /// A task that does something again and again: `work` says after which time it is to be called
    /// next (`Duration::MAX`: not before it is woken), and `wake` calls it earlier. The first time is
    /// at once. A failure is logged and tried again after a pause that doubles from 100 ms to 30 s.
    ///
    /// A step is not given up in its middle: `work` does a bounded amount and returns.
    pub fn repeating(
        name: &'static str,
        runtime: Arc<dyn Runtime>,
        wake: Wake,
        work: impl Fn() -> BoxFuture<'static, Result<Duration>> + Send + Sync + 'static,
    ) -> Task {
        let work = Arc::new(work);
        Task::new(name, move |shutdown| {
            let (runtime, wake, work) = (Arc::clone(&runtime), wake.clone(), Arc::clone(&work));
            Box::pin(async move { repeat(name, &*runtime, &wake, &*work, &shutdown).await })
        })
    }

    pub(crate) fn start(&self, runtime: &dyn Runtime, shutdown: Shutdown) {
        shutdown.start(runtime, self.name, &*self.run);
    }
}

async fn repeat(
    name: &'static str,
    runtime: &dyn Runtime,
    wake: &Wake,
    work: &(dyn Fn() -> BoxFuture<'static, Result<Duration>> + Send + Sync),
    shutdown: &Shutdown,
) {
    let mut pause = FIRST_PAUSE;
    while !shutdown.is_asked() {
        match work().await {
            Ok(next) => {
                pause = FIRST_PAUSE;
                let woken = std::pin::pin!(wake.woken());
                if next == Duration::MAX {
                    shutdown.unless_asked(woken).await;
                } else {
                    shutdown.unless_asked(select(woken, runtime.sleep(next))).await;
                }
            }
            Err(error) => {
                tracing::warn!(task = name, %error, "a worker's step failed; it is tried again");
                shutdown.sleep(runtime, pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::kernel::Error;
    use crate::ports::runtime::SimRuntime;

    #[test]
    fn a_repeating_task_runs_in_its_time_earlier_when_woken_and_ends_when_asked() {
        let world = SimRuntime::new(1);
        let (runtime, wake, count) = (world.runtime(), Wake::default(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&count);
        let task = Task::repeating("test", Arc::clone(&runtime), wake.clone(), move || {
            let counted = Arc::clone(&counted);
            Box::pin(async move {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok(Duration::from_secs(10))
            })
        });
        let stopper = Stopper::new();
        task.start(&*runtime, stopper.shutdown());
        world.advance(Duration::from_secs(25));
        assert_eq!(count.load(Ordering::Relaxed), 3);
        wake.wake();
        world.advance(Duration::from_secs(1));
        assert_eq!(count.load(Ordering::Relaxed), 4);
        world.block_on(stopper.stop());
        world.advance(Duration::from_secs(60));
        assert_eq!(count.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn a_failing_task_is_tried_again_after_growing_pauses() {
        let world = SimRuntime::new(1);
        let (runtime, count) = (world.runtime(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&count);
        let task = Task::repeating("test", Arc::clone(&runtime), Wake::default(), move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Err(Error::unavailable("test.down", "down")) })
        });
        let stopper = Stopper::new();
        task.start(&*runtime, stopper.shutdown());
        world.advance(Duration::from_millis(750));
        assert_eq!(count.load(Ordering::Relaxed), 4, "at 0, 100, 300 and 700 ms");
        world.block_on(stopper.stop());
    }
}
