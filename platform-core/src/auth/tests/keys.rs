//! Signing keys.

use super::*;
use crate::auth::tables::StoredSigningKey;

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
fn a_node_that_has_not_heard_of_a_rotation_signs_with_the_key_that_is_not_over() {
    let sim = SimRuntime::new(1);
    sim.block_on(async {
        let nodes = DeafNodes::new(&sim).await;
        let (one, other) = (nodes.start().await, nodes.start().await);
        one.register(&anyone(), &registration("ada@example.org", PASSWORD)).await.unwrap();
        other.rotate_keys(&Context::system()).await.unwrap();
        sim.jump_clock(Duration::from_secs(1_200), false);
        let pair = one.login(&anyone(), &credentials("ada@example.org", PASSWORD)).await.unwrap();
        assert!(nodes.start().await.authenticate(&pair.access_token).await.is_ok());
    });
}
