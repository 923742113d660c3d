//! Clock, randomness, tasks: the core touches none of the machine's own.

mod simulated;

use std::time::Duration;

use tokio::sync::oneshot;

pub use simulated::SimRuntime;

use crate::kernel::{BoxFuture, Error, RawId, Result, Timestamp};

/// A computation for the bounded pool.
pub type Job = Box<dyn FnOnce() + Send>;

/// The machine, as the core sees it.
///
/// # Behavior
/// - `now` is the wall clock and may jump; `monotonic` never goes back. Sleep on the second, decide on
///   the first.
/// - `fill_random` is fit for keys and tokens (in a simulation: reproducible).
/// - A spawned task runs until it ends; dropping the runtime may stop it.
/// - `compute` never blocks: a full queue is an error.
pub trait Runtime: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;

    /// Random bytes, fit for keys.
    fn fill_random(&self, bytes: &mut [u8]);

    /// Runs a task. The name is for logs.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);

    /// Ends after the duration.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Queues a long computation (a password hash) on a pool of as many threads as cores.
    ///
    /// # Errors
    /// `runtime.busy`, to be retried after a second, when [`crate::kernel::limits::HASH_QUEUE`] wait.
    fn compute(&self, job: Job) -> Result<()>;

    /// Computations that wait for a thread.
    fn waiting(&self) -> usize;
}

impl dyn Runtime {
    /// A fresh UUIDv7.
    pub fn new_id(&self) -> RawId {
        let mut random = [0; 10];
        self.fill_random(&mut random);
        RawId::v7(self.now(), random)
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill_random(&mut bytes);
        bytes
    }

    /// Runs a long computation and waits for its value.
    ///
    /// # Errors
    /// As [`Runtime::compute`]; `runtime.stopped` when the pool ended.
    pub async fn computed<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.compute(Box::new(move || {
            // The receiver is gone when the caller gave up: then nobody wants the value.
            let _ = sender.send(job());
        }))?;
        receiver
            .await
            .map_err(|_| Error::unavailable("runtime.stopped", "the pool for computations has ended"))
    }
}

/// The error of a full pool.
pub fn busy() -> Error {
    Error::unavailable("runtime.busy", "too many computations wait")
        .retry(crate::kernel::Retry::After(Duration::from_secs(1)))
}
