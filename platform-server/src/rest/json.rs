//! Strict JSON: bounded depth, no duplicate keys at any depth, unknown fields refused by the types.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use platform_core::kernel::{Error, Result, limits};
use serde::Deserialize;
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

/// Checks syntax, depth (at most [`limits::JSON_DEPTH`]), number of values (at most [`limits::JSON_VALUES`]) and
/// keys (at most [`limits::JSON_KEYS`] in an object, none twice).
///
/// # Errors
/// `request.malformed_json`, `request.too_deep`, `request.too_many_values`, `request.too_many_keys`,
/// `request.duplicate_key`.
pub(crate) fn check(body: &[u8]) -> Result<()> {
    let state = State { violation: Cell::new(None), values: Cell::new(0) };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let walk = Walk { depth: 0, state: &state };
    walk.deserialize(&mut deserializer).and_then(|()| deserializer.end()).map_err(|error| {
        match state.violation.get() {
            Some(violation) => violation.error().with("line", error.line()).with("column", error.column()),
            None => Error::invalid("request.malformed_json", error.to_string()),
        }
    })
}

#[derive(Clone, Copy)]
enum Violation {
    TooDeep,
    TooManyValues,
    TooManyKeys,
    DuplicateKey,
}

impl Violation {
    fn error(self) -> Error {
        match self {
            Violation::TooDeep => Error::invalid("request.too_deep", "JSON is at most 32 deep"),
            Violation::TooManyValues => {
                Error::invalid("request.too_many_values", "JSON has at most 150,000 values and keys")
            }
            Violation::TooManyKeys => {
                Error::invalid("request.too_many_keys", "an object has at most 1,000 keys")
            }
            Violation::DuplicateKey => {
                Error::invalid("request.duplicate_key", "a key occurs twice in an object")
            }
        }
    }
}

/// What the whole walk knows.
struct State {
    violation: Cell<Option<Violation>>,
    values: Cell<usize>,
}

/// Walks over a value without keeping it.
#[derive(Clone, Copy)]
struct Walk<'a> {
    depth: usize,
    state: &'a State,
}

impl Walk<'_> {
    fn refuse<E: serde::de::Error>(&self, violation: Violation) -> E {
        self.state.violation.set(Some(violation));
        E::custom("refused")
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == limits::JSON_DEPTH {
            return Err(self.refuse(Violation::TooDeep));
        }
        Ok(Walk { depth: self.depth + 1, ..self })
    }

    /// Counts a value or a key.
    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        let values = self.state.values.get() + 1;
        self.state.values.set(values);
        if values > limits::JSON_VALUES { Err(self.refuse(Violation::TooManyValues)) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.count()?;
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
        let mut keys = Keys::default();
        while let Some(Key(key)) = entries.next_key()? {
            if !keys.insert(key) {
                // The value is read so that the position in the message is behind it.
                entries.next_value::<IgnoredAny>()?;
                return Err(self.refuse(Violation::DuplicateKey));
            }
            if keys.len() > limits::JSON_KEYS {
                return Err(self.refuse(Violation::TooManyKeys));
            }
            self.count()?;
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// A key, borrowed from the body where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(key)))
    }

    fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(key.to_owned())))
    }
}

/// The keys of an object: the first few in a row, the others hashed, so that what somebody made to collide is
/// not compared with each other.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    more: HashSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    const FEW: usize = 16;

    /// Whether the key is new.
    fn insert(&mut self, key: Cow<'de, str>) -> bool {
        if self.few.contains(&key) {
            return false;
        }
        if self.few.len() < Keys::FEW {
            self.few.push(key);
            return true;
        }
        self.more.insert(key)
    }

    fn len(&self) -> usize {
        self.few.len() + self.more.len()
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
        let many = |last: usize| {
            let keys: Vec<String> = (0..40).chain([last]).map(|key| format!("\"{key}\":0")).collect();
            format!("{{{}}}", keys.join(","))
        };
        assert_eq!(
            [many(3), many(39), many(40)].map(|body| code(&body)),
            ["request.duplicate_key", "request.duplicate_key", "ok"]
        );
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
    fn values_and_keys_are_bounded_exactly() {
        let list = |values: usize| format!("[{}]", vec!["0"; values].join(","));
        assert_eq!(code(&list(149_999)), "ok");
        assert_eq!(code(&list(150_000)), "request.too_many_values");
        let object = |keys: usize| {
            let keys: Vec<String> = (0..keys).map(|key| format!("\"{key}\":0")).collect();
            format!("{{{}}}", keys.join(","))
        };
        assert_eq!(code(&object(1_000)), "ok");
        assert_eq!(code(&object(1_001)), "request.too_many_keys");
        assert_eq!(code(&list(2)), "ok");
        let many = vec![object(999); 76].join(",");
        assert_eq!(code(&format!("[{many}]")), "request.too_many_values");
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
