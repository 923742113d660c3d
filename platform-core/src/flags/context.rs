//! Whom a flag is evaluated for.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use super::rule::Value;
use crate::kernel::{Error, Result, limits};

/// Bytes of a context: it comes from whoever is signed in, and a rule may walk it many times.
const CONTEXT_BYTES: usize = 64 * 1024;
/// Bytes of a targeting key.
const TARGETING_KEY_BYTES: usize = 1_024;

/// What is known about the subject of an evaluation: a targeting key and attributes, as OpenFeature has
/// them.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationContext(Json);

impl Default for EvaluationContext {
    fn default() -> EvaluationContext {
        EvaluationContext(Json::Object(Map::new()))
    }
}

impl EvaluationContext {
    /// From a JSON object; `targetingKey` is an attribute of it.
    ///
    /// # Errors
    /// `flags.invalid_context` for anything but an object, above 64 KiB or 32 levels, or with a
    /// targeting key above 1,024 bytes.
    pub fn from_json(json: Json) -> Result<EvaluationContext> {
        let invalid = |why: &'static str| Err(Error::invalid("flags.invalid_context", why));
        let Some(map) = json.as_object() else { return invalid("the context is an object") };
        if map.get("targetingKey").and_then(Json::as_str).is_some_and(|key| key.len() > TARGETING_KEY_BYTES) {
            return invalid("a targeting key is at most 1,024 bytes");
        }
        match size(&json, limits::JSON_DEPTH) {
            Some(bytes) if bytes <= CONTEXT_BYTES => Ok(EvaluationContext(json)),
            _ => invalid("a context is at most 64 KiB and 32 levels deep"),
        }
    }

    /// Only a targeting key.
    pub fn of_key(targeting_key: &str) -> EvaluationContext {
        EvaluationContext(serde_json::json!({"targetingKey": targeting_key}))
    }

    /// The JSON object.
    pub fn as_json(&self) -> &Json {
        &self.0
    }

    /// The subject, borrowed.
    pub fn subject(&self) -> Subject<'_> {
        Subject { targeting_key: None, attributes: Attributes::Json(&self.0) }
    }
}

/// The bytes of a value, about; `None` when it is deeper than that.
fn size(json: &Json, depth: usize) -> Option<usize> {
    let depth_below = depth.checked_sub(1);
    Some(match json {
        Json::Null | Json::Bool(_) | Json::Number(_) => 8,
        Json::String(text) => text.len() + 8,
        Json::Array(items) => {
            items.iter().try_fold(8_usize, |sum, item| Some(sum + size(item, depth_below?)?))?
        }
        Json::Object(map) => map
            .iter()
            .try_fold(8_usize, |sum, (key, value)| Some(sum + key.len() + size(value, depth_below?)?))?,
    })
}

/// The subject of an evaluation, borrowed from wherever its parts are.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    targeting_key: Option<&'a str>,
    attributes: Attributes<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Attributes<'a> {
    Json(&'a Json),
    Texts(&'a [(&'a str, &'a str)]),
}

impl<'a> Subject<'a> {
    /// A targeting key with attributes that are texts: made without allocation.
    pub fn new(targeting_key: &'a str, attributes: &'a [(&'a str, &'a str)]) -> Subject<'a> {
        Subject { targeting_key: Some(targeting_key), attributes: Attributes::Texts(attributes) }
    }

    /// The targeting key, if it is a text.
    pub(super) fn targeting_key(&self) -> Option<&'a str> {
        match self.attributes {
            Attributes::Json(json) => json.get("targetingKey")?.as_str(),
            Attributes::Texts(_) => self.targeting_key,
        }
    }

    pub(super) fn attribute(&self, name: &str) -> Value<'a> {
        match self.attributes {
            Attributes::Json(json) => json.get(name).map_or(Value::Null, Value::from),
            Attributes::Texts(_) => {
                self.text(name).map_or(Value::Null, |text| Value::Text(Cow::Borrowed(text)))
            }
        }
    }

    /// An attribute, if it is a text.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        match self.attributes {
            Attributes::Json(json) => json.get(name)?.as_str(),
            Attributes::Texts(texts) => {
                let own = self.targeting_key.filter(|_| name == "targetingKey");
                own.or_else(|| texts.iter().find(|(key, _)| *key == name).map(|(_, text)| *text))
            }
        }
    }

    /// The whole context; only of JSON.
    pub(super) fn everything(&self) -> Value<'a> {
        match self.attributes {
            Attributes::Json(json) => Value::from(json),
            Attributes::Texts(_) => Value::Null,
        }
    }
}
