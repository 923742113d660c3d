use serde_json::json;

use super::*;
use crate::flags::context::EvaluationContext;

fn snapshot(flags: Json) -> Snapshot {
    let definitions: Vec<_> = flags
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, flag)| (key.clone(), Definition::parse(flag).unwrap()))
        .collect();
    let sources: Vec<_> =
        definitions.iter().map(|(key, definition)| FlagSource { key, revision: 1, definition }).collect();
    let set = SetSource {
        revision: 7,
        evaluators: [("is_ballmer".to_owned(), json!({"==": [{"var": "email"}, "ballmer@macrosoft.com"]}))]
            .into(),
        metadata: [("team".to_owned(), json!("core")), ("tier".to_owned(), json!(1))].into(),
        ..SetSource::default()
    };
    Snapshot::compile(set, &sources, &Snapshot::default(), &Counters::default())
}

type Given = Result<(Option<String>, Option<Json>, Reason), ErrorCode>;

fn given(snapshot: &Snapshot, key: &str, context: Json) -> Given {
    let context = EvaluationContext::from_json(context).unwrap();
    let subject = context.subject();
    let evaluation = snapshot.evaluate(key, &subject, 1_000)?;
    Ok((evaluation.variant.map(str::to_owned), evaluation.value.cloned(), evaluation.reason))
}

fn some(variant: &str, value: Json, reason: Reason) -> Given {
    Ok((Some(variant.to_owned()), Some(value), reason))
}

#[test]
fn each_way_to_a_value_has_its_reason() {
    let flags = snapshot(json!({
        "static": {"state": "ENABLED", "variants": {"half": 0.5, "one": 1.0}, "defaultVariant": "one"},
        "off": {"state": "DISABLED", "variants": {"on": true}, "defaultVariant": "on"},
        "no-default": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": null},
        "empty": {"state": "ENABLED", "variants": {"on": {}}, "defaultVariant": "on", "targeting": {}},
        "targeted": {
            "state": "ENABLED", "variants": {"zero": 0, "more": 1}, "defaultVariant": "more",
            "targeting": {"if": [{"$ref": "is_ballmer"}, "zero"]}
        },
        "only-targeted": {
            "state": "ENABLED", "variants": {"special": "CEO"}, "targeting": {"if": [{"$ref": "is_ballmer"}, "special", null]}
        },
        "wrong": {"state": "ENABLED", "variants": {"a": 1}, "defaultVariant": "a", "targeting": {"cat": ["b"]}},
        "truth": {"state": "ENABLED", "variants": {"true": 1, "false": 0}, "targeting": {"==": [1, 1]}},
        "broken": {"state": "ENABLED", "variants": {"a": 1}, "targeting": {"if": [{"$ref": "nobody"}, "a"]}}
    }));
    let ballmer = json!({"email": "ballmer@macrosoft.com"});
    assert_eq!(given(&flags, "static", json!({})), some("one", json!(1.0), Reason::Static));
    assert_eq!(given(&flags, "off", json!({})), Ok((None, None, Reason::Disabled)));
    assert_eq!(given(&flags, "no-default", json!({})), Ok((None, None, Reason::Default)));
    assert_eq!(given(&flags, "empty", json!({})), some("on", json!({}), Reason::Static));
    assert_eq!(given(&flags, "targeted", ballmer.clone()), some("zero", json!(0), Reason::TargetingMatch));
    assert_eq!(given(&flags, "targeted", json!({})), some("more", json!(1), Reason::Default));
    assert_eq!(
        given(&flags, "only-targeted", ballmer),
        some("special", json!("CEO"), Reason::TargetingMatch)
    );
    assert_eq!(given(&flags, "only-targeted", json!({})), Ok((None, None, Reason::Default)));
    assert_eq!(given(&flags, "wrong", json!({})), Err(ErrorCode::ParseError));
    assert_eq!(given(&flags, "truth", json!({})), some("true", json!(1), Reason::TargetingMatch));
    assert_eq!(given(&flags, "broken", json!({})), Err(ErrorCode::ParseError));
    assert_eq!(given(&flags, "nobody", json!({})), Err(ErrorCode::FlagNotFound));
}

#[test]
fn metadata_of_the_flag_stand_above_those_of_the_set() {
    let flags = snapshot(json!({"f": {"state": "ENABLED", "variants": {"a": 1}, "metadata": {"tier": 2}}}));
    let context = EvaluationContext::default();
    let subject = context.subject();
    let evaluation = flags.evaluate("f", &subject, 0).unwrap();
    assert_eq!(
        *evaluation.metadata,
        [("team".to_owned(), json!("core")), ("tier".to_owned(), json!(2))].into()
    );
}

#[test]
fn a_subject_without_json_is_evaluated_like_one_with() {
    let flags = snapshot(json!({"f": {
        "state": "ENABLED", "variants": {"a": 1, "b": 2}, "defaultVariant": "a",
        "targeting": {"if": [{"==": [{"var": "signed_in"}, "true"]}, {"fractional": [["a", 1], ["b", 1]]}]}
    }}));
    for key in ["u1", "u2", "u3", "u4"] {
        let subject = Subject::new(key, &[("signed_in", "true")]);
        let direct = flags.evaluate("f", &subject, 0).unwrap().variant.unwrap();
        let json = given(&flags, "f", json!({"targetingKey": key, "signed_in": "true"})).unwrap();
        assert_eq!(Some(direct.to_owned()), json.0);
    }
}

#[test]
fn what_has_not_changed_is_not_compiled_again() {
    let counters = Counters::default();
    let definition = Definition::parse(&json!({"state": "ENABLED", "variants": {"a": 1}})).unwrap();
    let source = |key, revision| FlagSource { key, revision, definition: &definition };
    let first = Snapshot::compile(
        SetSource::default(),
        &[source("b", 1), source("a", 1)],
        &Snapshot::default(),
        &counters,
    );
    let set = SetSource { revision: 1, ..SetSource::default() };
    let second = Snapshot::compile(set, &[source("a", 1), source("b", 2)], &first, &counters);
    assert_eq!(second.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert!(Arc::ptr_eq(first.find("a").unwrap(), second.find("a").unwrap()));
    assert!(!Arc::ptr_eq(first.find("b").unwrap(), second.find("b").unwrap()));
    let settings = SetSource { revision: 2, settings_revision: 2, ..SetSource::default() };
    let third = Snapshot::compile(settings, &[source("a", 1)], &second, &counters);
    assert!(!Arc::ptr_eq(second.find("a").unwrap(), third.find("a").unwrap()));
}
