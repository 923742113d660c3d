//! Results as plain data, with the names that they have in Python.

use platform_core::ports::store::Stored;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// As the core writes it.
pub(crate) fn plain(result: impl Serialize) -> Value {
    serde_json::to_value(result).expect("results are JSON")
}

/// With the version as a field.
pub(crate) fn versioned(result: Stored<impl Serialize>) -> Value {
    with(plain(result.value), "version", json!(result.version))
}

/// With another field.
pub(crate) fn with(result: Value, name: &str, value: Value) -> Value {
    let mut fields = object(result);
    fields.insert(name.to_owned(), value);
    Value::Object(fields)
}

/// With other names for fields.
pub(crate) fn renamed(result: Value, names: &[(&str, &str)]) -> Value {
    let rename = |(name, value): (String, Value)| {
        let other = names.iter().find(|(from, _)| *from == name);
        (other.map_or(name, |(_, to)| (*to).to_owned()), value)
    };
    Value::Object(object(result).into_iter().map(rename).collect())
}

/// With some fields as they are, and all others as one.
pub(crate) fn gathered(result: Value, kept: &[&str], name: &str) -> Value {
    let (mut fields, others): (Map<_, _>, Map<_, _>) =
        object(result).into_iter().partition(|(name, _)| kept.contains(&name.as_str()));
    fields.insert(name.to_owned(), Value::Object(others));
    Value::Object(fields)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("no object: {other}"),
    }
}
