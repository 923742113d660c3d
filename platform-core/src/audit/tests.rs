use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::tables::{Head, Signed, segment_key, tile_key};
use super::tlog::{EntryBundle, Resource, Tile};
use super::worker::EventAppender;
use super::*;
use crate::backbone::{Backbone, Handler};
use crate::kernel::merkle::{self, leaf_hash, verify_consistency, verify_inclusion};
use crate::kernel::{
    Actor, CorrelationId, Error, Event, EventId, EventPosition, NewEvent, Permissions, Principal, RawId,
    Result, Timestamp, UserId,
};
use crate::ports::MemoryBackends;
use crate::ports::disclosure::{Disclosure, Witness};
use crate::ports::runtime::SimRuntime;
use crate::ports::store::flaky::{Fault, FlakyStore};
use crate::ports::store::{Batch, Body, DocKey, Document, Work, Write, command};

struct World {
    sim: SimRuntime,
    db: Database,
    audit: Audit,
    backbone: Backbone,
}

fn world() -> World {
    let sim = SimRuntime::new(1);
    sim.clone().block_on(async {
        let backends = MemoryBackends::new(sim.runtime()).backends().await.unwrap();
        let audit = Audit::open(&backends, AuditConfig::default()).await.unwrap();
        let db = audit.database().clone();
        let backbone = Backbone::new(backends);
        backbone.add(&db, audit.parts()).unwrap();
        World { sim, db, audit, backbone }
    })
}

fn event(number: u64) -> Event {
    let user = UserId(RawId([(number % 3) as u8; 16]));
    Event {
        store: "users".into(),
        position: EventPosition { commit: number, index: 0 },
        new: Arc::new(NewEvent {
            id: EventId(RawId(u128::from(number).to_be_bytes())),
            event_type: format!("users.thing_{}", number % 5),
            subject: format!("user_{}", number % 7),
            key: "key".into(),
            time: Timestamp::from_secs(1_767_225_600 + number * 7),
            actor: Actor::User(user),
            correlation_id: "req_1".parse().unwrap(),
            causation_id: None,
            data: json!({"n": number}).into(),
        }),
    }
}

impl World {
    fn record(&self, numbers: std::ops::Range<u64>) {
        let events: Vec<_> = numbers.map(event).collect();
        self.sim.block_on(async {
            command(&self.db, &Context::system(), "test", &(), async |mut work: Work| {
                EventAppender(self.audit.clone()).handle(&events, &mut work).await?;
                work.reply(())
            })
            .await
            .unwrap();
        });
    }

    fn verify(&self) -> Report {
        self.sim.block_on(verify(&*self.db.store, None)).unwrap()
    }

    fn events(&self, query: EventsQuery, limit: usize) -> Vec<AuditEntry> {
        let mut all = Vec::new();
        let mut page = PageRequest { limit: Some(limit), cursor: None };
        loop {
            let found = self.sim.block_on(self.audit.events(&Context::system(), &query, &page)).unwrap();
            assert!(found.items.len() <= limit);
            all.extend(found.items);
            match found.next_cursor {
                None => return all,
                cursor => page.cursor = cursor,
            }
        }
    }

    fn body(&self, key: &DocKey) -> Option<Vec<u8>> {
        let doc = self.sim.block_on(self.db.store.get(std::slice::from_ref(key))).unwrap().pop().flatten();
        doc.map(|doc| doc.body.as_bytes().to_vec())
    }

    fn overwrite(&self, write: Write) {
        let batch = Batch { writes: vec![write], ..Batch::default() };
        self.sim.block_on(self.db.store.commit(batch)).unwrap();
    }

    fn overwrite_body(&self, key: DocKey, body: Vec<u8>) {
        self.overwrite(Write::Put { key, body: Body::Binary(body), entries: Vec::new() });
    }
}

fn user_context(permissions: Permissions) -> Context {
    let actor = Actor::User(UserId(RawId([9; 16])));
    Context::new(Principal { actor, session: None, permissions }, CorrelationId::from_raw(RawId([2; 16])))
}

#[test]
fn a_new_log_begins_with_its_own_opening_and_is_signed() {
    let world = world();
    let entries = world.events(EventsQuery::default(), 10);
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].index, entries[0].what.action.as_str()), (0, "audit.origin_opened"));
    let key = world.sim.block_on(world.audit.verifier_key(&Context::system())).unwrap();
    assert_eq!(entries[0].what.data, json!({"verifier": key.to_string()}));
    let report = world.verify();
    assert!(report.holds());
    assert_eq!((report.entries, report.signed), (1, 1));
}

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
fn events_become_entries_in_order_and_every_one_has_a_proof_that_holds() {
    let world = world();
    world.record(0..3);
    world.record(3..100);
    world.record(100..101);
    let context = Context::system();
    world.sim.block_on(async {
        let key = world.audit.verifier_key(&context).await.unwrap();
        for index in 0..102 {
            let proof = world.audit.proof(&context, index).await.unwrap();
            let checkpoint = Checkpoint::open(&proof.checkpoint, &key).unwrap();
            assert_eq!((checkpoint.size, checkpoint.root), (102, proof.root));
            let hash = leaf_hash(proof.entry.as_bytes());
            assert!(verify_inclusion(index, 102, &hash, &proof.proof, &checkpoint.root));
            let entry = AuditEntry::from_leaf(proof.entry.as_bytes()).unwrap();
            assert_eq!(entry, world.audit.event(&context, index).await.unwrap());
            if let Some(number) = index.checked_sub(1) {
                assert_eq!(entry.what, Occurrence::of_event(&event(number)));
            }
        }
        assert_eq!(world.audit.proof(&context, 102).await.unwrap_err().code(), "audit.not_found");
        assert_eq!(world.audit.event(&context, 102).await.unwrap_err().code(), "audit.not_found");
    });
}

#[test]
fn the_log_is_consistent_between_any_two_of_its_sizes() {
    let world = world();
    let mut next = 0;
    for step in [1, 1, 2, 60, 190, 1, 255, 3] {
        world.record(next..next + step);
        next += step;
    }
    let size = next + 1;
    let context = Context::system();
    world.sim.block_on(async {
        let mut roots = BTreeMap::new();
        for from in (1..=size).step_by(23).chain([1, 2, 255, 256, 257, 511, 512, 513]) {
            for to in [from, from + 1, from + 40, 256, 512, size] {
                let proof = match world.audit.consistency(&context, from, Some(to)).await {
                    Ok(proof) => proof,
                    Err(error) => {
                        assert_eq!(error.code(), "audit.invalid_range");
                        assert!(to < from || to > size);
                        continue;
                    }
                };
                assert!(verify_consistency(from, to, &proof.proof, &proof.from_root, &proof.to_root));
                assert_eq!(*roots.entry(to).or_insert(proof.to_root), proof.to_root);
            }
        }
        assert!(world.audit.consistency(&context, 0, None).await.is_err());
        assert_eq!(world.audit.consistency(&context, 7, None).await.unwrap().to, size);
    });
}

#[test]
fn an_append_of_many_entries_writes_a_tile_document_per_256() {
    let world = world();
    world.record(0..255);
    assert_eq!(world.body(&tile_key(0, 0)).unwrap().len(), 8_192);
    assert_eq!(world.body(&tile_key(1, 0)).unwrap().len(), 32);
    assert!(world.body(&tile_key(0, 1)).is_none());
    for part in 0..6 {
        world.record(255 + part * 256..255 + (part + 1) * 256);
    }
    assert_eq!(world.body(&tile_key(1, 0)).unwrap().len(), 7 * 32);
    assert!(world.verify().holds());
    world.sim.block_on(async {
        for index in [0, 255, 256, 1_535, 1_536, 1_791] {
            world.audit.proof(&Context::system(), index).await.unwrap();
        }
        world.audit.consistency(&Context::system(), 257, Some(1_700)).await.unwrap();
    });
}

#[test]
fn full_tiles_give_the_growing_tiles_of_all_levels_above() {
    let world = world();
    let tile =
        |index: u64| (0..256u64).map(|at| leaf_hash(&(index * 256 + at).to_be_bytes())).collect::<Vec<_>>();
    let steps = [0..1u64, 1..200, 200..255, 255..258, 258..259];
    for step in steps {
        world.sim.block_on(async {
            command(&world.db, &Context::system(), "test", &(), async |mut work: Work| {
                append::write_tiles(&mut work, step.clone().map(|index| (index, tile(index))).collect())
                    .await?;
                work.reply(())
            })
            .await
            .unwrap();
        });
    }
    let stored = |level, index| world.body(&tile_key(level, index)).unwrap();
    let bytes = |hashes: &[merkle::MerkleHash]| hashes.iter().flat_map(|hash| hash.0).collect::<Vec<_>>();
    let roots: Vec<_> = (0..259).map(|index| merkle::root(tile(index))).collect();
    assert_eq!(stored(0, 258), bytes(&tile(258)));
    assert_eq!(stored(1, 0), bytes(&roots[..256]));
    assert_eq!(stored(1, 1), bytes(&roots[256..]));
    assert_eq!(stored(2, 0), bytes(&[merkle::root(roots[..256].iter().copied())]));
    let whole = merkle::root((0..259).flat_map(tile));
    assert_eq!(world.sim.block_on(reader::root_at(&*world.db.store, 259 * 256)).unwrap(), whole);
}

#[test]
fn a_second_appender_that_knows_nothing_continues_the_same_tree() {
    let world = world();
    world.record(0..300);
    let (first, db) = (world.audit.clone(), world.db.clone());
    let other = world.sim.block_on(Audit::over(db, AuditConfig::default())).unwrap();
    let world = World { audit: other, ..world };
    world.record(300..600);
    let world = World { audit: first, ..world };
    world.record(600..700);
    let report = world.verify();
    assert!(report.holds(), "{report:?}");
    assert_eq!(report.entries, 701);
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

#[test]
fn a_changed_entry_is_named() {
    for (size, index) in [(50u64, 0u64), (50, 17), (50, 50), (600, 300), (600, 599), (600, 255)] {
        let world = world();
        for start in (0..size).step_by(40) {
            world.record(start..(start + 40).min(size));
        }
        let (first, body) = (0..=index)
            .rev()
            .find_map(|first| world.body(&segment_key(first)).map(|body| (first, body)))
            .unwrap();
        let (hashes, bundle) = segment::split(&body).unwrap();
        let before: usize = EntryBundle::entries(bundle).unwrap()[..(index - first) as usize]
            .iter()
            .map(|leaf| leaf.len() + 2)
            .sum();
        let at = 2 + hashes.len() * 32 + before;
        for byte in [0, 1, 2, 30] {
            let mut changed = body.clone();
            changed[at + byte] ^= 1;
            world.overwrite_body(segment_key(first), changed);
            let report = world.verify();
            assert_eq!(report.first_bad.as_ref().map(|bad| bad.index), Some(index), "{report:?}");
            assert!(!report.holds());
        }
        world.overwrite_body(segment_key(first), body);
        assert!(world.verify().holds());
    }
}

#[test]
fn an_entry_that_was_rewritten_with_its_hash_is_found_by_the_tile_or_the_head() {
    let world = world();
    (0..400).for_each(|number| world.record(number..number + 1));
    for (index, named) in [(100u64, 100u64), (300, 256), (400, 400)] {
        let good = world.body(&segment_key(index)).unwrap();
        let leaf = segment::decode(&good).unwrap()[0].1.to_vec();
        let forged = String::from_utf8(leaf).unwrap().replace("success", "failure");
        let mut body = [&[0, 1], leaf_hash(forged.as_bytes()).as_bytes().as_slice()].concat();
        EntryBundle::push(&mut body, forged.as_bytes()).unwrap();
        world.overwrite_body(segment_key(index), body);
        let report = world.verify();
        assert_eq!(report.first_bad.as_ref().map(|bad| bad.index), Some(named), "{report:?}");
        world.overwrite_body(segment_key(index), good);
    }
    assert!(world.verify().holds());
}

#[test]
fn missing_entries_tiles_and_checkpoints_are_found() {
    let world = world();
    (0..520).for_each(|number| world.record(number..number + 1));
    world.sim.block_on(world.audit.flush()).unwrap();
    for (key, named) in [
        (segment_key(0), 0),
        (segment_key(77), 77),
        (segment_key(520), 520),
        (tile_key(0, 1), 256),
        (tile_key(1, 0), 0),
    ] {
        let body = world.body(&key).unwrap();
        world.overwrite(Write::Delete { key: key.clone() });
        let report = world.verify();
        assert_eq!(report.first_bad.as_ref().map(|bad| bad.index), Some(named), "{report:?}");
        world.overwrite_body(key.clone(), body.clone());
        if key.collection == "tiles" {
            let mut changed = body.clone();
            changed[40 % body.len()] ^= 4;
            world.overwrite_body(key.clone(), changed);
            assert!(!world.verify().holds());
            world.overwrite_body(key, body);
        }
    }
    assert!(world.verify().holds());
    world.overwrite(Write::Delete { key: Signed::key(0u64.to_be_bytes()) });
    let report = world.verify();
    assert_eq!((report.holds(), report.first_bad), (false, None));
}

#[test]
fn a_log_that_was_cut_off_is_found_by_its_checkpoint() {
    let world = world();
    world.record(0..10);
    let head = world.body(&Head::key(Head::ID)).unwrap();
    world.record(10..20);
    world.sim.block_on(world.audit.flush()).unwrap();
    let key = Head::key(Head::ID);
    let body = Body::Json(String::from_utf8(head).unwrap());
    world.overwrite(Write::Put { key, body, entries: Vec::new() });
    let report = world.verify();
    assert_eq!(report.first_bad.map(|bad| bad.index), Some(11));
}

#[test]
fn a_log_signed_by_another_key_is_not_what_the_auditor_trusts() {
    let world = world();
    let own = world.sim.block_on(world.audit.verifier_key(&Context::system())).unwrap();
    let report = world.sim.block_on(verify(&*world.db.store, Some(&own))).unwrap();
    assert!(report.holds());
    let other = SigningKey::from_seed(own.name(), &[3; 32]).unwrap();
    let report = world.sim.block_on(verify(&*world.db.store, Some(other.verifier()))).unwrap();
    assert!(!report.checkpoint_holds);
}

#[test]
fn a_new_origin_continues_the_log_under_a_new_name_and_key() {
    let world = world();
    world.record(0..300);
    let context = Context::system();
    let (old, new, before) = world.sim.block_on(async {
        let before = world.audit.checkpoint(&context).await.unwrap();
        let old = world.audit.verifier_key(&context).await.unwrap();
        let new = world.audit.reorigin(&context).await.unwrap();
        (old, new, before)
    });
    assert_ne!(old.name(), new.name());
    let before = Checkpoint::open(&before, &old).unwrap();
    world.sim.block_on(async {
        assert_eq!(world.audit.verifier_key(&context).await.unwrap(), new);
        let note = world.audit.checkpoint(&context).await.unwrap();
        assert!(Checkpoint::open(&note, &old).is_err());
        let after = Checkpoint::open(&note, &new).unwrap();
        assert_eq!(after.size, before.size + 1);
        let proof = world.audit.consistency(&context, before.size, None).await.unwrap();
        assert_eq!((proof.from_root, proof.to_root), (before.root, after.root));
        let opening = world.audit.event(&context, before.size).await.unwrap();
        assert_eq!(opening.what.subject, new.name());
        assert_eq!(opening.what.data["previous"]["root"], json!(before.root));
        assert_eq!(opening.what.data["previous"]["verifier"], json!(old.to_string()));
    });
    world.record(300..310);
    assert!(world.verify().holds());
}

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

#[test]
fn the_stored_forms_are_what_they_were() {
    let text = |world: &World, collection, id: &[u8]| {
        String::from_utf8(world.body(&DocKey::new(collection, id)).unwrap()).unwrap()
    };
    let world = world();
    world.record(0..2);
    world.sim.block_on(world.audit.flush()).unwrap();
    let leaves: Vec<_> =
        (0..3).map(|n| world.sim.block_on(reader::leaf(&*world.db.store, n)).unwrap().unwrap()).collect();
    let (first, pair) = (leaf_hash(&leaves[0]), merkle::root([leaf_hash(&leaves[0]), leaf_hash(&leaves[1])]));
    let last = leaf_hash(&leaves[2]);
    assert_eq!(
        text(&world, "head", b"head"),
        format!(r#"{{"size":3,"peaks":["{pair}","{last}"],"origin":0}}"#)
    );
    let zero = 0u64.to_be_bytes();
    let origin: Value = serde_json::from_str(&text(&world, "origins", &zero)).unwrap();
    let names: Vec<_> = origin.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["name", "number", "opened_at", "sealed_seed", "size", "verifier"]);
    let signed: Value = serde_json::from_str(&text(&world, "checkpoints", &zero)).unwrap();
    let note = world.sim.block_on(world.audit.checkpoint(&Context::system())).unwrap();
    assert_eq!(signed, json!({"origin": 0, "size": 3, "at": "2026-01-01T00:00:00Z", "note": note}));
    let mut segment = [&[0, 1], first.0.as_slice()].concat();
    segment.extend((leaves[0].len() as u16).to_be_bytes());
    segment.extend(&leaves[0]);
    assert_eq!(world.body(&segment_key(0)).unwrap(), segment);
    assert!(world.body(&segment_key(1)).unwrap().starts_with(&[0, 2]));
    assert!(world.body(&segment_key(2)).is_none());
}

#[test]
fn the_indexes_can_be_rebuilt_from_the_segments() {
    let world = world();
    world.record(0..200);
    let query = EventsQuery { subject: Some("user_4".into()), ..EventsQuery::default() };
    let found = world.events(query.clone(), 500);
    assert_eq!(found.len(), 28);
    let reindex = tables::ENTRIES.reindex.unwrap();
    let segments: Vec<_> = (0..=200)
        .map(segment_key)
        .filter_map(|key| world.body(&key).map(|body| (key, Body::Binary(body))))
        .collect();
    for (key, body) in segments.clone() {
        world.overwrite(Write::Put { key, body, entries: Vec::new() });
    }
    assert_eq!(world.events(query.clone(), 500), []);
    for (key, body) in segments {
        let entries = reindex(&key.id, &body).unwrap();
        world.overwrite(Write::Put { key, body, entries });
    }
    assert_eq!(world.events(query, 500), found);
}

#[derive(Default)]
struct Files(BTreeMap<String, Vec<u8>>);

impl Sink for Files {
    fn write(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        assert!(self.0.insert(path.to_owned(), bytes.to_vec()).is_none());
        Ok(())
    }
}

/// What a stranger's tool does with an exported log: nothing of the store, only the files.
fn check_as_others_do(files: &Files) -> u64 {
    let file = |path: &str| files.0.get(path).unwrap_or_else(|| panic!("no {path}"));
    let text = |path: &str| String::from_utf8(file(path).clone()).unwrap();
    let key: VerifierKey = text("verifier_key").trim().parse().unwrap();
    let checkpoint = Checkpoint::open(&text("checkpoint"), &key).unwrap();
    let mut hashes = Vec::new();
    for tile in Tile::all(checkpoint.size).filter(|tile| tile.level == 0) {
        let bundle = file(&Resource::Entries { index: tile.index, width: tile.width }.to_string());
        let own: Vec<_> = EntryBundle::entries(bundle).unwrap().into_iter().map(leaf_hash).collect();
        let stored = file(&Resource::Tile(tile).to_string());
        assert_eq!(*stored, own.iter().flat_map(|hash| hash.0).collect::<Vec<_>>());
        hashes.extend(own);
    }
    let mut level = 1;
    let mut below = hashes.clone();
    while below.len() >= 256 {
        below = below.as_chunks::<256>().0.iter().map(|part| merkle::root(part.iter().copied())).collect();
        for tile in Tile::all(checkpoint.size).filter(|tile| tile.level == level) {
            let first = tile.index as usize * 256;
            let part = &below[first..first + usize::from(tile.width)];
            let stored = file(&Resource::Tile(tile).to_string());
            assert_eq!(*stored, part.iter().flat_map(|hash| hash.0).collect::<Vec<_>>());
        }
        level += 1;
    }
    assert_eq!(merkle::root(hashes.iter().copied()), checkpoint.root);
    assert_eq!(hashes.len() as u64, checkpoint.size);
    checkpoint.size
}

#[test]
fn an_exported_log_can_be_checked_from_its_files_alone() {
    for size in [0, 1, 255, 256, 600] {
        let world = world();
        for start in (0..size).step_by(50) {
            world.record(start..(start + 50).min(size));
        }
        world.sim.block_on(world.audit.flush()).unwrap();
        let mut files = Files::default();
        let checkpoint = world.sim.block_on(export(&*world.db.store, &mut files)).unwrap();
        assert_eq!(check_as_others_do(&files), size + 1);
        assert_eq!(checkpoint.size, size + 1);
        for (path, bytes) in files.0.iter().filter(|(path, _)| *path != "verifier_key") {
            let served = world.sim.block_on(world.audit.resource(&Context::system(), path)).unwrap();
            assert_eq!(served, *bytes, "{path}");
        }
        let beyond = format!("tile/entries/000.p/{}", size + 2);
        assert!(world.sim.block_on(world.audit.resource(&Context::system(), &beyond)).is_err());
    }
}

#[test]
fn what_was_signed_and_then_changed_is_not_exported() {
    let world = world();
    world.record(0..300);
    world.sim.block_on(world.audit.flush()).unwrap();
    let mut tile = world.body(&tile_key(0, 0)).unwrap();
    tile[5] ^= 1;
    world.overwrite_body(tile_key(0, 0), tile);
    let exported = world.sim.block_on(export(&*world.db.store, &mut Files::default()));
    assert_eq!(exported.unwrap_err().code(), "audit.damaged");
}

#[test]
fn the_signing_key_is_stored_sealed() {
    let world = world();
    let stored = String::from_utf8(world.body(&DocKey::new("origins", 0u64.to_be_bytes())).unwrap()).unwrap();
    assert!(stored.contains("sealed_seed") && !stored.contains("PRIVATE"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_the_sizes_of_the_appends_the_log_holds(steps in proptest::collection::vec(1u64..400, 1..8)) {
        let world = world();
        let mut next = 0;
        for step in steps {
            world.record(next..next + step);
            next += step;
        }
        world.sim.block_on(world.audit.flush()).unwrap();
        let report = world.verify();
        prop_assert!(report.holds(), "{report:?}");
        prop_assert_eq!(report.entries, next + 1);
        let mut files = Files::default();
        world.sim.block_on(export(&*world.db.store, &mut files)).unwrap();
        prop_assert_eq!(check_as_others_do(&files), next + 1);
    }
}
