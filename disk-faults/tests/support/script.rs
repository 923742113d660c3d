//! What is done with a store, from a seed.

use disk_faults::Dice;
use platform_core::kernel::{Actor, EventId, NewEvent, RawId, Timestamp};
use platform_core::ports::store::{Batch, Body, DocKey, Expect, Idempotency, Write};

use super::schema::{BLOCKS, COUNTERS, THINGS, Version};

/// A step of a script.
#[derive(Clone)]
pub(crate) enum Step {
    /// Batches that are handed over at once.
    Group(Vec<Planned>),
    /// The outbox is trimmed up to what was acknowledged.
    Trim,
    /// The process ends and another one begins.
    Reopen(Version),
}

/// A batch before it is known with which schema the store is open.
#[derive(Clone)]
pub(crate) struct Planned {
    expects: Vec<(DocKey, Expect)>,
    writes: Vec<Change>,
    events: Vec<NewEvent>,
    idempotency: Option<Idempotency>,
}

#[derive(Debug, Clone)]
enum Change {
    Put(&'static str, String, Body),
    Delete(&'static str, String),
    Add(String, i64),
}

impl Planned {
    pub(crate) fn batch(&self, version: Version) -> Batch {
        let schema = version.schema();
        let write = |change: &Change| match change {
            Change::Put(collection, id, body) => Write::Put {
                key: DocKey::new(collection, id.as_str()),
                body: body.clone(),
                entries: schema.collection(collection).unwrap().entries_of(id.as_bytes(), body).unwrap(),
            },
            Change::Delete(collection, id) => Write::Delete { key: DocKey::new(collection, id.as_str()) },
            Change::Add(id, delta) => {
                Write::Add { key: DocKey::new(COUNTERS, id.as_str()), delta: *delta, min: -100, max: 100 }
            }
        };
        Batch {
            expects: self.expects.clone(),
            writes: self.writes.iter().map(write).collect(),
            events: self.events.clone(),
            idempotency: self.idempotency.clone(),
        }
    }
}

/// How much of what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Groups of batches.
    pub(crate) groups: u64,
    /// Bytes of the largest block.
    pub(crate) block: u64,
}

/// The script of a seed; the first reopening brings the second schema.
pub(crate) fn script(seed: u64, size: Size) -> Vec<Step> {
    let mut dice = Dice::new(seed);
    let migration = size.groups / 2 + dice.below(2);
    let mut steps = Vec::new();
    let mut number = seed.wrapping_mul(1000);
    for group in 0..size.groups {
        if group == migration {
            steps.push(Step::Reopen(Version::Second));
        } else if dice.one_in(6) {
            steps.push(Step::Trim);
        }
        let count = if dice.one_in(4) { 3 } else { 1 };
        steps.push(Step::Group((0..count).map(|_| planned(&mut dice, &mut number, size)).collect()));
    }
    steps
}

/// One more batch, which always holds.
pub(crate) fn last(seed: u64) -> Planned {
    let text = serde_json::json!({ "name": "last", "seed": seed }).to_string();
    let writes = vec![Change::Put(THINGS, "last".to_owned(), Body::Json(text))];
    Planned { expects: Vec::new(), writes, events: Vec::new(), idempotency: None }
}

fn planned(dice: &mut Dice, number: &mut u64, size: Size) -> Planned {
    *number += 1;
    let mut writes: Vec<Change> = Vec::new();
    for _ in 0..1 + dice.below(3) {
        let id = format!("{}", dice.below(8));
        let change = match dice.below(8) {
            0..4 => Change::Put(THINGS, id, thing(dice, *number)),
            4 => Change::Delete(THINGS, id),
            5 => Change::Add(id, dice.below(7) as i64 - 3),
            _ => {
                let bytes = vec![dice.roll() as u8; dice.below(size.block) as usize];
                Change::Put(BLOCKS, id, Body::Binary(bytes))
            }
        };
        if !writes.iter().any(|earlier| place(earlier) == place(&change)) {
            writes.push(change);
        }
    }
    let expects = if dice.one_in(5) {
        vec![(DocKey::new(THINGS, format!("{}", dice.below(8))), Expect::Absent)]
    } else {
        Vec::new()
    };
    let events = (0..dice.below(3)).map(|at| event(*number * 10 + at)).collect();
    let idempotency = dice.one_in(5).then(|| Idempotency {
        scope: "scope".into(),
        key: dice.below(3).to_string(),
        fingerprint: [dice.below(2) as u8; 32],
        response: number.to_be_bytes().to_vec(),
        now: Timestamp::from_secs(*number),
        expires_at: Timestamp::from_secs(*number + 5),
    });
    Planned { expects, writes, events, idempotency }
}

fn place(change: &Change) -> (&'static str, &str) {
    match change {
        Change::Put(collection, id, _) | Change::Delete(collection, id) => (collection, id),
        Change::Add(id, _) => (COUNTERS, id),
    }
}

fn thing(dice: &mut Dice, number: u64) -> Body {
    let tags: Vec<String> = (0..dice.below(3)).map(|tag| format!("t{tag}")).collect();
    let mail = (!dice.one_in(3)).then(|| format!("m{}", dice.below(6)));
    let text = "x".repeat(dice.below(700) as usize);
    let name = format!("n{}", dice.below(3));
    Body::Json(
        serde_json::json!({ "mail": mail, "name": name, "tags": tags, "text": text, "n": number })
            .to_string(),
    )
}

fn event(number: u64) -> NewEvent {
    NewEvent {
        id: EventId(RawId(u128::from(number).to_be_bytes())),
        event_type: "suite.happened".into(),
        subject: "s".into(),
        key: "k".into(),
        time: Timestamp::EPOCH,
        actor: Actor::System,
        correlation_id: "req_suite".parse().unwrap(),
        causation_id: None,
        data: serde_json::json!({ "number": number }).into(),
    }
}
