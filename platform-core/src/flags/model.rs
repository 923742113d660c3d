//! Flags, revisions and the settings of the set, as they are asked for and shown.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

use super::bucketing::Bucketing;
use super::error;
use crate::kernel::{Actor, Error, Result, Timestamp, limits};

/// The key of a flag: 1 to 200 bytes without control characters and slashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlagKey(String);

impl FlagKey {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FlagKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let length = (1..=limits::NAME_BYTES).contains(&text.len());
        if length && !text.chars().any(|character| character.is_control() || character == '/') {
            Ok(FlagKey(text.to_owned()))
        } else {
            Err(error::invalid_key())
        }
    }
}

impl fmt::Display for FlagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for FlagKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FlagKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
crate::__text_schema! { FlagKey, "1 to 200 bytes without control characters and slashes" }

/// A flag: its definition in flagd's format, under its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Flag {
    /// Its key.
    pub key: FlagKey,
    /// Counts its changes, from 1, also over deletion: its `ETag`.
    pub revision: u64,
    /// The definition.
    #[serde(flatten)]
    pub definition: BTreeMap<String, Json>,
}

/// What a revision did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Set the definition.
    Put,
    /// Disabled the flag.
    Kill,
    /// Took an earlier definition again.
    Restore,
    /// Deleted the flag.
    Delete,
}

/// One change of a flag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Revision {
    /// The flag.
    pub key: FlagKey,
    /// Its number, from 1.
    pub revision: u64,
    /// What it did.
    pub change: Change,
    /// The revision that was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
    /// The definition since then; absent after a deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Json>,
    /// Who made it.
    pub author: Actor,
    /// Why, in the author's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What holds for all flags.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FlagSet {
    /// The generation of `fractional`. Pinned while there are flags: another one gives the same subjects
    /// other variants.
    #[serde(default)]
    pub bucketing: Bucketing,
    /// Rules that flags refer to with `$ref`.
    #[serde(default, rename = "$evaluators", skip_serializing_if = "BTreeMap::is_empty")]
    pub evaluators: BTreeMap<String, Json>,
    /// Texts, numbers and booleans that every evaluation tells.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Json>,
}

/// How often a variant was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VariantCount {
    /// The variant; absent for evaluations that gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How often.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_a_path_segment_can_hold() {
        for good in ["a", "new-checkout", "größe", "a.b:c d"] {
            assert_eq!(good.parse::<FlagKey>().unwrap().as_str(), good);
        }
        for bad in ["", "a/b", "a\n", "\u{0}", &"x".repeat(201)] {
            assert_eq!(bad.parse::<FlagKey>().unwrap_err().code(), "flags.invalid_key");
        }
    }
}
