//! The values that rules work on, and how JSONLogic converts them.

use std::borrow::Cow;
use std::fmt::{self, Write};

use serde_json::Value as Json;

/// A value. Borrows from the rule and from the context, so that ordinary rules allocate nothing.
#[derive(Debug, Clone)]
pub(in crate::flags) enum Value<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
    /// An array or an object of the context.
    Json(&'a Json),
    List(Vec<Value<'a>>),
}

impl<'a> From<&'a Json> for Value<'a> {
    fn from(json: &'a Json) -> Value<'a> {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => number.as_f64().map_or(Value::Null, Value::Number),
            Json::String(text) => Value::Text(Cow::Borrowed(text)),
            Json::Array(_) | Json::Object(_) => Value::Json(json),
        }
    }
}

impl<'a> Value<'a> {
    /// A number, or nothing when it is none.
    pub(super) fn number(number: f64) -> Value<'a> {
        if number.is_finite() { Value::Number(number) } else { Value::Null }
    }

    /// As JSONLogic has it: empty lists are false, the text "0" and empty objects are true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::Number(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Json(Json::Array(items)) => !items.is_empty(),
            Value::Json(_) => true,
            Value::List(items) => !items.is_empty(),
        }
    }

    /// As JavaScript's `Number()`; what has none is NaN.
    pub(super) fn to_number(&self) -> f64 {
        match self {
            Value::Null => 0.0,
            Value::Bool(value) => f64::from(u8::from(*value)),
            Value::Number(number) => *number,
            Value::Text(text) => text_to_number(text),
            Value::Json(_) | Value::List(_) => f64::NAN,
        }
    }

    /// The items of a list; `None` for anything else.
    pub(super) fn into_items(self) -> Option<Vec<Value<'a>>> {
        match self {
            Value::List(items) => Some(items),
            Value::Json(Json::Array(items)) => Some(items.iter().map(Value::from).collect()),
            _ => None,
        }
    }

    /// How much a copy of it takes: bytes of texts and items of lists that do not stand in the context.
    pub(super) fn made(&self) -> usize {
        match self {
            Value::Text(Cow::Owned(text)) => text.len(),
            Value::List(items) => items.iter().fold(items.len(), |sum, item| sum.saturating_add(item.made())),
            _ => 0,
        }
    }

    /// Equal in type and value; lists and objects by their content.
    pub(super) fn same(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Number(a), Value::Number(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Json(a), Value::Json(b)) => a == b,
            (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Value::List(list), Value::Json(Json::Array(json)))
            | (Value::Json(Json::Array(json)), Value::List(list)) => {
                list.len() == json.len() && list.iter().zip(json).all(|(a, b)| a.same(&Value::from(b)))
            }
            _ => false,
        }
    }

    /// Equal after conversion (JavaScript's `==`), except that lists and objects equal no scalar.
    pub(super) fn alike(&self, other: &Value<'_>) -> bool {
        let scalar = |value: &Value<'_>| matches!(value, Value::Bool(_) | Value::Number(_) | Value::Text(_));
        match (self, other) {
            (Value::Text(_), Value::Text(_)) => self.same(other),
            _ if scalar(self) && scalar(other) => self.to_number() == other.to_number(),
            _ => self.same(other),
        }
    }

    /// Less: texts by their characters, everything else as numbers.
    pub(super) fn less(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Text(a), Value::Text(b)) => a < b,
            _ => self.to_number() < other.to_number(),
        }
    }

    /// Less or equal.
    pub(super) fn at_most(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Text(a), Value::Text(b)) => a <= b,
            _ => self.to_number() <= other.to_number(),
        }
    }
}

/// The text that JavaScript's `String()` gives; nothing for null.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => Ok(()),
            Value::Bool(value) => fmt::Display::fmt(value, f),
            Value::Number(number) => write_number(*number, f),
            Value::Text(text) => f.write_str(text),
            Value::List(items) => write_list(items.iter().cloned(), f),
            Value::Json(Json::Array(items)) => write_list(items.iter().map(Value::from), f),
            Value::Json(_) => f.write_str("[object Object]"),
        }
    }
}

fn write_list<'a>(items: impl Iterator<Item = Value<'a>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, item) in items.enumerate() {
        if index > 0 {
            f.write_char(',')?;
        }
        fmt::Display::fmt(&item, f)?;
    }
    Ok(())
}

fn write_number(number: f64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let size = number.abs();
    if size == 0.0 {
        f.write_char('0')
    } else if size >= 1e21 {
        // JavaScript writes the sign of a positive exponent, Rust does not.
        let text = format!("{number:e}");
        f.write_str(&text.replacen('e', "e+", 1))
    } else if size < 1e-6 {
        write!(f, "{number:e}")
    } else {
        write!(f, "{number}")
    }
}

fn text_to_number(text: &str) -> f64 {
    let text = text.trim();
    if text.is_empty() {
        return 0.0;
    }
    // Rust reads "inf" and "nan" too.
    if text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E')) {
        text.parse().unwrap_or(f64::NAN)
    } else {
        f64::NAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn truth_is_that_of_jsonlogic() {
        for (json, truth) in [
            (json!(null), false),
            (json!(0), false),
            (json!(""), false),
            (json!([]), false),
            (json!(false), false),
            (json!("0"), true),
            (json!({}), true),
            (json!([0]), true),
            (json!(-1), true),
        ] {
            assert_eq!(Value::from(&json).is_true(), truth, "{json}");
        }
    }

    #[test]
    fn texts_and_numbers_are_alike_when_they_mean_the_same() {
        for (a, b, alike) in [
            (json!("1"), json!(1), true),
            (json!(true), json!("1"), true),
            (json!(0), json!(""), true),
            (json!(null), json!(0), false),
            (json!("a"), json!(0), false),
            (json!("inf"), json!("Infinity"), false),
            (json!([1]), json!(1), false),
            (json!([1, {"a": 2}]), json!([1, {"a": 2}]), true),
        ] {
            assert_eq!(Value::from(&a).alike(&Value::from(&b)), alike, "{a} {b}");
        }
        assert!(!Value::Number(f64::NAN).alike(&Value::Number(f64::NAN)));
    }

    #[test]
    fn numbers_are_written_as_in_javascript() {
        for (number, text) in [
            (1.0, "1"),
            (-0.0, "0"),
            (1.5, "1.5"),
            (123456789012345680000.0, "123456789012345680000"),
            (1e21, "1e+21"),
            (1e-7, "1e-7"),
            (0.000001, "0.000001"),
        ] {
            assert_eq!(Value::Number(number).to_string(), text);
        }
        assert_eq!(Value::from(&json!([1, null, "a", [2, 3]])).to_string(), "1,,a,2,3");
    }
}
