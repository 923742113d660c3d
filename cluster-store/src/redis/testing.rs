//! What the tests share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use machine::SystemRuntime;
use platform_core::ports::runtime::Runtime;
use test_support::servers::{Proxy, Redis};

use super::RedisConfig;

/// The machine.
pub(super) fn machine() -> Arc<dyn Runtime> {
    Arc::new(SystemRuntime::current())
}

/// With a prefix of its own on the shared server.
pub(super) fn shared() -> RedisConfig {
    with_new_prefix(Redis::shared().unwrap())
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

/// For whoever is behind a proxy.
pub(super) fn behind(proxy: &Proxy, prefix: &str) -> RedisConfig {
    let mut config = RedisConfig::new(&format!("redis://127.0.0.1:{}", proxy.port())).unwrap();
    prefix.clone_into(&mut config.prefix);
    config
}
