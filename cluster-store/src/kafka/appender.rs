//! Appends records, idempotently and without gaps.
//!
//! Relays take what stands last in a partition as the proof that everything before it stands there, too. So when a record
//! fails, nothing that was queued behind it may come to stand: the whole producer is given up with all that it has queued,
//! and the next append gets a new one. What was on its way may still come to stand, from the front on; the caller is told
//! that it is not known.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use platform_core::kernel::{Error, Result, Timestamp};
use platform_core::ports::log::{NewRecord, partition_of};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig};
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::config::{KafkaConfig, millis};
use super::error::{closed, late, unavailable};
use super::query::tell;
use super::topics::TopicState;

/// Bytes that may wait for acknowledgements: a second of what a small cluster takes. A caller beyond that waits for room.
const WAITING_BYTES: usize = 32 << 20;
/// What a record takes beside its key and value.
const OVERHEAD_BYTES: usize = 128;
/// How often it is looked whether an append is overdue.
const LOOK: Duration = Duration::from_millis(50);

/// The header of the CloudEvents binding for Kafka, structured mode.
const CONTENT_TYPE: Header<'static, &'static str> =
    Header { key: "content-type", value: Some("application/cloudevents+json; charset=UTF-8") };
/// An event of ours has this among its attributes.
const IS_CLOUD_EVENT: &[u8] = br#""specversion":"1.0""#;

/// Appends of this node. It ends with its last clone.
pub(super) struct Appender {
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    timeout: Duration,
}

struct Shared {
    config: ClientConfig,
    timeout: Duration,
    state: Mutex<State>,
    /// There is a producer to look after, or nothing any more.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    producer: Option<Arc<BaseProducer<Deliveries>>>,
    /// In the order of their deadlines.
    waiting: VecDeque<(Instant, Arc<Append>)>,
    is_closed: bool,
}

/// What becomes of the records of one producer.
#[derive(Default)]
struct Deliveries {
    has_failed: AtomicBool,
}

/// An append that waits.
struct Append {
    topic: Arc<TopicState>,
    progress: Mutex<Progress>,
}

struct Progress {
    offsets: Vec<u64>,
    left: usize,
    answer: Option<oneshot::Sender<Result<Vec<u64>>>>,
    /// Given back when all records are settled.
    room: Option<OwnedSemaphorePermit>,
}

/// A record on its way.
struct Delivery {
    append: Arc<Append>,
    at: usize,
    partition: u16,
}

impl Append {
    fn is_over(&self) -> bool {
        self.progress.lock().left == 0
    }

    /// A record stands at this offset, or is given up.
    fn settle(&self, at: usize, outcome: Result<u64>) {
        let mut progress = self.progress.lock();
        progress.left = progress.left.saturating_sub(1);
        match outcome {
            Ok(offset) => {
                if let Some(place) = progress.offsets.get_mut(at) {
                    *place = offset;
                }
            }
            Err(error) => progress.answer(Err(error)),
        }
        if progress.left == 0 {
            let offsets = std::mem::take(&mut progress.offsets);
            progress.answer(Ok(offsets));
            progress.room = None;
        }
    }
}

impl Progress {
    /// Answers, unless it was answered. Nobody is there any more when the caller has given up.
    fn answer(&mut self, result: Result<Vec<u64>>) {
        if let Some(answer) = self.answer.take() {
            let _ = answer.send(result);
        }
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, what: &str, message: &str) {
        tell(level, what, message);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(rdkafka::error::RDKafkaErrorCode::Fatal) {
            self.has_failed.store(true, Ordering::Release);
        }
        tracing::debug!(%error, reason, "Kafka");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Box<Delivery>) {
        let Delivery { append, at, partition } = *delivery;
        let outcome = match result {
            Ok(message) => {
                let offset = message.offset() as u64;
                if let Ok(partition) = append.topic.partition(partition) {
                    partition.told(offset + 1);
                }
                Ok(offset)
            }
            Err((error, _)) => {
                self.has_failed.store(true, Ordering::Release);
                Err(unavailable(error.clone()))
            }
        };
        append.settle(at, outcome);
    }
}

impl Appender {
    pub(super) fn start(config: &KafkaConfig) -> Result<Appender> {
        let mut client = config.client();
        client
            .set("enable.idempotence", "true")
            .set("enable.gapless.guarantee", "true")
            .set("acks", "all")
            .set("request.timeout.ms", millis(config.timeout))
            // No record times out by itself: those behind it would come to stand without it. We give up all at once.
            .set("message.timeout.ms", "0")
            // The first record of a quiet log goes at once; those of a busy one gather while others are on their way.
            .set("linger.ms", "0")
            // Bounded here, in bytes.
            .set("queue.buffering.max.messages", "0")
            .set("queue.buffering.max.kbytes", "2097151")
            .set("retry.backoff.ms", "50");
        let shared = Arc::new(Shared {
            config: client,
            timeout: config.timeout,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        shared.state.lock().producer = Some(shared.new_producer()?);
        let looked_after = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("kafka-appender".to_owned())
            .spawn(move || looked_after.look_after())
            .map_err(|error| {
                Error::unavailable("log.unavailable", "no thread for the appends").because(error)
            })?;
        Ok(Appender { shared, room: Arc::new(Semaphore::new(WAITING_BYTES)), timeout: config.timeout })
    }

    /// Appends records; the offset of each, in the order of the list.
    pub(super) async fn append(
        &self,
        topic: Arc<TopicState>,
        records: Vec<NewRecord>,
        time: Timestamp,
    ) -> Result<Vec<u64>> {
        let bytes = records.iter().map(|record| record.bytes() + OVERHEAD_BYTES).sum::<usize>();
        let room = Arc::clone(&self.room).acquire_many_owned(bytes.min(WAITING_BYTES) as u32);
        let room = tokio::time::timeout(self.timeout, room).await.map_err(|_| late())?;
        let room = room.map_err(|_| closed("the log was closed"))?;
        let answered = self.shared.enqueue(topic, &records, time, room)?;
        answered.await.unwrap_or_else(|_| Err(closed("the log was closed")))
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.shared.state.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn new_producer(&self) -> Result<Arc<BaseProducer<Deliveries>>> {
        let producer = self.config.create_with_context(Deliveries::default());
        Ok(Arc::new(producer.map_err(unavailable)?))
    }

    fn enqueue(
        &self,
        topic: Arc<TopicState>,
        records: &[NewRecord],
        time: Timestamp,
        room: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<Result<Vec<u64>>>> {
        let (answer, answered) = oneshot::channel();
        let progress = Progress {
            offsets: vec![0; records.len()],
            left: records.len(),
            answer: Some(answer),
            room: Some(room),
        };
        let append = Arc::new(Append { topic, progress: Mutex::new(progress) });
        // Under the lock: a producer that was given up gets nothing more.
        let mut state = self.state.lock();
        let producer = match &state.producer {
            Some(producer) => Arc::clone(producer),
            None => {
                let producer = self.new_producer()?;
                state.producer = Some(Arc::clone(&producer));
                self.changed.notify_all();
                producer
            }
        };
        state.waiting.push_back((Instant::now() + self.timeout, Arc::clone(&append)));
        for (at, record) in records.iter().enumerate() {
            send(&producer, &append, at, record, time);
        }
        Ok(answered)
    }

    /// Takes what the brokers answer, until the log is closed.
    fn look_after(&self) {
        loop {
            let mut state = self.state.lock();
            if state.is_closed {
                // What was queued is not waited for: nobody is there who waits.
                drop(state.producer.take());
                return;
            }
            let Some(producer) = state.producer.clone() else {
                self.changed.wait_for(&mut state, LOOK);
                continue;
            };
            drop(state);
            producer.poll(LOOK);
            self.give_up_overdue(producer);
        }
    }

    /// Gives the producer up when a record has failed or an append is overdue.
    fn give_up_overdue(&self, producer: Arc<BaseProducer<Deliveries>>) {
        let mut state = self.state.lock();
        while state.waiting.front().is_some_and(|(_, append)| append.is_over()) {
            state.waiting.pop_front();
        }
        let is_overdue = state.waiting.front().is_some_and(|(deadline, _)| *deadline <= Instant::now());
        if !is_overdue && !producer.context().has_failed.load(Ordering::Acquire) {
            return;
        }
        state.producer = None;
        let given_up = std::mem::take(&mut state.waiting);
        drop(state);
        producer.purge(PurgeConfig::default().queue().inflight());
        // It tells what became of each record; whatever it does not tell at once is not known.
        let told = producer.flush(LOOK);
        for (_, append) in given_up {
            append.progress.lock().answer(Err(late()));
        }
        if let Err(error) = told {
            tracing::debug!(%error, "a producer of Kafka was given up");
        }
    }
}

/// Queues a record; what becomes of it is told to its append.
fn send(
    producer: &BaseProducer<Deliveries>,
    append: &Arc<Append>,
    at: usize,
    record: &NewRecord,
    time: Timestamp,
) {
    let partition = partition_of(&record.key, append.topic.count());
    let delivery = Box::new(Delivery { append: Arc::clone(append), at, partition });
    let mut sent = BaseRecord::with_opaque_to(&append.topic.full_name, delivery)
        .partition(i32::from(partition))
        .key(&record.key)
        .payload(record.value.as_ref())
        .timestamp(time.as_millis() as i64);
    if is_cloud_event(&record.value) {
        sent = sent.headers(OwnedHeaders::new_with_capacity(1).insert(CONTENT_TYPE));
    }
    if let Err((error, _)) = producer.send(sent) {
        // Those behind it are not to stand without it.
        producer.context().has_failed.store(true, Ordering::Release);
        append.settle(at, Err(unavailable(error)));
    }
}

/// Whether it is one of our events, which stand in the log as CloudEvents in JSON.
fn is_cloud_event(value: &[u8]) -> bool {
    value.starts_with(b"{") && value.windows(IS_CLOUD_EVENT.len()).any(|window| window == IS_CLOUD_EVENT)
}
