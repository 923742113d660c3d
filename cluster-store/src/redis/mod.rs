//! Signals, limits and cache on Redis.
//!
//! Redis is a cache here: it may vanish or forget everything at any moment, and then the platform is slower, never wrong.
//!
//! | use | while Redis is away |
//! |---|---|
//! | [`RedisSignals`] | fails closed: not connected, so nothing is decided by what is remembered |
//! | [`RedisLimiter`] | fails open, to limits of each node alone |
//! | [`RedisCache`] | fails open: each node loads by itself; without signals nothing is kept |

mod cache;
mod config;
mod limiter;
mod link;
mod signals;
#[cfg(test)]
mod testing;

pub use cache::RedisCache;
pub use config::RedisConfig;
pub use limiter::RedisLimiter;
pub use signals::RedisSignals;
