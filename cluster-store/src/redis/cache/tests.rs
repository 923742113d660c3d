//! The suite of the port over a real Redis, and nodes that share it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use platform_core::kernel::{BoxFuture, Result};
use platform_core::ports::cache::Cache;
use platform_core::ports::cache::conformance::Place;
use platform_core::ports::runtime::Runtime;
use platform_core::ports::signals::{LocalSignals, Signals};
use test_support::servers::Redis;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::RedisCache;
use super::shelf::Shelf;
use crate::redis::testing::{eventually, machine, shared, with_new_prefix};
use crate::redis::{RedisConfig, RedisSignals};

/// The cases block their own threads.
static OTHER_THREADS: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());

struct OnRedis;

impl Place for OnRedis {
    fn cache(&self, runtime: Arc<dyn Runtime>, bytes: usize) -> BoxFuture<'_, Result<Arc<dyn Cache>>> {
        Box::pin(async move {
            let handle = OTHER_THREADS.handle().clone();
            let mut config = shared();
            config.answer_within = Duration::from_secs(10);
            let shelf = Shelf::by_callers_time(&config, &handle)?;
            let cache = RedisCache::over(shelf, handle, runtime, Arc::new(LocalSignals::default()), bytes);
            eventually("it uses Redis", || cache.shared.state.lock().is_trusted).await;
            Ok(Arc::new(NeverAlone(cache)) as _)
        })
    }
}

/// What the suite says holds with Redis only if Redis has always answered.
struct NeverAlone(RedisCache);

impl Cache for NeverAlone {
    fn get(&self, key: &str) -> Option<Bytes> {
        self.0.get(key)
    }

    fn put(&self, key: &str, value: Bytes, lifetime: Duration) {
        self.0.put(key, value, lifetime);
    }

    fn remove(&self, key: &str) {
        self.0.remove(key);
    }

    fn cached<'a>(
        &'a self,
        key: &'a str,
        lifetime: Duration,
        load: BoxFuture<'a, Result<Bytes>>,
    ) -> BoxFuture<'a, Result<Bytes>> {
        self.0.cached(key, lifetime, load)
    }
}

impl Drop for NeverAlone {
    fn drop(&mut self) {
        assert_eq!(self.0.shared.shelf.connections(), Some(1));
    }
}

platform_core::cache_conformance!(OnRedis);

const MINUTE: Duration = Duration::from_secs(60);

struct Node {
    cache: RedisCache,
    signals: Arc<RedisSignals>,
    loads: AtomicU32,
}

impl Node {
    fn is_ready(&self) -> bool {
        self.signals.connected()
            && self.cache.shared.state.lock().is_trusted
            && self.cache.shared.shelf.connections().is_some()
    }

    /// A read through the cache, of what the source has now.
    async fn read(&self, source: &str) -> Bytes {
        let load = async {
            self.loads.fetch_add(1, Ordering::SeqCst);
            Ok(Bytes::copy_from_slice(source.as_bytes()))
        };
        self.cache.cached("key", MINUTE, Box::pin(load)).await.unwrap()
    }

    fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }
}

async fn nodes<const N: usize>(config: &RedisConfig) -> [Node; N] {
    let nodes = std::array::from_fn(|_| {
        let signals = Arc::new(RedisSignals::connect(config, machine()).unwrap());
        let shared: Arc<dyn Signals> = Arc::<RedisSignals>::clone(&signals);
        let cache = RedisCache::connect(config, machine(), shared, 1 << 20).unwrap();
        Node { cache, signals, loads: AtomicU32::default() }
    });
    ready(&nodes).await;
    // Who has just begun lags and begins a new age; it is over now.
    sleep(Duration::from_millis(300)).await;
    ready(&nodes).await;
    nodes
}

async fn ready(nodes: &[Node]) {
    eventually("all are ready", || nodes.iter().all(Node::is_ready)).await;
}

#[tokio::test]
async fn what_one_node_has_loaded_no_other_loads() {
    let nodes = nodes::<3>(&shared()).await;
    assert_eq!(nodes[0].read("value").await, "value");
    sleep(Duration::from_millis(100)).await;
    for node in &nodes {
        assert_eq!(node.read("other").await, "value");
    }
    assert_eq!([0, 1, 2].map(|node: usize| nodes[node].loads()), [1, 0, 0]);
}

#[tokio::test]
async fn a_removal_reaches_every_node() {
    let nodes = nodes::<3>(&shared()).await;
    for node in &nodes {
        node.read("old").await;
    }
    nodes[1].cache.remove("key");
    assert_eq!(nodes[1].read("new").await, "new", "here at once");
    for node in &nodes {
        eventually("the old one is gone", || node.cache.get("key").is_none_or(|value| value == "new")).await;
        assert_eq!(node.read("new").await, "new");
    }
}

#[tokio::test]
async fn a_load_on_another_node_does_not_bring_back_what_was_removed() {
    let nodes = nodes::<2>(&shared()).await;
    let end = Notify::new();
    let slow = nodes[1].cache.cached(
        "key",
        MINUTE,
        Box::pin(async {
            end.notified().await;
            Ok("old".into())
        }),
    );
    let removes = async {
        sleep(Duration::from_millis(50)).await;
        nodes[0].cache.remove("key");
        sleep(Duration::from_millis(50)).await;
        end.notify_one();
    };
    assert_eq!(tokio::join!(slow, removes).0.unwrap(), "old", "they had asked before");
    sleep(Duration::from_millis(50)).await;
    for node in &nodes {
        assert_eq!(node.read("new").await, "new");
    }
}

#[tokio::test]
async fn what_is_put_replaces_what_others_have() {
    let nodes = nodes::<2>(&shared()).await;
    nodes[1].read("old").await;
    nodes[0].cache.put("key", "put".into(), MINUTE);
    assert_eq!(nodes[0].cache.get("key").unwrap(), "put");
    eventually("the old one is gone", || nodes[1].cache.get("key").is_none()).await;
    assert_eq!(nodes[0].cache.get("key").unwrap(), "put", "its own signal does not remove it");
}

#[tokio::test]
async fn a_value_is_kept_in_redis_for_its_time_only() {
    let nodes = nodes::<2>(&shared()).await;
    let short = Duration::from_millis(200);
    let load = |value: &'static str| Box::pin(async move { Ok(Bytes::from(value)) });
    assert_eq!(nodes[0].cache.cached("key", short, load("old")).await.unwrap(), "old");
    sleep(short / 2).await;
    assert_eq!(nodes[1].cache.cached("key", MINUTE, load("new")).await.unwrap(), "old");
    sleep(short / 2).await;
    assert_eq!(nodes[1].cache.cached("key", MINUTE, load("new")).await.unwrap(), "new", "also there");
}

#[tokio::test]
async fn without_redis_nothing_old_is_returned() {
    let mut redis = Redis::start(&[]).unwrap();
    let nodes = nodes::<2>(&with_new_prefix(&redis)).await;
    for node in &nodes {
        node.read("old").await;
    }
    redis.stop().unwrap();
    eventually("none is connected", || nodes.iter().all(|node| !node.signals.connected())).await;
    nodes[0].cache.remove("key");
    for node in &nodes {
        assert_eq!(node.cache.get("key"), None);
        assert_eq!(node.read("new").await, "new");
        assert_eq!(node.read("newer").await, "newer", "and nothing is kept");
    }
    redis.restart().unwrap();
    ready(&nodes).await;
    for node in &nodes {
        assert_eq!(node.read("newest").await, "newest");
    }
}

#[tokio::test]
async fn a_removal_that_redis_does_not_take_makes_everything_old() {
    let mut redis = Redis::start(&[]).unwrap();
    let mut config = with_new_prefix(&redis);
    let signals: [Arc<dyn Signals>; 1] = [Arc::new(LocalSignals::default())];
    let make = |config: &RedisConfig| {
        let cache = RedisCache::connect(config, machine(), Arc::clone(&signals[0]), 1 << 20).unwrap();
        Node {
            cache,
            signals: Arc::new(RedisSignals::connect(&shared(), machine()).unwrap()),
            loads: AtomicU32::default(),
        }
    };
    config.answer_within = Duration::from_millis(50);
    let nodes = [make(&config), make(&config)];
    ready(&nodes).await;
    sleep(Duration::from_millis(100)).await;
    nodes[1].read("old").await;
    // The signals go on, only Redis itself is away.
    redis.stop().unwrap();
    nodes[0].cache.remove("key");
    eventually("the other one has heard it", || nodes[1].cache.get("key").is_none()).await;
    assert_eq!(nodes[1].read("new").await, "new");
    assert!(!nodes[1].cache.shared.state.lock().is_trusted);
    redis.restart().unwrap();
    ready(&nodes).await;
}

#[tokio::test]
async fn stopping_removes_what_waits() {
    let nodes = nodes::<2>(&shared()).await;
    nodes[1].read("old").await;
    nodes[0].cache.remove("key");
    nodes[0].cache.stop().await;
    eventually("the old one is gone", || nodes[1].cache.get("key").is_none()).await;
    assert_eq!(nodes[1].read("new").await, "new");
}
