//! What a hot path promises not to do: ask for memory.
#![cfg(feature = "flags")]

use allocation_counter::measure;
use platform_core::flags::{Snapshot, Subject};
use serde_json::json;

#[test]
fn an_evaluation_asks_for_no_memory() {
    let set = Snapshot::of_document(&json!({"flags": {
        "static": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"},
        "rule": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
            "targeting": {"if": [{"==": [{"var": "plan"}, "pro"]}, "on", "off"]}},
        "fractional": {"state": "ENABLED", "variants": {"a": "a", "b": "b"}, "defaultVariant": "a",
            "targeting": {"fractional": [["a", 50], ["b", 50]]}},
    }}))
    .unwrap();
    let attributes = [("plan", "pro")];
    let subject = Subject::new("user_1", &attributes);
    for key in ["static", "rule", "fractional"] {
        let mut variant = None;
        let asked = measure(|| variant = set.evaluate(key, &subject, 1_800_000_000).unwrap().variant);
        assert!(variant.is_some());
        assert_eq!(asked.count_total, 0, "{key}: {asked:?}");
    }
    // The measure itself can fail.
    assert_eq!(measure(|| drop(std::hint::black_box(vec![1_u8]))).count_total, 1);
}
