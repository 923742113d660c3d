//! What is in the folder, and what of it is kept in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use parking_lot::RwLock;
use platform_core::kernel::{Error, Histogram, Result, SYNC_BOUNDS_S};
use platform_core::ports::log::{Record, Topic, undeclared};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::error::{damaged, in_journal, opening, unavailable};
use super::record::{Stored, decode, offset_of, row_key};
use crate::fjall::journal;
use crate::fjall::{is_made, sync_names};

/// Blocks that are kept: a log is read at its end, which stands in the memtable.
const CACHE_BYTES: u64 = 1 << 20;
/// A memtable beyond this is written out.
const MEMTABLE_BYTES: u64 = 8 << 20;
/// The least that fjall allows.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Open files of tables.
const FILES: usize = 32;

/// The keys of topics begin with this.
const TOPICS: &str = "/topic/";

pub(super) struct State {
    pub(super) database: Database,
    /// The records, and the log's own rows: topics, the first offsets of partitions, the offsets of
    /// groups. One keyspace for both, since a journal lives as long as any keyspace needs it: what is
    /// written seldom would keep all of them, and an opening would read them again.
    pub(super) rows: Keyspace,
    /// Groups that were written since the opening.
    pub(super) groups: AtomicU64,
    /// How long the groups took that were synced.
    pub(super) sync_times: Histogram,
    topics: RwLock<BTreeMap<String, Arc<TopicState>>>,
}

pub(super) struct TopicState {
    pub(super) name: String,
    pub(super) id: u32,
    pub(super) retention: RwLock<(Option<Duration>, Option<u64>)>,
    pub(super) partitions: Vec<Partition>,
}

#[derive(Default)]
pub(super) struct Partition {
    pub(super) first: AtomicU64,
    /// Bytes since the beginning: only the writer changes it.
    pub(super) total: AtomicU64,
    pub(super) end: watch::Sender<u64>,
}

/// A topic, as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredTopic {
    id: u32,
    partitions: u16,
    max_age_us: Option<u64>,
    max_bytes: Option<u64>,
}

impl TopicState {
    pub(super) fn bounds(&self) -> Vec<(u64, u64)> {
        let bounds =
            |partition: &Partition| (partition.first.load(Ordering::Acquire), *partition.end.borrow());
        self.partitions.iter().map(bounds).collect()
    }
}

pub(super) fn topic_key(name: &str) -> String {
    format!("{TOPICS}{name}")
}

pub(super) fn first_key(topic: u32, partition: u16) -> String {
    format!("/first/{topic}/{partition}")
}

pub(super) fn offset_key(group: &str, topic: &str, partition: u16) -> String {
    format!("/offset/{topic}/{partition}/{group}")
}

/// The stored form of a topic.
pub(super) fn encode_topic(id: u32, topic: &Topic) -> Result<Vec<u8>> {
    let max_age_us = topic.max_age.map(|age| u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
    let stored = StoredTopic { id, partitions: topic.partitions, max_age_us, max_bytes: topic.max_bytes };
    serde_json::to_vec(&stored).map_err(|error| Error::internal("log.unwritable", "a topic").because(error))
}

/// Looks at the journals before fjall does: as long as nobody else has the log open.
fn check_journals(path: &Path) -> Result<()> {
    // What is wrong with the lock, or that somebody has it, is told by fjall.
    let Ok(lock) = File::options().read(true).write(true).open(path.join("lock")) else { return Ok(()) };
    if lock.try_lock().is_err() {
        return Ok(());
    }
    // How far it was acknowledged is told in records, not in bytes: a journal is written again from its beginning.
    journal::check(path, 0).map_err(|trouble| in_journal(path, trouble))
}

impl State {
    pub(super) fn open(path: &Path) -> Result<State> {
        let failed = |error| opening(path, error);
        if is_made(path).map_err(|error| failed(fjall::Error::Io(error)))? {
            check_journals(path)?;
        }
        let builder = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .worker_threads(1)
            .max_cached_files(Some(FILES))
            .max_journaling_size(JOURNAL_BYTES);
        // fjall asserts some of what it reads from its journal.
        let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| builder.open()));
        let database = opened.unwrap_or(Err(fjall::Error::Unrecoverable)).map_err(failed)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let rows = database.keyspace("rows", options).map_err(failed)?;
        sync_names(path).map_err(|error| failed(fjall::Error::Io(error)))?;
        let state = State {
            database,
            rows,
            groups: AtomicU64::new(0),
            sync_times: Histogram::new(SYNC_BOUNDS_S),
            topics: RwLock::default(),
        };
        state.load().map_err(|error| error.with("path", path.display()))?;
        Ok(state)
    }

    /// How many records were ever appended, all partitions together.
    pub(super) fn appended(&self) -> u64 {
        let ends = |topic: &Arc<TopicState>| topic.bounds().iter().map(|(_, end)| *end).sum::<u64>();
        self.topics.read().values().map(ends).sum()
    }

    fn load(&self) -> Result<()> {
        for guard in self.rows.prefix(TOPICS) {
            let (key, value) = guard.into_inner().map_err(unavailable)?;
            let unreadable = || Error::data_loss("log.damaged", "a topic of the log does not read");
            let name = std::str::from_utf8(&key).ok().and_then(|key| key.strip_prefix(TOPICS));
            let name = name.ok_or_else(unreadable)?.to_owned();
            let stored: StoredTopic =
                serde_json::from_slice(&value).map_err(|error| unreadable().because(error))?;
            let retention = RwLock::new((stored.max_age_us.map(Duration::from_micros), stored.max_bytes));
            let partitions = (0..stored.partitions).map(|number| self.partition(stored.id, number));
            let partitions = partitions.collect::<Result<_>>()?;
            let topic = TopicState { name: name.clone(), id: stored.id, retention, partitions };
            self.topics.write().insert(name, Arc::new(topic));
        }
        Ok(())
    }

    /// A partition as it is in the folder.
    fn partition(&self, topic: u32, number: u16) -> Result<Partition> {
        let first = self.rows.get(first_key(topic, number)).map_err(unavailable)?;
        let first = first.and_then(|bytes| Some(u64::from_be_bytes(bytes.as_ref().try_into().ok()?)));
        let first = first.unwrap_or(0);
        let range = row_key(topic, number, first)..=row_key(topic, number, u64::MAX);
        let (end, total) = match self.rows.range(range).next_back() {
            None => (first, 0),
            Some(last) => {
                let (key, value) = last.into_inner().map_err(unavailable)?;
                // A damaged one is told to whoever reads it.
                let total = decode(&key, number, &value).map_or(0, |stored| stored.total);
                (offset_of(&key).map_or(first, |offset| offset + 1), total)
            }
        };
        Ok(Partition { first: first.into(), total: total.into(), end: watch::Sender::new(end) })
    }

    pub(super) fn topic(&self, name: &str) -> Result<Arc<TopicState>> {
        self.topics.read().get(name).cloned().ok_or_else(|| undeclared(name))
    }

    pub(super) fn topics(&self) -> Vec<Arc<TopicState>> {
        self.topics.read().values().cloned().collect()
    }

    pub(super) fn add(&self, topic: TopicState) {
        self.topics.write().insert(topic.name.clone(), Arc::new(topic));
    }

    pub(super) fn read(
        &self,
        topic: &TopicState,
        partition: u16,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let stored = self.read_stored(topic, partition, from, limit)?;
        Ok(stored.into_iter().map(|stored| stored.record).collect())
    }

    /// Records up to the end that was told: behind it nothing is durable yet.
    pub(super) fn read_stored(
        &self,
        topic: &TopicState,
        partition: u16,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Stored>> {
        let state = topic.partitions.get(usize::from(partition)).ok_or_else(|| undeclared(&topic.name))?;
        let end = *state.end.borrow();
        // The end first, then the first: what retention removes meanwhile is behind neither.
        let from = from.max(state.first.load(Ordering::Acquire));
        let count = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX).min(limit);
        if count == 0 {
            return Ok(Vec::new());
        }
        let range = row_key(topic.id, partition, from)..row_key(topic.id, partition, end);
        let mut found = Vec::with_capacity(count);
        for guard in self.rows.range(range).take(count) {
            let expected = from + found.len() as u64;
            let is_damaged = || damaged(&topic.name, partition, expected);
            let (key, value) = match guard.into_inner() {
                Ok(row) => row,
                Err(error @ (fjall::Error::Io(_) | fjall::Error::Poisoned)) => {
                    return Err(unavailable(error));
                }
                Err(error) => return Err(is_damaged().because(error)),
            };
            let stored = decode(&key, partition, &value).ok_or_else(is_damaged)?;
            if stored.record.offset != expected {
                return self.read_again(topic, partition, from, limit, expected);
            }
            found.push(stored);
        }
        if found.len() < count {
            return self.read_again(topic, partition, from, limit, from + found.len() as u64);
        }
        Ok(found)
    }

    /// A record is missing: retention removed it meanwhile, or it is lost.
    fn read_again(
        &self,
        topic: &TopicState,
        partition: u16,
        from: u64,
        limit: usize,
        missing: u64,
    ) -> Result<Vec<Stored>> {
        let state = topic.partitions.get(usize::from(partition)).ok_or_else(|| undeclared(&topic.name))?;
        let first = state.first.load(Ordering::Acquire);
        if first > from && first > missing {
            return self.read_stored(topic, partition, first, limit);
        }
        Err(damaged(&topic.name, partition, missing))
    }
}
