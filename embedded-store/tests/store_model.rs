//! Random operations and reopenings, compared with the in-memory store after every step.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;

use embedded_store::{EmbeddedStores, Engine, Engines};
use futures_util::future::join_all;
use platform_core::kernel::{Actor, EventId, EventPosition, NewEvent, RawId, Result, Timestamp};
use platform_core::ports::store::conformance::{Thing, schema};
use platform_core::ports::store::{
    Batch, Body, Commit, CommitError, DocKey, Expect, Idempotency, IndexRange, MemoryStores, Store, Stores,
    Write,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Few ids and few values: so that they meet.
const IDS: [&str; 6] = ["a", "b", "c", "d", "\u{0}", "aa"];
const VALUES: [&str; 4] = ["", "x", "y", "x\u{0}"];
const COUNTERS: [&str; 2] = ["n", "m"];

#[derive(Debug, Clone)]
enum Change {
    Put { id: usize, thing: Thing },
    Delete { id: usize },
    Add { counter: usize, delta: i64 },
    Block { id: usize, bytes: Vec<u8> },
    Unblock { id: usize },
}

#[derive(Debug, Clone)]
struct Plan {
    /// Which document, and how far back its expected version is from the last position; `None`: absent.
    expects: Vec<(usize, Option<u64>)>,
    changes: Vec<Change>,
    events: usize,
    /// Key, request, minute.
    idempotency: Option<(u8, u8, u64)>,
}

#[derive(Debug, Clone)]
enum Step {
    /// Batches that are handed over at once.
    Group(Vec<Plan>),
    Trim {
        back: u64,
    },
    Reopen,
}

fn change() -> impl Strategy<Value = Change> {
    let word = || proptest::sample::select(&VALUES[..]);
    let words = move || {
        vec(word(), 0..3).prop_map(|mut words| {
            words.sort_unstable();
            words.dedup();
            words.into_iter().map(str::to_owned).collect::<Vec<_>>()
        })
    };
    let maybe = move || proptest::option::of(word().prop_map(str::to_owned));
    let thing = (maybe(), maybe(), words(), words()).prop_map(|(mail, name, tags, phones)| Thing {
        mail,
        name,
        tags,
        phones,
    });
    let id = 0..IDS.len();
    prop_oneof![
        5 => (id.clone(), thing).prop_map(|(id, thing)| Change::Put { id, thing }),
        2 => id.clone().prop_map(|id| Change::Delete { id }),
        2 => (0..COUNTERS.len(), -3i64..6).prop_map(|(counter, delta)| Change::Add { counter, delta }),
        2 => (id.clone(), vec(0u8..3, 0..4)).prop_map(|(id, bytes)| Change::Block { id, bytes }),
        1 => id.prop_map(|id| Change::Unblock { id }),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let expect = (0..IDS.len(), proptest::option::of(0u64..4));
    let idempotency = proptest::option::weighted(0.2, (0u8..2, 0u8..2, 0u64..3));
    (vec(expect, 0..2), vec(change(), 0..4), 0usize..3, idempotency)
        .prop_map(|(expects, changes, events, idempotency)| Plan { expects, changes, events, idempotency })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => vec(plan(), 1..6).prop_map(Step::Group),
        1 => (0u64..6).prop_map(|back| Step::Trim { back }),
        1 => Just(Step::Reopen),
    ]
}

fn put(collection: &'static str, id: &str, body: Body) -> Write {
    let schema = schema();
    let entries = schema.collection(collection).unwrap().entries_of(id.as_bytes(), &body).unwrap();
    Write::Put { key: DocKey::new(collection, id), body, entries }
}

/// The batch of a plan, when the last position is `position`.
fn batch(plan: &Plan, position: u64) -> Batch {
    let mut writes: Vec<Write> = Vec::new();
    for change in &plan.changes {
        let write = match change {
            Change::Put { id, thing } => {
                put("things", IDS[*id], Body::Json(serde_json::to_string(thing).unwrap()))
            }
            Change::Delete { id } => Write::Delete { key: DocKey::new("things", IDS[*id]) },
            Change::Add { counter, delta } => Write::Add {
                key: DocKey::new("counters", COUNTERS[*counter]),
                delta: *delta,
                min: -2,
                max: 9,
            },
            Change::Block { id, bytes } => put("blocks", IDS[*id], Body::Binary(bytes.clone())),
            Change::Unblock { id } => Write::Delete { key: DocKey::new("blocks", IDS[*id]) },
        };
        if !writes.iter().any(|earlier| earlier.key() == write.key()) {
            writes.push(write);
        }
    }
    let expects = plan.expects.iter().map(|(id, back)| {
        let expect = back.map_or(Expect::Absent, |back| Expect::Version(position.saturating_sub(back)));
        (DocKey::new("things", IDS[*id]), expect)
    });
    let event = |number: usize| NewEvent {
        id: EventId(RawId([number as u8; 16])),
        event_type: "model.happened".into(),
        subject: "s".into(),
        key: "k".into(),
        time: Timestamp::EPOCH,
        actor: Actor::System,
        correlation_id: "req_model".parse().unwrap(),
        causation_id: None,
        data: serde_json::json!({ "number": number }).into(),
    };
    let idempotency = plan.idempotency.map(|(key, request, minute)| Idempotency {
        scope: "scope".into(),
        key: key.to_string(),
        fingerprint: [request; 32],
        response: vec![key, request],
        now: Timestamp::from_secs(minute * 60),
        expires_at: Timestamp::from_secs(minute * 60 + 60),
    });
    Batch { expects: expects.collect(), writes, events: (0..plan.events).map(event).collect(), idempotency }
}

/// Everything that can be read, as text.
async fn picture(store: &dyn Store) -> Vec<String> {
    let mut lines = vec![format!("{}", *store.committed().borrow())];
    let mut ranges = Vec::new();
    for collection in &schema().collections {
        ranges.push(IndexRange::ids(collection.name));
        ranges.extend(collection.indexes.iter().map(|index| IndexRange::index(collection.name, index.name)));
    }
    for range in ranges {
        for reverse in [false, true] {
            let mut range = IndexRange { reverse, ..range.clone() }.limit(3);
            loop {
                let page = store.scan(&range).await.unwrap();
                lines.extend(
                    page.docs.iter().map(|doc| format!("{:?} {:?} {doc:?}", range.index, range.collection)),
                );
                match page.next {
                    None => break,
                    next => range = range.after(next),
                }
            }
        }
    }
    let events = store.outbox(EventPosition::START, 100_000).await.unwrap();
    lines.extend(
        events.into_iter().map(|(place, event)| format!("{place} {}", String::from_utf8(event).unwrap())),
    );
    lines
}

fn told(result: &Result<Commit, CommitError>) -> String {
    format!("{result:?}")
}

async fn run(engine: Engine, steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let open = || async {
        let stores = EmbeddedStores::open(folder.path()).unwrap().on(Engines::all(engine));
        stores.open(&schema()).await.unwrap()
    };
    let models = MemoryStores::default();
    let model: Arc<dyn Store> = models.open(&schema()).await.unwrap();
    let mut store = open().await;
    for step in steps {
        let position = *model.committed().borrow();
        match &step {
            Step::Group(plans) => {
                let batches: Vec<Batch> = plans.iter().map(|plan| batch(plan, position)).collect();
                let answers = join_all(batches.iter().map(|batch| store.commit(batch.clone()))).await;
                for (batch, answer) in batches.into_iter().zip(answers) {
                    assert_eq!(told(&answer), told(&model.commit(batch).await));
                }
            }
            Step::Trim { back } => {
                let upto = EventPosition::end_of(position.saturating_sub(*back));
                store.trim_outbox(upto).await.unwrap();
                model.trim_outbox(upto).await.unwrap();
            }
            Step::Reopen => {
                drop(store);
                store = open().await;
            }
        }
        let (ours, theirs) = (picture(&*store).await, picture(&*model).await);
        if let Some((ours, theirs)) = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs) {
            panic!("after {step:?}: {ours} instead of {theirs}");
        }
        assert_eq!(ours.len(), theirs.len(), "after {step:?}");
    }
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_agrees_with_the_model(steps in vec(step(), 1..25)) {
        block_on(run(Engine::Sqlite, steps));
    }

    #[test]
    fn fjall_agrees_with_the_model(steps in vec(step(), 1..25)) {
        block_on(run(Engine::Fjall, steps));
    }

    #[cfg(feature = "sled")]
    #[test]
    fn sled_agrees_with_the_model(steps in vec(step(), 1..25)) {
        block_on(run(Engine::Sled, steps));
    }
}
