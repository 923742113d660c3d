//! Consumer groups over all nodes.
//!
//! A node is one static member of a group, however many subscriptions it has: Kafka shares the partitions out among the
//! nodes, and each node shares its own out among its subscriptions. So a node that restarts within the session finds its
//! partitions again and nothing moves; one that stays away loses them after it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use parking_lot::Mutex;
use platform_core::kernel::{BoxFuture, Error, Result};
use platform_core::ports::log::{Groups, Record, Source, Subscription, undeclared};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::watch;

use super::Inner;
use super::config::millis;
use super::error::{closed, late, unavailable};
use super::query::{blocking, tell};
use super::topics::TopicState;

/// How soon a membership that nobody needs any more is given up.
const LOOK: Duration = Duration::from_millis(100);
/// Between two tries of a commit while the group is shared out anew.
const AGAIN: Duration = Duration::from_millis(20);
/// Heartbeats in a session: some may be lost.
const HEARTBEATS: u32 = 10;
/// Nothing is gained by a slower one.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The groups that this node is a member of, by group and topic.
#[derive(Default)]
pub(super) struct Memberships(Mutex<BTreeMap<(String, String), Weak<Membership>>>);

/// This node, as a member of one group for one topic.
struct Membership {
    log: Arc<Inner>,
    topic: Arc<TopicState>,
    consumer: Arc<BaseConsumer<Assignment>>,
    /// The subscriptions of this node.
    groups: Groups,
    /// One commit at a time: each blocks a thread, for longer than its caller waits when the brokers are away.
    committing: Arc<tokio::sync::Mutex<()>>,
    is_over: Arc<AtomicBool>,
}

/// What Kafka has assigned to this node.
struct Assignment {
    partitions: watch::Sender<BTreeMap<u16, u64>>,
    /// So many were assigned, ever.
    count: AtomicU64,
    has_joined: watch::Sender<bool>,
    has_failed: watch::Sender<bool>,
}

impl ClientContext for Assignment {
    fn log(&self, level: RDKafkaLogLevel, what: &str, message: &str) {
        tell(level, what, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka");
    }
}

impl ConsumerContext for Assignment {
    fn pre_rebalance(&self, _: &BaseConsumer<Assignment>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(revoked) = rebalance {
            let revoked: Vec<u16> = revoked.elements().iter().map(|it| it.partition() as u16).collect();
            self.partitions.send_modify(|own| own.retain(|partition, _| !revoked.contains(partition)));
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Assignment>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(assigned) = rebalance else { return };
        // The records are read as all others are, by the follower and the readers of the log.
        if assigned.count() > 0
            && let Err(error) = consumer.pause(assigned)
        {
            tracing::warn!(%error, "Kafka fetches records that are not needed");
        }
        self.partitions.send_modify(|own| {
            for element in assigned.elements() {
                own.insert(element.partition() as u16, self.count.fetch_add(1, Ordering::Relaxed));
            }
        });
        self.has_joined.send_replace(true);
    }
}

impl Memberships {
    /// Joins a group, as one more subscription of this node.
    pub(super) async fn subscribe(
        &self,
        log: &Arc<Inner>,
        group: &str,
        topic: Arc<TopicState>,
    ) -> Result<Box<dyn Subscription>> {
        let membership = self.membership(log, group, &topic)?;
        let assignment = membership.consumer.context();
        let mut joined = assignment.has_joined.subscribe();
        let joined = tokio::time::timeout(log.config.timeout, joined.wait_for(|joined| *joined));
        joined.await.map_err(|_| late())?.map_err(|_| late())?;
        let (ends, assigned) = (log.ends_of(&topic), assignment.partitions.subscribe());
        let source: Arc<dyn Source> = Arc::clone(&membership) as _;
        let member = membership.groups.join_assigned(source, group, &topic.name, ends, assigned);
        Ok(Box::new(Member { member, has_failed: assignment.has_failed.subscribe() }))
    }

    fn membership(&self, log: &Arc<Inner>, group: &str, topic: &Arc<TopicState>) -> Result<Arc<Membership>> {
        let mut memberships = self.0.lock();
        memberships.retain(|_, membership| membership.strong_count() > 0);
        let name = (group.to_owned(), topic.name.clone());
        if let Some(membership) = memberships.get(&name).and_then(Weak::upgrade)
            && !*membership.consumer.context().has_failed.borrow()
        {
            return Ok(membership);
        }
        let membership = Arc::new(Membership::start(log, group, topic)?);
        memberships.insert(name, Arc::downgrade(&membership));
        Ok(membership)
    }
}

impl Membership {
    fn start(log: &Arc<Inner>, group: &str, topic: &Arc<TopicState>) -> Result<Membership> {
        let session = log.config.session_timeout;
        // A group of Kafka is for all topics of its members; ours is for one.
        let mut client = log.config.consumer(&format!("{}-{group}", topic.name));
        client
            .set("group.instance.id", &log.config.node)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", millis(session))
            .set("heartbeat.interval.ms", millis((session / HEARTBEATS).min(HEARTBEAT)));
        let assignment = Assignment {
            partitions: watch::Sender::default(),
            count: AtomicU64::default(),
            has_joined: watch::Sender::default(),
            has_failed: watch::Sender::default(),
        };
        let consumer: BaseConsumer<Assignment> =
            client.create_with_context(assignment).map_err(unavailable)?;
        consumer.subscribe(&[&topic.full_name]).map_err(unavailable)?;
        let (consumer, is_over) = (Arc::new(consumer), Arc::new(AtomicBool::new(false)));
        let (looked_after, stop) = (Arc::clone(&consumer), Arc::clone(&is_over));
        std::thread::Builder::new()
            .name("kafka-group".to_owned())
            .spawn(move || look_after(&looked_after, &stop))
            .map_err(|error| Error::unavailable("log.unavailable", "no thread for a group").because(error))?;
        let (log, topic) = (Arc::clone(log), Arc::clone(topic));
        Ok(Membership {
            log,
            topic,
            consumer,
            groups: Groups::default(),
            committing: Arc::default(),
            is_over,
        })
    }
}

/// Lets the consumer do what its group asks of it.
fn look_after(consumer: &BaseConsumer<Assignment>, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        match consumer.poll(LOOK) {
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                tracing::error!(%code, "this node is not a member of its group any more: is another one named like it?");
                consumer.context().partitions.send_replace(BTreeMap::new());
                consumer.context().has_failed.send_replace(true);
                return;
            }
            Some(Err(error)) => tracing::debug!(%error, "a group of Kafka waits"),
            Some(Ok(_)) | None => {}
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
    }
}

impl Source for Membership {
    fn read<'a>(
        &'a self,
        _topic: &'a str,
        partition: u16,
        from: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>>> {
        Box::pin(self.log.read(&self.topic, partition, from, limit))
    }

    fn offset<'a>(&'a self, _group: &'a str, _topic: &'a str, partition: u16) -> BoxFuture<'a, Result<u64>> {
        let (consumer, timeout) = (Arc::clone(&self.consumer), self.log.config.timeout);
        let topic = self.topic.full_name.clone();
        Box::pin(blocking(timeout, move || {
            let mut list = TopicPartitionList::new();
            list.add_partition(&topic, i32::from(partition));
            let list = consumer.committed_offsets(list, timeout).map_err(unavailable)?;
            let committed = list.elements().first().map(|element| element.offset());
            Ok(match committed {
                Some(Offset::Offset(offset)) => offset as u64,
                _ => 0,
            })
        }))
    }

    fn set_offset<'a>(
        &'a self,
        _group: &'a str,
        topic: &'a str,
        partition: u16,
        offset: u64,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.topic.partition(partition).map_err(|_| undeclared(topic))?;
            if !self.consumer.context().partitions.borrow().contains_key(&partition) {
                return Err(Error::unavailable("log.unavailable", "the partition is another node's now"));
            }
            let (consumer, topic) = (Arc::clone(&self.consumer), self.topic.full_name.clone());
            let timeout = self.log.config.timeout;
            let turn = tokio::time::timeout(timeout, Arc::clone(&self.committing).lock_owned()).await;
            let turn = turn.map_err(|_| late())?;
            blocking(timeout, move || {
                // Until the brokers have answered, though nobody waits any more.
                let _turn = turn;
                commit(&consumer, &topic, partition, offset, timeout)
            })
            .await
        })
    }
}

/// Commits, also while the group is being shared out anew: as long as the partition stays with this node.
fn commit(
    consumer: &BaseConsumer<Assignment>,
    topic: &str,
    partition: u16,
    offset: u64,
    timeout: Duration,
) -> Result<()> {
    let begun = Instant::now();
    let mut list = TopicPartitionList::new();
    let upto = Offset::Offset(offset as i64);
    list.add_partition_offset(topic, i32::from(partition), upto).map_err(unavailable)?;
    loop {
        let error = match consumer.commit(&list, CommitMode::Sync) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let is_moving = matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::IllegalGeneration | RDKafkaErrorCode::RebalanceInProgress)
        );
        let is_own = consumer.context().partitions.borrow().contains_key(&partition);
        if !is_moving || !is_own || begun.elapsed() >= timeout {
            return Err(unavailable(error));
        }
        std::thread::sleep(AGAIN);
    }
}

/// A subscription that ends when this node is not a member any more.
struct Member {
    member: Box<dyn Subscription>,
    has_failed: watch::Receiver<bool>,
}

impl Subscription for Member {
    fn next(&mut self, limit: usize) -> BoxFuture<'_, Result<Vec<Record>>> {
        Box::pin(async move {
            let failed = std::pin::pin!(self.has_failed.wait_for(|failed| *failed));
            match select(self.member.next(limit), failed).await {
                Either::Left((records, _)) => records,
                Either::Right(_) => Err(closed("this node is not a member of the group any more")),
            }
        })
    }

    fn commit(&mut self, partition: u16, offset: u64) -> BoxFuture<'_, Result<()>> {
        self.member.commit(partition, offset)
    }
}
