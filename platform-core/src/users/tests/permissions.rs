//! Who may do what, at once and everywhere.

use tokio::sync::broadcast;

use super::*;
use crate::ports::signals::Signal;
use crate::users::events::RoleChanged;

#[test]
fn every_method_denies_whoever_lacks_its_permission() {
    let world = World::new();
    let id = world.add("ada@example.org", None).id;
    let stranger = signed_in(UserId(RawId([7; 16])), &["other:thing"]);
    let (users, name) = (&world.users, role("r"));
    let new = NewProfile { id: None, email: "x@y".parse().unwrap(), name: None };
    for denied in [
        code(world.run(users.create(&stranger, &new))),
        code(world.run(users.update(&stranger, id, None, &ProfilePatch::default()))),
        code(world.run(users.grant(&stranger, id, &name))),
        code(world.run(users.grant_first_administrator(&stranger, id))),
        code(world.run(users.revoke(&stranger, id, &name))),
        code(world.run(users.put_role(&stranger, &name, None, &RoleDefinition::default()))),
        code(world.run(users.delete_role(&stranger, &name))),
        code(world.run(users.role(&stranger, &name))),
        code(world.run(users.roles(&stranger, &PageRequest::default()))),
        code(world.run(users.access(&stranger, id))),
        code(world.run(users.check(&stranger, id, &USERS_READ))),
    ] {
        assert_eq!(denied, "auth.forbidden");
    }
}

#[test]
fn a_change_of_roles_is_effective_with_the_answer() {
    let world = World::new();
    let ada = world.add("ada@example.org", None).id;
    world.role("reader", &["ledger:read"], &[]).unwrap();
    world.role("clerk", &["ledger:transfer"], &["reader"]).unwrap();
    assert!(!world.may(ada, "ledger:read"));
    world.run(world.users.grant(&system(), ada, &role("clerk"))).unwrap();
    assert!(world.may(ada, "ledger:read") && world.may(ada, "ledger:transfer"));
    world.role("reader", &["ledger:audit"], &[]).unwrap();
    assert!(!world.may(ada, "ledger:read") && world.may(ada, "ledger:audit"));
    world.run(world.users.update(&system(), ada, None, &patch(json!({"status": "deactivated"})))).unwrap();
    assert!(!world.may(ada, "ledger:audit"));
    world.run(world.users.update(&system(), ada, None, &patch(json!({"status": "active"})))).unwrap();
    assert!(world.may(ada, "ledger:audit"));
    world.run(world.users.revoke(&system(), ada, &role("clerk"))).unwrap();
    assert!(!world.may(ada, "ledger:audit"));
    world.run(world.users.grant(&system(), ada, &RoleName::admin())).unwrap();
    assert!(world.may(ada, "any:thing"));
}

#[test]
fn another_node_hears_of_a_change() {
    let mut world = World::new();
    let other = world.another_node();
    let ada = world.add("ada@example.org", None).id;
    let read: Permission = "ledger:read".parse().unwrap();
    let may = || {
        world.run(async {
            world.db.runtime.sleep(std::time::Duration::from_millis(1)).await;
            other.check(&system(), ada, &read).await.unwrap()
        })
    };
    assert!(!may());
    world.role("reader", &["ledger:read"], &[]).unwrap();
    world.run(world.users.grant(&system(), ada, &role("reader"))).unwrap();
    assert!(may());
    world.role("reader", &[], &[]).unwrap();
    assert!(!may());
}

#[test]
fn nobody_gives_takes_or_governs_more_than_they_hold() {
    let world = World::new();
    let (ada, bob) = (world.add("ada@example.org", None).id, world.add("bob@example.org", None).id);
    world.run(world.users.grant(&system(), ada, &RoleName::admin())).unwrap();
    world.role("power", &["ledger:everything"], &[]).unwrap();
    let clerk = signed_in(bob, &["roles:write", "users:write", "ledger:read"]);
    let users = &world.users;
    let define = |permissions: &[&str], includes: &[&str]| {
        code(world.run(users.put_role(&clerk, &role("mine"), None, &definition(permissions, includes))))
    };
    let beyond = "users.beyond_own_permissions";
    assert_eq!(define(&["ledger:read"], &[]), "ok");
    assert_eq!(define(&["ledger:everything"], &[]), beyond);
    assert_eq!(define(&[], &["power"]), beyond);
    assert_eq!(define(&[], &["admin"]), beyond);
    for name in [RoleName::admin(), role("power")] {
        assert_eq!(code(world.run(users.grant(&clerk, bob, &name))), beyond);
        assert_eq!(code(world.run(users.revoke(&clerk, ada, &name))), beyond);
    }
    assert_eq!(code(world.run(users.delete_role(&clerk, &role("power")))), beyond);
    assert_eq!(code(world.run(users.put_role(&clerk, &role("power"), None, &definition(&[], &[])))), beyond);
    assert_eq!(
        code(world.run(users.update(&clerk, ada, None, &patch(json!({"status": "deactivated"}))))),
        beyond
    );
    assert_eq!(code(world.run(users.erase(&clerk, ada, None))), beyond);
    assert_eq!(code(world.run(users.grant(&clerk, bob, &role("mine")))), "ok");
}

#[test]
fn a_grant_that_changes_nothing_publishes_nothing() {
    let world = World::new();
    let id = world.add("ada@example.org", None).id;
    world.role("reader", &[], &[]).unwrap();
    let first = world.run(world.users.grant(&system(), id, &role("reader"))).unwrap();
    let second = world.run(world.users.grant(&system(), id, &role("reader"))).unwrap();
    assert_eq!(first, second);
    assert_eq!(
        world.events().iter().filter(|event| event.decode::<RoleChanged>().unwrap().is_some()).count(),
        1
    );
}

#[test]
fn while_changed_roles_cannot_be_read_nobody_is_let_through_and_afterwards_everybody_who_may() {
    let world = World::new();
    let flaky = Arc::new(FlakyStore::new(Arc::clone(&world.db.store), world.sim.runtime()));
    let db = Database { store: Arc::clone(&flaky) as _, ..world.db.clone() };
    let (users, _node) = start(&world.sim, &world.backends, &db);
    world.role("clerk", &["orders:read"], &[]).unwrap();
    let (user, system) = (world.add("ada@example.org", None).id, system());
    world.run(users.grant(&system, user, &role("clerk"))).unwrap();
    let check = || world.run(users.check(&system, user, &"orders:read".parse().unwrap()));
    assert!(check().unwrap());
    flaky.fail_scans(true);
    assert!(check().unwrap(), "nothing has changed");
    // Another node changes a role; this one hears it.
    world.role("other", &["orders:write"], &[]).unwrap();
    world.sim.advance(std::time::Duration::from_secs(1));
    assert_eq!(check().unwrap_err().code(), "store.unavailable");
    flaky.fail_scans(false);
    assert!(check().unwrap());
}

/// Signals of a node that is cut off from the others.
struct CutOff;

impl Signals for CutOff {
    fn send(&self, _: Signal) {}

    fn receiver(&self) -> broadcast::Receiver<Signal> {
        broadcast::Sender::new(1).subscribe()
    }

    fn connected(&self) -> bool {
        false
    }
}

#[test]
fn a_node_that_cannot_hear_the_others_decides_by_the_roles_that_they_change() {
    let world = World::new();
    world.role("clerk", &["orders:read"], &[]).unwrap();
    let (user, system) = (world.add("ada@example.org", None).id, system());
    world.run(world.users.grant(&system, user, &role("clerk"))).unwrap();
    let cut_off = world.run(Users::over(world.db.clone(), Arc::new(CutOff))).unwrap();
    let may =
        |permission: &str| world.run(cut_off.check(&system, user, &permission.parse().unwrap())).unwrap();
    assert!(may("orders:read") && !may("orders:write"));
    world.role("clerk", &["orders:write"], &[]).unwrap();
    assert!(!may("orders:read") && may("orders:write"));
}
