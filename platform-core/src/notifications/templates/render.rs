//! From a template and data to the text of a message.

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;

use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value, escape_formatter};
use serde::{Deserialize, Serialize};

use super::super::error;
use super::Locale;
use super::model::{Parts, TemplateSpec};
use crate::kernel::Result;

/// Instructions of one part: a mail with a thousand rows of five values needs some 15,000.
const FUEL: u64 = 50_000;
/// Bytes of one rendered part: Gmail cuts a mail at 102 KB.
const OUTPUT_BYTES: usize = 256 * 1024;
/// Bytes of a rendered subject: readers show some 80 characters.
const SUBJECT_BYTES: usize = 500;

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rendered {
    /// The subject: one line, no control characters.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

impl TemplateSpec {
    /// Renders with `data`. A name that the data lack is an error, not an empty place.
    ///
    /// # Errors
    /// `notifications.render_failed` with the part, the line and the problem.
    pub fn render(
        &self,
        locale: Option<&Locale>,
        data: &BTreeMap<String, serde_json::Value>,
    ) -> Result<Rendered> {
        self.parts_for(locale).render(data)
    }
}

impl Parts {
    fn render(&self, data: &BTreeMap<String, serde_json::Value>) -> Result<Rendered> {
        let values = Value::from(Serde(data));
        let part = |name, source| render_part(name, source, &values, data);
        Ok(Rendered {
            subject: one_line(&part("subject", &self.subject)?)?,
            text: part("text", &self.text)?,
            html: self.html.as_deref().map(|html| part("html", html)).transpose()?,
        })
    }
}

/// The engine: strict, without anything to call, escaping in the part `html`.
pub(super) fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
        let mut environment = Environment::new();
        for global in ["range", "dict", "debug", "namespace"] {
            environment.remove_global(global);
        }
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|part| {
            if part == "html" { AutoEscape::Html } else { AutoEscape::None }
        });
        environment.set_formatter(|out, state, value| match value.kind() {
            ValueKind::String | ValueKind::Number | ValueKind::Bool => escape_formatter(out, state, value),
            _ => Err(minijinja::Error::new(
                ErrorKind::InvalidOperation,
                "only texts, numbers and booleans print",
            )),
        });
        environment
    });
    &ENVIRONMENT
}

fn render_part(
    part: &'static str,
    source: &str,
    values: &Value,
    data: &BTreeMap<String, serde_json::Value>,
) -> Result<String> {
    let template = environment()
        .template_from_named_str(part, source)
        .map_err(|problem| error::render_failed(part, problem.line(), problem.kind().to_string()))?;
    let mut output = Capped { bytes: Vec::new() };
    let outcome = template.render_captured_to(values.clone(), &mut output).map(drop);
    outcome.map_err(|problem| {
        let what = match problem.kind() {
            ErrorKind::UndefinedError => {
                let mut missing: Vec<_> = template
                    .undeclared_variables(false)
                    .into_iter()
                    .filter(|name| !data.contains_key(name))
                    .collect();
                missing.sort();
                match missing.is_empty() {
                    true => "a field that the data do not have".to_owned(),
                    false => format!("the data lack: {}", missing.join(", ")),
                }
            }
            ErrorKind::OutOfFuel => "too many steps".to_owned(),
            ErrorKind::WriteFailure => "a rendered part has at most 256 KiB".to_owned(),
            // The detail may quote the data, which are personal.
            kind => kind.to_string(),
        };
        error::render_failed(part, problem.line(), what)
    })?;
    String::from_utf8(output.bytes).map_err(|_| error::render_failed(part, None, "not UTF-8".to_owned()))
}

/// A subject is a header: line breaks and other control characters become single spaces.
fn one_line(subject: &str) -> Result<String> {
    let line = subject
        .split(|character: char| character.is_whitespace() || character.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    match line.len() {
        0 => Err(error::render_failed("subject", None, "the subject is empty".to_owned())),
        1..=SUBJECT_BYTES => Ok(line),
        _ => Err(error::render_failed("subject", None, "a subject has at most 500 bytes".to_owned())),
    }
}

/// Refuses what goes beyond the limit.
struct Capped {
    bytes: Vec<u8>,
}

impl io::Write for Capped {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(more.len()) > OUTPUT_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn render(subject: &str, text: &str, html: Option<&str>, data: serde_json::Value) -> Result<Rendered> {
        let data: BTreeMap<_, _> = data.as_object().unwrap().clone().into_iter().collect();
        Parts { subject: subject.into(), text: text.into(), html: html.map(Into::into) }.render(&data)
    }

    fn problem(outcome: Result<Rendered>) -> String {
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), "notifications.render_failed");
        error.context().find(|(name, _)| *name == "problem").unwrap().1.to_owned()
    }

    #[test]
    fn html_escapes_and_text_does_not() {
        let rendered =
            render("Hi {{ n }}", "{{ n }}", Some("<b>{{ n }}</b>"), json!({"n": "<Ada> & \"Co\""})).unwrap();
        assert_eq!(rendered.subject, "Hi <Ada> & \"Co\"");
        assert_eq!(rendered.text, "<Ada> & \"Co\"");
        assert_eq!(rendered.html.unwrap(), "<b>&lt;Ada&gt; &amp; &quot;Co&quot;</b>");
    }

    #[test]
    fn a_missing_name_is_an_error_that_names_it() {
        assert_eq!(problem(render("s", "{{ link }}", None, json!({}))), "the data lack: link");
        assert_eq!(
            problem(render("s", "{{ a.b }}", None, json!({"a": {}}))),
            "a field that the data do not have"
        );
        assert_eq!(render("s", "{{ a | default('x') }}", None, json!({})).unwrap().text, "x");
        assert_eq!(problem(render("s", "{{ a }}", None, json!({"a": null}))), "invalid operation");
        assert_eq!(problem(render("s", "{{ a }}", None, json!({"a": [1]}))), "invalid operation");
    }

    #[test]
    fn a_subject_stays_one_line() {
        let rendered =
            render("Hi {{ n }}", "", None, json!({"n": "a\r\nBcc: all@example.com\u{0}\u{2028}x"})).unwrap();
        assert_eq!(rendered.subject, "Hi a Bcc: all@example.com x");
        assert_eq!(problem(render("{{ n }}", "", None, json!({"n": "\n"}))), "the subject is empty");
        assert_eq!(
            problem(render("{{ n }}", "", None, json!({"n": "x".repeat(501)}))),
            "a subject has at most 500 bytes"
        );
    }

    #[test]
    fn steps_and_output_are_bounded() {
        let rows: Vec<_> = (0..300).collect();
        let nested = "{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}";
        assert_eq!(problem(render("s", nested, None, json!({"r": rows}))), "too many steps");
        let long = json!({"r": rows, "x": "x".repeat(10_000)});
        assert_eq!(
            problem(render("s", "{% for a in r %}{{ x }}{% endfor %}", None, long)),
            "a rendered part has at most 256 KiB"
        );
    }

    proptest! {
        #[test]
        fn no_data_bring_markup_into_html_or_lines_into_a_subject(value in any::<String>()) {
            if let Ok(rendered) = render("s {{ v }}", "", Some("{{ v }}"), json!({"v": value})) {
                prop_assert!(!rendered.html.unwrap().contains(['<', '>', '"', '\'']));
                prop_assert!(!rendered.subject.contains(char::is_control));
            }
        }
    }
}
