//! Sessions of users who were changed or erased.

use super::*;
use crate::backbone::Handler;
use crate::ports::store::command;

/// Gives the events of the users domain to the handler, as the backbone does.
fn forget(world: &World) {
    let outbox = world.run(world.machine.users_store.outbox(EventPosition::START, 1_000)).unwrap();
    let event = |position, json: &[u8]| Event { position, ..Event::from_json(json).unwrap() };
    let events: Vec<Event> = outbox.iter().map(|(position, json)| event(*position, json)).collect();
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
    world.run(world.users.update(&system, ada, None, &status("active"))).unwrap();
    // No clock tells which of them came first.
    world.turn_back_the_clock(1_000);
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
