//! `doctor`: looks at everything that can be wrong on this machine, and says what to do about it.

mod checks;

use std::fmt;
use std::process::ExitCode;

use super::{Failure, print};
use crate::config::{Config, Loaded};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// As it should be.
    Good(String),
    /// It works, and should be looked at: what, and what to do.
    Doubtful(String, String),
    /// It does not work: what, and what to do.
    Bad(String, String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Good(what) => write!(f, "ok    {what}"),
            Finding::Doubtful(what, advice) => write!(f, "warn  {what}\n      -> {advice}"),
            Finding::Bad(what, advice) => write!(f, "FAIL  {what}\n      -> {advice}"),
        }
    }
}

type Check = fn(&Config) -> Finding;

/// In the order in which a start would meet them.
const CHECKS: [Check; 10] = [
    checks::clock,
    checks::file_descriptors,
    checks::data_folder,
    checks::data_folder_is_private,
    checks::key,
    checks::databases,
    checks::certificates,
    checks::listener,
    checks::mail,
    checks::sender,
];

pub(super) fn run(loaded: &Loaded) -> Result<ExitCode, Failure> {
    let findings: Vec<Finding> = CHECKS.iter().map(|check| check(&loaded.config)).collect();
    let bad = findings.iter().filter(|finding| matches!(finding, Finding::Bad(..))).count();
    let doubtful = findings.iter().filter(|finding| matches!(finding, Finding::Doubtful(..))).count();
    print(&findings)?;
    print([format!("{} checks, {doubtful} doubtful, {bad} failed", findings.len())])?;
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
