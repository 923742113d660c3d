//! What the tests share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use platform_core::kernel::{BoxFuture, Result, Timestamp};
use platform_core::ports::runtime::{Job, Runtime, busy};
use test_support::servers::Redis;

use super::RedisConfig;

/// The machine, as far as the adapters of Redis need it.
pub(super) struct Machine(Instant);

impl Machine {
    pub(super) fn runtime() -> Arc<dyn Runtime> {
        Arc::new(Machine(Instant::now()))
    }
}

impl Runtime for Machine {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(0)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).unwrap();
    }

    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn compute(&self, _: Job) -> Result<()> {
        Err(busy())
    }

    fn waiting(&self) -> usize {
        0
    }
}

/// With a prefix of its own on the shared server.
pub(super) fn shared() -> RedisConfig {
    with_new_prefix(Redis::shared())
}

/// With a prefix of its own.
pub(super) fn with_new_prefix(redis: &Redis) -> RedisConfig {
    let mut config = RedisConfig::new(&redis.url()).unwrap();
    config.prefix = redis.new_prefix();
    config
}

/// Waits until something is so. Returns how long it took.
pub(super) async fn eventually(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    begun.elapsed()
}
