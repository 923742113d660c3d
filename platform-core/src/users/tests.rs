//! The facade over the in-memory store.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::events::{ProfileCreated, ProfileErased, RoleChanged};
use super::*;
use crate::backbone::{Handler, Stopper};
use crate::kernel::EventData;
use crate::kernel::{
    Actor, Context, CorrelationId, Event, EventPosition, PageRequest, Permissions, Principal, RawId, UserId,
};
use crate::ports::runtime::SimRuntime;
use crate::ports::store::Work;
use crate::ports::store::flaky::{Fault, FlakyStore};
use crate::ports::{Backends, MemoryBackends};

struct World {
    sim: SimRuntime,
    backends: Backends,
    db: Database,
    users: Users,
    nodes: Vec<Stopper>,
}

impl World {
    fn new() -> World {
        let sim = SimRuntime::new(1);
        let memory = MemoryBackends::new(sim.runtime());
        let (backends, db) = sim.block_on(async {
            let backends = memory.backends().await.unwrap();
            let db = Database::open(&backends, &Users::schema()).await.unwrap();
            (backends, db)
        });
        let (users, node) = start(&sim, &backends, &db);
        World { sim, backends, db, users, nodes: vec![node] }
    }

    /// One more node over the same store.
    fn another_node(&mut self) -> Users {
        let (users, node) = start(&self.sim, &self.backends, &self.db);
        self.nodes.push(node);
        users
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.sim.block_on(future)
    }

    fn add(&self, email: &str, name: Option<&str>) -> Profile {
        let new = NewProfile { id: None, email: email.parse().unwrap(), name: name.map(str::to_owned) };
        self.run(self.users.create(&system(), &new)).unwrap().value
    }

    fn role(&self, name: &str, permissions: &[&str], includes: &[&str]) -> Result<RoleView> {
        self.run(self.users.put_role(&system(), &role(name), None, &definition(permissions, includes)))
            .map(|role| role.value)
    }

    fn may(&self, user: UserId, permission: &str) -> bool {
        self.run(self.users.check(&system(), user, &permission.parse().unwrap())).unwrap()
    }

    fn events(&self) -> Vec<Event> {
        let outbox = self.run(self.db.store.outbox(EventPosition::START, 1_000)).unwrap();
        outbox.iter().map(|(_, json)| Event::from_json(json).unwrap()).collect()
    }
}

fn start(sim: &SimRuntime, backends: &Backends, db: &Database) -> (Users, Stopper) {
    sim.block_on(async {
        let users = Users::over(db.clone(), Arc::clone(&backends.signals)).await.unwrap();
        let workers = Stopper::new();
        for task in &users.parts().tasks {
            task.start(&*backends.runtime, workers.shutdown());
        }
        (users, workers)
    })
}

fn system() -> Context {
    Context::system()
}

fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

fn definition(permissions: &[&str], includes: &[&str]) -> RoleDefinition {
    RoleDefinition {
        permissions: permissions.iter().map(|name| name.parse().unwrap()).collect(),
        includes: includes.iter().map(|name| name.parse().unwrap()).collect(),
    }
}

fn signed_in(user: UserId, permissions: &[&str]) -> Context {
    let held: BTreeSet<Permission> = permissions.iter().map(|name| name.parse().unwrap()).collect();
    let principal =
        Principal { actor: Actor::User(user), session: None, permissions: Permissions::Only(Arc::new(held)) };
    Context::new(principal, CorrelationId::from_raw(RawId([0; 16])))
}

fn patch(json: serde_json::Value) -> ProfilePatch {
    serde_json::from_value(json).unwrap()
}

fn code<T>(result: Result<T>) -> &'static str {
    result.err().map_or("ok", |error| error.code())
}

#[test]
fn an_address_is_unique_without_regard_to_case() {
    let world = World::new();
    world.add("ada@example.org", None);
    let again = NewProfile { id: None, email: "ADA@example.org".parse().unwrap(), name: None };
    assert_eq!(code(world.run(world.users.create(&system(), &again))), "users.email_taken");
}

#[test]
fn the_same_id_and_address_again_is_answered_like_the_first_time() {
    let world = World::new();
    let id = Some(UserId(RawId([5; 16])));
    let new = NewProfile { id, email: "ada@example.org".parse().unwrap(), name: None };
    let first = world.run(world.users.create(&system(), &new)).unwrap();
    assert_eq!(world.run(world.users.create(&system(), &new)).unwrap(), first);
    let other = NewProfile { email: "bob@example.org".parse().unwrap(), ..new };
    assert_eq!(code(world.run(world.users.create(&system(), &other))), "users.email_taken");
    assert_eq!(world.events().len(), 1);
}

#[test]
fn a_stale_version_is_refused_and_a_right_one_moves_on() {
    let world = World::new();
    let id = world.add("ada@example.org", Some("Ada")).id;
    let first = world.run(world.users.get(&system(), id)).unwrap();
    let next = world
        .run(world.users.update(&system(), id, Some(first.version), &patch(json!({"name": "A"}))))
        .unwrap();
    assert!(next.version > first.version);
    assert_eq!(world.run(world.users.get(&system(), id)).unwrap(), next);
    let stale =
        world.run(world.users.update(&system(), id, Some(first.version), &patch(json!({"name": "B"}))));
    assert_eq!(code(stale), "users.version_mismatch");
    let nothing =
        world.run(world.users.update(&system(), id, Some(next.version), &patch(json!({})))).unwrap();
    assert_eq!(nothing.version, next.version);
}

#[test]
fn one_changes_oneself_but_not_ones_status_and_nobody_else() {
    let world = World::new();
    let (ada, bob) = (world.add("ada@example.org", None).id, world.add("bob@example.org", None).id);
    let ctx = signed_in(ada, &[]);
    let update = |user, json| code(world.run(world.users.update(&ctx, user, None, &patch(json))));
    assert_eq!(update(ada, json!({"name": "Ada"})), "ok");
    assert_eq!(update(ada, json!({"status": "deactivated"})), "auth.forbidden");
    assert_eq!(update(bob, json!({"name": "Eve"})), "auth.forbidden");
    assert_eq!(code(world.run(world.users.get(&ctx, bob))), "auth.forbidden");
    assert_eq!(
        code(world.run(world.users.search(&ctx, &ProfileSearch::default(), &PageRequest::default()))),
        "auth.forbidden"
    );
    assert_eq!(code(world.run(world.users.erase(&ctx, bob, None))), "auth.forbidden");
    assert_eq!(code(world.run(world.users.permissions(&ctx, bob))), "auth.forbidden");
}

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
fn search_finds_by_prefix_page_by_page_without_regard_to_case() {
    let world = World::new();
    for number in 0..25 {
        world.add(&format!("User{number:02}@example.org"), Some(&format!("Zoë {number:02}")));
    }
    world.add("other@example.org", Some("Zacharias"));
    let search = ProfileSearch { email_prefix: Some("USER".into()), ..ProfileSearch::default() };
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let request = PageRequest { limit: Some(10), cursor };
        let page = world.run(world.users.search(&system(), &search, &request)).unwrap();
        found.extend(page.items.into_iter().map(|profile| profile.email.normalised()));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, (0..25).map(|number| format!("user{number:02}@example.org")).collect::<Vec<_>>());
    let count = |search| {
        world.run(world.users.search(&system(), &search, &PageRequest::default())).unwrap().items.len()
    };
    let by_name =
        |prefix: &str| ProfileSearch { name_prefix: Some(prefix.into()), ..ProfileSearch::default() };
    assert_eq!(count(by_name("zoë 1")), 10);
    assert_eq!(count(by_name("Z")), 26);
    assert_eq!(count(by_name("x")), 0);
    assert_eq!(count(ProfileSearch { email_prefix: Some("user".into()), ..by_name("zoë 2") }), 5);
    assert_eq!(count(ProfileSearch::default()), 26);
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
fn the_last_administrator_stays_one_and_there_is_one_first() {
    let world = World::new();
    let (ada, bob) = (world.add("ada@example.org", None).id, world.add("bob@example.org", None).id);
    let (users, admin) = (&world.users, RoleName::admin());
    assert!(!world.run(users.has_administrator()).unwrap());
    assert_eq!(code(world.run(users.grant_first_administrator(&system(), ada))), "ok");
    assert_eq!(code(world.run(users.grant_first_administrator(&system(), ada))), "users.already_set_up");
    assert_eq!(code(world.run(users.grant_first_administrator(&system(), bob))), "users.already_set_up");
    let deactivate =
        |user| code(world.run(users.update(&system(), user, None, &patch(json!({"status": "deactivated"})))));
    assert_eq!(code(world.run(users.revoke(&system(), ada, &admin))), "users.last_administrator");
    assert_eq!(deactivate(ada), "users.last_administrator");
    assert_eq!(code(world.run(users.erase(&system(), ada, None))), "users.last_administrator");
    world.run(users.grant(&system(), bob, &admin)).unwrap();
    assert_eq!(deactivate(bob), "ok");
    assert_eq!(code(world.run(users.revoke(&system(), ada, &admin))), "users.last_administrator");
    assert_eq!(code(world.run(users.erase(&system(), bob, None))), "ok");
    assert!(world.run(users.has_administrator()).unwrap());
}

#[test]
fn a_role_that_is_used_cannot_be_deleted() {
    let world = World::new();
    let (ada, users) = (world.add("ada@example.org", None).id, &world.users);
    world.role("inner", &[], &[]).unwrap();
    world.role("outer", &[], &["inner"]).unwrap();
    world.run(users.grant(&system(), ada, &role("outer"))).unwrap();
    let delete = |name| code(world.run(users.delete_role(&system(), &role(name))));
    assert_eq!(delete("inner"), "users.role_in_use");
    assert_eq!(delete("outer"), "users.role_in_use");
    world.run(users.erase(&system(), ada, None)).unwrap();
    assert_eq!(delete("outer"), "ok");
    assert_eq!(delete("inner"), "ok");
    assert_eq!(delete("inner"), "users.role_not_found");
    assert_eq!(delete("admin"), "users.role_built_in");
    assert_eq!(
        code(world.run(users.grant(&system(), world.add("b@c", None).id, &role("outer")))),
        "users.role_not_found"
    );
}

#[test]
fn circles_and_stale_versions_of_roles_are_refused_and_change_nothing() {
    let world = World::new();
    world.role("a", &["x:y"], &[]).unwrap();
    world.role("b", &[], &["a"]).unwrap();
    assert_eq!(code(world.role("a", &[], &["b"])), "users.role_cycle");
    assert_eq!(code(world.role("c", &[], &["nobody"])), "users.role_not_found");
    let put = |version| {
        code(world.run(world.users.put_role(&system(), &role("a"), version, &definition(&[], &[]))))
    };
    let version = world.run(world.users.role(&system(), &role("a"))).unwrap().version;
    assert_eq!(put(Some(version + 1)), "users.role_version_mismatch");
    assert_eq!(put(Some(version)), "ok");
    assert_eq!(put(Some(version)), "users.role_version_mismatch");
    let names: Vec<_> = world
        .run(world.users.roles(&system(), &PageRequest::default()))
        .unwrap()
        .items
        .into_iter()
        .map(|role| role.id)
        .collect();
    assert_eq!(names, [role("a"), role("b")]);
    assert!(world.run(world.users.role(&system(), &RoleName::admin())).unwrap().built_in);
}

#[test]
fn an_erased_person_is_gone_and_what_was_sealed_reads_nowhere() {
    let world = World::new();
    let id = world.add("ada@example.org", Some("Ada")).id;
    let created = world.events().iter().find_map(|event| event.decode::<ProfileCreated>().unwrap()).unwrap();
    let person = id.to_string();
    let open = |place, sealed| world.run(world.db.keys.open_for(&person, place, sealed)).unwrap();
    assert_eq!(open(ProfileCreated::EMAIL_PLACE, &created.email).unwrap(), br#""ada@example.org""#);
    assert_eq!(open(ProfileCreated::NAME_PLACE, created.name.as_ref().unwrap()).unwrap(), br#""Ada""#);
    world.run(world.users.erase(&signed_in(id, &[]), id, None)).unwrap();
    assert_eq!(code(world.run(world.users.get(&system(), id))), "users.not_found");
    assert_eq!(open(ProfileCreated::EMAIL_PLACE, &created.email), None);
    assert!(world.events().iter().any(|event| event.decode::<ProfileErased>().unwrap().is_some()));
    assert_eq!(code(world.run(world.users.erase(&system(), id, None))), "users.not_found");
    assert_ne!(world.add("ada@example.org", None).id, id);
}

#[test]
fn the_handler_destroys_the_key_when_the_command_had_no_time_to() {
    let world = World::new();
    let id = world.add("ada@example.org", None).id;
    let created = world.events().iter().find_map(|event| event.decode::<ProfileCreated>().unwrap()).unwrap();
    let mut event = world.events().remove(0);
    let new = Arc::make_mut(&mut event.new);
    new.event_type = ProfileErased::TYPE.to_owned();
    new.data = json!({ "user_id": id }).into();
    let (eraser, db) = (worker::KeyEraser(world.db.clone()), &world.db);
    let mut work = Work::new(db, Arc::new(system()));
    world.run(eraser.handle(&[event], &mut work)).unwrap();
    let person = id.to_string();
    let opened = db.keys.open_for(&person, ProfileCreated::EMAIL_PLACE, &created.email);
    assert_eq!(world.run(opened).unwrap(), None);
}

#[test]
fn no_event_carries_an_address_or_a_name_in_clear() {
    let world = World::new();
    let id = world.add("ada@example.org", Some("Lovelace")).id;
    world.run(world.users.update(&system(), id, None, &patch(json!({"name": "Lovelace-King"})))).unwrap();
    world.run(world.users.erase(&system(), id, None)).unwrap();
    for event in world.events() {
        let text = String::from_utf8(event.to_json()).unwrap();
        assert!(!text.contains("ada@") && !text.contains("Lovelace"), "{text}");
    }
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
fn a_change_without_an_answer_is_in_force_if_it_happened() {
    let world = World::new();
    let flaky = Arc::new(FlakyStore::new(Arc::clone(&world.db.store), world.sim.runtime()));
    let db = Database { store: Arc::clone(&flaky) as _, ..world.db.clone() };
    let (users, _node) = start(&world.sim, &world.backends, &db);
    world.role("clerk", &["orders:read"], &[]).unwrap();
    let (user, system) = (world.add("ada@example.org", None).id, system());
    world.run(users.grant(&system, user, &role("clerk"))).unwrap();
    let may = || world.run(users.check(&system, user, &"orders:read".parse().unwrap())).unwrap();
    assert!(may());
    flaky.next(&[Fault::AppliedSilently]);
    world.run(users.put_role(&system, &role("clerk"), None, &definition(&[], &[]))).unwrap_err();
    assert!(!may(), "the role permits nothing any more");
    world.run(users.put_role(&system, &role("clerk"), None, &definition(&["orders:read"], &[]))).unwrap();
    assert!(may());
    flaky.next(&[Fault::AppliedSilently]);
    world.run(users.revoke(&system, user, &role("clerk"))).unwrap_err();
    assert!(!may(), "the role was taken");
    world.run(users.grant(&system, user, &role("clerk"))).unwrap();
    assert!(may());
    flaky.next(&[Fault::AppliedSilently]);
    let gone = patch(json!({"status": "deactivated"}));
    world.run(users.update(&system, user, None, &gone)).unwrap_err();
    assert!(!may(), "the user was deactivated");
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Random grants, revocations, (de)activations and erasures: the number of active administrators
    /// and of holders is what counting by hand says, and never falls to zero administrators.
    #[test]
    fn the_counters_are_what_counting_says(steps in proptest::collection::vec((0usize..4, 0u8..6), 1..40)) {
        let world = World::new();
        world.role("reader", &[], &[]).unwrap();
        let people: Vec<UserId> = (0..4).map(|number| world.add(&format!("u{number}@example.org"), None).id).collect();
        world.run(world.users.grant_first_administrator(&system(), people[0])).unwrap();
        for (who, what) in steps {
            let (user, users) = (people[who], &world.users);
            let status = |status: &str| patch(json!({"status": status}));
            // Refusals are part of the game: what counts is that the counters agree afterwards.
            let _ = match what {
                0 => world.run(users.grant(&system(), user, &RoleName::admin())).map(|_| ()),
                1 => world.run(users.revoke(&system(), user, &RoleName::admin())).map(|_| ()),
                2 => world.run(users.update(&system(), user, None, &status("deactivated"))).map(|_| ()),
                3 => world.run(users.update(&system(), user, None, &status("active"))).map(|_| ()),
                4 => world.run(users.grant(&system(), user, &role("reader"))).map(|_| ()),
                _ => world.run(users.erase(&system(), user, None)),
            };
            let left: Vec<Profile> =
                people.iter().filter_map(|user| world.run(users.get(&system(), *user)).ok()).map(|profile| profile.value).collect();
            let administrators =
                left.iter().filter(|user| user.status == Status::Active && user.roles.contains(&RoleName::admin())).count();
            let readers = left.iter().filter(|user| user.roles.contains(&role("reader"))).count();
            prop_assert!(administrators > 0);
            let counted = world.run(tables::Counter::Administrators.value(&world.db)).unwrap();
            prop_assert_eq!(counted, administrators as i64);
            prop_assert_eq!(world.run(tables::Counter::Holders(&role("reader")).value(&world.db)).unwrap(), readers as i64);
        }
    }
}
