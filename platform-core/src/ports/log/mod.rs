//! The durable event log: topics with partitions, read from any offset.

#[cfg(feature = "conformance")]
pub mod conformance;
mod group;
mod memory;

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

pub use group::{Assigned, Groups, Source};
pub use memory::MemoryLog;

use crate::kernel::{BoxFuture, Error, Histogram, Result, Timestamp, limits};

/// A topic as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The name: that of the store whose events it carries, or an application's own. Lower case,
    /// digits and `_`, at most 64 bytes.
    pub name: String,
    /// Partitions, 1 to 256; fixed from the first declaration on, since keys map to them.
    pub partitions: u16,
    /// Records older than this may vanish; `None` keeps them for ever.
    pub max_age: Option<Duration>,
    /// The oldest records of a partition beyond this size may vanish; `None` keeps them for ever.
    pub max_bytes: Option<u64>,
}

impl Topic {
    /// A topic that keeps everything for ever.
    pub fn new(name: impl Into<String>, partitions: u16) -> Topic {
        Topic { name: name.into(), partitions, max_age: None, max_bytes: None }
    }

    /// Refuses names and numbers of partitions that no log takes.
    ///
    /// # Errors
    /// `log.invalid_topic`.
    pub fn check(&self) -> Result<()> {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if (1..=64).contains(&self.name.len())
            && self.name.bytes().all(word)
            && (1..=256).contains(&self.partitions)
        {
            return Ok(());
        }
        Err(Error::invalid(
            "log.invalid_topic",
            "a topic has a name of 1 to 64 lower case letters, digits or _, and 1 to 256 partitions",
        ))
    }
}

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Records of one key stand in one partition, in order.
    pub key: String,
    /// The value.
    pub value: Bytes,
}

/// A record as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its partition.
    pub partition: u16,
    /// Its place in the partition: from 0, without gaps.
    pub offset: u64,
    /// When it was appended.
    pub time: Timestamp,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Bytes,
}

impl NewRecord {
    /// A record.
    pub fn new(key: impl Into<String>, value: impl Into<Bytes>) -> NewRecord {
        NewRecord { key: key.into(), value: value.into() }
    }

    /// Key and value together.
    pub fn bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }

    /// Refuses what is above [`RECORD_BYTES`].
    ///
    /// # Errors
    /// `log.too_large`.
    pub fn check(&self) -> Result<()> {
        if self.bytes() <= RECORD_BYTES {
            return Ok(());
        }
        Err(Error::limit("log.too_large", "a record is at most 64 KiB, key included")
            .with("bytes", self.bytes())
            .with("limit", RECORD_BYTES))
    }
}

/// Bytes of a record, key and value: an event, its envelope and its place.
pub const RECORD_BYTES: usize = 2 * limits::EVENT_BYTES;

/// A member of a consumer group, with the partitions that are its own.
pub trait Subscription: Send {
    /// The next records of its partitions, in offset order within each; waits until there is one. It may be dropped
    /// while it waits: nothing is lost then.
    ///
    /// # Errors
    /// `log.unavailable`, `log.damaged`, `log.closed`.
    fn next(&mut self, limit: usize) -> BoxFuture<'_, Result<Vec<Record>>>;

    /// Remembers that everything before `offset` is done: where the group goes on after a restart.
    ///
    /// # Errors
    /// `log.unavailable`.
    fn commit(&mut self, partition: u16, offset: u64) -> BoxFuture<'_, Result<()>>;
}

/// A durable log.
///
/// # Behavior
/// - `append` returns when the records are durable; they stand in the order of the list. It tells the offset of
///   each in its partition.
/// - Records of one key keep their order; the partition of a key never changes.
/// - Offsets are gapless from 0; retention removes from the front only, and `first` tells where a
///   partition begins.
/// - Who sees an end by `ends` can read up to it.
/// - A group goes on after its committed offsets; without any, at the beginning.
/// - The partitions of a topic are shared out among the live subscriptions of a group.
/// - A damaged record is an error that names topic, partition and offset, never an end.
pub trait EventLog: Send + Sync {
    /// Declares a topic; again with the same partitions is allowed.
    ///
    /// # Errors
    /// `log.partitions_differ`, `log.unavailable`.
    fn declare<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, Result<()>>;

    /// Appends records; durable when it returns. The offset of each, in the order of the list.
    ///
    /// # Errors
    /// `log.undeclared`, `log.too_large` above [`RECORD_BYTES`] (nothing is appended then),
    /// `log.unavailable`.
    fn append<'a>(&'a self, topic: &'a str, records: Vec<NewRecord>) -> BoxFuture<'a, Result<Vec<u64>>>;

    /// Records of a partition from an offset on, at most `limit`; empty at the end. An offset that
    /// retention removed counts as the first that is still there.
    ///
    /// # Errors
    /// `log.undeclared`, `log.damaged`, `log.unavailable`.
    fn read<'a>(
        &'a self,
        topic: &'a str,
        partition: u16,
        from: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>>>;

    /// The first offset that is still there, and the next to be written, of every partition.
    ///
    /// # Errors
    /// `log.undeclared`, `log.unavailable`.
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<(u64, u64)>>>;

    /// The next offset to be written of every partition, as it changes: wakes whoever waits for more.
    ///
    /// # Errors
    /// `log.undeclared`.
    fn ends(&self, topic: &str) -> Result<Vec<watch::Receiver<u64>>>;

    /// Removes the records that retention lets go by now.
    ///
    /// # Errors
    /// `log.unavailable`.
    fn retain(&self) -> BoxFuture<'_, Result<()>>;

    /// Joins a consumer group.
    ///
    /// # Errors
    /// `log.undeclared`, `log.unavailable`.
    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>>>;

    /// How long it takes to make a group of records durable, when it measures that.
    fn sync_times(&self) -> Option<&Histogram> {
        None
    }
}

/// The partition of a key: FNV-1a (64 bit) of its bytes modulo the number of partitions.
pub fn partition_of(key: &str, partitions: u16) -> u16 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % u64::from(partitions.max(1))) as u16
}

/// The error of a topic that was not declared, or of a partition that it does not have.
pub fn undeclared(topic: &str) -> Error {
    Error::invalid("log.undeclared", "the topic was not declared with this partition").with("topic", topic)
}
