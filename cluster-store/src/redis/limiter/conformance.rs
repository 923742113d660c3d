//! The suite of the port, over a real Redis. The cases bring their own time; the rest is as in production.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use platform_core::kernel::{BoxFuture, Result};
use platform_core::ports::limiter::conformance::Place;
use platform_core::ports::limiter::{Limiter, Quota, Taken};
use tokio::runtime::Runtime;

use super::{Gcra, RedisLimiter};
use crate::redis::testing::{eventually, shared};

/// The cases block their own threads.
static OTHER_THREADS: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

struct OnRedis;

impl Place for OnRedis {
    fn limiter(&self) -> BoxFuture<'_, Result<Arc<dyn Limiter>>> {
        Box::pin(async {
            let mut config = shared();
            config.answer_within = Duration::from_secs(10);
            let limiter = {
                let _there = OTHER_THREADS.enter();
                RedisLimiter::with(&config, Gcra::by_callers_time())?
            };
            eventually("it is connected", || limiter.is_connected()).await;
            Ok(Arc::new(NeverAlone(limiter)) as _)
        })
    }
}

/// What the suite says holds for Redis only if Redis has decided everything.
struct NeverAlone(RedisLimiter);

impl Limiter for NeverAlone {
    fn take(&self, key: &str, cost: u32, quota: Quota, now: Duration) -> Taken {
        self.0.take(key, cost, quota, now)
    }

    fn remembered(&self) -> usize {
        self.0.remembered()
    }
}

impl Drop for NeverAlone {
    fn drop(&mut self) {
        assert_eq!(self.0.decided_alone(), 0);
    }
}

platform_core::limiter_conformance!(OnRedis);
