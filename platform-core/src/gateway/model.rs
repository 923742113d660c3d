//! A route as data: what is stored and what the API speaks.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error;
use crate::kernel::{Error, Permission, Result};

/// The name of a route: 1 to 64 of `a-z`, `0-9`, dot, hyphen, underscore.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteName(String);

impl RouteName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RouteName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let first = text.bytes().next().is_some_and(letter);
        let all = text.bytes().all(|byte| letter(byte) || matches!(byte, b'.' | b'-' | b'_'));
        if first && all && text.len() <= 64 {
            Ok(RouteName(text.to_owned()))
        } else {
            Err(error::invalid_name())
        }
    }
}

impl fmt::Display for RouteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RouteName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RouteName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
crate::__text_schema! { RouteName, "1 to 64 of a-z, 0-9, dot, hyphen, underscore" }

/// A route: which requests it takes, who may send them, and where they go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Which requests.
    #[serde(rename = "match")]
    pub matching: Matching,
    /// Who may send them.
    pub access: Access,
    /// Where they go.
    pub target: Target,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<RateLimit>,
    /// How long the upstream may take to begin its answer, in milliseconds; 30,000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// Bytes of a request's body at most; [`crate::kernel::limits::BODY_BYTES`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_limit_bytes: Option<u64>,
    /// Requests that may wait for the upstream's answer at once, one more is 503;
    /// [`crate::kernel::limits::UPSTREAM_WAITING`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_limit: Option<u32>,
    /// Which other origins' pages may call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// A flag that chooses the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<FlagSwitch>,
}

/// Which requests a route takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Matching {
    /// A host name, or `*.example.com` for every name below it; any host when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `/orders/{id}`: a segment is a text, a parameter, or at the end `{*rest}` for one or more segments.
    pub path: String,
    /// Methods in upper case; every method when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
}

/// Who may use a route. Text form: `open`, `signed_in`, or a permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Everybody who is signed in.
    SignedIn,
    /// Who holds this permission.
    Permission(Permission),
}

impl Serialize for Access {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Access::Open => "open",
            Access::SignedIn => "signed_in",
            Access::Permission(permission) => permission.as_str(),
        })
    }
}

impl<'de> Deserialize<'de> for Access {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "open" => Ok(Access::Open),
            "signed_in" => Ok(Access::SignedIn),
            other => other.parse().map(Access::Permission).map_err(|_| {
                serde::de::Error::custom("access is open, signed_in or a permission such as orders:read")
            }),
        }
    }
}

#[cfg(feature = "openapi")]
crate::__text_schema! { Access, "`open`, `signed_in`, or a permission" }

/// Where requests go: one service with one or more endpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// `http://host[:port][/base]`; the request's path is appended to the base.
    pub upstreams: Vec<String>,
}

/// A rate limit: `rate` requests per `per`, at most `burst` at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// The unit of time.
    pub per: Per,
    /// Requests per unit.
    pub rate: u32,
    /// Requests at once; `rate` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Who shares a limit.
    pub by: LimitBy,
}

/// The unit of time of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Per {
    /// The unit in seconds.
    pub const fn as_secs(self) -> u64 {
        match self {
            Per::Second => 1,
            Per::Minute => 60,
            Per::Hour => 3_600,
            Per::Day => 86_400,
        }
    }
}

/// Who shares a limit. What a request does not have (nobody is signed in) is replaced by its address,
/// so that no request escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LimitBy {
    /// Each client address (an IPv6 address counts as its /64).
    Address,
    /// Each signed-in user, over all of their sessions.
    User,
    /// Each credential: a session, or the name of a service.
    Key,
}

/// Cross-origin rules (Fetch Standard, CORS protocol).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Origins such as `https://app.example.com`, or the one entry `*`.
    pub origins: Vec<String>,
    /// Methods that a preflight grants; those of the route when absent, or the simple ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Request headers that a preflight grants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Response headers that a page may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<String>,
    /// Whether cookies and `Authorization` may be sent. Not together with the origin `*`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub credentials: bool,
    /// Seconds for which a preflight may be remembered; 600 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u32>,
}

/// A flag that chooses the target: the variant's target if it is listed, the route's own otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FlagSwitch {
    /// The flag. Its context: `targetingKey` (the user, or the client address), `signed_in`, `route`.
    pub key: String,
    /// The targets of variants.
    pub variants: BTreeMap<String, Target>,
}

/// A route as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NamedRoute {
    /// Its name.
    pub name: RouteName,
    /// Counts its changes, from 1: its `ETag`.
    pub revision: u64,
    /// The route.
    #[serde(flatten)]
    pub route: Route,
}
