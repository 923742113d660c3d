//! How sessions go on and end.

use super::*;
use crate::kernel::{Page, Permission};
use crate::users::{RoleDefinition, RoleName};

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
