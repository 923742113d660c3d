//! Signals, limits and cache on Redis.
