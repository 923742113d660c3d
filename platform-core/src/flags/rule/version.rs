//! Semantic versions as `sem_ver` reads and compares them.

use std::cmp::Ordering;
use std::fmt::Write;

use semver::{BuildMetadata, Version};

use super::value::Value;

/// How two versions are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flags) enum Relation {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
    SameMajor,
    SameMinor,
}

impl Relation {
    /// Reads `=`, `!=`, `<`, `<=`, `>`, `>=`, `^` or `~`.
    pub(super) fn parse(text: &str) -> Option<Relation> {
        Some(match text {
            "=" => Relation::Equal,
            "!=" => Relation::NotEqual,
            "<" => Relation::Less,
            "<=" => Relation::AtMost,
            ">" => Relation::Greater,
            ">=" => Relation::AtLeast,
            "^" => Relation::SameMajor,
            "~" => Relation::SameMinor,
            _ => return None,
        })
    }

    /// Whether it holds. Build metadata does not count (Semantic Versioning 2.0.0, 10).
    pub(super) fn holds(self, a: &Version, b: &Version) -> bool {
        let order = a.cmp_precedence(b);
        match self {
            Relation::Equal => order == Ordering::Equal,
            Relation::NotEqual => order != Ordering::Equal,
            Relation::Less => order == Ordering::Less,
            Relation::AtMost => order != Ordering::Greater,
            Relation::Greater => order == Ordering::Greater,
            Relation::AtLeast => order != Ordering::Less,
            Relation::SameMajor => a.major == b.major,
            Relation::SameMinor => (a.major, a.minor) == (b.major, b.minor),
        }
    }
}

/// Reads a version: a `v` before it is allowed, and minor and patch may be missing.
pub(super) fn parse(text: &str) -> Option<Version> {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    if text.bytes().any(|byte| matches!(byte, b'-' | b'+')) {
        let mut version = Version::parse(text).ok()?;
        version.build = BuildMetadata::EMPTY;
        return Some(version);
    }
    let mut parts = text.split('.').map(number);
    let (major, minor, patch) = (parts.next()??, parts.next(), parts.next());
    if parts.next().is_some() {
        return None;
    }
    Some(Version::new(major, minor.unwrap_or(Some(0))?, patch.unwrap_or(Some(0))?))
}

/// A version from a text or a number.
pub(super) fn of_value(value: &Value<'_>) -> Option<Version> {
    match value {
        Value::Text(text) => parse(text),
        Value::Number(_) => {
            let mut text = String::new();
            write!(text, "{value}").ok()?;
            parse(&text)
        }
        _ => None,
    }
}

fn number(part: &str) -> Option<u64> {
    let leading_zero = part.len() > 1 && part.starts_with('0');
    if leading_zero || !part.bytes().all(|byte| byte.is_ascii_digit()) { None } else { part.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(a: &str, relation: &str, b: &str) -> Option<bool> {
        Some(Relation::parse(relation)?.holds(&parse(a)?, &parse(b)?))
    }

    #[test]
    fn versions_are_compared_by_precedence() {
        for (a, relation, b, expected) in [
            ("2.0.0", "=", "2.0.0", true),
            ("2.0.0-alpha", "<", "2.0.0", true),
            ("2.0.0-alpha.1", ">", "2.0.0-alpha", true),
            ("V1.0.0", "=", "v1", true),
            ("1.0.0+other", "=", "1.0.0+build", true),
            ("1.5", "^", "1", true),
            ("2.0.0", "^", "1", false),
            ("3.0.1", "~", "3.0.0", true),
            ("3.1.0", "~", "3.0.0", false),
            ("1.1.0", "!=", "1.1", false),
            ("1.10.0", ">=", "1.9.9", true),
            ("1.10.0", "<=", "1.9.9", false),
        ] {
            assert_eq!(holds(a, relation, b), Some(expected), "{a} {relation} {b}");
        }
    }

    #[test]
    fn what_is_no_version_has_no_answer() {
        for bad in ["", "v", "a", "2.0.0.0", "01.0.0", "1..0", "1.-1", "1.0-alpha", "99999999999999999999"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(holds("1.0.0", "===", "1.0.0"), None);
        assert!(of_value(&Value::Number(1.2)).is_some());
        assert!(of_value(&Value::Bool(true)).is_none());
    }
}
