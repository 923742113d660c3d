//! Signals over a channel of Redis.
//!
//! Each node publishes a [`Frame`] whenever it has something to say, and every 50 ms anyway. Frames are numbered, so
//! that whoever hears one knows whether it has heard all before it; and a node that is silent may be saying something.

mod frame;
mod hearing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use platform_core::kernel::Result;
use platform_core::ports::runtime::Runtime;
use platform_core::ports::signals::{Signal, Signals};
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, cmd};
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::RedisConfig;
use super::config::RedisClient;
use frame::{Frame, NodeId, Outbox, nanos};
use hearing::{HEARTBEAT, Hearing, MISSED, SILENCE};

/// Signals that wait for a receiver. One that lags more than that starts cold, which is always right.
const FOR_A_RECEIVER: usize = 256;
/// Before the first attempt to connect anew; each time doubled, up to the last one.
const PAUSES: [Duration; 2] = [Duration::from_millis(25), Duration::from_millis(400)];

/// Signals to all nodes that use the same channel.
///
/// They fail closed. While Redis is away, a node hears nobody and says so: it is not connected, its receivers lag again
/// and again, and what it remembers decides nothing. Its own signals reach its own receivers all the same.
///
/// What is promised, within the port's words:
/// - A signal is published at once, together with all that wait. `send` never waits: where more than 1,024 signals
///   queue up, they are dropped, and the others hear that they have missed something.
/// - A node that ends by [`RedisSignals::stop`] or by being dropped says so. One that ends without a word (or is cut off
///   from Redis: nobody can tell) keeps the others disconnected for 5 s; for an hour they are told every 150 ms that
///   they miss something; then it is forgotten.
/// - A node that was never heard is not missed: it should not serve before it is connected for the first time.
///
/// Whoever may publish to the channel can say that nothing has changed when something has: the server is the platform's
/// own, or its access list keeps the channel.
pub struct RedisSignals {
    node: Arc<Node>,
    talking: Mutex<Option<JoinHandle<()>>>,
}

/// What the tasks share.
struct Node {
    id: NodeId,
    channel: String,
    runtime: Arc<dyn Runtime>,
    receivers: broadcast::Sender<Signal>,
    outbox: Mutex<Outbox>,
    has_news: Notify,
    is_ending: AtomicBool,
    hearing: Mutex<Hearing>,
    /// Until when it counts as connected, in nanoseconds.
    heard_until: AtomicU64,
}

impl RedisSignals {
    /// Begins to connect, on the runtime of tokio's that is current, and goes on until it is stopped or dropped. Nothing
    /// is waited for: a platform starts without Redis, too, and is not connected meanwhile.
    ///
    /// # Errors
    /// `redis.invalid_certificates`.
    ///
    /// # Panics
    /// Outside of a runtime of tokio's.
    pub fn connect(config: &RedisConfig, runtime: Arc<dyn Runtime>) -> Result<RedisSignals> {
        let client = config.client()?;
        let node = Arc::new(Node {
            id: NodeId::from_le_bytes(runtime.random()),
            channel: format!("{}signals", config.prefix),
            runtime,
            receivers: broadcast::Sender::new(FOR_A_RECEIVER),
            outbox: Mutex::default(),
            has_news: Notify::new(),
            is_ending: AtomicBool::new(false),
            hearing: Mutex::default(),
            heard_until: AtomicU64::new(0),
        });
        let talking = tokio::spawn(talk(Arc::clone(&node), client));
        tokio::spawn(watch(Arc::clone(&node)));
        Ok(RedisSignals { node, talking: Mutex::new(Some(talking)) })
    }

    /// Sends what waits, tells the others that this node ends, and ends. It waits for that as long as a connection
    /// and an answer may take.
    pub async fn stop(&self) {
        self.node.end();
        let talking = self.talking.lock().take();
        if let Some(talking) = talking {
            // A task that panicked has ended, too.
            let _ = talking.await;
        }
    }
}

impl Drop for RedisSignals {
    fn drop(&mut self) {
        self.node.end();
    }
}

impl Signals for RedisSignals {
    fn send(&self, signal: Signal) {
        // Without a receiver nobody has anything cached.
        let _ = self.node.receivers.send(signal.clone());
        self.node.outbox.lock().push(signal);
        self.node.has_news.notify_one();
    }

    fn receiver(&self) -> broadcast::Receiver<Signal> {
        self.node.receivers.subscribe()
    }

    fn connected(&self) -> bool {
        nanos(self.node.runtime.monotonic()) < self.node.heard_until.load(Ordering::Acquire)
    }
}

impl Node {
    fn end(&self) {
        self.is_ending.store(true, Ordering::Release);
        self.has_news.notify_one();
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    /// A message of the channel. What was missed is told before anything counts as connected again.
    fn heard(&self, message: &[u8]) {
        let now = self.runtime.monotonic();
        match serde_json::from_slice::<Frame>(message) {
            Ok(frame) if frame.from == self.id => {
                self.hearing.lock().heard_myself(Duration::from_nanos(frame.at).min(now));
            }
            Ok(frame) => {
                if self.hearing.lock().heard(&frame, now) {
                    self.tell_missed();
                }
                // Without a receiver nobody has anything cached.
                frame.signals().for_each(|signal| drop(self.receivers.send(signal)));
            }
            // Another version may have said anything.
            Err(_) => {
                self.hearing.lock().miss(now);
                self.tell_missed();
            }
        }
        self.decide(now);
    }

    /// Whether it is connected, from what it has heard.
    fn decide(&self, now: Duration) {
        let hearing = self.hearing.lock();
        self.heard_until.store(nanos(hearing.heard_until(now)), Ordering::Release);
    }

    /// It listens from now on: what was said before was missed.
    fn begins(&self) {
        let now = self.runtime.monotonic();
        self.hearing.lock().begin(now);
        self.tell_missed();
    }

    fn is_cut_off(&self) {
        self.hearing.lock().end();
        self.heard_until.store(0, Ordering::Release);
    }

    /// Lets all receivers lag: so they hear that they have missed something.
    fn tell_missed(&self) {
        let filler = Signal::new("signals.missed", "");
        for _ in 0..=FOR_A_RECEIVER {
            // Without a receiver nobody has anything cached.
            let _ = self.receivers.send(filler.clone());
        }
    }
}

/// Looks now and then whether something was missed.
async fn watch(node: Arc<Node>) {
    while !node.is_ending() {
        let now = node.runtime.monotonic();
        let has_missed = node.hearing.lock().look(now);
        if has_missed {
            node.tell_missed();
        }
        sleep(HEARTBEAT).await;
    }
}

/// Keeps up a connection, until the node ends.
async fn talk(node: Arc<Node>, client: RedisClient) {
    let [shortest, longest] = PAUSES;
    let mut pause = shortest;
    while !node.is_ending() {
        let ended = connected(&node, &client, &mut pause).await;
        node.is_cut_off();
        if let Err(error) = ended {
            if pause == shortest {
                tracing::warn!(%error, "no signals to and from other nodes: nothing remembered is trusted");
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}

/// Listens and speaks, until the connection or the node ends.
async fn connected(node: &Arc<Node>, client: &RedisClient, pause: &mut Duration) -> RedisResult<()> {
    let listener = Arc::clone(node);
    let mut connection = client.listen(move |message| listener.heard(message)).await?;
    connection.subscribe(&node.channel).await?;
    node.begins();
    let begun = node.runtime.monotonic();
    loop {
        let is_last = speak(node, &mut connection).await?;
        if is_last {
            return Ok(());
        }
        [*pause, _] = PAUSES;
        let heard = node.hearing.lock().heard_myself_at().max(begun);
        if node.runtime.monotonic().saturating_sub(heard) > SILENCE + MISSED {
            // It is published, and does not come back: the subscription is gone.
            return Err(redis::RedisError::from((redis::ErrorKind::Io, "nothing is heard")));
        }
        if node.outbox.lock().is_empty() && !node.is_ending() {
            // A heartbeat is due when nothing else is.
            let _ = timeout(HEARTBEAT, node.has_news.notified()).await;
        }
    }
}

/// Publishes the next frame. Returns whether it is this node's last one.
async fn speak(node: &Node, connection: &mut MultiplexedConnection) -> RedisResult<bool> {
    let (now, is_ending) = (node.runtime.monotonic(), node.is_ending());
    let frame = node.outbox.lock().frame(node.id, now, is_ending);
    let message = serde_json::to_vec(&frame).map_err(std::io::Error::other)?;
    // One at a time: where Redis is slow to take them, the others are not left to believe that they hear all.
    cmd("PUBLISH").arg(&node.channel).arg(message).exec_async(connection).await?;
    Ok(frame.is_last)
}
