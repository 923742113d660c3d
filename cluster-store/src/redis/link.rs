//! A connection for commands, made anew whenever it is lost.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::config::RedisClient;

/// Before the first attempt to connect anew; each time doubled, up to the last one.
const PAUSES: [Duration; 2] = [Duration::from_millis(25), Duration::from_secs(1)];
/// A connection that has lasted so long was a good one: after it, the pauses begin anew.
const GOOD: Duration = Duration::from_secs(5);

/// Keeps up a connection until it is dropped.
pub(super) struct Link {
    state: Arc<State>,
    keeper: JoinHandle<()>,
}

struct State {
    client: RedisClient,
    connected: Mutex<Connected>,
    is_lost: Notify,
}

/// The present connection, if there is one, and how many there were.
#[derive(Default)]
struct Connected {
    connection: Option<MultiplexedConnection>,
    number: u64,
}

/// One of the connections.
#[derive(Clone)]
pub(super) struct Connection {
    connection: MultiplexedConnection,
    number: u64,
}

impl Link {
    /// Begins to connect, on this runtime of tokio's.
    pub(super) fn new(client: RedisClient, handle: &Handle) -> Link {
        let state = Arc::new(State { client, connected: Mutex::default(), is_lost: Notify::new() });
        let keeper = handle.spawn(stay_connected(Arc::clone(&state)));
        Link { state, keeper }
    }

    /// The connection; none while Redis is away.
    pub(super) fn connection(&self) -> Option<Connection> {
        let connected = self.state.connected.lock();
        let connection = connected.connection.clone()?;
        Some(Connection { connection, number: connected.number })
    }

    /// This connection has failed. Says so once, though several may have used it: and there may be a new one already.
    pub(super) fn lost(&self, lost: &Connection, error: &RedisError) {
        let mut connected = self.state.connected.lock();
        if connected.number == lost.number && connected.connection.take().is_some() {
            tracing::warn!(%error, "Redis is away");
            self.state.is_lost.notify_one();
        }
    }
}

#[cfg(test)]
impl Connection {
    /// Which of the connections it is, counted from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Deref for Connection {
    type Target = MultiplexedConnection;

    fn deref(&self) -> &MultiplexedConnection {
        &self.connection
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut MultiplexedConnection {
        &mut self.connection
    }
}

impl State {
    /// A connection counts when it has answered once.
    async fn connect(&self) -> RedisResult<()> {
        let mut connection = self.client.connect().await?;
        redis::cmd("PING").exec_async(&mut connection).await?;
        let mut connected = self.connected.lock();
        *connected = Connected { connection: Some(connection), number: connected.number + 1 };
        Ok(())
    }
}

async fn stay_connected(state: Arc<State>) {
    let [shortest, longest] = PAUSES;
    let mut pause = shortest;
    loop {
        let begun = Instant::now();
        if state.connect().await.is_ok() {
            state.is_lost.notified().await;
        }
        pause = if begun.elapsed() > GOOD { shortest } else { (pause * 2).min(longest) };
        sleep(pause).await;
    }
}
