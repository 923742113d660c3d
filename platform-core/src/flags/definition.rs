//! A flag's definition in flagd's format (flagd-schemas `flags.json`, v0): read, checked, written.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::error::Fault;
use crate::kernel::limits;

/// Bytes of a definition as JSON.
const DEFINITION_BYTES: usize = 256 * 1024;
/// Variants of a flag.
const VARIANTS: usize = 256;
/// Entries of metadata.
const METADATA: usize = 64;

/// Whether a flag works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum FlagState {
    /// It does.
    Enabled,
    /// Every evaluation says so, and the caller's own default applies.
    Disabled,
}

/// A definition that has been checked, except for its rules, which need the evaluators of the set.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// Whether it works.
    pub state: FlagState,
    /// The values by name: all booleans, all texts, all numbers, or all objects.
    pub variants: BTreeMap<String, Json>,
    /// The variant when no rule applies; without it the caller's own default applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_variant: Option<String>,
    /// The rule that chooses a variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targeting: Option<Json>,
    /// Texts, numbers and booleans that every evaluation tells.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Json>,
}

type Checked<T> = Result<T, Fault>;

impl Definition {
    /// Reads a definition.
    pub(super) fn parse(json: &Json) -> Checked<Definition> {
        let Some(map) = json.as_object() else { return Err(Fault::new("", "a flag is an object")) };
        plain(json, "", limits::JSON_DEPTH)?;
        if json.to_string().len() > DEFINITION_BYTES {
            return Err(Fault::new("", "a definition is at most 256 KiB"));
        }
        const FIELDS: [&str; 5] = ["state", "variants", "defaultVariant", "targeting", "metadata"];
        if let Some(unknown) = map.keys().find(|key| !FIELDS.contains(&key.as_str())) {
            return Err(Fault::new(format!("/{}", escape(unknown)), "a flag has no such field"));
        }
        let variants = variants(map)?;
        let default_variant = match map.get("defaultVariant") {
            None | Some(Json::Null) => None,
            Some(Json::String(name)) if variants.contains_key(name) => Some(name.clone()),
            Some(Json::String(_)) => {
                return Err(Fault::new("/defaultVariant", "the default is not one of the variants"));
            }
            Some(_) => return Err(Fault::new("/defaultVariant", "the name of a variant, or null")),
        };
        let targeting = match map.get("targeting") {
            None => None,
            Some(Json::Object(rule)) if rule.is_empty() => None,
            Some(rule @ Json::Object(_)) => Some(rule.clone()),
            Some(_) => return Err(Fault::new("/targeting", "targeting is an object")),
        };
        let metadata = metadata(map.get("metadata"), "/metadata")?;
        Ok(Definition { state: state(map)?, variants, default_variant, targeting, metadata })
    }

    /// The definition as JSON.
    pub(super) fn to_json(&self) -> Json {
        // Texts, numbers and maps with text keys: this cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn state(map: &Map<String, Json>) -> Checked<FlagState> {
    match map.get("state").and_then(Json::as_str) {
        Some("ENABLED") => Ok(FlagState::Enabled),
        Some("DISABLED") => Ok(FlagState::Disabled),
        _ => Err(Fault::new("/state", "state is ENABLED or DISABLED")),
    }
}

fn variants(map: &Map<String, Json>) -> Checked<BTreeMap<String, Json>> {
    let Some(Json::Object(variants)) = map.get("variants") else {
        return Err(Fault::new("/variants", "variants are an object"));
    };
    if !(1..=VARIANTS).contains(&variants.len()) {
        return Err(Fault::new("/variants", "a flag has 1 to 256 variants"));
    }
    let kind = |value: &Json| match value {
        Json::Bool(_) => Some("boolean"),
        Json::String(_) => Some("text"),
        Json::Number(_) => Some("number"),
        Json::Object(_) => Some("object"),
        Json::Null | Json::Array(_) => None,
    };
    let first = variants.values().next().and_then(kind);
    for (name, value) in variants {
        let pointer = || format!("/variants/{}", escape(name));
        if name.is_empty() || name.len() > limits::NAME_BYTES {
            return Err(Fault::new(pointer(), "a variant's name is 1 to 200 bytes"));
        }
        match kind(value) {
            None => {
                return Err(Fault::new(pointer(), "a variant is a boolean, a text, a number or an object"));
            }
            other if other != first => {
                return Err(Fault::new(pointer(), "all variants of a flag have the same type"));
            }
            Some(_) => {}
        }
    }
    Ok(variants.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Reads metadata of a flag or a set.
pub(super) fn metadata(json: Option<&Json>, pointer: &str) -> Checked<BTreeMap<String, Json>> {
    let map = match json {
        None => return Ok(BTreeMap::new()),
        Some(Json::Object(map)) if map.len() <= METADATA => map,
        Some(_) => return Err(Fault::new(pointer, "metadata is an object of at most 64 entries")),
    };
    for (name, value) in map {
        if !matches!(value, Json::String(_) | Json::Number(_) | Json::Bool(_)) {
            let place = format!("{pointer}/{}", escape(name));
            return Err(Fault::new(place, "metadata are texts, numbers and booleans"));
        }
    }
    Ok(map.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Refuses what not every store can hold, and what is too deep.
pub(super) fn plain(json: &Json, pointer: &str, depth: usize) -> Checked<()> {
    let Some(below) = depth.checked_sub(1) else {
        return Err(Fault::new(pointer, "a definition is at most 32 levels deep"));
    };
    let null = |text: &str| text.contains('\0');
    match json {
        Json::String(text) if null(text) => Err(Fault::new(pointer, "a text has no NUL character")),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| plain(item, &format!("{pointer}/{index}"), below)),
        Json::Object(map) => map.iter().try_for_each(|(key, value)| {
            let place = format!("{pointer}/{}", escape(key));
            if null(key) {
                Err(Fault::new(place, "a name has no NUL character"))
            } else {
                plain(value, &place, below)
            }
        }),
        _ => Ok(()),
    }
}

/// A step of a JSON pointer (RFC 6901).
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused_at(json: Json) -> String {
        Definition::parse(&json).unwrap_err().pointer
    }

    #[test]
    fn a_definition_keeps_its_form() {
        let json = json!({
            "state": "ENABLED", "variants": {"one": 1.0, "two": 2}, "defaultVariant": "one",
            "targeting": {"if": [{"var": "x"}, "two"]}, "metadata": {"owner": "ada"}
        });
        let text = Definition::parse(&json).unwrap().to_json().to_string();
        assert_eq!(
            text,
            r#"{"defaultVariant":"one","metadata":{"owner":"ada"},"state":"ENABLED","targeting":{"if":[{"var":"x"},"two"]},"variants":{"one":1.0,"two":2}}"#
        );
        let minimal =
            json!({"state": "DISABLED", "variants": {"on": true}, "defaultVariant": null, "targeting": {}});
        let minimal = Definition::parse(&minimal).unwrap();
        assert_eq!(minimal.to_json(), json!({"state": "DISABLED", "variants": {"on": true}}));
    }

    #[test]
    fn the_place_of_a_fault_is_named() {
        let flag = |change: Json| {
            let mut flag = json!({"state": "ENABLED", "variants": {"on": true, "off": false}});
            for (name, value) in change.as_object().unwrap() {
                flag[name] = value.clone();
            }
            flag
        };
        for (json, pointer) in [
            (json!([]), ""),
            (json!({"variants": {"on": true}}), "/state"),
            (flag(json!({"state": "WILL-FAIL"})), "/state"),
            (json!({"state": "ENABLED"}), "/variants"),
            (flag(json!({"variants": {}})), "/variants"),
            (flag(json!({"variants": {"on": true, "out": "false"}})), "/variants/out"),
            (flag(json!({"variants": {"a/b": []}})), "/variants/a~1b"),
            (flag(json!({"variants": {"": true}})), "/variants/"),
            (flag(json!({"defaultVariant": "of"})), "/defaultVariant"),
            (flag(json!({"defaultVariant": 1})), "/defaultVariant"),
            (flag(json!({"targeting": []})), "/targeting"),
            (flag(json!({"metadata": {"x": {"y": 1}}})), "/metadata/x"),
            (flag(json!({"metadata": 1})), "/metadata"),
            (flag(json!({"defaultvariant": "on"})), "/defaultvariant"),
            (flag(json!({"variants": {"a": "x\u{0}"}})), "/variants/a"),
        ] {
            assert_eq!(refused_at(json.clone()), pointer, "{json}");
        }
    }

    #[test]
    fn a_definition_that_is_too_deep_is_refused() {
        let mut deep = json!({});
        for _ in 0..40 {
            deep = json!({"x": deep});
        }
        assert!(Definition::parse(&json!({"state": "ENABLED", "variants": {"a": deep}})).is_err());
    }
}
