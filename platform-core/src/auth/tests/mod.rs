//! The facade over in-memory stores, in a simulated world.

mod first_administrator;
mod gone_users;
mod keys;
mod refreshing;
mod registration;
mod secrecy;
mod sessions;
mod sign_in;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;

use super::events::{SessionEnd, SessionRevoked};
use super::tables::{LoginFailures, Session, StoredRefreshToken};
use super::*;
use crate::backbone::Stopper;
use crate::kernel::{
    BoxFuture, ClientInfo, CorrelationId, Error, Event, EventPosition, PageRequest, Position, Principal,
    RawId,
};
use crate::ports::runtime::SimRuntime;
use crate::ports::signals::LocalSignals;
use crate::ports::store::flaky::{Fault, FlakyStore};
use crate::ports::store::{Batch, Commit, CommitError, Doc, DocKey, OutboxEvents, ScanPage, Store};
use crate::ports::{Backends, MemoryBackends};

const PASSWORD: &str = "correct horse battery staple";

fn cheap() -> AuthConfig {
    AuthConfig {
        argon2: Argon2Config { memory_kib: 8, iterations: 1, parallelism: 1 },
        ..AuthConfig::default()
    }
}

/// A store that refuses every commit once its fuse has burnt down: a process that crashed there.
/// Before each call it lets others go first, now and then, so that what runs at once does interleave.
struct Fused {
    store: Arc<dyn Store>,
    fuse: Arc<AtomicI64>,
    calls: AtomicI64,
}

impl Fused {
    async fn let_others_go_first(&self) {
        for _ in 0..self.calls.fetch_add(1, Ordering::SeqCst) * 7919 % 5 {
            tokio::task::yield_now().await;
        }
    }
}

impl Store for Fused {
    fn name(&self) -> &str {
        self.store.name()
    }

    fn get<'a>(&'a self, keys: &'a [DocKey]) -> BoxFuture<'a, Result<Vec<Option<Doc>>>> {
        Box::pin(async {
            self.let_others_go_first().await;
            self.store.get(keys).await
        })
    }

    fn scan<'a>(&'a self, range: &'a IndexRange) -> BoxFuture<'a, Result<ScanPage>> {
        Box::pin(async {
            self.let_others_go_first().await;
            self.store.scan(range).await
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Commit, CommitError>> {
        if self.fuse.fetch_sub(1, Ordering::SeqCst) <= 0 {
            let cause = Error::unavailable("test.crashed", "the process crashed here");
            return Box::pin(async { Err(CommitError::Unavailable { maybe_applied: false, cause }) });
        }
        Box::pin(async {
            self.let_others_go_first().await;
            self.store.commit(batch).await
        })
    }

    fn outbox(&self, after: EventPosition, limit: usize) -> BoxFuture<'_, Result<OutboxEvents>> {
        self.store.outbox(after, limit)
    }

    fn trim_outbox(&self, upto: EventPosition) -> BoxFuture<'_, Result<()>> {
        self.store.trim_outbox(upto)
    }

    fn committed(&self) -> watch::Receiver<Position> {
        self.store.committed()
    }
}

/// What survives a restart.
struct Machine {
    sim: SimRuntime,
    backends: Backends,
    auth_store: Arc<dyn Store>,
    users_store: Arc<dyn Store>,
}

/// A process without relays: its workers run, its handlers are called by the tests. When it is dropped,
/// its workers end.
struct Process {
    users: Users,
    auth: Auth,
    _workers: Stopper,
}

struct World {
    machine: Machine,
    process: Process,
}

impl Deref for World {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Machine {
    fn new() -> Machine {
        let sim = SimRuntime::new(3);
        let memory = MemoryBackends::new(sim.runtime());
        sim.block_on(async {
            let backends = memory.backends().await.unwrap();
            Machine {
                auth_store: backends.stores.open(&Auth::schema()).await.unwrap(),
                users_store: backends.stores.open(&Users::schema()).await.unwrap(),
                backends,
                sim: sim.clone(),
            }
        })
    }

    /// Starts a process whose commits fail after `commits`.
    fn start_with_fuse(&self, config: AuthConfig, fuse: &Arc<AtomicI64>) -> Process {
        let database = |store: &Arc<dyn Store>| Database {
            store: Arc::new(Fused {
                store: Arc::clone(store),
                fuse: Arc::clone(fuse),
                calls: AtomicI64::new(0),
            }),
            runtime: self.sim.runtime(),
            keys: Arc::clone(&self.backends.keys),
        };
        let signals = || Arc::clone(&self.backends.signals);
        self.sim.block_on(async {
            let users = Users::over(database(&self.users_store), signals()).await.unwrap();
            let auth =
                Auth::over(database(&self.auth_store), signals(), users.clone(), config).await.unwrap();
            let workers = Stopper::new();
            for task in users.parts().tasks.iter().chain(&auth.parts().tasks) {
                task.start(&*self.backends.runtime, workers.shutdown());
            }
            Process { users, auth, _workers: workers }
        })
    }

    fn start(self, config: AuthConfig) -> World {
        let process = self.start_with_fuse(config, &Arc::new(AtomicI64::new(i64::MAX)));
        World { machine: self, process }
    }
}

/// Nodes over one store that do not hear each other.
struct DeafNodes {
    db: Database,
    users: Users,
}

impl DeafNodes {
    async fn new(sim: &SimRuntime) -> DeafNodes {
        let backends = MemoryBackends::new(sim.runtime()).backends().await.unwrap();
        let users = Users::open(&backends).await.unwrap();
        DeafNodes { db: Database::open(&backends, &Auth::schema()).await.unwrap(), users }
    }

    async fn start(&self) -> Auth {
        let signals = Arc::new(LocalSignals::default());
        Auth::over(self.db.clone(), signals, self.users.clone(), cheap()).await.unwrap()
    }
}

impl World {
    fn new() -> World {
        Machine::new().start(cheap())
    }

    /// The process crashes, and another begins over the same data.
    fn restart(self, config: AuthConfig) -> World {
        drop(self.process);
        self.machine.start(config)
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.machine.sim.block_on(future)
    }

    fn pass(&self, seconds: u64) {
        self.machine.sim.advance(Duration::from_secs(seconds));
    }

    fn turn_back_the_clock(&self, seconds: u64) {
        self.machine.sim.jump_clock(Duration::from_secs(seconds), true);
    }

    fn register(&self, email: &str) -> UserId {
        self.run(self.auth.register(&anyone(), &registration(email, PASSWORD))).unwrap().user_id
    }

    fn login(&self, email: &str) -> TokenPair {
        self.run(self.auth.login(&anyone(), &credentials(email, PASSWORD))).unwrap()
    }

    fn try_login(&self, ctx: &Context, email: &str, password: &str) -> &'static str {
        code(self.run(self.auth.login(ctx, &credentials(email, password))))
    }

    fn refresh(&self, token: &str) -> Result<TokenPair> {
        self.run(self.auth.refresh(&anyone(), &RefreshRequest { refresh_token: Secret::new(token) }))
    }

    fn authenticate(&self, pair: &TokenPair) -> Result<Principal> {
        self.run(self.auth.authenticate(&pair.access_token))
    }

    fn context(&self, pair: &TokenPair) -> Context {
        Context::new(self.authenticate(pair).unwrap(), CorrelationId::from_raw(RawId([0; 16])))
    }

    fn events(&self) -> Vec<Event> {
        let outbox = self.run(self.machine.auth_store.outbox(EventPosition::START, 1_000)).unwrap();
        outbox.iter().map(|(_, json)| Event::from_json(json).unwrap()).collect()
    }

    fn stored<T: Document>(&self) -> Vec<T> {
        self.run(self.auth.db.scan::<T>(&IndexRange::ids(T::COLLECTION.name).limit(1_000)))
            .unwrap()
            .items
            .into_iter()
            .map(|stored| stored.value)
            .collect()
    }
}

fn anyone() -> Context {
    from("192.0.2.1")
}

fn from(address: &str) -> Context {
    let mut ctx = Context::anonymous(CorrelationId::from_raw(RawId([0; 16])));
    ctx.client =
        ClientInfo { address: Some(address.parse::<IpAddr>().unwrap()), user_agent: Some("test".into()) };
    ctx
}

fn registration(email: &str, password: &str) -> RegisterRequest {
    RegisterRequest {
        email: email.parse().unwrap(),
        password: Secret::new(password),
        name: Some("Ada".into()),
    }
}

fn credentials(email: &str, password: &str) -> LoginRequest {
    LoginRequest { email: email.parse().unwrap(), password: Secret::new(password) }
}

fn code<T>(result: Result<T>) -> &'static str {
    result.err().map_or("ok", |error| error.code())
}
