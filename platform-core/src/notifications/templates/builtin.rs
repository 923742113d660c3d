//! The templates that are there from the start. A template of the same name takes their place.

use std::collections::BTreeMap;

use super::super::model::{Category, IfUnknown};
use super::{Parts, TemplateName, TemplateSpec};

impl TemplateSpec {
    /// The built-in template of this name.
    pub fn builtin(name: &TemplateName) -> Option<TemplateSpec> {
        builtin(name)
    }
}

fn builtin(name: &TemplateName) -> Option<TemplateSpec> {
    let (category, subject, text, html) = match name.as_str() {
        "welcome" => (
            Category::account(),
            "Welcome{% if name is defined and name %}, {{ name }}{% endif %}",
            include_str!("builtin/welcome.txt"),
            include_str!("builtin/welcome.html"),
        ),
        "password-reset" => (
            Category::security(),
            "Reset your password",
            include_str!("builtin/password-reset.txt"),
            include_str!("builtin/password-reset.html"),
        ),
        _ => return None,
    };
    let parts = Parts { subject: subject.to_owned(), text: text.to_owned(), html: Some(html.to_owned()) };
    Some(TemplateSpec { category, if_unknown: IfUnknown::Resend, parts, locales: BTreeMap::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn get(name: &str) -> TemplateSpec {
        builtin(&name.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_welcome_needs_no_data_and_uses_a_name() {
        let welcome = get("welcome");
        welcome.check().unwrap();
        let rendered = welcome.render(None, &BTreeMap::new()).unwrap();
        assert_eq!(rendered.subject, "Welcome");
        assert!(rendered.text.starts_with("Hello,\n"));
        let rendered = welcome.render(None, &[("name".to_owned(), json!("Ada"))].into()).unwrap();
        assert_eq!(rendered.subject, "Welcome, Ada");
        assert!(rendered.text.starts_with("Hello Ada,\n") && rendered.html.unwrap().contains("Hello Ada,"));
    }

    #[test]
    fn a_password_reset_needs_its_link_and_cannot_be_switched_off() {
        let reset = get("password-reset");
        reset.check().unwrap();
        assert_eq!(reset.category, Category::security());
        assert!(reset.render(None, &BTreeMap::new()).is_err());
        let rendered =
            reset.render(None, &[("link".to_owned(), json!("https://a.example/r?t=1&u=2"))].into()).unwrap();
        assert!(rendered.text.contains("https://a.example/r?t=1&u=2\n"));
        assert!(rendered.html.unwrap().contains("t=1&amp;u=2"));
    }
}
