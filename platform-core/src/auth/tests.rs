//! The facade over in-memory stores, in a simulated world.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::sync::watch;

use super::events::{AccountRegistered, LoginFailed, SessionEnd, SessionRevoked};
use super::tables::{AccountState, LoginFailures, Session, StoredRefreshToken, StoredSigningKey};
use super::*;
use crate::backbone::{Handler, Stopper};
use crate::kernel::{
    Actor, BoxFuture, ClientInfo, CorrelationId, Error, Event, EventPosition, Page, PageRequest, Permission,
    Position, Principal, RawId,
};
use crate::ports::runtime::SimRuntime;
use crate::ports::store::flaky::{Fault, FlakyStore};
use crate::ports::store::{Batch, Commit, CommitError, Doc, DocKey, OutboxEvents, ScanPage, Store, command};
use crate::ports::{Backends, MemoryBackends};
use crate::users::{Profile, RoleDefinition, RoleName};

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

#[test]
fn whoever_registers_can_sign_in_at_once_and_has_a_profile() {
    let world = World::new();
    let user = world.register("ada@example.org");
    let pair = world.login("ADA@example.org");
    assert_eq!((pair.token_type.as_str(), pair.expires_in), ("Bearer", 900));
    let principal = world.authenticate(&pair).unwrap();
    assert_eq!(principal.actor, Actor::User(user));
    let profile = world.run(world.users.get(&world.context(&pair), user)).unwrap();
    assert_eq!(profile.name.as_deref(), Some("Ada"));
    assert_eq!(
        code(world.run(world.auth.register(&anyone(), &registration("Ada@Example.org", PASSWORD)))),
        "auth.email_taken"
    );
}

#[test]
fn registration_is_refused_for_weak_passwords_bad_names_and_when_it_is_closed() {
    let world = World::new();
    let register = |request| code(world.run(world.auth.register(&anyone(), &request)));
    assert_eq!(register(registration("ada@example.org", "too short")), "auth.password_too_weak");
    assert_eq!(
        register(registration("somebody@example.org", "Somebody@Example.org")),
        "auth.password_too_weak"
    );
    assert_eq!(
        register(RegisterRequest { name: Some("\n".into()), ..registration("a@b", PASSWORD) }),
        "users.invalid_name"
    );
    assert!(world.stored::<Account>().is_empty());
    let closed = Machine::new().start(AuthConfig { registration_open: false, ..cheap() });
    let register =
        |ctx: &Context| code(closed.run(closed.auth.register(ctx, &registration("a@b", PASSWORD))));
    assert_eq!(register(&anyone()), "auth.registration_closed");
    assert_eq!(register(&Context::system()), "ok");
}

#[test]
fn a_registration_that_crashes_anywhere_is_completed_after_the_restart() {
    // Commits of a registration: address reserved, the person's key (outside the fuse), profile, activation.
    for commits in 0..=3 {
        let machine = Machine::new();
        // A first start makes the signing key, so that the fuse counts the registration alone.
        drop(machine.start_with_fuse(cheap(), &Arc::new(AtomicI64::new(i64::MAX))));
        let fuse = Arc::new(AtomicI64::new(commits));
        let process = machine.start_with_fuse(cheap(), &fuse);
        let auth = &process.auth;
        let first =
            machine.sim.block_on(auth.register(&anyone(), &registration("ada@example.org", PASSWORD)));
        assert_eq!(first.is_ok(), commits == 3, "after {commits} commits");
        drop(process);
        let world = machine.start(cheap());
        if commits == 0 {
            world.register("ada@example.org");
        }
        let pair = world.login("ada@example.org");
        let user = world.authenticate(&pair).unwrap().actor;
        let profiles =
            world.run(world.users.search(&Context::system(), &Default::default(), &PageRequest::default()));
        let profiles: Vec<Profile> =
            profiles.unwrap().items.into_iter().map(|profile| profile.value).collect();
        assert_eq!(profiles.len(), 1);
        assert_eq!(Actor::User(profiles[0].id), user);
        let registered = world
            .events()
            .iter()
            .filter(|event| event.decode::<AccountRegistered>().unwrap().is_some())
            .count();
        assert_eq!(registered, 1);
        assert!(world.stored::<Account>().iter().all(|account| account.state == AccountState::Active));
    }
}

#[test]
fn the_same_registration_again_completes_one_that_was_interrupted() {
    let machine = Machine::new();
    drop(machine.start_with_fuse(cheap(), &Arc::new(AtomicI64::new(i64::MAX))));
    let fuse = Arc::new(AtomicI64::new(1));
    let Process { users, auth, _workers } = machine.start_with_fuse(cheap(), &fuse);
    let run = |request: &RegisterRequest| machine.sim.block_on(auth.register(&anyone(), request));
    assert_eq!(code(run(&registration("ada@example.org", PASSWORD))), "store.unavailable");
    fuse.store(i64::MAX, Ordering::SeqCst);
    assert_eq!(code(run(&registration("ada@example.org", "another password of mine"))), "auth.email_taken");
    let user = run(&registration("ada@example.org", PASSWORD)).unwrap().user_id;
    assert!(machine.sim.block_on(users.get(&Context::system(), user)).is_ok());
}

#[test]
fn an_address_that_a_profile_has_already_gives_its_reservation_back() {
    let world = World::new();
    let new = crate::users::NewProfile { id: None, email: "ada@example.org".parse().unwrap(), name: None };
    world.run(world.users.create(&Context::system(), &new)).unwrap();
    assert_eq!(
        code(world.run(world.auth.register(&anyone(), &registration("ada@example.org", PASSWORD)))),
        "auth.email_taken"
    );
    assert!(world.stored::<Account>().is_empty());
}

#[test]
fn a_repeated_registration_with_the_same_key_has_the_same_answer() {
    let world = World::new();
    let ctx = anyone().with_key("once".parse().unwrap());
    let register = |request: &RegisterRequest| world.run(world.auth.register(&ctx, request));
    let first = register(&registration("ada@example.org", PASSWORD)).unwrap();
    assert_eq!(register(&registration("ada@example.org", PASSWORD)).unwrap(), first);
    assert_eq!(code(register(&registration("bob@example.org", PASSWORD))), "idempotency.key_reused");
}

#[test]
fn an_unknown_address_and_a_wrong_password_say_the_same() {
    let world = World::new();
    world.register("ada@example.org");
    let answer = |email, password| {
        let error = world.run(world.auth.login(&anyone(), &credentials(email, password))).unwrap_err();
        format!("{error:?}")
    };
    assert_eq!(answer("ada@example.org", "wrong password, long"), answer("bob@example.org", PASSWORD));
    let failures: Vec<LoginFailed> =
        world.events().iter().filter_map(|event| event.decode().unwrap()).collect();
    assert_eq!(failures.len(), 2);
    assert_eq!(world.stored::<LoginFailures>().len(), 2);
}

#[test]
fn ten_failures_lock_the_address_for_that_network_for_a_growing_time() {
    let world = World::new();
    world.register("ada@example.org");
    for email in ["ada@example.org", "nobody@example.org"] {
        for _ in 0..10 {
            assert_eq!(world.try_login(&anyone(), email, "wrong password, long"), "auth.invalid_credentials");
        }
        assert_eq!(world.try_login(&anyone(), email, PASSWORD), "auth.too_many_attempts");
    }
    assert_eq!(world.try_login(&from("198.51.100.7"), "ada@example.org", PASSWORD), "ok");
    world.pass(31);
    assert_eq!(
        world.try_login(&anyone(), "ada@example.org", "wrong password, long"),
        "auth.invalid_credentials"
    );
    world.pass(31);
    assert_eq!(world.try_login(&anyone(), "ada@example.org", PASSWORD), "auth.too_many_attempts");
    world.pass(30);
    assert_eq!(world.try_login(&anyone(), "ada@example.org", PASSWORD), "ok");
    assert_eq!(
        world.try_login(&anyone(), "ada@example.org", "wrong password, long"),
        "auth.invalid_credentials"
    );
    assert_eq!(world.try_login(&anyone(), "ada@example.org", PASSWORD), "ok");
}

#[test]
fn a_right_guess_among_many_at_once_counts_only_before_the_tenth_failure() {
    let world = World::new();
    world.register("ada@example.org");
    let wrong = credentials("ada@example.org", "wrong password, long");
    let right = credentials("ada@example.org", PASSWORD);
    let ctx = anyone();
    // All of them are let in to be compared before the first failure is written.
    let guesses = (0..29).map(|at| if at == 28 { &right } else { &wrong });
    let outcomes = world.run(join_all(guesses.map(|guess| world.auth.login(&ctx, guess))));
    let refused = outcomes.into_iter().map(code).collect::<Vec<_>>();
    assert_eq!(refused[28], "auth.too_many_attempts");
    assert!(refused[..28].iter().all(|code| *code == "auth.invalid_credentials"), "{refused:?}");
    let counted: Vec<u32> = world
        .events()
        .iter()
        .filter_map(|event| event.decode::<LoginFailed>().unwrap())
        .map(|failed| failed.failures)
        .collect();
    assert_eq!(counted, (1..=28).collect::<Vec<_>>());
}

#[test]
fn many_right_logins_at_once_all_succeed() {
    let world = World::new();
    world.register("ada@example.org");
    let (ctx, right) = (anyone(), credentials("ada@example.org", PASSWORD));
    let pairs = world.run(join_all((0..20).map(|_| world.auth.login(&ctx, &right))));
    assert!(pairs.iter().all(|pair| pair.is_ok()));
    assert_eq!(world.stored::<Session>().len(), 20);
}

#[test]
fn a_password_is_hashed_anew_when_the_cost_has_changed() {
    let world = World::new();
    world.register("ada@example.org");
    let dearer =
        AuthConfig { argon2: Argon2Config { memory_kib: 16, iterations: 2, parallelism: 1 }, ..cheap() };
    let world = world.restart(dearer);
    assert!(world.stored::<Account>()[0].password_hash.contains("m=8,t=1,p=1"));
    world.login("ada@example.org");
    assert!(world.stored::<Account>()[0].password_hash.contains("m=16,t=2,p=1"));
    world.login("ada@example.org");
}

#[test]
fn a_refresh_token_is_spent_once_and_replayed_within_the_window() {
    let world = World::new();
    world.register("ada@example.org");
    let first = world.login("ada@example.org");
    let second = world.refresh(&first.refresh_token).unwrap();
    assert_ne!(second.refresh_token, first.refresh_token);
    assert_eq!(world.authenticate(&first).unwrap().session, world.authenticate(&second).unwrap().session);
    world.pass(10);
    assert_eq!(world.refresh(&first.refresh_token).unwrap().refresh_token, second.refresh_token);
    let third = world.refresh(&second.refresh_token).unwrap();
    world.pass(1);
    assert_eq!(code(world.refresh(&first.refresh_token)), "auth.invalid_refresh_token");
    for pair in [&first, &second, &third] {
        assert_eq!(code(world.authenticate(pair)), "auth.session_ended");
        assert_eq!(code(world.refresh(&pair.refresh_token)), "auth.invalid_refresh_token");
    }
    let causes: Vec<SessionEnd> = world
        .events()
        .iter()
        .filter_map(|event| event.decode::<SessionRevoked>().unwrap())
        .map(|end| end.cause)
        .collect();
    assert_eq!(causes, [SessionEnd::RefreshTokenReused]);
}

#[test]
fn many_refreshes_at_once_get_one_successor() {
    let world = World::new();
    world.register("ada@example.org");
    let first = world.login("ada@example.org");
    let (ctx, request) = (anyone(), RefreshRequest { refresh_token: Secret::new(first.refresh_token) });
    let pairs = world.run(join_all((0..12).map(|_| world.auth.refresh(&ctx, &request))));
    let mut successors: Vec<String> = pairs.into_iter().map(|pair| pair.unwrap().refresh_token).collect();
    successors.dedup();
    assert_eq!(successors.len(), 1);
    assert_eq!(world.stored::<StoredRefreshToken>().len(), 2);
}

#[test]
fn no_refresh_token_is_stored_in_clear() {
    let world = World::new();
    world.register("ada@example.org");
    let first = world.login("ada@example.org");
    let second = world.refresh(&first.refresh_token).unwrap();
    let text = serde_json::to_string(&world.stored::<StoredRefreshToken>()).unwrap();
    assert!(!text.contains(&first.refresh_token) && !text.contains(&second.refresh_token));
}

#[test]
fn a_session_ends_idle_or_old() {
    let config = AuthConfig { session_idle_s: 1_000, session_lifetime_s: 2_000, ..cheap() };
    let world = Machine::new().start(config);
    world.register("ada@example.org");
    let idle = world.login("ada@example.org");
    world.pass(1_000);
    assert_eq!(code(world.refresh(&idle.refresh_token)), "auth.invalid_refresh_token");
    let mut pair = world.login("ada@example.org");
    world.pass(900);
    pair = world.refresh(&pair.refresh_token).unwrap();
    world.pass(900);
    pair = world.refresh(&pair.refresh_token).unwrap();
    assert_eq!(pair.expires_in, 200);
    world.pass(200);
    assert_eq!(code(world.refresh(&pair.refresh_token)), "auth.invalid_refresh_token");
    assert_eq!(code(world.authenticate(&pair)), "auth.token_expired");
}

#[test]
fn logout_is_effective_for_the_very_next_request_and_beats_a_refresh() {
    let world = World::new();
    world.register("ada@example.org");
    let pair = world.login("ada@example.org");
    let ctx = world.context(&pair);
    assert!(world.authenticate(&pair).is_ok());
    world.run(world.auth.logout(&ctx, &LogoutRequest::default())).unwrap();
    assert_eq!(code(world.authenticate(&pair)), "auth.session_ended");
    assert_eq!(code(world.refresh(&pair.refresh_token)), "auth.invalid_refresh_token");
    world.run(world.auth.logout(&ctx, &LogoutRequest::default())).unwrap();
    let other = world.login("ada@example.org");
    let request = LogoutRequest { refresh_token: Some(Secret::new(other.refresh_token.clone())) };
    world.run(world.auth.logout(&anyone(), &request)).unwrap();
    assert_eq!(code(world.authenticate(&other)), "auth.session_ended");
    assert_eq!(
        code(world.run(world.auth.logout(&anyone(), &LogoutRequest::default()))),
        "auth.not_signed_in"
    );
}

#[test]
fn whatever_order_logout_and_refresh_come_in_nothing_lives_after_the_logout() {
    for seed in 0..30 {
        let world = World::new();
        world.machine.sim.advance(Duration::from_millis(seed));
        world.register("ada@example.org");
        let pair = world.login("ada@example.org");
        let (ctx, everybody) = (world.context(&pair), anyone());
        let (logout, request) = (
            LogoutRequest::default(),
            RefreshRequest { refresh_token: Secret::new(pair.refresh_token.clone()) },
        );
        let (refreshed, _) = world.run(async {
            tokio::join!(world.auth.refresh(&everybody, &request), world.auth.logout(&ctx, &logout))
        });
        if let Ok(refreshed) = refreshed {
            assert_eq!(code(world.authenticate(&refreshed)), "auth.session_ended");
            assert_eq!(code(world.refresh(&refreshed.refresh_token)), "auth.invalid_refresh_token");
        }
    }
}

#[test]
fn one_lists_and_ends_ones_own_sessions_and_nobody_elses() {
    let world = World::new();
    let (ada, eve) = (world.register("ada@example.org"), world.register("eve@example.org"));
    let (first, second, foreign) =
        (world.login("ada@example.org"), world.login("ada@example.org"), world.login("eve@example.org"));
    let (ctx, eves) = (world.context(&first), world.context(&foreign));
    let list = |ctx: &Context, user| world.run(world.auth.sessions(ctx, user, &PageRequest::default()));
    let Page { items, .. } = list(&ctx, ada).unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items.iter().filter(|session| session.current).count(), 1);
    assert_eq!(items[0].address.as_deref(), Some("192.0.2.1"));
    assert_eq!(code(list(&ctx, eve)), "auth.forbidden");
    let other = world.authenticate(&second).unwrap().session.unwrap();
    assert_eq!(code(world.run(world.auth.revoke_session(&eves, other))), "auth.session_not_found");
    assert!(world.authenticate(&second).is_ok());
    world.run(world.auth.revoke_session(&ctx, other)).unwrap();
    assert_eq!(code(world.authenticate(&second)), "auth.session_ended");
    assert!(world.authenticate(&first).is_ok());
    assert_eq!(code(world.run(world.auth.revoke_session(&ctx, other))), "auth.session_not_found");
}

#[test]
fn a_change_of_roles_or_status_is_effective_for_the_very_next_request() {
    let world = World::new();
    let ada = world.register("ada@example.org");
    let pair = world.login("ada@example.org");
    let read: Permission = "ledger:read".parse().unwrap();
    let may = || world.authenticate(&pair).map(|principal| principal.permissions.contains(&read));
    assert!(!may().unwrap());
    let (system, role): (_, RoleName) = (Context::system(), "reader".parse().unwrap());
    let definition = RoleDefinition { permissions: [read.clone()].into(), ..RoleDefinition::default() };
    world.run(world.users.put_role(&system, &role, None, &definition)).unwrap();
    world.run(world.users.grant(&system, ada, &role)).unwrap();
    assert!(may().unwrap());
    world.run(world.users.put_role(&system, &role, None, &RoleDefinition::default())).unwrap();
    assert!(!may().unwrap());
    let status = |status: &str| serde_json::from_value(serde_json::json!({"status": status})).unwrap();
    world.run(world.users.update(&system, ada, None, &status("deactivated"))).unwrap();
    assert_eq!(code(may()), "auth.session_ended");
    assert_eq!(world.try_login(&anyone(), "ada@example.org", PASSWORD), "auth.invalid_credentials");
    assert_eq!(code(world.refresh(&pair.refresh_token)), "auth.invalid_refresh_token");
    world.run(world.users.update(&system, ada, None, &status("active"))).unwrap();
    assert!(may().is_ok());
    world.run(world.users.erase(&system, ada, None)).unwrap();
    assert_eq!(code(may()), "auth.session_ended");
    assert_eq!(world.try_login(&anyone(), "ada@example.org", PASSWORD), "auth.invalid_credentials");
}

/// Gives the events of the users domain to the handler, as the backbone does.
fn forget(world: &World) {
    let outbox = world.run(world.machine.users_store.outbox(EventPosition::START, 1_000)).unwrap();
    let events: Vec<Event> = outbox.iter().map(|(_, json)| Event::from_json(json).unwrap()).collect();
    let forgetter = worker::Forgetter(world.auth.clone());
    let (forgetter, events) = (&forgetter, &events);
    world
        .run(command(&world.auth.db, &Context::system(), "test", &(), |mut work| async move {
            forgetter.handle(events, &mut work).await?;
            work.reply(())
        }))
        .unwrap();
    forgetter.committed(events);
}

#[test]
fn an_old_session_that_a_user_used_who_was_soon_back_is_refused_once_it_has_ended() {
    let world = World::new();
    let ada = world.register("ada@example.org");
    let pair = world.login("ada@example.org");
    let never = Arc::new(AtomicI64::new(i64::MAX));
    let other = world.machine.start_with_fuse(cheap(), &never);
    let status = |status: &str| serde_json::from_value(serde_json::json!({"status": status})).unwrap();
    let system = Context::system();
    world.run(world.users.update(&system, ada, None, &status("deactivated"))).unwrap();
    assert_eq!(code(world.authenticate(&pair)), "auth.session_ended");
    world.run(world.users.update(&system, ada, None, &status("active"))).unwrap();
    world.pass(1);
    assert!(
        world.authenticate(&pair).is_ok() && world.run(other.auth.authenticate(&pair.access_token)).is_ok()
    );
    forget(&world);
    assert_eq!(code(world.authenticate(&pair)), "auth.session_ended");
    world.pass(1);
    assert_eq!(code(world.run(other.auth.authenticate(&pair.access_token))), "auth.session_ended");
}

#[test]
fn sessions_of_a_deactivated_user_do_not_come_back_and_an_erased_account_is_free_again() {
    let world = World::new();
    let ada = world.register("ada@example.org");
    let pair = world.login("ada@example.org");
    let status = |status: &str| serde_json::from_value(serde_json::json!({"status": status})).unwrap();
    let system = Context::system();
    world.run(world.users.update(&system, ada, None, &status("deactivated"))).unwrap();
    world.pass(1);
    world.run(world.users.update(&system, ada, None, &status("active"))).unwrap();
    let back = world.login("ada@example.org");
    forget(&world);
    assert_eq!(code(world.refresh(&pair.refresh_token)), "auth.invalid_refresh_token");
    assert!(world.refresh(&back.refresh_token).is_ok());
    world.run(world.users.erase(&system, ada, None)).unwrap();
    assert_eq!(
        code(world.run(world.auth.register(&anyone(), &registration("ada@example.org", PASSWORD)))),
        "auth.email_taken"
    );
    forget(&world);
    assert!(world.stored::<Session>().is_empty() && world.stored::<Account>().is_empty());
    assert_ne!(world.register("ada@example.org"), ada);
    let causes: Vec<SessionEnd> = world
        .events()
        .iter()
        .filter_map(|event| event.decode::<SessionRevoked>().unwrap())
        .map(|end| end.cause)
        .collect();
    assert_eq!(causes, [SessionEnd::Deactivated, SessionEnd::Erased]);
}

#[test]
fn a_new_password_ends_every_other_session_and_keeps_this_one() {
    let world = World::new();
    world.register("ada@example.org");
    let (here, there) = (world.login("ada@example.org"), world.login("ada@example.org"));
    assert!(world.authenticate(&there).is_ok());
    let ctx = Context { client: anyone().client, ..world.context(&here) };
    let change = |current: &str, new: &str| {
        let request =
            ChangePasswordRequest { current_password: Secret::new(current), new_password: Secret::new(new) };
        code(world.run(world.auth.change_password(&ctx, &request)))
    };
    assert_eq!(change("wrong password, long", "a new password of mine"), "auth.invalid_credentials");
    assert_eq!(change(PASSWORD, "short"), "auth.password_too_weak");
    assert_eq!(change(PASSWORD, "a new password of mine"), "ok");
    assert!(world.authenticate(&here).is_ok());
    assert!(world.refresh(&here.refresh_token).is_ok());
    assert_eq!(code(world.authenticate(&there)), "auth.session_ended");
    assert_eq!(code(world.refresh(&there.refresh_token)), "auth.invalid_refresh_token");
    assert_eq!(world.try_login(&anyone(), "ada@example.org", PASSWORD), "auth.invalid_credentials");
    assert_eq!(world.try_login(&anyone(), "ada@example.org", "a new password of mine"), "ok");
    for _ in 0..10 {
        change("wrong password, long", "yet another password");
    }
    assert_eq!(change("a new password of mine", "yet another password"), "auth.too_many_attempts");
}

#[test]
fn an_old_key_verifies_until_its_last_token_has_ended() {
    let world = World::new();
    world.register("ada@example.org");
    let before = world.login("ada@example.org");
    world.run(world.auth.rotate_keys(&Context::system())).unwrap();
    let after = world.login("ada@example.org");
    let kid = |pair: &TokenPair| jsonwebtoken::decode_header(&pair.access_token).unwrap().kid.unwrap();
    assert_ne!(kid(&before), kid(&after));
    assert!(world.authenticate(&before).is_ok() && world.authenticate(&after).is_ok());
    assert_eq!(world.auth.jwks().keys.len(), 2);
    let world = world.restart(cheap());
    assert!(world.authenticate(&before).is_ok() && world.authenticate(&after).is_ok());
    world.pass(931);
    world.run(world.auth.rotate_keys(&Context::system())).unwrap();
    let keys: Vec<String> = world.auth.jwks().keys.into_iter().map(|key| key.kid).collect();
    assert!(!keys.contains(&kid(&before)) && keys.contains(&kid(&after)));
    assert_eq!(world.stored::<StoredSigningKey>().len(), 2);
    assert_eq!(code(world.run(world.auth.rotate_keys(&anyone()))), "auth.not_signed_in");
}

#[test]
fn the_signing_key_is_replaced_by_itself_when_it_is_old() {
    let world = Machine::new().start(AuthConfig { signing_key_lifetime_s: 10_000, ..cheap() });
    let first = world.auth.jwks();
    world.pass(9_000);
    assert_eq!(world.auth.jwks(), first);
    world.pass(1_100);
    assert_eq!(world.auth.jwks().keys.len(), 2);
}

#[test]
fn another_node_hears_of_a_new_key_and_of_an_ended_session() {
    let world = World::new();
    world.register("ada@example.org");
    let never = Arc::new(AtomicI64::new(i64::MAX));
    let other = world.machine.start_with_fuse(cheap(), &never);
    world.run(world.auth.rotate_keys(&Context::system())).unwrap();
    world.pass(1);
    let pair = world.login("ada@example.org");
    assert!(world.run(other.auth.authenticate(&pair.access_token)).is_ok());
    world.run(world.auth.logout(&world.context(&pair), &LogoutRequest::default())).unwrap();
    world.pass(1);
    assert_eq!(code(world.run(other.auth.authenticate(&pair.access_token))), "auth.session_ended");
}

#[test]
fn the_first_administrator_needs_the_token_and_there_is_no_second() {
    let world = World::new();
    let token = world.run(world.auth.setup_token()).unwrap().unwrap();
    assert_eq!(token.expose().len(), 43);
    let setup = |token: &Secret, email: &str, password: &str| {
        let request = SetupRequest {
            token: token.clone(),
            email: email.parse().unwrap(),
            password: Secret::new(password),
        };
        world.run(world.auth.setup(&anyone(), &request))
    };
    assert_eq!(code(setup(&Secret::new("wrong"), "root@example.org", PASSWORD)), "auth.invalid_setup_token");
    assert_eq!(code(setup(&token, "root@example.org", "short")), "auth.password_too_weak");
    let pair = setup(&token, "root@example.org", PASSWORD).unwrap();
    assert_eq!(world.authenticate(&pair).unwrap().permissions, crate::kernel::Permissions::All);
    assert!(world.run(world.auth.setup_token()).unwrap().is_none());
    assert_eq!(code(setup(&token, "eve@example.org", PASSWORD)), "auth.already_set_up");
}

#[test]
fn a_setup_that_crashes_anywhere_is_completed_with_the_next_token() {
    for commits in 0..=5 {
        let machine = Machine::new();
        drop(machine.start_with_fuse(cheap(), &Arc::new(AtomicI64::new(i64::MAX))));
        let process = machine.start_with_fuse(cheap(), &Arc::new(AtomicI64::new(commits)));
        let auth = &process.auth;
        // The rounds of the start are over, so that the fuse counts the setup alone.
        machine.sim.advance(Duration::from_secs(1));
        let request = |token: Secret| SetupRequest {
            token,
            email: "root@example.org".parse().unwrap(),
            password: Secret::new(PASSWORD),
        };
        let old = machine.sim.block_on(auth.setup_token()).unwrap().unwrap();
        let first = machine.sim.block_on(auth.setup(&anyone(), &request(old.clone())));
        assert_eq!(first.is_ok(), commits == 5, "after {commits} commits: {first:?}");
        drop(process);
        let world = machine.start(cheap());
        if let Some(token) = world.run(world.auth.setup_token()).unwrap() {
            assert_ne!(token, old);
            assert_eq!(
                code(world.run(world.auth.setup(&anyone(), &request(old)))),
                "auth.invalid_setup_token"
            );
            world.run(world.auth.setup(&anyone(), &request(token))).unwrap();
        }
        let pair = world.login("root@example.org");
        assert_eq!(world.authenticate(&pair).unwrap().permissions, crate::kernel::Permissions::All);
    }
}

#[test]
fn what_has_ended_is_deleted() {
    let world =
        Machine::new().start(AuthConfig { session_idle_s: 1_000, session_lifetime_s: 1_000, ..cheap() });
    world.register("ada@example.org");
    let pair = world.login("ada@example.org");
    world.refresh(&pair.refresh_token).unwrap();
    world.try_login(&anyone(), "bob@example.org", PASSWORD);
    assert_eq!((world.stored::<Session>().len(), world.stored::<StoredRefreshToken>().len()), (1, 2));
    world.pass(1_100);
    assert_eq!((world.stored::<Session>().len(), world.stored::<StoredRefreshToken>().len()), (0, 0));
    assert_eq!(world.stored::<LoginFailures>().len(), 1);
    world.pass(24 * 3600);
    assert_eq!(world.stored::<LoginFailures>().len(), 0);
}

#[test]
fn no_event_carries_an_address_a_name_a_password_or_a_token_in_clear() {
    let world = World::new();
    world.register("ada@example.org");
    let pair = world.login("ada@example.org");
    world.try_login(&anyone(), "ada@example.org", "wrong password, long");
    world.try_login(&anyone(), "bob@example.org", "wrong password, long");
    let next = world.refresh(&pair.refresh_token).unwrap();
    world.run(world.auth.logout(&world.context(&next), &LogoutRequest::default())).unwrap();
    let secrets = [
        "example.org",
        "Ada",
        "horse",
        "wrong password",
        &pair.refresh_token,
        &next.refresh_token,
        &pair.access_token,
        "192.0.2",
    ];
    let events = world.events();
    assert!(events.len() >= 5);
    for event in events {
        let text = String::from_utf8(event.to_json()).unwrap();
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn a_warm_token_is_answered_from_memory_alone() {
    let world = World::new();
    world.register("ada@example.org");
    let pair = world.login("ada@example.org");
    assert!(world.authenticate(&pair).is_ok());
    let mut future = std::pin::pin!(world.auth.authenticate(&pair.access_token));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(matches!(future.as_mut().poll(&mut context), std::task::Poll::Ready(Ok(_))));
    world.pass(900);
    assert_eq!(code(world.authenticate(&pair)), "auth.token_expired");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Random uses of random tokens of a session at random times, alone or twice at once: what the
    /// store gives is what the rules say, and a family has at most one unspent token.
    #[test]
    fn a_refresh_family_follows_its_rules(
        steps in proptest::collection::vec((any::<proptest::sample::Index>(), 0u64..15, any::<bool>()), 1..25),
    ) {
        let world = World::new();
        world.register("ada@example.org");
        let mut tokens = vec![world.login("ada@example.org").refresh_token];
        let mut uses: Vec<Option<(u64, usize)>> = vec![None];
        let (mut now, mut dead, ctx) = (0, false, anyone());
        for (which, pause, twice) in steps {
            world.pass(pause);
            now += pause;
            let index = which.index(tokens.len());
            let request = RefreshRequest { refresh_token: Secret::new(tokens[index].clone()) };
            let answers = world.run(join_all((0..1 + usize::from(twice)).map(|_| world.auth.refresh(&ctx, &request))));
            let expected = match (dead, uses[index]) {
                (true, _) => None,
                (false, Some((at, successor))) if now - at <= 10 => Some(successor),
                (false, Some(_)) => { dead = true; None }
                (false, None) => { uses[index] = Some((now, tokens.len())); Some(tokens.len()) }
            };
            for answer in answers {
                match (answer, expected) {
                    (Err(error), None) => prop_assert_eq!(error.code(), "auth.invalid_refresh_token"),
                    (Ok(pair), Some(successor)) => {
                        if successor == tokens.len() {
                            tokens.push(pair.refresh_token.clone());
                            uses.push(None);
                        }
                        prop_assert_eq!(&pair.refresh_token, &tokens[successor]);
                        prop_assert!(world.authenticate(&pair).is_ok());
                    }
                    (answer, expected) => prop_assert!(false, "{answer:?} where {expected:?} was expected"),
                }
            }
            let unspent = world.stored::<StoredRefreshToken>().iter().filter(|stored| stored.token.spent.is_none()).count();
            prop_assert_eq!(unspent, 1);
        }
    }
}

#[test]
fn a_logout_without_an_answer_is_in_force_if_it_happened() {
    let sim = SimRuntime::new(1);
    let memory = MemoryBackends::new(sim.runtime());
    sim.block_on(async {
        let backends = memory.backends().await.unwrap();
        let users = Users::open(&backends).await.unwrap();
        let mut db = Database::open(&backends, &Auth::schema()).await.unwrap();
        let flaky = Arc::new(FlakyStore::new(db.store, sim.runtime()));
        db.store = Arc::clone(&flaky) as _;
        let auth = Auth::over(db, Arc::clone(&backends.signals), users, cheap()).await.unwrap();
        let request = registration("ada@example.org", "correct horse battery");
        auth.register(&anyone(), &request).await.unwrap();
        let credentials = credentials("ada@example.org", "correct horse battery");
        let pair = auth.login(&anyone(), &credentials).await.unwrap();
        let principal = auth.authenticate(&pair.access_token).await.unwrap();
        flaky.next(&[Fault::AppliedSilently]);
        let ctx = Context { principal, ..anyone() };
        auth.logout(&ctx, &LogoutRequest::default()).await.unwrap_err();
        assert_eq!(code(auth.authenticate(&pair.access_token).await), "auth.session_ended");
    });
}

#[test]
fn a_rotation_without_an_answer_is_in_force_if_it_happened() {
    let sim = SimRuntime::new(1);
    let memory = MemoryBackends::new(sim.runtime());
    let (auth, flaky, _workers) = sim.block_on(async {
        let backends = memory.backends().await.unwrap();
        let users = Users::open(&backends).await.unwrap();
        let mut db = Database::open(&backends, &Auth::schema()).await.unwrap();
        let flaky = Arc::new(FlakyStore::new(db.store, sim.runtime()));
        db.store = Arc::clone(&flaky) as _;
        let auth = Auth::over(db, Arc::clone(&backends.signals), users, cheap()).await.unwrap();
        let workers = Stopper::new();
        for task in &auth.parts().tasks {
            task.start(&*backends.runtime, workers.shutdown());
        }
        (auth, flaky, workers)
    });
    sim.advance(Duration::from_secs(1));
    let signs_with = || {
        sim.block_on(async {
            let credentials = credentials("ada@example.org", PASSWORD);
            let pair = auth.login(&anyone(), &credentials).await.unwrap();
            assert!(auth.authenticate(&pair.access_token).await.is_ok());
            jsonwebtoken::decode_header(&pair.access_token).unwrap().kid.unwrap()
        })
    };
    sim.block_on(auth.register(&anyone(), &registration("ada@example.org", PASSWORD))).unwrap();
    let first = signs_with();
    for (fault, happened) in [(Fault::AppliedSilently, true), (Fault::Lost, false)] {
        let before = signs_with();
        flaky.next(&[fault]);
        sim.block_on(auth.rotate_keys(&Context::system())).unwrap_err();
        // Less than the round in which the keys are read without being told.
        sim.advance(Duration::from_secs(2));
        assert_eq!(signs_with() != before, happened);
    }
    assert!(signs_with() != first && auth.jwks().keys.len() == 2);
}

#[test]
fn a_registration_that_completes_an_interrupted_one_is_remembered_under_its_key() {
    let sim = SimRuntime::new(1);
    let memory = MemoryBackends::new(sim.runtime());
    sim.block_on(async {
        let backends = memory.backends().await.unwrap();
        let mut users_db = Database::open(&backends, &Users::schema()).await.unwrap();
        let flaky = Arc::new(FlakyStore::new(users_db.store, sim.runtime()));
        users_db.store = Arc::clone(&flaky) as _;
        let users = Users::over(users_db, Arc::clone(&backends.signals)).await.unwrap();
        let auth = Auth::open(&backends, &users, cheap()).await.unwrap();
        let request = registration("ada@example.org", "correct horse battery");
        flaky.next(&[Fault::Refused]);
        auth.register(&anyone(), &request).await.unwrap_err();
        let keyed = anyone().with_key("once".parse().unwrap());
        let first = auth.register(&keyed, &request).await.unwrap();
        assert_eq!(auth.register(&keyed, &request).await.unwrap(), first);
        assert_eq!(code(auth.register(&anyone(), &request).await), "auth.email_taken");
    });
}
