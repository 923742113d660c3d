//! What was refused, and what was shown.

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::kernel::Error;
use crate::ports::disclosure::{Disclosure, Witness};
use crate::ports::store::flaky::{Fault, FlakyStore};

fn stranger(address: u8) -> Context {
    let mut context = Context::anonymous(CorrelationId::from_raw(RawId([3; 16])));
    context.client.address = Some(IpAddr::from([192, 0, 2, address]));
    context
}

#[test]
fn denied_requests_become_entries_with_the_address_sealed() {
    let world = world();
    let error = Error::unauthenticated("auth.not_signed_in", "sign in first");
    let user = Context { client: stranger(1).client, ..user_context(Permissions::none()) };
    world.audit.record_denied(&user, "GET /v1/users/{id}", "user_1", &error);
    world.audit.record_denied(&stranger(2), "GET /v1/users", "/v1/users", &error);
    world.sim.block_on(world.audit.flush()).unwrap();
    let entries =
        world.events(EventsQuery { action: Some("GET /v1/users/{id}".into()), ..Default::default() }, 5);
    let [entry] = entries.as_slice() else { panic!("one entry, not {entries:?}") };
    assert_eq!((entry.what.outcome, entry.what.subject.as_str()), (Outcome::Denied, "user_1"));
    assert_eq!(entry.what.data["code"], "auth.not_signed_in");
    let sealed = serde_json::from_value(entry.what.data["client"].clone()).unwrap();
    let Actor::User(id) = entry.what.actor else { panic!() };
    world.sim.block_on(async {
        let person = id.to_string();
        let open = async || world.db.keys.open_for(&person, "audit/client", &sealed).await.unwrap();
        assert_eq!(open().await.unwrap(), b"192.0.2.1");
        world.db.keys.erase(&person).await.unwrap();
        assert_eq!(open().await, None);
        world.audit.record_denied(&user, "GET /", "", &error);
        world.audit.flush().await.unwrap();
    });
    let last = world.events(EventsQuery { action: Some("GET /".into()), ..Default::default() }, 5);
    assert_eq!(last[0].what.data, json!({"code": "auth.not_signed_in"}));
    assert!(world.verify().holds());
}

#[test]
fn a_flood_of_denied_requests_is_counted_and_none_is_lost() {
    let world = world();
    let error = Error::forbidden("auth.forbidden", "no");
    (0..5_000).for_each(|_| world.audit.record_denied(&stranger(1), "GET /v1/roles", "/", &error));
    world.sim.block_on(world.audit.flush()).unwrap();
    let entries =
        world.events(EventsQuery { action: Some("GET /v1/roles".into()), ..Default::default() }, 500);
    assert_eq!(entries.len(), 11);
    assert_eq!(entries.iter().map(|entry| entry.what.count.unwrap_or(1)).sum::<u64>(), 5_000);
}

#[test]
fn a_denial_whose_write_had_no_answer_is_counted_once() {
    let sim = SimRuntime::new(1);
    sim.clone().block_on(async {
        let backends = MemoryBackends::new(sim.runtime()).backends().await.unwrap();
        let mut db = Database::open(&backends, &schema()).await.unwrap();
        let flaky = Arc::new(FlakyStore::new(db.store, sim.runtime()));
        db.store = Arc::clone(&flaky) as _;
        let audit = Audit::over(db, AuditConfig::default()).await.unwrap();
        let error = Error::forbidden("auth.forbidden", "no");
        for fault in [Fault::AppliedSilently, Fault::Lost, Fault::Refused] {
            audit.record_denied(&stranger(1), "GET /", "/", &error);
            flaky.next(&[fault]);
            audit.flush().await.unwrap_err();
            audit.record_denied(&stranger(1), "GET /", "/", &error);
            audit.flush().await.unwrap();
        }
        let query = EventsQuery { action: Some("GET /".into()), ..EventsQuery::default() };
        let page = PageRequest { limit: Some(100), cursor: None };
        assert_eq!(audit.events(&Context::system(), &query, &page).await.unwrap().items.len(), 6);
    });
}

#[test]
fn what_somebody_was_shown_of_others_becomes_entries_and_a_flood_of_it_is_counted() {
    let world = world();
    let reader = Context { client: stranger(1).client, ..user_context(Permissions::none()) };
    let person = UserId(RawId([9; 16]));
    let shown =
        |action, people: Vec<UserId>| Disclosure { action, subject: person.to_string(), people, shown: 3 };
    world.audit.disclosed(&reader, shown("users.profile_read", vec![person]));
    (0..500).for_each(|_| world.audit.disclosed(&reader, shown("users.profiles_searched", vec![person])));
    world.sim.block_on(world.audit.flush()).unwrap();
    let query = EventsQuery { subject: Some(person.to_string()), ..EventsQuery::default() };
    let entries = world.events(query, 500);
    let read = entries.iter().find(|entry| entry.what.action == "users.profile_read").unwrap();
    assert_eq!((read.what.outcome, &read.what.actor), (Outcome::Success, &reader.principal.actor));
    assert_eq!(read.what.data["people"], json!([person]));
    assert!(!read.what.data["client"].is_null() && !read.what.data.to_string().contains("192.0.2"));
    let searches: Vec<_> =
        entries.iter().filter(|entry| entry.what.action == "users.profiles_searched").collect();
    assert_eq!(searches.len(), 10);
    assert_eq!(searches.iter().map(|entry| entry.what.count.unwrap_or(1)).sum::<u64>(), 500);
    assert_eq!(searches.iter().filter_map(|entry| entry.what.data["shown"].as_u64()).sum::<u64>(), 1_500);
    assert!(world.verify().holds());
}

#[test]
fn beside_the_requests_denials_are_written_and_entries_signed_within_a_second() {
    let world = world();
    world.sim.block_on(world.backbone.start()).unwrap();
    world.sim.advance(Duration::from_secs(100));
    world.record(0..5);
    world.sim.advance(Duration::from_millis(900));
    let report = world.verify();
    assert_eq!((report.entries, report.signed), (6, 6));
    world.sim.advance(Duration::from_secs(10));
    let error = Error::forbidden("auth.forbidden", "no");
    (0..12).for_each(|_| world.audit.record_denied(&stranger(1), "GET /", "/", &error));
    world.sim.advance(Duration::from_millis(900));
    let report = world.verify();
    assert_eq!((report.entries, report.signed), (16, 16));
    world.sim.advance(Duration::from_millis(600));
    assert_eq!(world.verify().entries, 17, "counted ones after 1.5 seconds");
    world.audit.record_denied(&stranger(1), "GET /last", "/", &error);
    world.sim.block_on(world.backbone.stop());
    let report = world.verify();
    assert_eq!((report.entries, report.signed, report.holds()), (18, 18, true));
}
