//! Questions to the brokers that only a blocked thread can ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use platform_core::kernel::{Error, Result};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::oneshot;

use super::error::{late, unavailable};

/// Between two tries, while a leader is elected.
const AGAIN: Duration = Duration::from_millis(20);

/// What a client has to say goes to the log; that it tries again is nothing that a person has to look at.
pub(super) struct Told;

impl ClientContext for Told {
    fn log(&self, level: RDKafkaLogLevel, what: &str, message: &str) {
        tell(level, what, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka");
    }
}

impl ConsumerContext for Told {}

pub(super) fn tell(level: RDKafkaLogLevel, what: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(what, "Kafka: {message}");
        }
        _ => tracing::debug!(what, "Kafka: {message}"),
    }
}

/// Runs what blocks, and waits for it for a limited time. On a thread of its own: nothing waits for one that hangs, as the
/// end of a tokio runtime would.
pub(super) async fn blocking<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (answer, answered) = oneshot::channel();
    let run = move || {
        // Nobody is there any more when it took too long.
        let _ = answer.send(work());
    };
    std::thread::Builder::new().name("kafka-request".to_owned()).spawn(run).map_err(|error| {
        Error::unavailable("log.unavailable", "no thread for a request to Kafka").because(error)
    })?;
    match tokio::time::timeout(limit, answered).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) | Err(_) => Err(late()),
    }
}

/// A client for questions. It fetches nothing: a fetch that waits would hold up what is asked on its connection.
#[derive(Clone)]
pub(super) struct Query {
    client: Arc<BaseConsumer<Told>>,
    timeout: Duration,
}

impl Query {
    pub(super) fn new(client: BaseConsumer<Told>, timeout: Duration) -> Query {
        Query { client: Arc::new(client), timeout }
    }

    /// How many partitions topics have: this one, or all.
    pub(super) async fn partitions(&self, topic: Option<String>) -> Result<BTreeMap<String, u16>> {
        self.ask(move |client, left| {
            let metadata = client.fetch_metadata(topic.as_deref(), left)?;
            let counted = metadata.topics().iter().filter(|topic| topic.error().is_none());
            Ok(counted.map(|topic| (topic.name().to_owned(), topic.partitions().len() as u16)).collect())
        })
        .await
    }

    /// The first offset and the end of each partition of topics.
    pub(super) async fn bounds(&self, topics: Vec<(String, u16)>) -> Result<Vec<Vec<(u64, u64)>>> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(move |client, left| {
            // The ends last: a first is never behind its end.
            let firsts = offsets(client, &topics, Offset::Beginning, left);
            let firsts = firsts.inspect_err(|_| refresh(client, &topics, left))?;
            let ends = offsets(client, &topics, Offset::End, left)?;
            let together = |(firsts, ends): (Vec<Option<u64>>, Vec<Option<u64>>)| {
                firsts.into_iter().zip(ends).map(|(first, end)| (first.unwrap_or(0), end.unwrap_or(0)))
            };
            Ok(firsts.into_iter().zip(ends).map(|bounds| together(bounds).collect()).collect())
        })
        .await
    }

    /// The first record of each partition that is not older than a time, in milliseconds; `None` when all are older.
    pub(super) async fn since(&self, topic: String, partitions: u16, time: i64) -> Result<Vec<Option<u64>>> {
        self.ask(move |client, left| {
            let asked = [(topic.clone(), partitions)];
            Ok(offsets(client, &asked, Offset::Offset(time), left)?.pop().unwrap_or_default())
        })
        .await
    }

    /// Asks until there is an answer, or the time is over.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&BaseConsumer<Told>, Duration) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T> {
        let (client, timeout) = (Arc::clone(&self.client), self.timeout);
        blocking(timeout, move || {
            let begun = Instant::now();
            loop {
                let left = timeout.saturating_sub(begun.elapsed());
                match question(&client, left) {
                    Ok(answer) => return Ok(answer),
                    Err(error) if left <= AGAIN => return Err(unavailable(error)),
                    Err(_) => std::thread::sleep(AGAIN),
                }
            }
        })
        .await
    }
}

/// Asks anew where the partitions of topics are: what the client remembers may be from before they were made.
fn refresh(client: &BaseConsumer<Told>, topics: &[(String, u16)], left: Duration) {
    for (topic, _) in topics {
        if client.fetch_metadata(Some(topic), left).is_err() {
            return;
        }
    }
}

/// What `wanted` means in each partition of each topic.
fn offsets(
    client: &BaseConsumer<Told>,
    topics: &[(String, u16)],
    wanted: Offset,
    left: Duration,
) -> Result<Vec<Vec<Option<u64>>>, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (topic, partitions) in topics {
        for partition in 0..*partitions {
            list.add_partition_offset(topic, i32::from(partition), wanted)?;
        }
    }
    let answer = client.offsets_for_times(list, left)?;
    let mut found = BTreeMap::new();
    for element in answer.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            found.insert((element.topic().to_owned(), element.partition()), offset as u64);
        }
    }
    let of_topic = |(topic, partitions): &(String, u16)| {
        (0..*partitions).map(|number| found.get(&(topic.clone(), i32::from(number))).copied()).collect()
    };
    Ok(topics.iter().map(of_topic).collect())
}
