//! Reads what is not in memory: a few consumers, each of which goes on where it was.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use platform_core::kernel::Result;
use platform_core::ports::log::Record;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::Semaphore;

use super::config::KafkaConfig;
use super::error::{closed, damaged, late, unavailable};
use super::follower::record;
use super::query::{Told, blocking};
use super::topics::TopicState;

/// Consumers at most, each with a thread per broker: so many handlers catch up at once.
const READERS: usize = 8;
/// A consumer that nobody needed for so long is ended.
const IDLE: Duration = Duration::from_secs(60);
/// KiB that each fetches ahead.
const AHEAD_KIB: &str = "1024";
/// Bytes that are fetched of a partition at once.
const FETCH_BYTES: &str = "524288";
/// How long a fetch waits for a record, in milliseconds: so long a reader waits at most that is to go elsewhere.
const WAIT_MS: &str = "20";

pub(super) struct Readers {
    config: ClientConfig,
    timeout: Duration,
    turns: Semaphore,
    idle: Arc<Mutex<Vec<Reader>>>,
}

/// A consumer of one partition.
struct Reader {
    consumer: BaseConsumer<Told>,
    /// What comes next: topic, partition, offset.
    at: Option<(String, u16, u64)>,
    /// Topics that it knows the places of.
    topics: BTreeSet<String>,
    used: Instant,
}

/// Records to read: of a partition, from an offset that is there up to an end that is there.
pub(super) struct Span {
    pub(super) topic: Arc<TopicState>,
    pub(super) partition: u16,
    pub(super) from: u64,
    pub(super) end: u64,
    pub(super) limit: usize,
}

impl Readers {
    pub(super) fn new(config: &KafkaConfig) -> Readers {
        let mut client = config.consumer("readers");
        client
            .set("queued.max.messages.kbytes", AHEAD_KIB)
            .set("fetch.message.max.bytes", FETCH_BYTES)
            .set("fetch.wait.max.ms", WAIT_MS);
        let (timeout, turns) = (config.timeout, Semaphore::new(READERS));
        Readers { config: client, timeout, turns, idle: Arc::default() }
    }

    /// Whether a reader goes on there.
    pub(super) fn stand_at(&self, span: &Span) -> bool {
        self.idle.lock().iter().any(|reader| reader.goes_on(span))
    }

    /// The records of a span, at least one; none when the first of them is not there any more.
    pub(super) async fn read(&self, span: Span) -> Result<Vec<Record>> {
        let turn = tokio::time::timeout(self.timeout, self.turns.acquire()).await.map_err(|_| late())?;
        let _turn = turn.map_err(|_| closed("the log was closed"))?;
        let (config, idle, deadline) =
            (self.config.clone(), Arc::clone(&self.idle), Instant::now() + self.timeout);
        let busy = READERS - self.turns.available_permits().min(READERS);
        blocking(self.timeout, move || {
            let mut reader = match take(&idle, &span, busy) {
                Some(reader) => reader,
                None => Reader::new(&config)?,
            };
            let read = reader.read(&span, deadline);
            reader.used = Instant::now();
            idle.lock().push(reader);
            read
        })
        .await
    }

    /// Ends those that nobody has needed for a while.
    pub(super) fn end_idle(&self) {
        let mut idle = self.idle.lock();
        let (keep, over): (Vec<_>, Vec<_>) = idle.drain(..).partition(|reader| reader.used.elapsed() < IDLE);
        *idle = keep;
        drop(idle);
        // Their ends take a moment.
        drop(over);
    }
}

/// The reader that goes on there, or one that stands elsewhere when there are enough, with those that are busy.
fn take(idle: &Mutex<Vec<Reader>>, span: &Span, busy: usize) -> Option<Reader> {
    let mut idle = idle.lock();
    let there = idle.iter().position(|reader| reader.goes_on(span));
    let unused = || idle.iter().enumerate().min_by_key(|(_, reader)| reader.used).map(|(at, _)| at);
    let at = there.or_else(|| if idle.len() + busy <= READERS { None } else { unused() })?;
    Some(idle.swap_remove(at))
}

impl Reader {
    fn new(config: &ClientConfig) -> Result<Reader> {
        let consumer = config.create_with_context(Told).map_err(unavailable)?;
        Ok(Reader { consumer, at: None, topics: BTreeSet::new(), used: Instant::now() })
    }

    fn goes_on(&self, span: &Span) -> bool {
        self.at.as_ref().is_some_and(|(topic, partition, offset)| {
            (topic, *partition, *offset) == (&span.topic.full_name, span.partition, span.from)
        })
    }

    fn read(&mut self, span: &Span, deadline: Instant) -> Result<Vec<Record>> {
        if !self.goes_on(span) {
            self.seek(span, deadline)?;
        }
        // Where it stands is known again when all went well.
        self.at = None;
        let (mut found, mut next) = (Vec::new(), span.from);
        while found.len() < span.limit && next < span.end {
            let Some(message) = self.poll(deadline)? else { return Ok(found) };
            let place = (message.topic(), message.partition(), message.offset() as u64);
            if place != (&span.topic.full_name, i32::from(span.partition), next) {
                // Retention has removed what was there a moment ago, or it is lost: who reads on looks again.
                return Ok(found);
            }
            match record(&message) {
                Some(record) => found.push(record),
                None if found.is_empty() => return Err(damaged(&span.topic.name, span.partition, next)),
                None => return Ok(found),
            }
            next += 1;
        }
        if next < span.end {
            self.at = Some((span.topic.full_name.clone(), span.partition, next));
        } else {
            // What comes then is read from memory: nothing is to be fetched any more.
            self.consumer.unassign().map_err(unavailable)?;
        }
        Ok(found)
    }

    /// The next record; none when it does not read.
    fn poll(&self, deadline: Instant) -> Result<Option<BorrowedMessage<'_>>> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.consumer.poll(left) {
                Some(Ok(message)) => return Ok(Some(message)),
                Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::BadMessage))) => return Ok(None),
                // It tries again by itself.
                Some(Err(error)) => tracing::debug!(%error, "a reader of the log waits"),
                None if left.is_zero() => return Err(late()),
                None => {}
            }
        }
    }

    fn seek(&mut self, span: &Span, deadline: Instant) -> Result<()> {
        self.at = None;
        if !self.topics.contains(&span.topic.full_name) {
            // A client that does not know yet where the partitions are looks for them only once a second.
            let left = deadline.saturating_duration_since(Instant::now());
            self.consumer.fetch_metadata(Some(&span.topic.full_name), left).map_err(unavailable)?;
            self.topics.insert(span.topic.full_name.clone());
        }
        let (topic, from) = (&span.topic.full_name, Offset::Offset(span.from as i64));
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, i32::from(span.partition), from).map_err(unavailable)?;
        self.consumer.assign(&list).map_err(unavailable)?;
        self.at = Some((topic.clone(), span.partition, span.from));
        Ok(())
    }
}
