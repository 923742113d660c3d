//! The event log on Kafka (4.0 and newer).
//!
//! - A topic is one of Kafka's, named `PREFIX-NAME`. Records of one key stand in the partition that the port says, not in
//!   the one that Kafka's own producers would choose.
//! - Events stand there as CloudEvents in structured mode, so that any consumer can read them.
//! - An append is acknowledged by all replicas that are in sync. When one fails, nothing that was queued behind it comes to
//!   stand (`appender`).
//! - What any node appends comes to every node within milliseconds, and its end is told only then: who sees an end finds
//!   the records in memory (`follower`). Who is behind reads from the brokers (`readers`).
//! - Groups are Kafka's own, with a static member per node (`group`).
//! - Kafka removes old records by whole segments, when it comes to it; [`EventLog::retain`] removes them to the record.

mod appender;
mod config;
mod declare;
mod error;
mod follower;
mod group;
mod query;
mod readers;
mod retention;
#[cfg(test)]
mod tests;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use platform_core::kernel::{BoxFuture, Error, Result};
use platform_core::ports::log::{EventLog, NewRecord, Record, Subscription, Topic};
use platform_core::ports::runtime::Runtime;
use tokio::sync::watch;

use appender::Appender;
pub use config::KafkaConfig;
#[cfg(feature = "kafka-tls")]
pub use config::KafkaTls;
use declare::Admin;
use error::{damaged, late, unavailable};
use follower::Follower;
use group::Memberships;
use query::{Query, Told};
use readers::{Readers, Span};
use topics::{TopicState, Topics};

/// How often it is looked whether a record is there that the brokers have and do not find.
const TRIES: u32 = 3;
/// Between them: a leader that was just elected finds its records within milliseconds.
const AGAIN: Duration = Duration::from_millis(20);

/// The event log on Kafka, as one node has it. Clones are the same node; it is closed with the last of them and of its
/// subscriptions.
#[derive(Clone)]
pub struct KafkaLog(Arc<Inner>);

struct Inner {
    config: KafkaConfig,
    runtime: Arc<dyn Runtime>,
    topics: Arc<Topics>,
    appender: Appender,
    follower: Follower,
    readers: Readers,
    query: Query,
    admin: Admin,
    memberships: Memberships,
    /// One declaration at a time.
    declaring: tokio::sync::Mutex<()>,
}

impl KafkaLog {
    /// Connects to the brokers and finds the topics of the cluster there. The time of records and for retention is that of
    /// `runtime`; deadlines are those of the tokio runtime.
    ///
    /// # Errors
    /// `log.invalid_config`; `log.unavailable` when no broker answers within [`KafkaConfig::timeout`].
    pub async fn connect(config: &KafkaConfig, runtime: Arc<dyn Runtime>) -> Result<KafkaLog> {
        config.check()?;
        let topics = Arc::new(Topics::default());
        let asking = config.client().create_with_context(Told).map_err(unavailable)?;
        let inner = Inner {
            query: Query::new(asking, config.timeout),
            appender: Appender::start(config)?,
            follower: Follower::start(config, Arc::clone(&topics))?,
            readers: Readers::new(config),
            admin: Admin::new(config)?,
            memberships: Memberships::default(),
            declaring: tokio::sync::Mutex::default(),
            config: config.clone(),
            runtime,
            topics,
        };
        inner.find_topics().await?;
        Ok(KafkaLog(Arc::new(inner)))
    }
}

impl Inner {
    /// Takes up the topics that are there.
    async fn find_topics(&self) -> Result<()> {
        let prefix = self.config.topic("");
        let is_ours =
            |name: &str| name.strip_prefix(&prefix).is_some_and(|name| Topic::new(name, 1).check().is_ok());
        let there = self.query.partitions(None).await?;
        let found: Vec<(String, u16)> = there.into_iter().filter(|(name, _)| is_ours(name)).collect();
        let bounds = self.query.bounds(found.clone()).await?;
        for ((full_name, _), bounds) in found.iter().zip(bounds) {
            let name = full_name.strip_prefix(&prefix).unwrap_or(full_name);
            self.take_up(Arc::new(TopicState::new(name, full_name.clone(), &bounds))).await?;
        }
        Ok(())
    }

    async fn take_up(&self, topic: Arc<TopicState>) -> Result<()> {
        // Known first: what the follower brings is for a topic that is known.
        if self.topics.add(Arc::clone(&topic)) {
            self.follower.follow(topic).await?;
        }
        Ok(())
    }

    async fn declare(&self, topic: &Topic) -> Result<()> {
        topic.check()?;
        let declared = tokio::time::timeout(self.config.timeout, self.declare_in_turn(topic));
        declared.await.unwrap_or_else(|_| Err(late()))
    }

    async fn declare_in_turn(&self, topic: &Topic) -> Result<()> {
        let _alone = self.declaring.lock().await;
        let state = match self.topics.get(&topic.name) {
            Ok(state) => state,
            Err(_) => self.create(topic).await?,
        };
        if state.count() != topic.partitions {
            return Err(Error::precondition(
                "log.partitions_differ",
                "the number of partitions of a topic is fixed by its first declaration",
            )
            .with("topic", &topic.name)
            .with("partitions", state.count()));
        }
        if state.declared.lock().as_ref() != Some(topic) {
            self.admin.set_retention(&state.full_name, topic).await?;
            *state.declared.lock() = Some(topic.clone());
        }
        Ok(())
    }

    /// Makes a topic, or takes up the one that another node has just made.
    async fn create(&self, topic: &Topic) -> Result<Arc<TopicState>> {
        let full_name = self.config.topic(&topic.name);
        let is_new = self.admin.create(&full_name, topic).await?;
        // It takes a moment until the brokers know of it.
        let partitions = loop {
            let there = self.query.partitions(Some(full_name.clone())).await?;
            match there.get(&full_name) {
                Some(count) if *count == topic.partitions || !is_new && *count > 0 => break *count,
                _ => tokio::time::sleep(AGAIN).await,
            }
        };
        let bounds =
            self.query.bounds(vec![(full_name.clone(), partitions)]).await?.pop().unwrap_or_default();
        let state = Arc::new(TopicState::new(&topic.name, full_name, &bounds));
        if is_new {
            *state.declared.lock() = Some(topic.clone());
        }
        self.take_up(Arc::clone(&state)).await?;
        Ok(state)
    }

    async fn bounds_of(&self, topic: &TopicState) -> Result<Vec<(u64, u64)>> {
        let asked = vec![(topic.full_name.clone(), topic.count())];
        let bounds = self.query.bounds(asked).await?.pop().unwrap_or_default();
        for (partition, (first, end)) in topic.partitions.iter().zip(&bounds) {
            partition.remove(*first);
            partition.told(*end);
        }
        Ok(bounds)
    }

    fn ends_of(&self, topic: &TopicState) -> Vec<watch::Receiver<u64>> {
        topic.partitions.iter().map(topics::Partition::watch).collect()
    }

    /// Reads from memory what is there, and the rest from the brokers.
    async fn read(
        &self,
        topic: &Arc<TopicState>,
        number: u16,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let partition = topic.partition(number)?;
        if partition.has_lost() {
            return Err(damaged(&topic.name, number, from));
        }
        let (from, end) = (from.max(partition.first()), partition.known_end());
        if limit == 0 || from >= end {
            return Ok(Vec::new());
        }
        let upto = end.min(from.saturating_add(limit as u64));
        if let Some(records) = self.recent(partition, from, upto, limit).await? {
            return Ok(records);
        }
        let read =
            tokio::time::timeout(self.config.timeout, self.read_from_brokers(topic, number, from, limit));
        read.await.unwrap_or_else(|_| Err(late()))
    }

    /// The records from memory, when the first of them is there, or on its way.
    async fn recent(
        &self,
        partition: &topics::Partition,
        from: u64,
        upto: u64,
        limit: usize,
    ) -> Result<Option<Vec<Record>>> {
        let mut came = partition.watch();
        let is_recent = from >= *came.borrow() || partition.recent(from, 1).is_some();
        if !is_recent {
            return Ok(None);
        }
        // What this node has appended comes back within milliseconds.
        let came = tokio::time::timeout(self.config.timeout, came.wait_for(|came| *came >= upto)).await;
        came.map_err(|_| late())?.map_err(|_| late())?;
        Ok(partition.recent(from, limit))
    }

    async fn read_from_brokers(
        &self,
        topic: &Arc<TopicState>,
        number: u16,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let partition = topic.partition(number)?;
        let end = partition.known_end();
        let span = |from| Span { topic: Arc::clone(topic), partition: number, from, end, limit };
        if self.readers.stand_at(&span(from)) {
            let records = self.readers.read(span(from)).await?;
            if !records.is_empty() {
                return Ok(records);
            }
        }
        let mut from = from;
        for _ in 0..TRIES {
            let bounds = self.bounds_of(topic).await?;
            let there = bounds.get(usize::from(number)).map_or(0, |(_, end)| *end);
            from = from.max(partition.first());
            if from >= end {
                return Ok(Vec::new());
            }
            if from < there {
                let records = self.readers.read(span(from)).await?;
                if !records.is_empty() {
                    return Ok(records);
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
        Err(damaged(&topic.name, number, from))
    }
}

impl EventLog for KafkaLog {
    fn declare<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.0.declare(topic))
    }

    fn append<'a>(&'a self, topic: &'a str, records: Vec<NewRecord>) -> BoxFuture<'a, Result<Vec<u64>>> {
        Box::pin(async move {
            let topic = self.0.topics.get(topic)?;
            records.iter().try_for_each(NewRecord::check)?;
            if records.is_empty() {
                return Ok(Vec::new());
            }
            self.0.appender.append(topic, records, self.0.runtime.now()).await
        })
    }

    fn read<'a>(
        &'a self,
        topic: &'a str,
        partition: u16,
        from: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>>> {
        Box::pin(async move { self.0.read(&self.0.topics.get(topic)?, partition, from, limit).await })
    }

    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<(u64, u64)>>> {
        Box::pin(async move { self.0.bounds_of(&*self.0.topics.get(topic)?).await })
    }

    fn ends(&self, topic: &str) -> Result<Vec<watch::Receiver<u64>>> {
        Ok(self.0.ends_of(&*self.0.topics.get(topic)?))
    }

    fn retain(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.0.let_go())
    }

    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>>> {
        Box::pin(async move {
            let topic = self.0.topics.get(topic)?;
            self.0.memberships.subscribe(&self.0, group, topic).await
        })
    }
}
