//! Follows the ends of all partitions: what any node appends comes here, within milliseconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use platform_core::kernel::{Error, Result, Timestamp};
use platform_core::ports::log::Record;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::config::KafkaConfig;
use super::error::unavailable;
use super::query::{Told, blocking};
use super::topics::{Arrived, TopicState, Topics};

/// How soon a log that was closed is let go.
const LOOK: Duration = Duration::from_millis(100);
/// Records at most whose ends are told together.
const AT_ONCE: usize = 256;
/// KiB that are fetched ahead: the thread only passes them on.
const AHEAD_KIB: &str = "8192";

/// How long a fetch waits for a record, in milliseconds: so long a topic that was just declared waits to join the next one.
const WAIT_MS: &str = "100";

/// One consumer for all partitions of all topics.
pub(super) struct Follower {
    consumer: Arc<BaseConsumer<Told>>,
    is_closed: Arc<AtomicBool>,
    timeout: Duration,
}

impl Follower {
    pub(super) fn start(config: &KafkaConfig, topics: Arc<Topics>) -> Result<Follower> {
        let mut client = config.consumer("follower");
        client.set("queued.max.messages.kbytes", AHEAD_KIB).set("fetch.wait.max.ms", WAIT_MS);
        let consumer: BaseConsumer<Told> = client.create_with_context(Told).map_err(unavailable)?;
        let (consumer, is_closed) = (Arc::new(consumer), Arc::new(AtomicBool::new(false)));
        let (fetching, stop, prefix) = (Arc::clone(&consumer), Arc::clone(&is_closed), config.topic(""));
        std::thread::Builder::new()
            .name("kafka-follower".to_owned())
            .spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    take(&fetching, &topics, &prefix);
                }
            })
            .map_err(|error| {
                Error::unavailable("log.unavailable", "no thread to follow the log").because(error)
            })?;
        Ok(Follower { consumer, is_closed, timeout: config.timeout })
    }

    /// Follows a topic from what is known as its ends on.
    pub(super) async fn follow(&self, topic: Arc<TopicState>) -> Result<()> {
        let (consumer, timeout) = (Arc::clone(&self.consumer), self.timeout);
        blocking(timeout, move || {
            let mut list = TopicPartitionList::new();
            for (number, partition) in topic.partitions.iter().enumerate() {
                let from = Offset::Offset(partition.known_end() as i64);
                list.add_partition_offset(&topic.full_name, number as i32, from).map_err(unavailable)?;
            }
            // A client that does not know yet where the partitions are looks for them only once a second.
            consumer.fetch_metadata(Some(&topic.full_name), timeout).map_err(unavailable)?;
            consumer.incremental_assign(&list).map_err(unavailable)
        })
        .await
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Release);
    }
}

/// Waits for records and passes them on to their partitions; those that came together are told together.
fn take(consumer: &BaseConsumer<Told>, topics: &Topics, prefix: &str) {
    let (mut came, mut wait) = (BTreeMap::new(), LOOK);
    for _ in 0..AT_ONCE {
        match consumer.poll(wait) {
            None => break,
            Some(Err(error)) => tracing::debug!(%error, "the follower of the log waits"),
            Some(Ok(message)) => {
                if let Some(topic) = pass_on(&message, topics, prefix) {
                    came.insert((topic.name.clone(), message.partition() as u16), topic);
                }
            }
        }
        wait = Duration::ZERO;
    }
    for ((_, number), topic) in came {
        if let Ok(partition) = topic.partition(number) {
            partition.tell();
        }
    }
}

/// Passes a record on; tells the topic that it is of.
fn pass_on(message: &impl Message, topics: &Topics, prefix: &str) -> Option<Arc<TopicState>> {
    let topic = message.topic().strip_prefix(prefix).and_then(|name| topics.get(name).ok())?;
    let (number, offset) = (message.partition() as u16, message.offset() as u64);
    if topic.partition(number).ok()?.arrive(offset, record(message)) == Arrived::Lost {
        tracing::error!(
            topic = topic.name,
            partition = number,
            offset,
            "the brokers have lost records of the log"
        );
    }
    Some(topic)
}

/// A record as the port tells it; `None` when its key is not a text.
pub(super) fn record(message: &impl Message) -> Option<Record> {
    let key = std::str::from_utf8(message.key().unwrap_or_default()).ok()?;
    let millis = message.timestamp().to_millis().and_then(|millis| u64::try_from(millis).ok());
    Some(Record {
        partition: message.partition() as u16,
        offset: message.offset() as u64,
        time: Timestamp::from_millis(millis.unwrap_or(0)),
        key: key.to_owned(),
        value: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    })
}
