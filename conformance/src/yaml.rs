//! YAML, as far as JSON goes.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Number, Value};

/// Reads one document of YAML that says nothing JSON cannot say: no tags, and texts as keys.
///
/// # Errors
/// What is wrong, as a sentence.
pub fn parse(text: &str) -> Result<Value, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    match documents.as_slice() {
        [document] => value(document),
        others => Err(format!("{} documents, not one", others.len())),
    }
}

fn value(node: &Yaml<'_>) -> Result<Value, String> {
    match node {
        Yaml::Value(Scalar::Null) => Ok(Value::Null),
        Yaml::Value(Scalar::Boolean(value)) => Ok(Value::Bool(*value)),
        Yaml::Value(Scalar::Integer(number)) => Ok(Value::from(*number)),
        Yaml::Value(Scalar::FloatingPoint(number)) => Number::from_f64(number.into_inner())
            .map(Value::Number)
            .ok_or_else(|| format!("{number} is no number of JSON")),
        Yaml::Value(Scalar::String(text)) => Ok(Value::String(text.to_string())),
        Yaml::Sequence(items) => items.iter().map(value).collect::<Result<_, _>>().map(Value::Array),
        Yaml::Mapping(fields) => {
            let fields = fields.iter().map(|(name, held)| match name {
                Yaml::Value(Scalar::String(name)) => Ok((name.to_string(), value(held)?)),
                other => Err(format!("a key that is no text: {other:?}")),
            });
            fields.collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        other => Err(format!("more than JSON can say: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_json_can_say_is_read() {
        let text =
            r#"{about: "it: so", list: [1, -2.5, true, null, plain text, "12"], if: {"==": [{var: tier}]}}"#;
        let value = parse(text).unwrap();
        let list = json!([1, -2.5, true, null, "plain text", "12"]);
        assert_eq!(value, json!({"about": "it: so", "list": list, "if": {"==": [{"var": "tier"}]}}));
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        for text in ["!special 1", "1: one", "a: .nan", "--- 1\n--- 2\n", "", "{a: "] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
