//! Roles.

use proptest::prelude::*;

use super::*;

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
fn whoever_is_deactivated_is_not_made_the_first_administrator() {
    let world = World::new();
    let (ada, users) = (world.add("ada@example.org", None).id, &world.users);
    world.run(users.update(&system(), ada, None, &patch(json!({"status": "deactivated"})))).unwrap();
    assert_eq!(code(world.run(users.grant_first_administrator(&system(), ada))), "users.not_found");
    assert!(!world.run(users.has_administrator()).unwrap());
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
