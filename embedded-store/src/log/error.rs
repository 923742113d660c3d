//! fjall's errors in our words.

use std::path::Path;

use platform_core::kernel::{Error, Retry};

use crate::fjall::error::is_damage;
use crate::fjall::journal::Trouble;

/// While reading or writing.
pub(super) fn unavailable(error: fjall::Error) -> Error {
    let error_of = if is_damage(&error) {
        Error::data_loss("log.damaged", "the log does not read: restore it from a backup")
            .with("in", "a table")
    } else {
        Error::unavailable("log.unavailable", "the log cannot be read or written")
    };
    error_of.because(error)
}

/// While opening.
pub(super) fn opening(path: &Path, error: fjall::Error) -> Error {
    let error_of = match &error {
        fjall::Error::Locked => {
            Error::unavailable("log.locked", "another process has the log open").retry(Retry::No)
        }
        error if !is_damage(error) => unusable(),
        _ => unreadable(),
    };
    error_of.with("path", path.display()).because(error)
}

/// While its journals are looked at before the opening.
pub(super) fn in_journal(path: &Path, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Unreadable(_, error) => unusable().with("path", path.display()).because(error),
        Trouble::Damaged(journal, byte) => {
            unreadable().with("path", path.display()).with("journal", journal.display()).with("byte", byte)
        }
    }
}

fn unusable() -> Error {
    Error::unavailable("log.unavailable", "the folder of the log cannot be used")
}

fn unreadable() -> Error {
    Error::data_loss(
        "log.damaged",
        "the folder of the log does not read: restore it from a backup, or remove it; the handlers then \
         go on with new events, and what they had not handled before is lost",
    )
}

/// A record that does not read.
pub(super) fn damaged(topic: &str, partition: u16, offset: u64) -> Error {
    Error::data_loss("log.damaged", "a record of the log is damaged: restore the log from a backup")
        .with("topic", topic)
        .with("partition", partition)
        .with("offset", offset)
}
