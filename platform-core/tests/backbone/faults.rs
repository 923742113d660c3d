//! Ports that are slow and fail, before or after they have done what they were asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use platform_core::kernel::{BoxFuture, Error, EventPosition, Position, Result};
use platform_core::ports::log::{EventLog, MemoryLog, NewRecord, Record, Subscription, Topic};
use platform_core::ports::runtime::Runtime;
use platform_core::ports::store::{
    Batch, Commit, CommitError, Doc, DocKey, IndexRange, MemoryStores, OutboxEvents, ScanPage, Schema, Store,
    Stores,
};
use tokio::sync::watch;

/// How often ports fail, in percent. Shared, so that a test can end the bad weather.
#[derive(Clone)]
pub struct Weather {
    pub percent: Arc<AtomicU32>,
    pub runtime: Arc<dyn Runtime>,
}

impl Weather {
    pub fn new(runtime: Arc<dyn Runtime>, percent: u32) -> Weather {
        Weather { percent: Arc::new(AtomicU32::new(percent)), runtime }
    }

    fn roll(&self, sides: u32) -> u32 {
        u32::from_le_bytes(self.runtime.random()) % sides
    }

    /// Takes a while; true when it shall fail.
    async fn strikes(&self) -> bool {
        self.runtime.sleep(Duration::from_micros(u64::from(self.roll(400)))).await;
        self.roll(100) < self.percent.load(Ordering::Relaxed)
    }
}

fn down() -> Error {
    Error::unavailable("store.unavailable", "bad weather")
}

pub struct FaultyStores(pub MemoryStores, pub Weather);

impl Stores for FaultyStores {
    fn open<'a>(&'a self, schema: &'a Schema) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async move {
            let inner = self.0.open(schema).await?;
            Ok(Arc::new(FaultyStore { inner, weather: self.1.clone() }) as Arc<dyn Store>)
        })
    }
}

struct FaultyStore {
    inner: Arc<dyn Store>,
    weather: Weather,
}

impl Store for FaultyStore {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn get<'a>(&'a self, keys: &'a [DocKey]) -> BoxFuture<'a, Result<Vec<Option<Doc>>>> {
        Box::pin(async move {
            if self.weather.strikes().await {
                return Err(down());
            }
            self.inner.get(keys).await
        })
    }

    fn scan<'a>(&'a self, range: &'a IndexRange) -> BoxFuture<'a, Result<ScanPage>> {
        Box::pin(async move {
            if self.weather.strikes().await {
                return Err(down());
            }
            self.inner.scan(range).await
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Commit, CommitError>> {
        Box::pin(async move {
            if self.weather.strikes().await {
                return Err(CommitError::Unavailable { maybe_applied: false, cause: down() });
            }
            let commit = self.inner.commit(batch).await?;
            if self.weather.strikes().await {
                return Err(CommitError::Unavailable { maybe_applied: true, cause: down() });
            }
            Ok(commit)
        })
    }

    fn outbox(&self, after: EventPosition, limit: usize) -> BoxFuture<'_, Result<OutboxEvents>> {
        Box::pin(async move {
            if self.weather.strikes().await {
                return Err(down());
            }
            self.inner.outbox(after, limit).await
        })
    }

    fn trim_outbox(&self, upto: EventPosition) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if self.weather.strikes().await {
                return Err(down());
            }
            self.inner.trim_outbox(upto).await
        })
    }

    fn committed(&self) -> watch::Receiver<Position> {
        self.inner.committed()
    }
}

/// Appends in parts, and fails between them: what a log without atomic appends does. Sometimes it
/// appends a record twice, as a producer without idempotence does.
pub struct FaultyLog(pub MemoryLog, pub Weather);

impl EventLog for FaultyLog {
    fn declare<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, Result<()>> {
        self.0.declare(topic)
    }

    fn append<'a>(&'a self, topic: &'a str, records: Vec<NewRecord>) -> BoxFuture<'a, Result<Vec<u64>>> {
        Box::pin(async move {
            let mut offsets = Vec::new();
            for record in records {
                let twice = self.1.roll(100) < self.1.percent.load(Ordering::Relaxed);
                offsets.extend(self.0.append(topic, vec![record.clone()]).await?);
                if twice {
                    self.0.append(topic, vec![record]).await?;
                }
                if self.1.strikes().await {
                    return Err(Error::unavailable("log.unavailable", "bad weather"));
                }
            }
            Ok(offsets)
        })
    }

    fn read<'a>(
        &'a self,
        topic: &'a str,
        partition: u16,
        from: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>>> {
        Box::pin(async move {
            if self.1.strikes().await {
                return Err(Error::unavailable("log.unavailable", "bad weather"));
            }
            EventLog::read(&self.0, topic, partition, from, limit).await
        })
    }

    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<(u64, u64)>>> {
        self.0.bounds(topic)
    }

    fn ends(&self, topic: &str) -> Result<Vec<watch::Receiver<u64>>> {
        self.0.ends(topic)
    }

    fn retain(&self) -> BoxFuture<'_, Result<()>> {
        self.0.retain()
    }

    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>>> {
        self.0.subscribe(group, topic)
    }
}
