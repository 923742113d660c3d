//! Profiles: types and invariants, pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::kernel::{Error, Result, Timestamp, UserId, limits};

use super::merge_patch::merge;
use super::{Email, RoleName};

/// Bytes of a profile's attributes as JSON: a page of text, so that a list of 500 stays below 5 MB.
const ATTRIBUTES_BYTES: usize = 8 * 1024;

/// Whether a user may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// May sign in and act.
    #[default]
    Active,
    /// May not sign in; every session is refused.
    Deactivated,
}

/// What is known of a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Profile {
    /// The user.
    pub id: UserId,
    /// Where mail is sent; also what the user signs in with.
    pub email: Email,
    /// What the person is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Language and region (BCP 47), for example `de-AT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Time zone by its IANA name, for example `Europe/Vienna`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// What the application adds.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub attributes: Map<String, Value>,
    /// Whether the user may act.
    #[serde(default)]
    pub status: Status,
    /// The roles that the user holds.
    pub roles: BTreeSet<RoleName>,
    /// When the profile was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A JSON merge patch (RFC 7396) of a profile: an absent field stays, `null` removes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ProfilePatch {
    /// A new name, or none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub name: Option<Option<String>>,
    /// A new locale, or none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub locale: Option<Option<String>>,
    /// A new time zone, or none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub time_zone: Option<Option<String>>,
    /// Merged into the attributes.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub attributes: Option<Option<Map<String, Value>>>,
    /// Deactivates or activates the user (permission `users:write`).
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// Tells `null` from absent: what is there, even `null`, is `Some`.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Profile {
    /// A new profile.
    ///
    /// # Errors
    /// `users.invalid_name`.
    pub fn new(id: UserId, email: Email, name: Option<String>, at: Timestamp) -> Result<Profile> {
        let profile = Profile {
            id,
            email,
            name,
            locale: None,
            time_zone: None,
            attributes: Map::new(),
            status: Status::Active,
            roles: BTreeSet::new(),
            created_at: at,
            updated_at: at,
        };
        profile.check()?;
        Ok(profile)
    }

    /// Applies a patch, and names the fields that it changed.
    ///
    /// # Errors
    /// `users.invalid_name`, `users.invalid_locale`, `users.invalid_time_zone`,
    /// `users.attributes_too_large`.
    pub fn apply(&mut self, patch: &ProfilePatch, at: Timestamp) -> Result<Vec<String>> {
        let before = self.clone();
        if let Some(name) = &patch.name {
            self.name.clone_from(name);
        }
        if let Some(locale) = &patch.locale {
            self.locale.clone_from(locale);
        }
        if let Some(time_zone) = &patch.time_zone {
            self.time_zone.clone_from(time_zone);
        }
        match &patch.attributes {
            None => {}
            Some(None) => self.attributes = Map::new(),
            Some(Some(changes)) => {
                let mut attributes = Value::Object(std::mem::take(&mut self.attributes));
                merge(&mut attributes, &Value::Object(changes.clone()));
                if let Value::Object(attributes) = attributes {
                    self.attributes = attributes;
                }
            }
        }
        if let Some(status) = patch.status {
            self.status = status;
        }
        self.check()?;
        let changed: Vec<String> = [
            ("name", self.name != before.name),
            ("locale", self.locale != before.locale),
            ("time_zone", self.time_zone != before.time_zone),
            ("attributes", self.attributes != before.attributes),
            ("status", self.status != before.status),
        ]
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(field, _)| field.to_owned())
        .collect();
        if !changed.is_empty() {
            self.updated_at = at;
        }
        Ok(changed)
    }

    /// What a name is searched by.
    pub(super) fn searched_name(&self) -> Option<String> {
        self.name.as_deref().map(str::to_lowercase)
    }

    fn check(&self) -> Result<()> {
        check_name(self.name.as_deref())?;
        if self.locale.as_deref().is_some_and(|tag| !fits_locale(tag)) {
            return Err(Error::invalid("users.invalid_locale", "a locale is a language tag such as de-AT"));
        }
        if self.time_zone.as_deref().is_some_and(|zone| !fits_time_zone(zone)) {
            return Err(Error::invalid(
                "users.invalid_time_zone",
                "a time zone is a name such as Europe/Vienna",
            ));
        }
        let bytes = serde_json::to_vec(&self.attributes).map_or(usize::MAX, |json| json.len());
        if bytes > ATTRIBUTES_BYTES {
            return Err(Error::invalid("users.attributes_too_large", "attributes are at most 8 KiB of JSON")
                .with("bytes", bytes));
        }
        Ok(())
    }
}

/// Checks a name, for whoever takes one before the profile is made.
///
/// # Errors
/// `users.invalid_name`.
pub fn check_name(name: Option<&str>) -> Result<()> {
    if name.is_none_or(fits_name) {
        return Ok(());
    }
    Err(Error::invalid(
        "users.invalid_name",
        "a name is 1 to 200 bytes without control characters, not only spaces",
    ))
}

fn fits_name(name: &str) -> bool {
    name.len() <= limits::NAME_BYTES && !name.trim().is_empty() && !name.chars().any(char::is_control)
}

fn fits_locale(tag: &str) -> bool {
    tag.len() <= 35
        && tag.split('-').all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

fn fits_time_zone(zone: &str) -> bool {
    (1..=64).contains(&zone.len())
        && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'+'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::RawId;
    use serde_json::json;

    fn profile() -> Profile {
        let email = "ada@example.org".parse().unwrap();
        Profile::new(UserId(RawId([1; 16])), email, Some("Ada".into()), Timestamp::from_secs(1)).unwrap()
    }

    fn patch(json: Value) -> ProfilePatch {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_profile_is_stored_as_it_was() {
        assert_eq!(
            serde_json::to_string(&profile()).unwrap(),
            r#"{"id":"user_01041040g2081040g2081040g2","email":"ada@example.org","name":"Ada","status":"active","roles":[],"created_at":"1970-01-01T00:00:01Z","updated_at":"1970-01-01T00:00:01Z"}"#
                .replace("user_01041040g2081040g2081040g2", &profile().id.to_string())
        );
    }

    #[test]
    fn null_removes_absent_stays_and_the_changed_fields_are_named() {
        let mut ada = profile();
        let at = Timestamp::from_secs(2);
        let changed = ada.apply(&patch(json!({"name": null, "attributes": {"a": {"b": 1}}})), at).unwrap();
        assert_eq!(changed, ["name", "attributes"]);
        assert_eq!(ada.name, None);
        assert_eq!(ada.updated_at, at);
        let changed = ada.apply(&patch(json!({"attributes": {"a": {"c": 2}}})), at).unwrap();
        assert_eq!(changed, ["attributes"]);
        assert_eq!(ada.attributes["a"], json!({"b": 1, "c": 2}));
    }

    #[test]
    fn a_patch_that_changes_nothing_moves_no_time() {
        let mut ada = profile();
        assert!(ada.apply(&patch(json!({"name": "Ada"})), Timestamp::from_secs(9)).unwrap().is_empty());
        assert_eq!(ada.updated_at, Timestamp::from_secs(1));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_code() {
        for (bad, code) in [
            (json!({"name": ""}), "users.invalid_name"),
            (json!({"name": "  "}), "users.invalid_name"),
            (json!({"name": "a\nb"}), "users.invalid_name"),
            (json!({"name": "x".repeat(201)}), "users.invalid_name"),
            (json!({"locale": "de_AT"}), "users.invalid_locale"),
            (json!({"time_zone": "../etc/passwd"}), "users.invalid_time_zone"),
            (json!({"attributes": {"x": "y".repeat(9000)}}), "users.attributes_too_large"),
        ] {
            let mut ada = profile();
            assert_eq!(ada.apply(&patch(bad), Timestamp::EPOCH).unwrap_err().code(), code);
        }
    }

    #[test]
    fn identity_roles_and_unknown_fields_cannot_be_patched() {
        for bad in [
            json!({"id": "x"}),
            json!({"email": "x@y"}),
            json!({"roles": []}),
            json!({"nme": "x"}),
            json!({"status": null}),
        ] {
            assert!(serde_json::from_value::<ProfilePatch>(bad.clone()).is_err(), "{bad}");
        }
    }
}
