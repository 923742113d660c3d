//! Flags: an evaluation in memory, beside Unleash's engine on equal flags.

#![allow(clippy::expect_used, reason = "what fails ends the measurement")]

use std::hint::black_box;
use std::time::Instant;

use platform_core::flags::{Snapshot, Subject};
use serde_json::{Map, Value, json};
use unleash_yggdrasil::{Context, EngineState};

use crate::row::{Measured, Row, in_turns, median};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "flag_static",
        what: "evaluation of 64 hot flags among 100,000 without a rule; peer: unleash-yggdrasil",
        run: || evaluations(Kind::Static),
    },
    Row {
        name: "flag_rule",
        what: "the same with one rule on an attribute",
        run: || evaluations(Kind::Rule),
    },
    Row {
        name: "flag_fractional",
        what: "the same with half of the users",
        run: || evaluations(Kind::Fractional),
    },
];

const FLAGS: usize = 100_000;
/// Flags that are evaluated again and again, spread over all.
const HOT: usize = 64;
/// Turns of each side, and how often all hot flags are evaluated in one.
const ROUNDS: usize = 9;
const SAMPLES: usize = 400;
const TIMES: usize = 20;

#[derive(Clone, Copy)]
enum Kind {
    Static,
    Rule,
    Fractional,
}

fn name(number: usize) -> String {
    format!("team-{}.feature-{number}", number % 97)
}

fn hot() -> Vec<String> {
    (0..HOT).map(|number| name(number * (FLAGS / HOT))).collect()
}

fn ours(kind: Kind) -> Snapshot {
    let mut flag =
        json!({"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"});
    let targeting = match kind {
        Kind::Static => json!({}),
        Kind::Rule => json!({"if": [{"==": [{"var": "plan"}, "pro"]}, "on", "off"]}),
        Kind::Fractional => json!({"fractional": [["on", 50], ["off", 50]]}),
    };
    flag.as_object_mut().expect("an object").insert("targeting".to_owned(), targeting);
    let flags: Map<String, Value> = (0..FLAGS).map(|number| (name(number), flag.clone())).collect();
    Snapshot::of_document(&json!({"flags": flags})).expect("a flag set")
}

fn theirs(kind: Kind) -> EngineState {
    let strategies = |number: usize| match kind {
        Kind::Static => json!([]),
        Kind::Rule => json!([{"name": "default", "constraints":
            [{"contextName": "plan", "operator": "IN", "values": ["pro"]}]}]),
        Kind::Fractional => json!([{"name": "flexibleRollout", "parameters":
            {"rollout": "50", "stickiness": "userId", "groupId": name(number)}}]),
    };
    let feature = |number| json!({"name": name(number), "enabled": true, "strategies": strategies(number)});
    let features: Vec<Value> = (0..FLAGS).map(feature).collect();
    let engine = EngineState::default();
    let warnings = engine.apply_client_features(
        serde_json::from_value(json!({"version": 2, "features": features})).expect("features"),
    );
    assert!(warnings.is_none_or(|warnings| warnings.is_empty()), "all features compile");
    engine
}

fn evaluations(kind: Kind) -> Measured {
    let (ours, theirs, hot) = (ours(kind), theirs(kind), hot());
    let attributes = [("plan", "pro")];
    let subject = Subject::new("user-1", &attributes);
    let context: Context = serde_json::from_value(json!({"userId": "user-1", "properties": {"plan": "pro"}}))
        .expect("a context");
    let our_on =
        |key: &str| ours.evaluate(key, &subject, 1_800_000_000).expect("a flag").variant == Some("on");
    let their_on = |key: &str| theirs.is_enabled(key, &context, &None);
    if !matches!(kind, Kind::Fractional) {
        assert!(hot.iter().all(|key| our_on(key) && their_on(key)), "both say the same");
    } else {
        // Each hashes in its own way: about half of the flags on either side.
        for on in
            [hot.iter().filter(|key| our_on(key)).count(), hot.iter().filter(|key| their_on(key)).count()]
        {
            assert!((HOT / 4..HOT * 3 / 4).contains(&on), "{on} of {HOT} are on");
        }
    }
    let (a, b) = in_turns(ROUNDS, || nanoseconds(&hot, our_on), || nanoseconds(&hot, their_on));
    Measured::against(a, "ns", "unleash-yggdrasil", b)
}

/// Nanoseconds of one evaluation: the median of short samples, most of which are not interrupted.
fn nanoseconds(hot: &[String], is_on: impl Fn(&str) -> bool) -> f64 {
    median((0..SAMPLES).map(|_| {
        let begin = Instant::now();
        for _ in 0..TIMES {
            for key in hot {
                black_box(is_on(black_box(key)));
            }
        }
        begin.elapsed().as_secs_f64() * 1e9 / (TIMES * HOT) as f64
    }))
}
