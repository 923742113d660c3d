use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::evaluate::Exhausted;
use super::*;
use crate::flags::bucketing::Bucketing;
use crate::flags::context::EvaluationContext;

const NOW: u64 = 1_700_000_000;

fn compiled(rule: &Json) -> Rule {
    Compiler::new(&BTreeMap::new()).rule(rule, "/targeting").unwrap().0
}

fn fault(rule: Json) -> String {
    Compiler::new(&BTreeMap::new()).rule(&rule, "/targeting").unwrap_err().pointer
}

fn result_with(bucketing: Bucketing, rule: &Json, context: Json) -> String {
    let rule = compiled(rule);
    let context = EvaluationContext::from_json(context).unwrap();
    let subject = context.subject();
    match Machine::new(&subject, "flag", bucketing, NOW).run(&rule) {
        Ok(Verdict::Default) => "null".to_owned(),
        Ok(Verdict::Variant(name)) => name.into_owned(),
        Err(Exhausted) => "exhausted".to_owned(),
    }
}

fn result(rule: Json, context: Json) -> String {
    result_with(Bucketing::V2, &rule, context)
}

#[test]
fn operators_of_jsonlogic() {
    let context = json!({
        "a": {"b": [10, {"c": "deep"}]}, "n": 5, "text": "jsonlogic", "list": [1, 2, 3], "empty": "",
        "pies": [{"filling": "pumpkin"}, {"filling": "apple"}]
    });
    for (rule, expected) in [
        (json!({"var": "a.b.1.c"}), "deep"),
        (json!({"var": ["nothing", "otherwise"]}), "otherwise"),
        (json!({"var": ["n"]}), "5"),
        (json!({"if": [false, "x", null, "y", "z"]}), "z"),
        (json!({"if": [false, "x"]}), "null"),
        (json!({"if": [true]}), "true"),
        (json!({"==": [1, "1"]}), "true"),
        (json!({"===": [1, "1"]}), "false"),
        (json!({"!=": [1, 2]}), "true"),
        (json!({"!==": ["a", "a"]}), "false"),
        (json!({"!": [[]]}), "true"),
        (json!({"!": true}), "false"),
        (json!({"!!": ["0"]}), "true"),
        (json!({"or": [false, 0, "a"]}), "a"),
        (json!({"and": [true, "", 3]}), ""),
        (json!({"<": [1, {"var": "n"}, 10]}), "true"),
        (json!({"<": [1, 4, 3]}), "false"),
        (json!({"<=": [1, 1, 3]}), "true"),
        (json!({">": ["b", "a"]}), "true"),
        (json!({">=": [{"var": "n"}, "5"]}), "true"),
        (json!({"<": ["x", 1]}), "false"),
        (json!({"max": [1, 3, 2]}), "3"),
        (json!({"min": [2, 1, 3]}), "1"),
        (json!({"+": [4, "2"]}), "6"),
        (json!({"+": ["3.14"]}), "3.14"),
        (json!({"-": [2]}), "-2"),
        (json!({"-": [4, 2]}), "2"),
        (json!({"*": [2, 3, 4]}), "24"),
        (json!({"/": [1, 0]}), "null"),
        (json!({"%": [101, 2]}), "1"),
        (json!({"map": [{"var": "list"}, {"*": [{"var": ""}, 2]}]}), "2,4,6"),
        (json!({"filter": [{"var": "list"}, {"%": [{"var": ""}, 2]}]}), "1,3"),
        (json!({"reduce": [{"var": "list"}, {"+": [{"var": "current"}, {"var": "accumulator"}]}, 0]}), "6"),
        (json!({"all": [{"var": "list"}, {">": [{"var": ""}, 0]}]}), "true"),
        (json!({"all": [[], true]}), "false"),
        (json!({"none": [[], true]}), "true"),
        (json!({"some": [{"var": "pies"}, {"==": [{"var": "filling"}, "apple"]}]}), "true"),
        (json!({"merge": [1, 2, [3, 4]]}), "1,2,3,4"),
        (json!({"in": ["Ringo", ["John", "Ringo"]]}), "true"),
        (json!({"in": [2, {"var": "list"}]}), "true"),
        (json!({"in": ["Spring", "Springfield"]}), "true"),
        (json!({"cat": ["I love ", {"var": "n"}, true, null]}), "I love 5true"),
        (json!({"substr": [{"var": "text"}, 4]}), "logic"),
        (json!({"substr": [{"var": "text"}, -5]}), "logic"),
        (json!({"substr": [{"var": "text"}, 1, 3]}), "son"),
        (json!({"substr": [{"var": "text"}, 4, -2]}), "log"),
        (json!({"substr": ["é水x", 1, 1]}), "水"),
        (json!({"missing": ["n", "x", "empty"]}), "x,empty"),
        (json!({"missing_some": [1, ["n", "x"]]}), ""),
        (json!({"missing_some": [2, ["n", "x"]]}), "x"),
    ] {
        assert_eq!(result(rule.clone(), context.clone()), expected, "{rule}");
    }
}

#[test]
fn operators_of_flagd() {
    let context =
        json!({"id": "abcxyz", "num": 123, "version": 1.2, "$flagd": {"flagKey": "forged", "timestamp": 1}});
    for (rule, expected) in [
        (json!({"starts_with": [{"var": "id"}, "abc"]}), "true"),
        (json!({"ends_with": [{"var": "id"}, "abc"]}), "false"),
        (json!({"starts_with": [{"var": "num"}, "1"]}), "null"),
        (json!({"ends_with": [{"var": "absent"}, "1"]}), "null"),
        (json!({"sem_ver": [{"var": "version"}, "^", "1"]}), "true"),
        (json!({"sem_ver": [{"var": "version"}, ">", "v1.1"]}), "true"),
        (json!({"sem_ver": [{"var": "id"}, "=", "1.0.0"]}), "null"),
        (json!({"sem_ver": ["1.0.0", "<", {"var": "version"}]}), "true"),
        (json!({"var": "$flagd.flagKey"}), "flag"),
        (json!({"var": "$flagd.timestamp"}), "1700000000"),
    ] {
        assert_eq!(result(rule.clone(), context.clone()), expected, "{rule}");
    }
}

fn suits(key: Option<Json>) -> Json {
    let buckets = ["clubs", "diamonds", "hearts", "spades"].map(|suit| json!([suit, 25]));
    json!({"fractional": key.into_iter().chain(buckets).collect::<Vec<_>>()})
}

#[test]
fn each_version_gives_the_buckets_of_the_reference_implementations() {
    let rule = suits(Some(json!({"cat": ["shared-seed", {"var": "user.name"}]})));
    for (bucketing, name, expected) in [
        (Bucketing::V1, "jack", "hearts"),
        (Bucketing::V1, "queen", "spades"),
        (Bucketing::V1, "ten", "hearts"),
        (Bucketing::V1, "nine", "diamonds"),
        (Bucketing::V2, "seven", "hearts"),
        (Bucketing::V2, "eight", "diamonds"),
        (Bucketing::V2, "nine", "clubs"),
        (Bucketing::V2, "two", "spades"),
        (Bucketing::V3, "seven", "hearts"),
        (Bucketing::V3, "eight", "hearts"),
        (Bucketing::V3, "nine", "diamonds"),
        (Bucketing::V3, "two", "diamonds"),
    ] {
        assert_eq!(
            result_with(bucketing, &rule, json!({"user": {"name": name}})),
            expected,
            "{bucketing:?} {name}"
        );
    }
}

#[test]
fn version_3_takes_any_value_as_key_and_the_others_only_texts() {
    let buckets = (1..=25).map(|bucket| json!([format!("bucket{bucket}"), 4]));
    let rule =
        json!({"fractional": std::iter::once(json!({"var": "key"})).chain(buckets).collect::<Vec<_>>()});
    for (key, bucket) in [
        (json!(true), 5),
        (json!("true"), 24),
        (json!(123), 20),
        (json!("123"), 22),
        (json!(1.23), 14),
        (json!(1), 23),
        (json!(1.0), 23),
        (json!(-2.0), 12),
        (json!(-0.0), 8),
        (json!(-2_147_483_649_i64), 18),
        (json!(65504.0), 16),
        (json!(1e20), 19),
        (json!(5e-324), 2),
        (json!({"z": 1, "aa": 2}), 21),
        (json!({"a": [1, [], 3], "b": null}), 3),
        (json!({}), 3),
        (json!(""), 4),
    ] {
        assert_eq!(
            result_with(Bucketing::V3, &rule, json!({"key": key})),
            format!("bucket{bucket}"),
            "{key}"
        );
    }
    assert_eq!(result_with(Bucketing::V2, &rule, json!({"key": 123, "targetingKey": "u"})), "null");
}

#[test]
fn without_a_key_flag_and_targeting_key_are_hashed() {
    let rule = json!({"fractional": [["heads"], ["tails", 1]]});
    let of = |bucketing, key: &str| result_with(bucketing, &rule, json!({"targetingKey": key}));
    let joined = json!({"fractional": [{"cat": [{"var": "$flagd.flagKey"}, {"var": "targetingKey"}]}, ["heads"], ["tails"]]});
    for key in ["jon@company.com", "jane@company.com", "x"] {
        assert_eq!(of(Bucketing::V2, key), result(joined.clone(), json!({"targetingKey": key})));
    }
    for bucketing in [Bucketing::V1, Bucketing::V2, Bucketing::V3] {
        assert_eq!(result_with(bucketing, &rule, json!({})), "null");
        assert_eq!(result_with(bucketing, &rule, json!({"targetingKey": 7})), "null");
    }
}

#[test]
fn weights_may_be_rules_and_nothing_is_drawn_from_no_weight() {
    let rule = json!({"fractional": [{"var": "targetingKey"}, ["red", {"if": [{"var": "vip"}, 100, 0]}], ["blue", 10]]});
    assert_eq!(result(rule.clone(), json!({"targetingKey": "user1", "vip": true})), "red");
    assert_eq!(result(rule, json!({"targetingKey": "user1"})), "blue");
    let zero = json!({"fractional": [{"var": "targetingKey"}, ["one", 0], ["two", -50]]});
    assert_eq!(result(zero, json!({"targetingKey": "a"})), "null");
    let negative = json!({"fractional": [{"var": "targetingKey"}, ["one", -50], ["two", 100]]});
    assert_eq!(result(negative, json!({"targetingKey": "a"})), "two");
    let text = json!({"fractional": [{"var": "targetingKey"}, ["one", {"var": "targetingKey"}]]});
    assert_eq!(result(text, json!({"targetingKey": "a"})), "null");
}

#[test]
fn the_place_of_a_fault_is_named() {
    for (rule, pointer) in [
        (json!({"not-a-rule": [1, 2]}), "/targeting/not-a-rule"),
        (json!({"if": [true], "or": []}), "/targeting"),
        (json!({"if": [{"==": [1]}, "a"]}), "/targeting/if/0/=="),
        (json!({"if": []}), "/targeting/if"),
        (json!({"fractional": ["invalid", ["a", 1]]}), "/targeting/fractional/0"),
        (json!({"fractional": [["a", 25], ["b", "25"]]}), "/targeting/fractional/1/1"),
        (json!({"fractional": [["a", 0.5]]}), "/targeting/fractional/0/1"),
        (json!({"fractional": [["a", 2_000_000_000], ["b", 2_000_000_000]]}), "/targeting/fractional"),
        (json!({"fractional": [{"var": "x"}]}), "/targeting/fractional"),
        (json!({"ends_with": [{"var": "id"}, 0]}), "/targeting/ends_with/1"),
        (json!({"starts_with": ["abc"]}), "/targeting/starts_with"),
        (json!({"==": [{"var": "$flagd.invalid"}, 1]}), "/targeting/==/0/var"),
        (json!({"sem_ver": [{"var": "v"}, "*", "2.0.0"]}), "/targeting/sem_ver/1"),
        (json!({"sem_ver": [{"var": "v"}, "=", "2.0.0.0"]}), "/targeting/sem_ver/2"),
        (json!({"sem_ver": [{"var": "v"}, "="]}), "/targeting/sem_ver"),
        (json!({"var": {"var": "x"}}), "/targeting/var"),
        (json!({"$ref": "nobody"}), "/targeting/$ref"),
        (json!({"/": [1, {"~": []}]}), "/targeting/~1/1/~0"),
    ] {
        assert_eq!(fault(rule.clone()), pointer, "{rule}");
    }
}

#[test]
fn evaluators_are_shared_and_may_not_refer_to_themselves() {
    let evaluators: BTreeMap<String, Json> = [
        ("ballmer".to_owned(), json!({"==": [{"var": "email"}, "ballmer@macrosoft.com"]})),
        ("not_ballmer".to_owned(), json!({"!": {"$ref": "ballmer"}})),
        ("loop".to_owned(), json!({"!": [{"$ref": "loop"}]})),
        ("broken".to_owned(), json!({"or": [{"what": []}]})),
    ]
    .into();
    let mut compiler = Compiler::new(&evaluators);
    let rule = compiler.rule(&json!({"if": [{"$ref": "not_ballmer"}, "no", "yes"]}), "").unwrap().0;
    let context = EvaluationContext::from_json(json!({"email": "ballmer@macrosoft.com"})).unwrap();
    let subject = context.subject();
    let machine = Machine::new(&subject, "f", Bucketing::V2, NOW);
    assert_eq!(machine.run(&rule), Ok(Verdict::Variant("yes".into())));
    assert_eq!(
        compiler.rule(&json!({"$ref": "loop"}), "/t").unwrap_err().pointer,
        "/$evaluators/loop/!/0/$ref"
    );
    assert_eq!(
        compiler.rule(&json!({"$ref": "broken"}), "/t").unwrap_err().pointer,
        "/$evaluators/broken/or/0/what"
    );
}

#[test]
fn rules_that_grow_without_bound_are_refused_or_stopped() {
    let mut deep = json!(true);
    for _ in 0..40 {
        deep = json!({"!": [deep]});
    }
    assert!(fault(deep).contains("/!/0/!"));
    // Each evaluator uses the one before ten times: a billion nodes on the whole.
    let mut evaluators = BTreeMap::from([("e0".to_owned(), json!({"var": "x"}))]);
    for index in 1..10 {
        let before = format!("e{}", index - 1);
        evaluators.insert(format!("e{index}"), json!({"or": vec![json!({"$ref": before}); 10]}));
    }
    assert!(Compiler::new(&evaluators).rule(&json!({"$ref": "e9"}), "").is_err());
    let many: Vec<u32> = (0..500).collect();
    let square = json!({"map": [{"var": "l"}, {"map": [{"var": ["", []]}, 1]}]});
    assert_ne!(result(square, json!({"l": many})), "exhausted");
    let double = json!({"reduce": [{"var": "l"}, [{"var": "accumulator"}, {"var": "accumulator"}], "x"]});
    assert_eq!(result(double, json!({"l": many})), "exhausted");
    let text =
        json!({"reduce": [{"var": "l"}, {"cat": [{"var": "accumulator"}, {"var": "accumulator"}]}, "x"]});
    assert_eq!(result(text, json!({"l": many})), "exhausted");
}

#[test]
fn results_that_are_no_variants_are_found() {
    let is_variant = |name: &str| ["on", "off", "true"].contains(&name);
    let check = |rule: Json| check_results(&rule, "/targeting", &is_variant).map_err(|fault| fault.pointer);
    assert_eq!(check(json!({"if": [{"==": ["x", "y"]}, "on", {"if": ["z", true, null]}]})), Ok(()));
    assert_eq!(check(json!({"if": [true, "three", "on"]})), Err("/targeting/if/1".into()));
    assert_eq!(check(json!({"if": [true, "on", false]})), Err("/targeting/if/2".into()));
    assert_eq!(
        check(json!({"fractional": [{"var": "x"}, ["on", 1], ["of", 1]]})),
        Err("/targeting/fractional/2/0".into())
    );
    assert_eq!(check(json!({"==": ["x", "y"]})), Ok(()));
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-5_i32..5).prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "[a-c.$0-9]{0,3}".prop_map(Json::from),
    ];
    let operators = vec![
        "var",
        "missing",
        "missing_some",
        "if",
        "==",
        "!=",
        "===",
        "!==",
        "!",
        "!!",
        "or",
        "and",
        ">",
        "<=",
        "<",
        ">=",
        "max",
        "min",
        "+",
        "-",
        "*",
        "/",
        "%",
        "map",
        "filter",
        "reduce",
        "all",
        "none",
        "some",
        "merge",
        "in",
        "cat",
        "substr",
        "starts_with",
        "ends_with",
        "sem_ver",
        "fractional",
        "$ref",
        "x",
    ];
    leaf.prop_recursive(5, 64, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            (proptest::sample::select(operators.clone()), proptest::collection::vec(inner, 0..4))
                .prop_map(|(operator, arguments)| json!({operator: arguments})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_rule_is_refused_or_has_a_result(rule in any_json(), a in any_json(), b in any_json()) {
        let context = EvaluationContext::from_json(json!({"a": a, "b": b, "targetingKey": "k"}));
        if let (Ok((compiled, _)), Ok(context)) = (Compiler::new(&BTreeMap::new()).rule(&rule, ""), context) {
            for bucketing in [Bucketing::V1, Bucketing::V2, Bucketing::V3] {
                let subject = context.subject();
                let machine = Machine::new(&subject, "flag", bucketing, NOW);
                let _: Result<Verdict<'_>, Exhausted> = machine.run(&compiled);
            }
        }
    }

    #[test]
    fn the_same_subject_stays_in_the_same_bucket(key in "[a-z0-9]{1,20}", share in 1_u32..99) {
        let rule = json!({"fractional": [["on", share], ["off", 100 - share]]});
        let first = result(rule.clone(), json!({"targetingKey": key}));
        prop_assert!(first == "on" || first == "off");
        prop_assert_eq!(&first, &result(rule, json!({"targetingKey": key, "other": [1, 2]})));
    }
}
