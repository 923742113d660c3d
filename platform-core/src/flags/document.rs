//! A whole flag set in one document of flagd's, compiled without a store: for a program that is given its
//! flags, and for tests.

use serde_json::{Map, Value as Json};

use super::commands::check_settings;
use super::counts::Counters;
use super::definition::{Definition, escape, plain};
use super::error::{self, Fault};
use super::model::{FlagKey, FlagSet};
use super::snapshot::{FlagSource, SetSource, Snapshot, check};
use crate::kernel::{Result, limits};

impl Snapshot {
    /// Compiles a document of flagd's: `flags` by key, and `$evaluators` and `metadata` of the set.
    /// Evaluations are counted nowhere.
    ///
    /// ```
    /// use platform_core::flags::{Snapshot, Subject};
    ///
    /// let set = Snapshot::of_document(&serde_json::json!({"flags": {"new-checkout": {
    ///     "state": "ENABLED",
    ///     "variants": {"on": true, "off": false},
    ///     "defaultVariant": "off",
    ///     "targeting": {"if": [{"==": [{"var": "plan"}, "pro"]}, "on"]},
    /// }}}))?;
    /// let (subject, now_s) = (Subject::new("user_1", &[("plan", "pro")]), 1_800_000_000);
    /// assert_eq!(set.evaluate("new-checkout", &subject, now_s).unwrap().variant, Some("on"));
    /// # Ok::<(), platform_core::kernel::Error>(())
    /// ```
    ///
    /// # Errors
    /// `flags.invalid_definition` with the JSON pointer of the place.
    pub fn of_document(document: &Json) -> Result<Snapshot> {
        read(document).map_err(error::invalid_definition)
    }
}

fn read(document: &Json) -> Result<Snapshot, Fault> {
    let Some(map) = document.as_object() else { return Err(Fault::new("", "a flag set is an object")) };
    const FIELDS: [&str; 4] = ["$schema", "flags", "$evaluators", "metadata"];
    if let Some(unknown) = map.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(Fault::new(format!("/{}", escape(unknown)), "a flag set has no such field"));
    }
    let set = settings(map)?;
    let Some(Json::Object(flags)) = map.get("flags") else {
        return Err(Fault::new("/flags", "flags are an object"));
    };
    let mut definitions = Vec::with_capacity(flags.len());
    for (key, json) in flags {
        let place = || format!("/flags/{}", escape(key));
        key.parse::<FlagKey>().map_err(|_| Fault::new(place(), "not the key of a flag"))?;
        let below = |fault: Fault| Fault { pointer: place() + &fault.pointer, ..fault };
        let definition = Definition::parse(json).map_err(below)?;
        check(&definition, &set.evaluators).map_err(below)?;
        definitions.push((key, definition));
    }
    let source = SetSource {
        revision: 1,
        settings_revision: 1,
        bucketing: set.bucketing,
        evaluators: set.evaluators,
        metadata: set.metadata,
    };
    let flags: Vec<_> =
        definitions.iter().map(|(key, definition)| FlagSource { key, revision: 1, definition }).collect();
    Ok(Snapshot::compile(source, &flags, &Snapshot::default(), &Counters::default()))
}

fn settings(map: &Map<String, Json>) -> Result<FlagSet, Fault> {
    let part = |name: &str| {
        let pointer = format!("/{name}");
        match map.get(name) {
            None => Ok(Map::new()),
            Some(json @ Json::Object(part)) => {
                plain(json, &pointer, limits::JSON_DEPTH).map(|()| part.clone())
            }
            Some(_) => Err(Fault::new(pointer, "an object")),
        }
    };
    let (evaluators, metadata) = (part("$evaluators")?, part("metadata")?);
    let set = FlagSet {
        evaluators: evaluators.into_iter().collect(),
        metadata: metadata.into_iter().collect(),
        ..FlagSet::default()
    };
    check_settings(&set)?;
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Subject;
    use serde_json::json;

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let flag = json!({"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "off"});
        for (document, pointer) in [
            (json!([]), ""),
            (json!({"flags": {}, "flag": {}}), "/flag"),
            (json!({"flags": []}), "/flags"),
            (json!({"flags": {"a": flag}}), "/flags/a/defaultVariant"),
            (json!({"flags": {"a/b": {}}}), "/flags/a~1b"),
            (json!({"flags": {}, "$evaluators": 1}), "/$evaluators"),
            (json!({"flags": {}, "metadata": {"a": []}}), "/metadata/a"),
        ] {
            let error = Snapshot::of_document(&document).unwrap_err();
            assert_eq!(error.code(), "flags.invalid_definition");
            assert!(error.to_string().contains(&format!("pointer={pointer}]")), "{error}");
        }
    }

    #[test]
    fn evaluators_and_metadata_of_the_document_are_those_of_the_set() {
        let set = Snapshot::of_document(&json!({
            "flags": {"a": {"state": "ENABLED", "variants": {"on": true}, "targeting": {"$ref": "all"}}},
            "$evaluators": {"all": {"if": [true, "on"]}},
            "metadata": {"team": "checkout"},
        }))
        .unwrap();
        let subject = Subject::new("user_1", &[]);
        let evaluation = set.evaluate("a", &subject, 0).unwrap();
        assert_eq!((evaluation.variant, &evaluation.metadata["team"]), (Some("on"), &json!("checkout")));
    }
}
