//! Flag definitions and targeting rules.

use std::collections::BTreeMap;

use platform_core::flags::fuzzing::{definition as check, snapshot};
use platform_core::flags::{ErrorCode, Evaluation, EvaluationContext, Snapshot};
use platform_core::kernel::limits;
use serde_json::{Value, json};

use crate::input::{refused, split_once};

const INVALID: &[&str] = &["flags.invalid_definition"];
const NOW_S: u64 = 1_800_000_000;

pub(crate) fn definition(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    let none = BTreeMap::new();
    let written = match check(&value, &none) {
        Ok(written) => written,
        Err(error) => return refused(&error, INVALID),
    };
    assert_eq!(check(&written, &none).expect("what is written reads"), written, "one form");
    let snapshot = snapshot("flag", &written, &none).expect("what was checked compiles");
    for context in [EvaluationContext::default(), EvaluationContext::of_key("ada")] {
        evaluate(&snapshot, &context, &written);
    }
}

/// A rule, a zero byte, and a context to evaluate it for.
pub(crate) fn targeting(bytes: &[u8]) {
    let (rule, context) = split_once(bytes, 0);
    let context = match serde_json::from_slice::<Value>(context).map(EvaluationContext::from_json) {
        Ok(Ok(context)) => context,
        Ok(Err(error)) => {
            refused(&error, &["flags.invalid_context"]);
            EvaluationContext::default()
        }
        Err(_) => EvaluationContext::of_key("ada"),
    };
    let Ok(rule) = serde_json::from_slice::<Value>(rule) else { return };
    let flag = json!({
        "state": "ENABLED", "variants": {"a": 1, "b": 2, "true": 3, "false": 4}, "defaultVariant": "a",
        "targeting": rule,
    });
    // An evaluator of the set, for rules that refer to one.
    let evaluators =
        BTreeMap::from([("people".to_owned(), json!({"in": [{"var": "targetingKey"}, ["ada"]]}))]);
    match check(&flag, &evaluators) {
        Ok(written) => {
            let snapshot = snapshot("flag", &written, &evaluators).expect("what was checked compiles");
            evaluate(&snapshot, &context, &written);
        }
        Err(error) => refused(&error, INVALID),
    }
}

/// An evaluation gives a variant of the flag, or a code; and the same again.
fn evaluate(snapshot: &Snapshot, context: &EvaluationContext, flag: &Value) {
    let subject = context.subject();
    let first = snapshot.evaluate("flag", &subject, NOW_S);
    match &first {
        Ok(Evaluation { variant: Some(variant), value, .. }) => {
            assert_eq!(*value, flag["variants"].get(*variant), "a variant with its value");
        }
        Ok(Evaluation { value, .. }) => assert_eq!(*value, None),
        Err(code) => assert!(matches!(code, ErrorCode::ParseError | ErrorCode::General), "{code:?}"),
    }
    assert_eq!(snapshot.evaluate("flag", &subject, NOW_S), first, "the same again");
    assert!(matches!(snapshot.evaluate("other", &subject, NOW_S), Err(ErrorCode::FlagNotFound)));
    let all = snapshot.evaluate_all(context, None, NOW_S);
    assert!(snapshot.evaluate_all(context, Some(&all.etag), NOW_S).body.is_none());
    assert!(flag.to_string().len() <= limits::BODY_BYTES);
}

/// A whole set in one document.
pub(crate) fn set(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    match Snapshot::of_document(&value) {
        Ok(snapshot) => {
            let context = EvaluationContext::of_key("ada");
            let all = snapshot.evaluate_all(&context, None, NOW_S);
            let flags = value["flags"].as_object().expect("flags are an object");
            assert_eq!(all.body.expect("nothing was known").flags.len(), flags.len());
            assert!(snapshot.keys().all(|key| flags.contains_key(key)));
        }
        Err(error) => refused(&error, INVALID),
    }
}
