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

pub(super) fn template_not_found(name: &impl std::fmt::Display) -> Error {
    Error::not_found("notifications.template_not_found", "there is no such template").with("template", name)
}

pub(super) fn not_found() -> Error {
    Error::not_found("notifications.not_found", "there is no such notification")
}

pub(super) fn invalid_recipient() -> Error {
    Error::invalid("notifications.invalid_recipient", "give either user_id or to")
}

pub(super) fn unknown_recipient() -> Error {
    Error::not_found("notifications.unknown_recipient", "there is no such active user")
}

pub(super) fn data_too_large() -> Error {
    Error::limit("notifications.data_too_large", "the data of a notification have at most 32 KiB")
}

pub(super) fn deadline_passed() -> Error {
    Error::invalid("notifications.deadline_passed", "the deadline is not after now and after send_at")
}

pub(super) fn not_dead(state: &'static str) -> Error {
    Error::conflict("notifications.not_dead", "only a dead delivery is retried").with("state", state)
}

pub(super) fn past_deadline() -> Error {
    Error::conflict("notifications.past_deadline", "its deadline is over: it is not sent any more")
}

pub(super) fn content_forgotten() -> Error {
    Error::conflict("notifications.content_forgotten", "it died too long ago: what it said is forgotten")
}

pub(super) fn unknown_channel(channel: &str) -> Error {
    Error::invalid("notifications.unknown_channel", "there is no such channel").with("channel", channel)
}

pub(super) fn channel_not_configured(channel: &str) -> Error {
    Error::conflict(
        "notifications.channel_not_configured",
        "this platform was not told how to send over this channel",
    )
    .with("channel", channel)
}

pub(super) fn category_required() -> Error {
    Error::invalid("notifications.category_required", "the category `security` cannot be switched off")
}

pub(super) fn too_many_categories() -> Error {
    Error::limit("notifications.too_many_categories", "preferences name at most 100 categories")
}

pub(super) fn stale(expected: u64, present: u64) -> Error {
    Error::precondition("notifications.version_mismatch", "it was changed in the meantime")
        .with("expected", expected)
        .with("present", present)
}
