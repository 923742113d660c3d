//! Two domains: one that says things, and one that writes down what it hears.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use platform_core::backbone::{Handler, Kind, Order, Parts, Topics, live_generation};
use platform_core::kernel::{BoxFuture, Context, Error, Event, EventData, Result};
use platform_core::ports::runtime::SimRuntime;
use platform_core::ports::store::{Collection, Document, Schema, Work, command};
use platform_core::ports::{Backends, Database, MemoryBackends};
use platform_core::{Domain, Platform};
use serde::{Deserialize, Serialize};

use crate::faults::{FaultyLog, FaultyStores, Weather};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    pub key: String,
    pub number: u64,
}

impl EventData for Said {
    const TYPE: &'static str = "speaker.said";
    fn subject(&self) -> String {
        self.key.clone()
    }
}

/// Numbers what is said under each key, from 0.
pub struct Speaker;

#[derive(Serialize, Deserialize)]
struct Counter {
    key: String,
    next: u64,
}

impl Document for Counter {
    const COLLECTION: Collection = Collection::json("counters");
    fn id(&self) -> Vec<u8> {
        self.key.clone().into_bytes()
    }
}

pub struct Voice(Database);

impl Domain for Speaker {
    type Facade = Voice;

    fn schema(&self) -> Schema {
        Schema::new("speaker", 1, &[Counter::COLLECTION])
    }

    fn build<'a>(self, db: Database, _: &'a Platform) -> BoxFuture<'a, Result<(Voice, Parts)>> {
        Box::pin(async { Ok((Voice(db), Parts::none())) })
    }
}

impl Voice {
    pub async fn say(&self, key: &str) -> Result<u64> {
        self.say_in(&Context::service("test"), key).await
    }

    pub async fn say_in(&self, ctx: &Context, key: &str) -> Result<u64> {
        let done = command(&self.0, ctx, "speaker.say", key, |mut work| async move {
            let next = work.load::<Counter>(key).await?.map_or(0, |counter| counter.next);
            work.put(&Counter { key: key.to_owned(), next: next + 1 })?;
            work.publish(&Said { key: key.to_owned(), number: next })?;
            work.reply(next)
        });
        Ok(done.await?.value)
    }

    /// How often something was said under a key.
    pub async fn count(&self, key: &str) -> Result<u64> {
        Ok(self.0.get::<Counter>(key).await?.map_or(0, |counter| counter.next))
    }
}

/// Which attempts fail: of each (key, number), the next so many. Outlives a crash, like the world.
pub type Failures = Arc<Mutex<BTreeMap<(String, u64), u32>>>;

/// Writes down, per key, the numbers in the order in which they are heard.
#[derive(Clone)]
pub struct Listener {
    pub failures: Failures,
    pub order: Order,
    pub batch: usize,
    pub gather: Duration,
    pub kind: Kind,
}

#[derive(Serialize, Deserialize)]
pub struct Heard {
    generation: u64,
    key: String,
    pub numbers: Vec<u64>,
}

fn heard_id(generation: u64, key: &str) -> Vec<u8> {
    [&generation.to_be_bytes(), key.as_bytes()].concat()
}

impl Document for Heard {
    const COLLECTION: Collection = Collection::json("heard");
    fn id(&self) -> Vec<u8> {
        heard_id(self.generation, &self.key)
    }
}

pub struct Ear(Database);

impl Ear {
    pub async fn heard(&self, key: &str) -> Result<Vec<u64>> {
        let generation = live_generation(&self.0, "listener.listen").await?;
        Ok(self
            .0
            .get::<Heard>(heard_id(generation, key))
            .await?
            .map_or(Vec::new(), |heard| heard.value.numbers))
    }

    /// The generation that is read.
    pub async fn generation(&self) -> Result<u64> {
        live_generation(&self.0, "listener.listen").await
    }

    /// Documents of all generations.
    pub async fn documents(&self) -> Result<usize> {
        let range = platform_core::ports::store::IndexRange::ids("heard").limit(1_000);
        Ok(self.0.scan::<Heard>(&range).await?.items.len())
    }
}

struct Listening {
    db: Database,
    listener: Listener,
}

impl Domain for Listener {
    type Facade = Ear;

    fn schema(&self) -> Schema {
        Schema::new("listener", 1, &[Heard::COLLECTION])
    }

    fn build<'a>(self, db: Database, _: &'a Platform) -> BoxFuture<'a, Result<(Ear, Parts)>> {
        Box::pin(async move {
            let handler = Listening { db: db.clone(), listener: self };
            Ok((Ear(db), Parts::none().handler(handler)))
        })
    }
}

impl Handler for Listening {
    fn name(&self) -> &'static str {
        "listener.listen"
    }

    fn topics(&self) -> Topics {
        Topics::Of(&["speaker"])
    }

    fn kind(&self) -> Kind {
        self.listener.kind
    }

    fn order(&self) -> Order {
        self.listener.order
    }

    fn database(&self) -> &Database {
        &self.db
    }

    fn batch_limit(&self) -> usize {
        self.listener.batch
    }

    fn gather(&self) -> Duration {
        self.listener.gather
    }

    fn generations(&self) -> &'static [&'static str] {
        &["heard"]
    }

    fn handle<'a>(&'a self, events: &'a [Event], work: &'a mut Work) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for event in events {
                let Some(said) = event.decode::<Said>()? else { continue };
                self.listener.fail_if_told(&said)?;
                let generation = work.generation();
                let heard = work.load::<Heard>(heard_id(generation, &said.key)).await?;
                let mut numbers = heard.map_or(Vec::new(), |heard| heard.value.numbers);
                numbers.push(said.number);
                work.put(&Heard { generation, key: said.key, numbers })?;
            }
            Ok(())
        })
    }
}

impl Listener {
    pub fn new() -> Listener {
        Listener {
            failures: Failures::default(),
            order: Order::PerKey,
            batch: 1,
            gather: Duration::ZERO,
            kind: Kind::Reactor,
        }
    }

    pub fn fail(&self, key: &str, number: u64, times: u32) {
        self.failures.lock().unwrap().insert((key.to_owned(), number), times);
    }

    pub fn heal(&self) {
        self.failures.lock().unwrap().clear();
    }

    fn fail_if_told(&self, said: &Said) -> Result<()> {
        let mut failures = self.failures.lock().unwrap();
        match failures.get_mut(&(said.key.clone(), said.number)) {
            Some(left) if *left > 0 => {
                *left -= 1;
                assert_ne!(*left, 13, "a handler may panic, too");
                Err(Error::internal("listener.deaf", "did not hear"))
            }
            _ => Ok(()),
        }
    }
}

/// What outlives a crash.
pub struct Land {
    pub sim: SimRuntime,
    pub memory: MemoryBackends,
    pub weather: Weather,
    pub listener: Listener,
    pub partitions: u16,
}

impl Land {
    pub fn new(seed: u64, listener: Listener) -> Land {
        let sim = SimRuntime::new(seed);
        let memory = MemoryBackends::new(sim.runtime());
        let weather = Weather::new(sim.runtime(), 0);
        Land { sim, memory, weather, listener, partitions: 2 }
    }

    /// Opens and starts a platform over what is there.
    pub async fn open(&self) -> Result<Platform> {
        let platform = self.build().await?;
        platform.start().await?;
        Ok(platform)
    }

    pub async fn build(&self) -> Result<Platform> {
        let memory = self.memory.backends().await?;
        let backends = Backends {
            stores: Arc::new(FaultyStores(self.memory.stores.clone(), self.weather.clone())),
            log: Arc::new(FaultyLog(self.memory.log.clone(), self.weather.clone())),
            ..memory
        };
        let builder = Platform::builder(backends).partitions(self.partitions);
        builder.domain(Speaker).domain(self.listener.clone()).build().await
    }
}

pub fn voice(platform: &Platform) -> Arc<Voice> {
    platform.domain::<Speaker>().unwrap()
}

pub fn ear(platform: &Platform) -> Arc<Ear> {
    platform.domain::<Listener>().unwrap()
}
