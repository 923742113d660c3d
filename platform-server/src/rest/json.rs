//! Strict JSON: bounded depth, no duplicate keys at any depth, unknown fields refused by the types.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use platform_core::kernel::{Error, Result, limits};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Checks and reads an object: every body of ours is one, and serde would take an array of a struct's
/// fields as well.
///
/// # Errors
/// As [`check`], and `request.invalid_body` when it is not what `T` says.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    check(body)?;
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Error::invalid("request.invalid_body", "the body is a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| Error::invalid("request.invalid_body", error.to_string()))
}

/// Checks syntax, depth (at most [`limits::JSON_DEPTH`]) and keys.
///
/// # Errors
/// `request.malformed_json`, `request.too_deep`, `request.duplicate_key`.
pub(crate) fn check(body: &[u8]) -> Result<()> {
    let violation = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let walk = Walk { depth: 0, violation: &violation };
    walk.deserialize(&mut deserializer).and_then(|()| deserializer.end()).map_err(|error| {
        match violation.get() {
            Some(Violation::TooDeep) => Error::invalid("request.too_deep", "JSON is at most 32 deep")
                .with("line", error.line())
                .with("column", error.column()),
            Some(Violation::DuplicateKey) => {
                Error::invalid("request.duplicate_key", "a key occurs twice in an object")
                    .with("line", error.line())
                    .with("column", error.column())
            }
            None => Error::invalid("request.malformed_json", error.to_string()),
        }
    })
}

#[derive(Clone, Copy)]
enum Violation {
    TooDeep,
    DuplicateKey,
}

/// Walks over a value without keeping it.
#[derive(Clone, Copy)]
struct Walk<'a> {
    depth: usize,
    violation: &'a Cell<Option<Violation>>,
}

impl Walk<'_> {
    fn refuse<E: serde::de::Error>(&self, violation: Violation) -> E {
        self.violation.set(Some(violation));
        E::custom("refused")
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == limits::JSON_DEPTH {
            return Err(self.refuse(Violation::TooDeep));
        }
        Ok(Walk { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! scalars {
    ($($method:ident: $type:ty),*) => {$(
        fn $method<E>(self, _: $type) -> Result<(), E> {
            Ok(())
        }
    )*};
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    scalars! { visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut keys = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if !keys.insert(key) {
                // The value is read so that the position in the message is behind it.
                entries.next_value::<IgnoredAny>()?;
                return Err(self.refuse(Violation::DuplicateKey));
            }
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> &'static str {
        check(body.as_bytes()).map_or_else(|error| error.code(), |()| "ok")
    }

    #[test]
    fn duplicate_keys_are_refused_at_any_depth() {
        assert_eq!(code(r#"{"a":1,"b":{"a":1}}"#), "ok");
        assert_eq!(code(r#"{"a":1,"a":2}"#), "request.duplicate_key");
        assert_eq!(code(r#"[{"x":{"a":1,"\u0061":2}}]"#), "request.duplicate_key");
    }

    #[test]
    fn depth_is_bounded_exactly() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(code(&nested(32)), "ok");
        assert_eq!(code(&nested(33)), "request.too_deep");
        assert_eq!(code(&"[".repeat(1_000_000)), "request.too_deep");
        assert_eq!(code(&r#"{"a":"#.repeat(100_000)), "request.too_deep");
    }

    #[test]
    fn a_body_is_an_object() {
        assert_eq!(parse::<(u8,)>(b"[1]").unwrap_err().code(), "request.invalid_body");
        assert_eq!(parse::<serde_json::Value>(b" {\"a\":1}").unwrap(), serde_json::json!({"a": 1}));
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        for body in ["", "{", "{}x", "nul", "{'a':1}", "[1,]", "1e999", "\"\\ud800\"", "\u{feff}{}", "NaN"] {
            assert_eq!(code(body), "request.malformed_json", "{body}");
        }
        assert_eq!(check(b"\"\xff\"").unwrap_err().code(), "request.malformed_json");
    }
}
