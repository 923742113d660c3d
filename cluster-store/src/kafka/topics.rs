//! What a node knows of its topics.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use platform_core::kernel::Result;
use platform_core::ports::log::{RECORD_BYTES, Record, Topic, undeclared};
use tokio::sync::watch;

use super::retention::Weight;

/// Bytes of the last records of a topic that are kept in memory, some 8,000 events: what handlers read when they are not
/// behind.
const RECENT_BYTES: usize = 4 << 20;

/// All topics of the cluster, by their names.
#[derive(Default)]
pub(super) struct Topics(RwLock<BTreeMap<String, Arc<TopicState>>>);

impl Topics {
    pub(super) fn get(&self, name: &str) -> Result<Arc<TopicState>> {
        self.0.read().get(name).cloned().ok_or_else(|| undeclared(name))
    }

    pub(super) fn all(&self) -> Vec<Arc<TopicState>> {
        self.0.read().values().cloned().collect()
    }

    /// Adds one, unless it is there; whether it was added.
    pub(super) fn add(&self, topic: Arc<TopicState>) -> bool {
        let mut topics = self.0.write();
        let is_new = !topics.contains_key(&topic.name);
        if is_new {
            topics.insert(topic.name.clone(), topic);
        }
        is_new
    }
}

pub(super) struct TopicState {
    /// As the port says it.
    pub(super) name: String,
    /// As Kafka says it.
    pub(super) full_name: String,
    pub(super) partitions: Vec<Partition>,
    /// As this process declared it last.
    pub(super) declared: Mutex<Option<Topic>>,
}

impl TopicState {
    /// A topic whose partitions have these bounds.
    pub(super) fn new(name: &str, full_name: String, bounds: &[(u64, u64)]) -> TopicState {
        let bytes = (RECENT_BYTES / bounds.len().max(1)).max(RECORD_BYTES);
        let partitions = bounds.iter().map(|(first, end)| Partition::new(*first, *end, bytes)).collect();
        TopicState { name: name.to_owned(), full_name, partitions, declared: Mutex::default() }
    }

    pub(super) fn count(&self) -> u16 {
        self.partitions.len() as u16
    }

    pub(super) fn partition(&self, number: u16) -> Result<&Partition> {
        self.partitions.get(usize::from(number)).ok_or_else(|| undeclared(&self.name))
    }
}

/// What a node knows of a partition.
pub(super) struct Partition {
    first: AtomicU64,
    /// Behind the last record that the brokers have, as far as they told: it may not have come yet.
    told: AtomicU64,
    /// Behind the last record that came, as it is told.
    end: watch::Sender<u64>,
    recent: Mutex<Recent>,
    has_lost: AtomicBool,
    pub(super) weight: Mutex<Weight>,
}

/// What a record is that has come.
#[derive(PartialEq, Eq)]
pub(super) enum Arrived {
    /// The next one.
    New,
    /// From before the end: the brokers have lost what stood there.
    Lost,
    /// As the one before, which was told.
    Again,
}

/// The last records that came, without a gap.
struct Recent {
    records: VecDeque<Record>,
    /// Behind the last one.
    next: u64,
    bytes: usize,
    limit: usize,
}

impl Recent {
    fn clear(&mut self) {
        self.records.clear();
        self.bytes = 0;
    }

    fn push(&mut self, record: Record) {
        self.bytes += bytes(&record);
        self.records.push_back(record);
        while self.bytes > self.limit && self.pop() {}
    }

    fn pop(&mut self) -> bool {
        let Some(record) = self.records.pop_front() else { return false };
        self.bytes -= bytes(&record);
        true
    }
}

/// Key and value together.
pub(super) fn bytes(record: &Record) -> usize {
    record.key.len() + record.value.len()
}

impl Partition {
    fn new(first: u64, end: u64, limit: usize) -> Partition {
        Partition {
            first: first.into(),
            told: end.into(),
            end: watch::Sender::new(end),
            recent: Mutex::new(Recent { records: VecDeque::new(), next: end, bytes: 0, limit }),
            has_lost: AtomicBool::new(false),
            weight: Mutex::default(),
        }
    }

    pub(super) fn first(&self) -> u64 {
        self.first.load(Ordering::Acquire)
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// Everything before this can be read, once it has come.
    pub(super) fn known_end(&self) -> u64 {
        self.told.load(Ordering::Acquire).max(*self.end.borrow())
    }

    /// The brokers have told that everything before this is durable.
    pub(super) fn told(&self, end: u64) {
        self.told.fetch_max(end, Ordering::AcqRel);
    }

    /// A record has come, whoever appended it: `None` when it does not read.
    pub(super) fn arrive(&self, offset: u64, record: Option<Record>) -> Arrived {
        let mut recent = self.recent.lock();
        if offset < recent.next {
            // It stands where another one was. Who reads is told, until the handlers begin anew with the next start.
            return if self.has_lost.swap(true, Ordering::AcqRel) { Arrived::Again } else { Arrived::Lost };
        }
        if offset > recent.next {
            recent.clear();
        }
        match record {
            Some(record) => recent.push(record),
            // Who reads it is told.
            None => recent.clear(),
        }
        recent.next = offset + 1;
        Arrived::New
    }

    /// Whether the brokers have lost what they had.
    pub(super) fn has_lost(&self) -> bool {
        self.has_lost.load(Ordering::Acquire)
    }

    /// Tells the end of what has come.
    pub(super) fn tell(&self) {
        let next = self.recent.lock().next;
        self.end.send_if_modified(|end| std::mem::replace(end, next) != next);
    }

    /// Retention has removed everything before `first`.
    pub(super) fn remove(&self, first: u64) {
        if self.first.fetch_max(first, Ordering::AcqRel) < first {
            let mut recent = self.recent.lock();
            while recent.records.front().is_some_and(|record| record.offset < first) && recent.pop() {}
        }
    }

    /// The records from an offset on, at most `limit`, when they are among the last ones.
    pub(super) fn recent(&self, from: u64, limit: usize) -> Option<Vec<Record>> {
        let recent = self.recent.lock();
        let skipped = from.checked_sub(recent.records.front()?.offset)?;
        let skipped = usize::try_from(skipped).ok().filter(|skipped| *skipped < recent.records.len())?;
        Some(recent.records.iter().skip(skipped).take(limit).cloned().collect())
    }
}
