//! Passwords, right and wrong.

use super::*;
use crate::auth::events::LoginFailed;

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
