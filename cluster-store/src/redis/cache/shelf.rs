//! The values in Redis.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, Script, ScriptInvocation, pipe};
use tokio::runtime::Handle;

use crate::redis::RedisConfig;
use crate::redis::link::{Connection, Link};

/// A removal keeps loads of keys of the same part from being kept in Redis: of so many parts, it hits few.
pub(super) const PARTS: usize = 256;
/// For how long a value is kept in Redis at most, whatever its time.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// The time of Redis, which is the same for all nodes.
const TIME_OF_REDIS: &str = "local time = redis.call('TIME')\n\
                             local now, keep = time[1] * 1000000 + time[2], 0\n";

/// The caller's time: for cases that bring their own. The time of Redis, which goes on meanwhile, must not end a value
/// before.
#[cfg(test)]
const TIME_OF_CALLERS: &str = "local now, keep = tonumber(ARGV[#ARGV]), 3600000\n";

/// What is kept in Redis, under one prefix.
pub(super) struct Shelf {
    link: Link,
    prefix: String,
    look: Script,
    fill: Script,
}

/// What was in force when a load began: if it is no more when it ends, its value is not kept.
pub(super) struct Marks {
    age: String,
    mark: String,
    /// What time it was in Redis, in microseconds.
    time: u64,
}

/// What is found for a key.
pub(super) enum Found {
    /// A value, and for how long.
    Value(Bytes, Duration),
    /// None: it may be loaded and kept.
    Nothing(Marks),
}

impl Shelf {
    pub(super) fn new(config: &RedisConfig, handle: &Handle) -> platform_core::kernel::Result<Shelf> {
        Shelf::by(TIME_OF_REDIS, config, handle)
    }

    #[cfg(test)]
    pub(super) fn by_callers_time(
        config: &RedisConfig,
        handle: &Handle,
    ) -> platform_core::kernel::Result<Shelf> {
        Shelf::by(TIME_OF_CALLERS, config, handle)
    }

    fn by(clock: &str, config: &RedisConfig, handle: &Handle) -> platform_core::kernel::Result<Shelf> {
        Ok(Shelf {
            link: Link::new(config.client()?, handle),
            prefix: format!("{}cache:", config.prefix),
            look: Script::new(&format!("{clock}{}", include_str!("look.lua"))),
            fill: Script::new(&format!("{clock}{}", include_str!("fill.lua"))),
        })
    }

    /// How many connections to Redis there were, if there is one.
    #[cfg(test)]
    pub(super) fn connections(&self) -> Option<u64> {
        self.link.connection().map(|connection| connection.number())
    }

    /// Looks for a key. `name` is a new one.
    pub(super) async fn look(&self, key: &str, name: &str, now: Duration) -> RedisResult<Found> {
        let mut connection = self.connection()?;
        let mut call = self.call(&self.look, key);
        call.arg(name).arg(micros(now));
        let told = call.invoke_async(&mut *connection).await;
        let (age, mark, time, left, value): (String, String, u64, Option<u64>, Option<Vec<u8>>) =
            self.known(&connection, told)?;
        Ok(match (left, value) {
            (Some(left), Some(value)) => Found::Value(value.into(), Duration::from_micros(left)),
            _ => Found::Nothing(Marks { age, mark, time }),
        })
    }

    /// Keeps what was loaded until so long after the marks were told, if nothing was removed since.
    pub(super) async fn fill(
        &self,
        key: &str,
        marks: &Marks,
        value: &[u8],
        until: Duration,
        now: Duration,
    ) -> RedisResult<()> {
        let mut connection = self.connection()?;
        let mut call = self.call(&self.fill, key);
        let until = marks.time.saturating_add(micros(until.min(LONGEST)));
        call.arg(&marks.age).arg(&marks.mark).arg(marks.time).arg(until).arg(value).arg(micros(now));
        let told = call.invoke_async(&mut *connection).await;
        self.known(&connection, told)
    }

    /// Removes values, and lets no load that is under way bring them back.
    pub(super) async fn remove(&self, keys: &BTreeSet<String>, name: &str) -> RedisResult<()> {
        let mut connection = self.connection()?;
        let mut all = pipe();
        for key in keys {
            let [_, mark, value] = self.names(key);
            // In this order: what is kept between the two is removed.
            all.add_command(Cmd::set(mark, name)).ignore().add_command(Cmd::del(value)).ignore();
        }
        let told = all.exec_async(&mut *connection).await;
        self.known(&connection, told)
    }

    /// Begins a new age: nothing that was kept before counts any more.
    pub(super) async fn renew(&self, name: &str) -> RedisResult<()> {
        let mut connection = self.connection()?;
        let told = Cmd::set(format!("{}age", self.prefix), name).exec_async(&mut *connection).await;
        self.known(&connection, told)
    }

    fn call<'a>(&self, script: &'a Script, key: &str) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        for name in self.names(key) {
            call.key(name);
        }
        call
    }

    /// The names of the age, of a key's mark, and of its value.
    fn names(&self, key: &str) -> [String; 3] {
        let prefix = &self.prefix;
        [format!("{prefix}age"), format!("{prefix}mark:{}", part(key)), format!("{prefix}value:{key}")]
    }

    fn connection(&self) -> RedisResult<Connection> {
        self.link.connection().ok_or_else(|| RedisError::from((ErrorKind::Io, "Redis is away")))
    }

    fn known<T>(&self, connection: &Connection, told: RedisResult<T>) -> RedisResult<T> {
        told.inspect_err(|error| self.link.lost(connection, error))
    }
}

/// The part of a key, by FNV-1a: all nodes have to agree on it, also those of other versions.
pub(super) fn part(key: &str) -> usize {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    key.bytes().fold(0xcbf2_9ce4_8422_2325, mix) as usize % PARTS
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
