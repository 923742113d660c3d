//! What the tests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use platform_core::kernel::{BoxFuture, Result, Timestamp};
use platform_core::ports::runtime::{Job, Runtime, busy};
use test_support::servers::Redis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::RedisConfig;

/// The machine, as far as the adapters of Redis need it.
pub(super) struct Machine(Instant);

impl Machine {
    pub(super) fn runtime() -> Arc<dyn Runtime> {
        Arc::new(Machine(Instant::now()))
    }
}

impl Runtime for Machine {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(0)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).unwrap();
    }

    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn compute(&self, _: Job) -> Result<()> {
        Err(busy())
    }

    fn waiting(&self) -> usize {
        0
    }
}

/// With a prefix of its own on the shared server.
pub(super) fn shared() -> RedisConfig {
    with_new_prefix(Redis::shared())
}

/// With a prefix of its own.
pub(super) fn with_new_prefix(redis: &Redis) -> RedisConfig {
    let mut config = RedisConfig::new(&redis.url()).unwrap();
    config.prefix = redis.new_prefix();
    config
}

/// Waits until something is so. Returns how long it took.
pub(super) async fn eventually(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    begun.elapsed()
}

/// A way to a Redis that can be cut, so that nothing comes through and nobody is told.
pub(super) struct Wire {
    port: u16,
    is_cut: Arc<AtomicBool>,
}

impl Wire {
    pub(super) async fn to(redis: &Redis) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let is_cut = Arc::new(AtomicBool::new(false));
        let wire = Wire { port: listener.local_addr().unwrap().port(), is_cut: Arc::clone(&is_cut) };
        let port = redis.port();
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let (from_read, from_write) = from.into_split();
                let (to_read, to_write) = TcpStream::connect(("127.0.0.1", port)).await.unwrap().into_split();
                tokio::spawn(copy(from_read, to_write, Arc::clone(&is_cut)));
                tokio::spawn(copy(to_read, from_write, Arc::clone(&is_cut)));
            }
        });
        wire
    }

    /// For whoever is behind it.
    pub(super) fn config(&self, prefix: &str) -> RedisConfig {
        let mut config = RedisConfig::new(&format!("redis://127.0.0.1:{}", self.port)).unwrap();
        prefix.clone_into(&mut config.prefix);
        config
    }

    pub(super) fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_cut: Arc<AtomicBool>) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        while is_cut.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
