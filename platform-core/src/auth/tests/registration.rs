//! Accounts come to be, whatever comes between.

use super::*;
use crate::auth::events::AccountRegistered;
use crate::auth::tables::AccountState;
use crate::kernel::Actor;
use crate::users::Profile;

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
