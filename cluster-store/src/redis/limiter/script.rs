//! The script that takes from a key in Redis.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script};

/// Takes what is needed, and a lease beyond it.
const GCRA: &str = include_str!("gcra.lua");

/// The time of Redis, which is the same for all nodes: in microseconds, exact until the year 2255.
const TIME_OF_REDIS: &str = "local time = redis.call('TIME')\n\
                             local now, unit, keep = time[1] * 1000000 + time[2], 1000, 11000\n";

/// The caller's time, in nanoseconds: for cases that bring their own. The time of Redis, which goes on meanwhile, must
/// not end a key before.
#[cfg(test)]
const TIME_OF_CALLERS: &str = "local now, unit, keep = tonumber(ARGV[5]), 1, 3600000\n";

/// The script, with one clock.
pub(super) struct Gcra(Script);

/// What a node asks for, in nanoseconds of a key's time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    /// All or nothing of this.
    pub(super) needed: u128,
    /// As much as there is of this.
    pub(super) wanted: u128,
    /// How much of that is not worth sharing with other nodes.
    pub(super) small: u128,
    /// What a request of cost 1 takes.
    pub(super) interval: u128,
    /// How far ahead the arrival may be.
    pub(super) tolerance: u128,
    /// When it is asked.
    pub(super) now: Duration,
}

/// What a node gets, in nanoseconds of a key's time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant {
    /// Whether it got what it needs.
    pub(super) is_granted: bool,
    /// What it got beyond that.
    pub(super) beyond: u128,
    /// How far ahead the arrival is now.
    pub(super) level: u128,
}

impl Gcra {
    /// By the time of Redis.
    pub(super) fn new() -> Gcra {
        Gcra::by(TIME_OF_REDIS)
    }

    /// By the time of the callers.
    #[cfg(test)]
    pub(super) fn by_callers_time() -> Gcra {
        Gcra::by(TIME_OF_CALLERS)
    }

    fn by(clock: &str) -> Gcra {
        Gcra(Script::new(&format!("{clock}{GCRA}")))
    }

    pub(super) async fn take(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
        ask: &Ask,
    ) -> RedisResult<Grant> {
        let mut call = self.0.key(key);
        let numbers = [ask.needed, ask.wanted, ask.small, ask.tolerance, ask.now.as_nanos()];
        for number in numbers {
            call.arg(number.to_string());
        }
        let (granted, beyond, level): (u8, f64, f64) = call.invoke_async(connection).await?;
        // None is below zero, and none above what was asked for.
        Ok(Grant { is_granted: granted == 1, beyond: beyond as u128, level: level as u128 })
    }
}
