//! Who finds what.

use super::*;

#[test]
fn without_the_permission_nothing_is_shown() {
    let World { sim, audit, .. } = world();
    let nobody = user_context(Permissions::none());
    sim.block_on(async {
        let page = PageRequest::default();
        let codes = [
            audit.events(&nobody, &EventsQuery::default(), &page).await.unwrap_err(),
            audit.event(&nobody, 0).await.unwrap_err(),
            audit.checkpoint(&nobody).await.unwrap_err(),
            audit.verifier_key(&nobody).await.unwrap_err(),
            audit.proof(&nobody, 0).await.unwrap_err(),
            audit.consistency(&nobody, 1, None).await.unwrap_err(),
            audit.resource(&nobody, "checkpoint").await.unwrap_err(),
            audit.reorigin(&nobody).await.unwrap_err(),
        ];
        assert!(codes.iter().all(|error| error.code() == "auth.forbidden"));
        let reader = user_context(Permissions::Only(Arc::new([READ].into())));
        assert!(audit.event(&reader, 0).await.is_ok());
        assert_eq!(audit.reorigin(&reader).await.unwrap_err().code(), "auth.forbidden");
    });
}

#[test]
fn a_query_finds_exactly_what_fits_page_by_page() {
    let world = world();
    let mut next = 0;
    for step in [1, 2, 3, 100, 64, 64, 1, 1, 90] {
        world.record(next..next + step);
        next += step;
    }
    let all = world.events(EventsQuery::default(), 500);
    assert_eq!(all.len() as u64, next + 1);
    let user = UserId(RawId([1; 16]));
    let some_time = event(100).time;
    let queries = [
        EventsQuery { actor: Some(user.to_string()), ..EventsQuery::default() },
        EventsQuery {
            actor: Some(format!("user:{user}")),
            action: Some("users.thing_2".into()),
            ..EventsQuery::default()
        },
        EventsQuery { subject: Some("user_4".into()), ..EventsQuery::default() },
        EventsQuery { action: Some("users.thing_0".into()), from: Some(some_time), ..EventsQuery::default() },
        EventsQuery { to: Some(some_time), ..EventsQuery::default() },
        EventsQuery { from: Some(some_time), to: Some(event(101).time), ..EventsQuery::default() },
        EventsQuery { actor: Some("system".into()), ..EventsQuery::default() },
        EventsQuery { subject: Some("user_".into()), ..EventsQuery::default() },
    ];
    for query in queries {
        let expected: Vec<_> = all
            .iter()
            .filter(|entry| {
                query.actor.as_ref().is_none_or(|actor| entry.what.actor.to_string().ends_with(actor))
                    && query.subject.as_ref().is_none_or(|subject| entry.what.subject == *subject)
                    && query.action.as_ref().is_none_or(|action| entry.what.action == *action)
                    && query.from.is_none_or(|from| from <= entry.what.time)
                    && query.to.is_none_or(|to| entry.what.time < to)
            })
            .cloned()
            .collect();
        for limit in [1, 7, 500] {
            assert_eq!(world.events(query.clone(), limit), expected, "{query:?}");
        }
    }
}

#[test]
fn late_events_stand_where_their_time_is() {
    let world = world();
    let events: Vec<_> = [500, 3, 501, 4, 502, 5, 60, 61].map(event).into();
    world.sim.block_on(async {
        command(&world.db, &Context::system(), "test", &(), async |mut work: Work| {
            EventAppender(world.audit.clone()).handle(&events, &mut work).await?;
            work.reply(())
        })
        .await
        .unwrap();
    });
    for limit in [1, 2, 100] {
        let found = world.events(EventsQuery { subject: None, ..EventsQuery::default() }, limit);
        let minutes: Vec<_> = found.iter().map(|entry| entry.what.time.as_secs() / 60).collect();
        assert!(minutes.is_sorted_by(|a, b| a >= b));
        assert_eq!(found.len(), 9);
    }
    let early = world.events(EventsQuery { to: Some(event(50).time), ..EventsQuery::default() }, 2);
    assert_eq!(early.len(), 4);
}

#[test]
fn a_cursor_of_another_kind_is_refused() {
    let world = world();
    let page = PageRequest { limit: None, cursor: Some("AAAA".parse().unwrap()) };
    let found = world.sim.block_on(world.audit.events(&Context::system(), &EventsQuery::default(), &page));
    assert_eq!(found.unwrap_err().code(), "request.invalid_cursor");
}
