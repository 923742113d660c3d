//! The thread that writes: whatever waits becomes one group, with one fdatasync.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fjall::{OwnedWriteBatch, PersistMode};
use parking_lot::RwLock;
use platform_core::kernel::{Error, Result, Timestamp};
use platform_core::ports::log::{NewRecord, Topic, partition_of, undeclared};
use platform_core::ports::runtime::Runtime;
use tokio::sync::oneshot;

use super::error::unavailable;
use super::record::{encode, row_key};
use super::state::{Partition, State, TopicState, encode_topic, first_key, topic_key};
use crate::acknowledged::Acknowledged;
use crate::timed::timed;

/// Bytes of one group: a few milliseconds of work, so that the first of it does not wait long.
const GROUP_BYTES: usize = 8 << 20;
/// Appends from which on the next group is waited for.
const FEW: usize = 4;
/// The part of the last sync that the next group is waited for.
const PART_OF_SYNC: u32 = 2;
/// The longest that a group is waited for.
const LONGEST_GATHERING: Duration = Duration::from_micros(300);
/// Records that retention removes with one commit.
const RETAIN_AT_ONCE: usize = 512;

type Answer<T = ()> = oneshot::Sender<Result<T>>;

/// What the writer is asked to do.
pub(super) enum Command {
    /// Append records, which were checked: their offsets.
    Append { topic: Arc<TopicState>, records: Vec<NewRecord>, answer: Answer<Vec<u64>> },
    /// Remember where a group goes on. Not synced by itself: an older offset repeats, and loses nothing.
    SetOffset { key: String, offset: u64, answer: Answer },
    /// Declare a topic.
    Declare { topic: Topic, answer: Answer },
    /// Remove what retention lets go.
    Retain { answer: Answer },
}

pub(super) struct Writer {
    state: Arc<State>,
    runtime: Arc<dyn Runtime>,
    /// How many records there were ever, all partitions together: noted before they are acknowledged.
    appended: u64,
    acknowledged: Acknowledged,
    /// After a failed sync nobody knows what is on the disk.
    poisoned: bool,
    last: Last,
}

/// The last group that was synced: whoever was answered with it usually comes again at once.
#[derive(Default)]
struct Last {
    appends: usize,
    took: Duration,
}

/// What is being gathered.
struct Group {
    batch: OwnedWriteBatch,
    bytes: usize,
    time: Timestamp,
    /// By `(topic, partition)`.
    ends: BTreeMap<(u32, u16), End>,
    /// Who appended, and at which offsets.
    appended: Vec<(Answer<Vec<u64>>, Vec<u64>)>,
    answers: Vec<Answer>,
}

/// What a group adds to a partition.
struct End {
    topic: Arc<TopicState>,
    next: u64,
    total: u64,
}

impl Writer {
    pub(super) fn new(state: Arc<State>, runtime: Arc<dyn Runtime>, acknowledged: Acknowledged) -> Writer {
        let appended = state.appended();
        Writer { state, runtime, appended, acknowledged, poisoned: false, last: Last::default() }
    }

    pub(super) fn run(mut self, commands: &flume::Receiver<Command>) {
        while let Ok(first) = commands.recv() {
            self.gather(commands);
            let mut group = self.group();
            let mut next = Some(first);
            while let Some(command) = next.take() {
                match command {
                    Command::Append { topic, records, answer } => {
                        if group.appended.is_empty() {
                            // Not when the group was made: it may have waited for a declaration since.
                            group.time = self.runtime.now();
                        }
                        let offsets = group.append(&self.state, &topic, &records);
                        group.appended.push((answer, offsets));
                    }
                    Command::SetOffset { key, offset, answer } => {
                        group.batch.insert(&self.state.rows, key, offset.to_be_bytes());
                        group.answers.push(answer);
                    }
                    Command::Declare { topic, answer } => {
                        self.commit(std::mem::replace(&mut group, self.group()));
                        // Whoever gave up waiting does not need the answer.
                        let _ = answer.send(self.declare(&topic));
                    }
                    Command::Retain { answer } => {
                        self.commit(std::mem::replace(&mut group, self.group()));
                        let _ = answer.send(self.retain());
                    }
                }
                if group.bytes < GROUP_BYTES {
                    next = commands.try_recv().ok();
                }
            }
            self.commit(group);
        }
    }

    /// Waits until as many are there as the last group had, at most a part of the time that it took: one
    /// sync for all of them instead of two for a half each. Who appends alone is not kept waiting.
    fn gather(&self, commands: &flume::Receiver<Command>) {
        let expected = self.last.appends.saturating_sub(1);
        if expected < FEW {
            return;
        }
        let begin = self.runtime.monotonic();
        let longest = (self.last.took / PART_OF_SYNC).min(LONGEST_GATHERING);
        while commands.len() < expected && self.runtime.monotonic().saturating_sub(begin) < longest {
            std::thread::yield_now();
        }
    }

    fn group(&self) -> Group {
        Group {
            batch: self.state.database.batch(),
            bytes: 0,
            time: self.runtime.now(),
            ends: BTreeMap::new(),
            appended: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Commits a group, shows what it appended, and answers.
    fn commit(&mut self, group: Group) {
        let appends = group.appended.len();
        let mode = if appends > 0 { PersistMode::SyncData } else { PersistMode::Buffer };
        let begin = self.runtime.monotonic();
        let written = if appends > 0 {
            let state = Arc::clone(&self.state);
            timed(&state.sync_times, || self.write(group.batch, mode))
        } else {
            self.write(group.batch, mode)
        };
        if written.is_ok() {
            for ((_, number), end) in group.ends {
                if let Some(partition) = end.topic.partitions.get(usize::from(number)) {
                    partition.total.store(end.total, Ordering::Release);
                    self.appended += end.next - partition.end.send_replace(end.next);
                }
            }
            if appends > 0
                && let Err(error) = self.acknowledged.note(self.appended)
            {
                tracing::warn!(%error, "what was acknowledged was not noted");
            }
        }
        if appends > 0 {
            let took = self.runtime.monotonic().saturating_sub(begin);
            self.last = Last { appends, took };
        }
        for (answer, offsets) in group.appended {
            let _ = answer.send(written.clone().map(|()| offsets));
        }
        for answer in group.answers {
            let _ = answer.send(written.clone());
        }
    }

    fn write(&mut self, batch: OwnedWriteBatch, mode: PersistMode) -> Result<()> {
        if self.poisoned {
            return Err(Error::unavailable("log.unavailable", "a sync failed: the log must be opened again"));
        }
        let groups = self.state.groups.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::trace!(groups, "a group of the log");
        batch.durability(Some(mode)).commit().map_err(|error| {
            tracing::error!(%error, "the log could not be written: it must be opened again");
            self.poisoned = true;
            unavailable(error)
        })
    }

    fn declare(&mut self, topic: &Topic) -> Result<()> {
        let present = self.state.topic(&topic.name).ok();
        if let Some(present) =
            present.as_ref().filter(|it| it.partitions.len() != usize::from(topic.partitions))
        {
            return Err(Error::precondition(
                "log.partitions_differ",
                "the number of partitions of a topic is fixed by its first declaration",
            )
            .with("topic", &topic.name)
            .with("partitions", present.partitions.len()));
        }
        let retention = (topic.max_age, topic.max_bytes);
        if present.as_ref().is_some_and(|present| *present.retention.read() == retention) {
            return Ok(());
        }
        let next_id = || self.state.topics().iter().map(|topic| topic.id + 1).max().unwrap_or(0);
        let id = present.as_ref().map_or_else(next_id, |present| present.id);
        let mut batch = self.state.database.batch();
        batch.insert(&self.state.rows, topic_key(&topic.name), encode_topic(id, topic)?);
        // Synced with the first append: it stands before it in the same journal.
        self.write(batch, PersistMode::Buffer)?;
        match present {
            Some(present) => *present.retention.write() = retention,
            None => self.state.add(TopicState {
                name: topic.name.clone(),
                id,
                retention: RwLock::new(retention),
                partitions: (0..topic.partitions).map(|_| Partition::default()).collect(),
            }),
        }
        Ok(())
    }

    fn retain(&mut self) -> Result<()> {
        for topic in self.state.topics() {
            if *topic.retention.read() == (None, None) {
                continue;
            }
            for number in 0..topic.partitions.len() {
                while self.retain_some(&topic, number as u16)? {}
            }
        }
        Ok(())
    }

    /// Removes the oldest records of a partition; whether there may be more.
    fn retain_some(&mut self, topic: &Arc<TopicState>, number: u16) -> Result<bool> {
        let (max_age, max_bytes) = *topic.retention.read();
        let now = self.runtime.now();
        let partition = topic.partitions.get(usize::from(number)).ok_or_else(|| undeclared(&topic.name))?;
        let total = partition.total.load(Ordering::Acquire);
        let mut batch = self.state.database.batch();
        let mut first = partition.first.load(Ordering::Acquire);
        let oldest = self.state.read_stored(topic, number, first, RETAIN_AT_ONCE)?;
        let looked_at = oldest.len();
        let mut removed = 0;
        for stored in oldest {
            let size = (stored.record.key.len() + stored.record.value.len()) as u64;
            let kept = (total + size).saturating_sub(stored.total);
            let too_old = max_age.is_some_and(|age| now.since(stored.record.time) > age);
            if !too_old && max_bytes.is_none_or(|bytes| kept <= bytes) {
                break;
            }
            batch.remove_weak(&self.state.rows, row_key(topic.id, number, stored.record.offset));
            first = stored.record.offset + 1;
            removed += 1;
        }
        if removed == 0 {
            return Ok(false);
        }
        batch.insert(&self.state.rows, first_key(topic.id, number), first.to_be_bytes());
        // Shown before it is done: a reader must not take the gap for damage.
        partition.first.store(first, Ordering::Release);
        self.write(batch, PersistMode::Buffer)?;
        Ok(removed == looked_at && looked_at == RETAIN_AT_ONCE)
    }
}

impl Group {
    fn append(&mut self, state: &State, topic: &Arc<TopicState>, records: &[NewRecord]) -> Vec<u64> {
        let mut offsets = Vec::with_capacity(records.len());
        for record in records {
            let number = partition_of(&record.key, topic.partitions.len() as u16);
            let Some(partition) = topic.partitions.get(usize::from(number)) else { continue };
            let end = self.ends.entry((topic.id, number)).or_insert_with(|| End {
                topic: Arc::clone(topic),
                next: *partition.end.borrow(),
                total: partition.total.load(Ordering::Acquire),
            });
            let key = row_key(topic.id, number, end.next);
            end.total += record.bytes() as u64;
            self.batch.insert(&state.rows, key, encode(&key, self.time, end.total, record));
            self.bytes += record.bytes();
            offsets.push(end.next);
            end.next += 1;
        }
        offsets
    }
}
