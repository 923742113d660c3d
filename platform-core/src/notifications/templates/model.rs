//! What a template consists of, and what is demanded of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::error;
use super::super::model::{Category, IfUnknown};
use super::super::word::word;
use super::check::check;
use crate::kernel::Result;

/// Bytes of the source of one part: a rich HTML mail has some 30 KB, and Gmail cuts at 102 KB.
pub(super) const PART_SOURCE_BYTES: usize = 64 * 1024;
/// Languages of one template.
const LOCALES: usize = 64;

word! {
    /// The name of a template: lower-case letters, digits, `-`, `_` and `.`, at most 100.
    TemplateName, 100,
    |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte),
    error::invalid_template_name
}

word! {
    /// A language tag (BCP 47): `de`, `pt-BR`; at most 35 letters, digits and `-`.
    Locale, 35,
    |byte| byte.is_ascii_alphanumeric() || byte == b'-',
    error::invalid_locale
}

impl Locale {
    /// This tag, then shorter and shorter ones: `zh-Hant-TW`, `zh-Hant`, `zh` (RFC 4647, 3.4).
    pub fn chain(&self) -> impl Iterator<Item = &str> {
        let mut next = Some(self.as_str());
        std::iter::from_fn(move || {
            let tag = next?;
            next = tag.rsplit_once('-').map(|(shorter, _)| shorter);
            Some(tag)
        })
    }
}

/// The parts of a message in one language. Each is a Jinja template; `html` escapes what it inserts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TemplateParts))]
pub struct Parts {
    /// The subject, one line.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The same for a reader that shows HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

impl Parts {
    /// The parts that exist, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [("subject", Some(&self.subject)), ("text", Some(&self.text)), ("html", self.html.as_ref())]
            .into_iter()
            .filter_map(|(name, source)| Some((name, source?.as_str())))
    }
}

/// What a template says and how messages made from it are treated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TemplateSpec {
    /// What a recipient can switch off; `general` unless said otherwise.
    #[serde(default)]
    pub category: Category,
    /// What to do when it is not known whether a message went out.
    #[serde(default)]
    pub if_unknown: IfUnknown,
    /// The parts when no language fits.
    #[serde(flatten)]
    pub parts: Parts,
    /// The parts in other languages.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub locales: BTreeMap<Locale, Parts>,
}

impl TemplateSpec {
    /// Checks every part: size, syntax, and that it uses nothing that cannot be bounded.
    ///
    /// # Errors
    /// `notifications.template_invalid` with the part, the line and the problem.
    pub fn check(&self) -> Result<()> {
        if self.locales.len() > LOCALES {
            return Err(error::template_invalid("locales", None, "at most 64 languages"));
        }
        for parts in std::iter::once(&self.parts).chain(self.locales.values()) {
            for (name, source) in parts.iter() {
                check(name, source)?;
            }
        }
        Ok(())
    }

    /// The parts for a language.
    pub fn parts_for(&self, locale: Option<&Locale>) -> &Parts {
        let by_tag = |tag: &str| {
            self.locales
                .iter()
                .find(|(known, _)| known.as_str().eq_ignore_ascii_case(tag))
                .map(|(_, parts)| parts)
        };
        locale.and_then(|locale| locale.chain().find_map(by_tag)).unwrap_or(&self.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(subject: &str) -> Parts {
        Parts { subject: subject.into(), text: "text".into(), html: None }
    }

    #[test]
    fn the_longest_language_tag_that_is_there_wins() {
        let spec = TemplateSpec {
            category: Category::default(),
            if_unknown: IfUnknown::default(),
            parts: parts("default"),
            locales: [("de".parse().unwrap(), parts("de")), ("de-AT".parse().unwrap(), parts("de-AT"))]
                .into(),
        };
        let subject = |tag: &str| spec.parts_for(Some(&tag.parse().unwrap())).subject.clone();
        assert_eq!(subject("de-at-1996"), "de-AT");
        assert_eq!(subject("de-CH"), "de");
        assert_eq!(subject("fr"), "default");
        assert_eq!(spec.parts_for(None).subject, "default");
    }

    #[test]
    fn names_that_would_hurt_in_a_path_are_refused() {
        for bad in ["", "Welcome", "a/b", "..", ".a", "a b", &"x".repeat(101)] {
            assert_eq!(
                bad.parse::<TemplateName>().unwrap_err().code(),
                "notifications.invalid_template_name"
            );
        }
        assert!("order-shipped.v2".parse::<TemplateName>().is_ok());
    }

    #[test]
    fn a_template_has_one_json_form_and_refuses_unknown_fields() {
        let json = r#"{"category":"general","if_unknown":"resend","subject":"s","text":"t"}"#;
        let spec: TemplateSpec = serde_json::from_str(r#"{"subject":"s","text":"t"}"#).unwrap();
        assert_eq!(serde_json::to_string(&spec).unwrap(), json);
        assert!(serde_json::from_str::<TemplateSpec>(r#"{"subject":"s","text":"t","htm":"x"}"#).is_err());
    }
}
