//! The errors of this domain, each with its stable code.

use crate::kernel::Error;

pub(super) fn invalid_template_name() -> Error {
    Error::invalid(
        "notifications.invalid_template_name",
        "a template's name is 1 to 100 of a-z, 0-9, -, _ and ., and begins with a letter or digit",
    )
}

pub(super) fn invalid_locale() -> Error {
    Error::invalid("notifications.invalid_locale", "a language is a BCP 47 tag such as de or pt-BR")
}

pub(super) fn invalid_category() -> Error {
    Error::invalid(
        "notifications.invalid_category",
        "a category is 1 to 64 of a-z, 0-9, - and _, and begins with a letter or digit",
    )
}

pub(super) fn template_invalid(part: &'static str, line: Option<usize>, problem: impl Into<String>) -> Error {
    at(
        Error::invalid("notifications.template_invalid", "the template cannot be used"),
        part,
        line,
        problem.into(),
    )
}

pub(super) fn render_failed(part: &'static str, line: Option<usize>, problem: String) -> Error {
    at(
        Error::invalid("notifications.render_failed", "the template cannot be filled with these data"),
        part,
        line,
        problem,
    )
}

fn at(error: Error, part: &'static str, line: Option<usize>, problem: String) -> Error {
    let error = error.with("part", part);
    let error = match line {
        Some(line) => error.with("line", line),
        None => error,
    };
    error.with("problem", problem)
}
