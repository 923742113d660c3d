//! Makes topics, and says how long they keep their records.

use std::time::Duration;

use platform_core::kernel::{Error, Result};
use platform_core::ports::log::Topic;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::config::KafkaConfig;
use super::error::{late, unavailable};
use super::query::Told;

/// Between two tries, while the brokers cannot make a topic yet.
const AGAIN: Duration = Duration::from_millis(100);
/// What Kafka takes for ever.
const FOR_EVER: &str = "-1";

/// Changes what the brokers have.
pub(super) struct Admin {
    client: AdminClient<Told>,
    replication: u16,
    in_sync: u16,
    timeout: Duration,
}

/// The settings of a topic that a declaration says. Kafka counts its own bytes, too, so it may keep twice as many; how many
/// they are to the record is seen to by ourselves.
fn retention(topic: &Topic) -> [(&'static str, String); 2] {
    let told = |limit: Option<u128>| match limit {
        Some(limit) => limit.min(i64::MAX as u128).to_string(),
        None => FOR_EVER.to_owned(),
    };
    [
        ("retention.ms", told(topic.max_age.map(|age| age.as_millis()))),
        ("retention.bytes", told(topic.max_bytes.map(|bytes| 2 * u128::from(bytes)))),
    ]
}

impl Admin {
    pub(super) fn new(config: &KafkaConfig) -> Result<Admin> {
        let client = config.client().create_with_context(Told).map_err(unavailable)?;
        let (replication, in_sync) = (config.replication, config.in_sync());
        Ok(Admin { client, replication, in_sync, timeout: config.timeout })
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    /// Makes a topic; whether it is new.
    pub(super) async fn create(&self, full_name: &str, topic: &Topic) -> Result<bool> {
        let (in_sync, retention) = (self.in_sync.to_string(), retention(topic));
        let replication = TopicReplication::Fixed(i32::from(self.replication));
        let mut new = NewTopic::new(full_name, i32::from(topic.partitions), replication)
            .set("cleanup.policy", "delete")
            .set("min.insync.replicas", &in_sync)
            // The time of a record is that of the node that appended it, whatever the broker's clock says.
            .set("message.timestamp.type", "CreateTime")
            .set("message.timestamp.after.max.ms", "9223372036854775807");
        for (name, value) in &retention {
            new = new.set(name, value);
        }
        let (topics, options) = ([new], self.options());
        let create = async {
            loop {
                let answers = self.client.create_topics(&topics, &options).await.map_err(unavailable)?;
                match answers.into_iter().next() {
                    Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => return Ok(false),
                    // Brokers that have just started are not counted yet.
                    Some(Err((_, RDKafkaErrorCode::InvalidReplicationFactor))) => {
                        tokio::time::sleep(AGAIN).await;
                    }
                    Some(Err((_, code))) => return Err(unavailable(KafkaError::AdminOp(code))),
                    Some(Ok(_)) | None => return Ok(true),
                }
            }
        };
        tokio::time::timeout(self.timeout, create).await.unwrap_or_else(|_| Err(late()))
    }

    /// Says how long a topic that is there keeps its records, if it says something else.
    pub(super) async fn set_retention(&self, full_name: &str, topic: &Topic) -> Result<()> {
        let change = self.change_retention(full_name, topic);
        tokio::time::timeout(self.timeout, change).await.unwrap_or_else(|_| Err(late()))
    }

    async fn change_retention(&self, full_name: &str, topic: &Topic) -> Result<()> {
        let (resource, options) = (ResourceSpecifier::Topic(full_name), self.options());
        let described = self.client.describe_configs([&resource], &options).await.map_err(unavailable)?;
        let described: ConfigResource = match described.into_iter().next() {
            Some(described) => described.map_err(|code| unavailable(KafkaError::AdminOp(code)))?,
            None => return Err(Error::unavailable("log.unavailable", "Kafka does not tell of a topic")),
        };
        let retention = retention(topic);
        let is_said = |(name, value): &(&str, String)| {
            described.get(name).and_then(|entry| entry.value.as_ref()) == Some(value)
        };
        if retention.iter().all(is_said) {
            return Ok(());
        }
        // All that was said of the topic has to be said again: what is left out falls back to the brokers' defaults.
        let mut change = AlterConfig::new(resource);
        for entry in described.entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic) {
            if let (Some(value), None) =
                (&entry.value, retention.iter().find(|(name, _)| *name == entry.name))
            {
                change = change.set(&entry.name, value);
            }
        }
        for (name, value) in &retention {
            change = change.set(name, value);
        }
        let changed = self.client.alter_configs([&change], &options).await.map_err(unavailable)?;
        match changed.into_iter().next() {
            Some(Err((_, code))) => Err(unavailable(KafkaError::AdminOp(code))),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Removes the records of partitions before offsets.
    pub(super) async fn remove(&self, full_name: &str, firsts: &[(u16, u64)]) -> Result<()> {
        let mut list = TopicPartitionList::new();
        for (partition, first) in firsts {
            let first = Offset::Offset(*first as i64);
            list.add_partition_offset(full_name, i32::from(*partition), first).map_err(unavailable)?;
        }
        let options = self.options();
        let remove = self.client.delete_records(&list, &options);
        let removed = tokio::time::timeout(self.timeout, remove).await.map_err(|_| late())?;
        removed
            .and_then(|list| list.elements().iter().try_for_each(|element| element.error()))
            .map_err(unavailable)
    }
}
