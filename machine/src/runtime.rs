//! The machine: its clock, its randomness, tokio's tasks, and a bounded pool for long computations.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use platform_core::kernel::{BoxFuture, Result, Timestamp, limits};
use platform_core::ports::runtime::{Job, Runtime, busy};
use tokio::runtime::Handle;

use crate::priority::yield_to_others;

/// The real [`Runtime`], on a runtime of tokio's.
pub struct SystemRuntime {
    begin: Instant,
    handle: Handle,
    /// Started at the first computation: a server that nobody signs in to has no use for its threads.
    pool: OnceLock<Option<flume::Sender<Job>>>,
}

impl SystemRuntime {
    /// On the runtime that is current.
    ///
    /// # Panics
    /// Outside of a runtime of tokio's.
    pub fn current() -> SystemRuntime {
        SystemRuntime { begin: Instant::now(), handle: Handle::current(), pool: OnceLock::new() }
    }

    fn pool(&self) -> Option<&flume::Sender<Job>> {
        self.pool.get_or_init(start_pool).as_ref()
    }
}

/// As many threads as cores: each takes the next job that waits. `None` when no thread could be started.
fn start_pool() -> Option<flume::Sender<Job>> {
    let (sender, jobs) = flume::bounded::<Job>(limits::HASH_QUEUE);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let started = (0..threads).filter(|_| {
        let jobs = jobs.clone();
        let work = move || {
            yield_to_others();
            for job in jobs {
                // A job that panics ends itself alone: whoever waits for it sees its channel closed.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
        };
        std::thread::Builder::new().name("compute".to_owned()).spawn(work).is_ok()
    });
    (started.count() > 0).then_some(sender)
}

impl Runtime for SystemRuntime {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.begin.elapsed()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        // Without randomness nothing of ours is safe: keys and tokens would repeat.
        #[allow(clippy::expect_used)]
        // From the system itself: a generator of a library's own takes milliseconds to be seeded.
        getrandom::fill(bytes).expect("the machine gives random bytes");
    }

    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        self.handle.spawn(task);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _guard = self.handle.enter();
        let sleep = tokio::time::sleep(duration);
        Box::pin(sleep)
    }

    fn compute(&self, job: Job) -> Result<()> {
        self.pool().ok_or_else(busy)?.try_send(job).map_err(|_| busy())
    }

    fn waiting(&self) -> usize {
        self.pool.get().and_then(Option::as_ref).map_or(0, flume::Sender::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_full_pool_says_so_and_a_panicking_job_ends_alone() {
        let runtime: Arc<dyn Runtime> = Arc::new(SystemRuntime::current());
        assert!(runtime.computed(|| -> u32 { panic!("on purpose") }).await.is_err());
        assert_eq!(runtime.computed(|| 7).await.unwrap(), 7);
        let (release, gate) = flume::bounded::<()>(0);
        let threads = std::thread::available_parallelism().unwrap().get();
        let mut accepted = 0;
        let refused = loop {
            let gate = gate.clone();
            match runtime.compute(Box::new(move || {
                let _ = gate.recv();
            })) {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused.code(), "runtime.busy");
        assert_eq!(runtime.waiting(), limits::HASH_QUEUE);
        assert!((limits::HASH_QUEUE..=limits::HASH_QUEUE + threads).contains(&accepted), "{accepted}");
        drop(release);
        while runtime.compute(Box::new(|| {})).is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn time_passes_and_random_bytes_differ() {
        let runtime: Arc<dyn Runtime> = Arc::new(SystemRuntime::current());
        let before = runtime.monotonic();
        runtime.sleep(Duration::from_millis(20)).await;
        assert!(runtime.monotonic() - before >= Duration::from_millis(20));
        assert!(runtime.now() > Timestamp::from_secs(1_700_000_000));
        assert_ne!(runtime.random::<16>(), runtime.random::<16>());
    }
}
