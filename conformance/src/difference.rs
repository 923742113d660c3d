//! What was found, compared with what is written.

use serde_json::{Map, Value};

/// What is written, with what was saved in the place of names: `$name`, `$name.field`, `$name.0`.
///
/// # Errors
/// The name under which nothing was saved.
pub fn filled(value: &Value, saved: &Map<String, Value>) -> Result<Value, String> {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, one)| Ok((name.clone(), filled(one, saved)?)));
            fields.collect::<Result<Map<_, _>, String>>().map(Value::Object)
        }
        Value::Array(items) => {
            items.iter().map(|one| filled(one, saved)).collect::<Result<_, _>>().map(Value::Array)
        }
        Value::String(text) => match text.strip_prefix('$') {
            Some(path) => find(path, saved).cloned().ok_or_else(|| format!("nothing is saved as {path}")),
            None => Ok(value.clone()),
        },
        _ => Ok(value.clone()),
    }
}

fn find<'a>(path: &str, saved: &'a Map<String, Value>) -> Option<&'a Value> {
    let mut parts = path.split('.');
    let first = saved.get(parts.next()?)?;
    parts.try_fold(first, |found, part| match found {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}

/// Where something is not what was expected. An object may hold more than that, a list may not; `"*"` is anything but
/// null; a field that is not there is null.
pub fn difference(found: &Value, expected: &Value, place: &str) -> Option<String> {
    match (found, expected) {
        (found, Value::String(any)) if any == "*" => found.is_null().then(|| format!("{place} is null")),
        (Value::Object(found), Value::Object(expected)) => expected.iter().find_map(|(name, one)| {
            difference(found.get(name).unwrap_or(&Value::Null), one, &format!("{place}, {name}"))
        }),
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => {
            let mut pairs = found.iter().zip(expected).enumerate();
            pairs.find_map(|(number, (found, one))| difference(found, one, &format!("{place}, {number}")))
        }
        (found, expected) => (found != expected).then(|| format!("{place} is {found}, not {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_saved_stands_in_the_place_of_its_name() {
        let Value::Object(saved) = json!({"ada": "user_1", "found": [{"id": 7}]}) else { unreachable!() };
        let written = json!({"user": "$ada", "ids": ["$found.0.id", "plain"], "n": 1});
        assert_eq!(filled(&written, &saved), Ok(json!({"user": "user_1", "ids": [7, "plain"], "n": 1})));
        assert_eq!(filled(&json!("$found.1.id"), &saved), Err("nothing is saved as found.1.id".to_owned()));
        assert!(filled(&json!("$nobody"), &saved).is_err());
    }

    #[test]
    fn objects_may_hold_more_and_lists_may_not() {
        let found = json!({"a": 1, "b": [1, 2], "c": null, "d": "x"});
        for expected in
            [json!({"a": 1}), json!({"b": [1, "*"]}), json!({"c": null, "e": null}), json!("*"), json!({})]
        {
            assert_eq!(difference(&found, &expected, "it"), None, "{expected}");
        }
        for (expected, place) in [
            (json!({"a": 2}), "it, a is 1, not 2"),
            (json!({"b": [1]}), "it, b is [1,2], not [1]"),
            (json!({"b": [1, 3]}), "it, b, 1 is 2, not 3"),
            (json!({"c": "*"}), "it, c is null"),
            (json!({"e": "*"}), "it, e is null"),
            (json!({"d": {}}), "it, d is \"x\", not {}"),
        ] {
            assert_eq!(difference(&found, &expected, "it").as_deref(), Some(place));
        }
    }
}
