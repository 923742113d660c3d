//! The setup of the first administrator.

use super::*;

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
