//! E-mail addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::kernel::{Error, Result, limits};

/// An e-mail address as it was typed. Two addresses that differ only in case are the same address.
///
/// Accepted is what mail servers deliver in practice: `local@domain`, the local part at most 64
/// bytes, the whole at most [`limits::EMAIL_BYTES`], a domain of letters, digits, hyphens and dots;
/// no quoted local parts, no comments, no address literals (a subset of RFC 5321).
///
/// ```
/// use platform_core::users::Email;
/// let email: Email = "Ada@Example.org".parse().unwrap();
/// assert_eq!(email.as_str(), "Ada@Example.org");
/// assert_eq!(email.normalised(), "ada@example.org");
/// assert!("not an address".parse::<Email>().is_err());
/// ```
#[derive(Clone)]
pub struct Email(String);

impl Email {
    /// The address as it was typed: what mail is sent to.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address in lower case: what is unique, and what is searched.
    pub fn normalised(&self) -> String {
        self.0.to_lowercase()
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.normalised() == other.normalised()
    }
}

impl Eq for Email {}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

impl FromStr for Email {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || Error::invalid("users.invalid_email", "an e-mail address has the form name@domain");
        let (local, domain) = text.split_once('@').ok_or_else(invalid)?;
        let local_fits = |c: char| {
            !c.is_whitespace()
                && !c.is_control()
                && !matches!(c, '"' | '(' | ')' | ',' | ':' | ';' | '<' | '>' | '[' | ']' | '\\')
        };
        let label_fits = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        };
        let fits = text.len() <= limits::EMAIL_BYTES
            && (1..=64).contains(&local.len())
            && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(local_fits))
            && domain.split('.').all(label_fits);
        if fits { Ok(Email(text.to_owned())) } else { Err(invalid()) }
    }
}

impl Serialize for Email {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

crate::__text_schema! { Email, "an e-mail address, `name@domain`, unique without regard to case" }

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_addresses_are_accepted() {
        for text in [
            "a@b",
            "admin@localhost",
            "o'neil+news@mail.example.co.uk",
            "müller@bücher.example",
            "a.b-c_d@x-y.org",
        ] {
            assert_eq!(text.parse::<Email>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_no_mail_reaches_is_refused() {
        let long_local = format!("{}@example.org", "a".repeat(65));
        let long = format!("a@{}org", "abcdefgh.".repeat(40));
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a b@c",
            "a@b c",
            "a@b@c",
            "a..b@c",
            ".a@c",
            "a@-b",
            "a@b-",
            "a@b..c",
            "a\n@b",
            "Ada <ada@b.org>",
            "\"a\"@b",
            "a@[127.0.0.1]",
            "a@b\r\nBcc: x@y",
            &long_local,
            &long,
        ] {
            assert_eq!(text.parse::<Email>().unwrap_err().code(), "users.invalid_email", "{text:?}");
        }
    }

    #[test]
    fn case_does_not_make_another_address() {
        assert_eq!("Ada@Example.ORG".parse::<Email>().unwrap(), "ada@example.org".parse().unwrap());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_accepted_has_no_space_or_bracket(text in any::<String>()) {
            if let Ok(email) = text.parse::<Email>() {
                prop_assert!(!email.as_str().contains(|c: char| c.is_whitespace() || c == '<' || c == '>'));
            }
        }
    }
}
