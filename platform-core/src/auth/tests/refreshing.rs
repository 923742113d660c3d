//! Refresh tokens.

use proptest::prelude::*;

use super::*;

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
fn a_node_that_finds_a_session_ended_lets_its_token_in_no_more() {
    let sim = SimRuntime::new(1);
    sim.block_on(async {
        let nodes = DeafNodes::new(&sim).await;
        let (one, other) = (nodes.start().await, nodes.start().await);
        one.register(&anyone(), &registration("ada@example.org", PASSWORD)).await.unwrap();
        let pair = one.login(&anyone(), &credentials("ada@example.org", PASSWORD)).await.unwrap();
        let principal = other.authenticate(&pair.access_token).await.unwrap();
        one.revoke_session(&Context::system(), principal.session.unwrap()).await.unwrap();
        let request = RefreshRequest { refresh_token: Secret::new(pair.refresh_token.clone()) };
        assert_eq!(code(other.refresh(&anyone(), &request).await), "auth.invalid_refresh_token");
        assert_eq!(code(other.authenticate(&pair.access_token).await), "auth.session_ended");
    });
}
