//! Profiles.

use super::*;
use crate::ports::store::flaky::Fault;

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
