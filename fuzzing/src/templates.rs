//! Templates of messages.

use std::collections::BTreeMap;

use platform_core::notifications::{Parts, TemplateSpec};
use serde_json::Value;

use crate::input::{refused, split_once, text};

/// What is in the data and must not come out as it is in HTML.
const CANARY: &str = "<canary>";

/// Subject, text, HTML and data (JSON), with zero bytes between.
pub(crate) fn templates(bytes: &[u8]) {
    let (subject, rest) = split_once(bytes, 0);
    let (plain, rest) = split_once(rest, 0);
    let (html, data) = split_once(rest, 0);
    let (Some(subject), Some(plain), Some(html)) = (text(subject), text(plain), text(html)) else { return };
    let parts = Parts { subject: subject.to_owned(), text: plain.to_owned(), html: Some(html.to_owned()) };
    let spec = TemplateSpec {
        category: Default::default(),
        if_unknown: Default::default(),
        parts,
        locales: BTreeMap::new(),
    };
    if let Err(error) = spec.check() {
        return refused(&error, &["notifications.template_invalid"]);
    }
    let mut data: BTreeMap<String, Value> = serde_json::from_slice(data).unwrap_or_default();
    data.values_mut().for_each(mark);
    data.insert("name".to_owned(), CANARY.into());
    match spec.render(None, &data) {
        Ok(rendered) => {
            assert!(rendered.subject.len() <= 500 && rendered.text.len() <= 256 * 1024);
            assert!(!rendered.subject.chars().any(|c| c.is_control()), "a subject is a header");
            let written = rendered.html.as_deref().unwrap_or_default().to_lowercase();
            assert!(written.len() <= 512 * 1024);
            assert!(
                html.to_lowercase().contains(CANARY) || !written.contains(CANARY),
                "data come out as markup"
            );
            assert_eq!(spec.render(None, &data).unwrap(), rendered, "the same again");
        }
        Err(error) => {
            refused(&error, &["notifications.render_failed"]);
            let is_written = [subject, plain, html].iter().any(|part| part.contains("canary"));
            assert!(is_written || !error.to_string().contains("canary"), "an error quotes the data");
        }
    }
}

/// Every text of the data bears the canary.
fn mark(value: &mut Value) {
    match value {
        Value::String(text) => text.push_str(CANARY),
        Value::Array(items) => items.iter_mut().for_each(mark),
        Value::Object(map) => map.values_mut().for_each(mark),
        _ => {}
    }
}
