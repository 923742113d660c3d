//! JSON that is carried as text.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// A JSON value as its text: it is read when somebody wants to know what it says.
///
/// ```
/// use platform_core::kernel::JsonText;
/// let text = JsonText::from(serde_json::json!({"b": 1, "a": [null]}));
/// assert_eq!(text.as_str(), r#"{"a":[null],"b":1}"#);
/// assert_eq!(text.to_value()["b"], 1);
/// ```
#[derive(Clone)]
pub struct JsonText(Box<RawValue>);

impl JsonText {
    /// The text of what can be written as JSON; the fields of objects in the order of their names.
    ///
    /// # Errors
    /// Those of the value.
    pub fn of(value: &(impl Serialize + ?Sized)) -> serde_json::Result<JsonText> {
        to_raw_value(&serde_json::to_value(value)?).map(JsonText)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// What it says.
    ///
    /// # Errors
    /// It is no `T`.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.as_str())
    }

    /// The value; `Null` when it is nested deeper than can be read.
    pub fn to_value(&self) -> Value {
        self.read().unwrap_or_default()
    }
}

impl From<Value> for JsonText {
    fn from(value: Value) -> JsonText {
        // A value can always be written.
        JsonText(to_raw_value(&value).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

/// Equal are what say the same.
impl PartialEq for JsonText {
    fn eq(&self, other: &JsonText) -> bool {
        self.as_str() == other.as_str() || self.to_value() == other.to_value()
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<JsonText, D::Error> {
        Box::deserialize(deserializer).map(JsonText)
    }
}
