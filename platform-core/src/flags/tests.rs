//! The facade over the in-memory store.

use std::future::Future;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::events::FlagChanged;
use super::tables::SetDocument;
use super::*;
use crate::backbone::Stopper;
use crate::kernel::{
    Actor, Context, CorrelationId, Event, EventPosition, PageRequest, Permissions, Principal, RawId, UserId,
};
use crate::ports::keys::{EnvelopeKeys, KeyEncryptionKey};
use crate::ports::runtime::SimRuntime;
use crate::ports::signals::LocalSignals;
use crate::ports::store::{Batch, Body, Document, MemoryStores, Stores, Write};

struct World {
    sim: SimRuntime,
    signals: Arc<dyn Signals>,
    db: Database,
    flags: Flags,
}

impl World {
    fn new() -> World {
        let sim = SimRuntime::new(1);
        let signals: Arc<dyn Signals> = Arc::new(LocalSignals::default());
        let stores = MemoryStores::default();
        let (db, flags) = sim.block_on(async {
            let keys = EnvelopeKeys::open(&KeyEncryptionKey([9; 32]), &stores, sim.runtime()).await.unwrap();
            let store = stores.open(&tables::schema()).await.unwrap();
            let db = Database { store, runtime: sim.runtime(), keys: Arc::new(keys) };
            let flags = Flags::over(db.clone(), &signals).await.unwrap();
            (db, flags)
        });
        World { sim, signals, db, flags }
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.sim.block_on(future)
    }

    fn put(&self, name: &str, definition: &Json) -> Result<Flag> {
        self.run(self.flags.put(&admin(), &key(name), None, definition))
    }

    fn variant(&self, name: &str) -> String {
        match self.flags.evaluate(&somebody(), name, &EvaluationContext::of_key("u")).unwrap() {
            FlagEvaluation::Success(success) => success.variant,
            FlagEvaluation::Failure(failure) => format!("{:?}", failure.error_code),
        }
    }

    fn revisions(&self, name: &str) -> Vec<Revision> {
        self.run(self.flags.revisions(&admin(), &key(name), &PageRequest::default())).unwrap().items
    }
}

fn key(name: &str) -> FlagKey {
    name.parse().unwrap()
}

fn admin() -> Context {
    let mut context = Context::service("test");
    context.reason = Some("because".into());
    context
}

fn somebody() -> Context {
    let actor = Actor::User(UserId(RawId([1; 16])));
    let principal = Principal { actor, session: None, permissions: Permissions::none() };
    Context::new(principal, "req_1".parse::<CorrelationId>().unwrap())
}

fn switch(default: &str) -> Json {
    json!({"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": default})
}

#[test]
fn a_change_is_in_force_when_it_is_answered() {
    let world = World::new();
    assert_eq!(world.variant("f"), "FlagNotFound");
    assert_eq!(world.put("f", &switch("off")).unwrap().revision, 1);
    assert_eq!(world.variant("f"), "off");
    assert_eq!(world.put("f", &switch("on")).unwrap().revision, 2);
    assert_eq!(world.variant("f"), "on");
    assert_eq!(world.run(world.flags.kill(&admin(), &key("f"), None)).unwrap().revision, 3);
    assert_eq!(world.variant("f"), "");
    world.run(world.flags.restore(&admin(), &key("f"), 1)).unwrap();
    assert_eq!(world.variant("f"), "off");
    world.run(world.flags.delete(&admin(), &key("f"), None)).unwrap();
    assert_eq!(world.variant("f"), "FlagNotFound");
    assert_eq!(world.run(world.flags.get(&admin(), &key("f"))).unwrap_err().code(), "flags.not_found");
    world.run(world.flags.restore(&admin(), &key("f"), 2)).unwrap();
    assert_eq!(world.variant("f"), "on");
}

#[test]
fn every_change_is_a_revision_with_author_and_reason() {
    let world = World::new();
    world.put("f", &switch("off")).unwrap();
    world.put("f", &switch("off")).unwrap();
    world.run(world.flags.kill(&admin(), &key("f"), None)).unwrap();
    world.run(world.flags.kill(&admin(), &key("f"), None)).unwrap();
    world.run(world.flags.delete(&admin(), &key("f"), None)).unwrap();
    world.run(world.flags.restore(&admin(), &key("f"), 1)).unwrap();
    let revisions = world.revisions("f");
    let what: Vec<_> = revisions.iter().map(|revision| (revision.revision, revision.change)).collect();
    assert_eq!(what, [(4, Change::Restore), (3, Change::Delete), (2, Change::Kill), (1, Change::Put)]);
    assert!(revisions.iter().all(|revision| revision.author == Actor::Service("test".into())));
    assert!(revisions.iter().all(|revision| revision.reason.as_deref() == Some("because")));
    assert_eq!((revisions[0].restored, &revisions[0].definition), (Some(1), &Some(switch("off"))));
    assert_eq!(revisions[1].definition, None);

    let events = world.run(world.db.store.outbox(EventPosition::START, 100)).unwrap();
    let published =
        |json: &Vec<u8>| Event::from_json(json).unwrap().decode::<FlagChanged>().unwrap().unwrap();
    let set_revisions: Vec<_> = events.iter().map(|(_, json)| published(json).set_revision).collect();
    assert_eq!(set_revisions, [1, 2, 3, 4]);
}

#[test]
fn stale_and_impossible_changes_are_refused() {
    let world = World::new();
    world.put("f", &switch("on")).unwrap();
    let put = |revision| world.run(world.flags.put(&admin(), &key("f"), Some(revision), &switch("off")));
    assert_eq!(put(2).unwrap_err().code(), "flags.stale_revision");
    assert_eq!(put(1).unwrap().revision, 2);
    let restore =
        |name, revision| world.run(world.flags.restore(&admin(), &key(name), revision)).unwrap_err();
    assert_eq!(restore("f", 9).code(), "flags.revision_not_found");
    assert_eq!(restore("g", 1).code(), "flags.revision_not_found");
    world.run(world.flags.delete(&admin(), &key("f"), Some(2))).unwrap();
    assert_eq!(restore("f", 3).code(), "flags.revision_without_definition");
    let gone = world.run(world.flags.delete(&admin(), &key("f"), None)).unwrap_err();
    assert_eq!(gone.code(), "flags.not_found");
    let error = world
        .put("f", &json!({"state": "ENABLED", "variants": {"on": true}, "targeting": {"x": []}}))
        .unwrap_err();
    assert_eq!(error.context().next(), Some(("pointer", "/targeting/x")));
}

#[test]
fn what_is_shown_may_be_sent_back() {
    let world = World::new();
    let mut shown = serde_json::to_value(world.put("f", &switch("on")).unwrap()).unwrap();
    shown["defaultVariant"] = json!("off");
    assert_eq!(world.put("f", &shown).unwrap().revision, 2);
    assert_eq!(world.put("f", &shown).unwrap_err().code(), "flags.stale_revision");
    assert_eq!(world.put("g", &shown).unwrap_err().context().next(), Some(("pointer", "/key")));
}

#[test]
fn who_may_do_what() {
    let world = World::new();
    world.put("f", &switch("on")).unwrap();
    let nobody = Context::anonymous("req_1".parse().unwrap());
    for (context, code) in [(&nobody, "auth.not_signed_in"), (&somebody(), "auth.forbidden")] {
        let flags = &world.flags;
        let f = &key("f");
        let page = &PageRequest::default();
        let on = &switch("on");
        let errors = [
            world.run(flags.put(context, f, None, on)).map(drop),
            world.run(flags.kill(context, f, None)).map(drop),
            world.run(flags.restore(context, f, 1)).map(drop),
            world.run(flags.delete(context, f, None)),
            world.run(flags.put_set(context, &FlagSet::default())).map(drop),
            world.run(flags.get(context, f)).map(drop),
            world.run(flags.list(context, page)).map(drop),
            world.run(flags.revisions(context, f, page)).map(drop),
            world.run(flags.set(context)).map(drop),
            world.run(flags.evaluations(context, f)).map(drop),
        ];
        assert!(errors.into_iter().all(|result| result.unwrap_err().code() == code));
    }
    let all = EvaluationContext::default();
    assert_eq!(world.flags.evaluate(&nobody, "f", &all).unwrap_err().code(), "auth.not_signed_in");
    assert_eq!(world.flags.evaluate_all(&nobody, &all, None).unwrap_err().code(), "auth.not_signed_in");
    assert!(world.flags.evaluate(&somebody(), "f", &all).is_ok());
}

#[test]
fn what_definitions_mean_is_kept_with_the_set_and_a_newer_meaning_is_refused() {
    let world = World::new();
    world.put("dark", &switch("on")).unwrap();
    let key = SetDocument::key(SetDocument::ID);
    let stored = |world: &World| {
        let doc = world.run(world.db.store.get(std::slice::from_ref(&key))).unwrap().pop().flatten().unwrap();
        serde_json::from_slice::<Json>(doc.body.as_bytes()).unwrap()
    };
    let write = |world: &World, set: &Json| {
        let body = Body::Json(set.to_string());
        let writes = vec![Write::Put { key: key.clone(), body, entries: Vec::new() }];
        world.run(world.db.store.commit(Batch { writes, ..Batch::default() })).unwrap();
    };
    let open = |world: &World| {
        let signals: Arc<dyn Signals> = Arc::new(LocalSignals::default());
        world.run(Flags::over(world.db.clone(), &signals)).map(|flags| flags.snapshot().bucketing())
    };
    let mut set = stored(&world);
    assert_eq!((&set["semantics"], &set["settings"]["bucketing"]), (&json!(1), &json!("v2")));
    // Written before the version was: it means the first, and its bucketing is its own.
    set.as_object_mut().unwrap().remove("semantics");
    set["settings"]["bucketing"] = json!("v3");
    write(&world, &set);
    assert_eq!(open(&world).unwrap(), Bucketing::V3);
    // A meaning that is not known here: nothing of it is evaluated, nor overwritten.
    set["semantics"] = json!(2);
    set["settings"] = json!({"bucketing": "v9", "something": "new"});
    write(&world, &set);
    let refused = open(&world).unwrap_err();
    assert_eq!(refused.code(), "flags.newer_semantics");
    assert_eq!(refused.context().collect::<Vec<_>>(), [("found", "2"), ("known", "1")]);
    assert_eq!(world.put("bright", &switch("on")).unwrap_err().code(), "flags.newer_semantics");
    assert_eq!(stored(&world), set);
}

#[test]
fn bucketing_is_pinned_while_there_are_flags() {
    let world = World::new();
    let set = |bucketing| {
        let set = FlagSet { bucketing, ..FlagSet::default() };
        world.run(world.flags.put_set(&admin(), &set))
    };
    set(Bucketing::V1).unwrap();
    world.put("f", &json!({
        "state": "ENABLED", "variants": {"a": 1, "b": 2}, "targeting": {"fractional": [{"var": "targetingKey"}, ["a", 50], ["b", 50]]}
    })).unwrap();
    assert_eq!(world.flags.snapshot().bucketing(), Bucketing::V1);
    assert_eq!(set(Bucketing::V2).unwrap_err().code(), "flags.bucketing_pinned");
    world.run(world.flags.delete(&admin(), &key("f"), None)).unwrap();
    set(Bucketing::V3).unwrap();
    assert_eq!(world.flags.snapshot().bucketing(), Bucketing::V3);
}

#[test]
fn evaluators_are_effective_at_once_and_stay_while_they_are_used() {
    let world = World::new();
    let set = |rule: Option<Json>| {
        let evaluators = rule.into_iter().map(|rule| ("vip".to_owned(), rule)).collect();
        world.run(world.flags.put_set(&admin(), &FlagSet { evaluators, ..FlagSet::default() }))
    };
    let flag = json!({
        "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
        "targeting": {"if": [{"$ref": "vip"}, "on"]}
    });
    let error = world.put("f", &flag).unwrap_err();
    assert_eq!(error.context().next(), Some(("pointer", "/targeting/if/0/$ref")));
    set(Some(json!({"==": [{"var": "targetingKey"}, "u"]}))).unwrap();
    world.put("f", &flag).unwrap();
    assert_eq!(world.variant("f"), "on");
    set(Some(json!({"==": [{"var": "targetingKey"}, "other"]}))).unwrap();
    assert_eq!(world.variant("f"), "off");
    let error = set(None).unwrap_err();
    assert_eq!((error.code(), error.context().next()), ("flags.evaluator_in_use", Some(("flag", "f"))));
    assert_eq!(set(Some(json!({"nothing": []}))).unwrap_err().code(), "flags.invalid_definition");
}

#[test]
fn a_tag_stands_for_set_and_context() {
    let world = World::new();
    world.put("f", &switch("on")).unwrap();
    let all = |context: Json, known: Option<&str>| {
        world.flags.evaluate_all(&somebody(), &EvaluationContext::from_json(context).unwrap(), known).unwrap()
    };
    let first = all(json!({"a": 1, "targetingKey": "u"}), None);
    assert_eq!(first.body.as_ref().unwrap().flags.len(), 1);
    let again = all(json!({"targetingKey": "u", "a": 1.0}), Some(&format!("W/{}, \"x\"", first.etag)));
    assert_eq!((again.body, &again.etag), (None, &first.etag));
    assert_ne!(all(json!({"targetingKey": "v", "a": 1}), Some(&first.etag)).etag, first.etag);
    world.put("g", &switch("on")).unwrap();
    let changed = all(json!({"a": 1, "targetingKey": "u"}), Some(&first.etag));
    assert_eq!(changed.body.unwrap().flags.len(), 2);
}

#[test]
fn a_rule_that_asks_for_the_time_changes_the_tag_when_it_changes_the_answer() {
    let world = World::new();
    let begin = world.sim.runtime().now().as_secs() + 10;
    world
        .put(
            "f",
            &json!({
                "state": "ENABLED", "variants": {"before": 0, "after": 1}, "defaultVariant": "before",
                "targeting": {"if": [{">=": [{"var": "$flagd.timestamp"}, begin]}, "after"]}
            }),
        )
        .unwrap();
    let tag = || world.flags.evaluate_all(&somebody(), &EvaluationContext::default(), None).unwrap().etag;
    let first = tag();
    world.run(world.sim.runtime().sleep(Duration::from_secs(5)));
    assert_eq!(tag(), first);
    world.run(world.sim.runtime().sleep(Duration::from_secs(5)));
    assert_ne!(tag(), first);
    assert_eq!(world.variant("f"), "after");
}

#[test]
fn evaluations_are_counted_by_variant_over_changes_of_the_flag() {
    let world = World::new();
    world.put("f", &switch("on")).unwrap();
    (0..3).for_each(|_| drop(world.variant("f")));
    world.put("f", &switch("off")).unwrap();
    (0..2).for_each(|_| drop(world.variant("f")));
    world.run(async {
        let stopper = Stopper::new();
        for task in &world.flags.parts().tasks {
            task.start(&*world.sim.runtime(), stopper.shutdown());
        }
        world.sim.runtime().sleep(Duration::from_secs(6)).await;
        stopper.stop().await;
    });
    world.run(world.flags.kill(&admin(), &key("f"), None)).unwrap();
    world.variant("f");
    let counts = world.run(world.flags.evaluations(&admin(), &key("f"))).unwrap();
    let counts: Vec<_> = counts.iter().map(|count| (count.variant.as_deref(), count.count)).collect();
    assert_eq!(counts, [(None, 1), (Some("off"), 2), (Some("on"), 3)]);
}

#[test]
fn another_node_follows_and_a_new_start_finds_everything() {
    let world = World::new();
    let other = world.run(Flags::over(world.db.clone(), &world.signals)).unwrap();
    world.run(async {
        let stopper = Stopper::new();
        for task in &other.parts().tasks {
            task.start(&*world.sim.runtime(), stopper.shutdown());
        }
        world.sim.runtime().sleep(Duration::from_millis(1)).await;
        world.flags.put(&admin(), &key("f"), None, &switch("on")).await.unwrap();
        world.sim.runtime().sleep(Duration::from_millis(1)).await;
        assert_eq!(other.snapshot().revision(), 1);
        stopper.stop().await;
    });
    let fresh = world.run(Flags::over(world.db.clone(), &world.signals)).unwrap();
    assert_eq!(fresh.snapshot().keys().collect::<Vec<_>>(), ["f"]);
}

#[test]
fn flags_are_listed_in_pages() {
    let world = World::new();
    for name in ["c", "a", "b"] {
        world.put(name, &switch("on")).unwrap();
    }
    let page =
        |cursor| world.run(world.flags.list(&admin(), &PageRequest { limit: Some(2), cursor })).unwrap();
    let first = page(None);
    let second = page(first.next_cursor.clone());
    let keys: Vec<_> = first.items.iter().chain(&second.items).map(|flag| flag.key.as_str()).collect();
    assert_eq!((keys, second.next_cursor), (vec!["a", "b", "c"], None));
    assert_eq!(
        serde_json::to_value(&first.items[0]).unwrap(),
        json!({"key": "a", "revision": 1, "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"})
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever is done, evaluations follow the last change, and each change raises the set's revision.
    #[test]
    fn evaluations_follow_the_last_change(steps in proptest::collection::vec((0_u8..5, 0_usize..3, 1_u64..6), 1..25)) {
        let world = World::new();
        let mut model: [Vec<Option<Json>>; 3] = Default::default();
        let mut changes = 0;
        for (step, flag, revision) in steps {
            let name = key(["a", "b", "c"][flag]);
            let history = &mut model[flag];
            let present = history.last().cloned().flatten();
            let (done, new) = match step {
                0 | 1 => {
                    let definition = switch(if step == 0 { "on" } else { "off" });
                    (world.run(world.flags.put(&admin(), &name, None, &definition)).is_ok(), Some(Some(definition)))
                }
                2 => {
                    let killed = present.clone().map(|mut definition| { definition["state"] = json!("DISABLED"); definition });
                    (world.run(world.flags.kill(&admin(), &name, None)).is_ok(), killed.map(Some))
                }
                3 => (world.run(world.flags.delete(&admin(), &name, None)).is_ok(), present.as_ref().map(|_| None)),
                _ => {
                    let earlier = usize::try_from(revision - 1).ok().and_then(|index| history.get(index).cloned()).flatten();
                    (world.run(world.flags.restore(&admin(), &name, revision)).is_ok(), earlier.map(Some))
                }
            };
            prop_assert_eq!(done, new.is_some());
            if let Some(new) = new && (step == 4 || new != present) {
                history.push(new);
                changes += 1;
            }
            prop_assert_eq!(world.flags.snapshot().revision(), changes);
            for (index, history) in model.iter().enumerate() {
                let expected = match history.last().cloned().flatten() {
                    None => "FlagNotFound".to_owned(),
                    Some(definition) if definition["state"] == "DISABLED" => String::new(),
                    Some(definition) => definition["defaultVariant"].as_str().unwrap().to_owned(),
                };
                prop_assert_eq!(world.variant(["a", "b", "c"][index]), expected);
            }
        }
    }
}
