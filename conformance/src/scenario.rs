//! Scenarios as they are written.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{FOLDER, Unreadable, read};

/// A scenario: what happens, step after step, over an empty platform.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its file.
    #[serde(skip)]
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// The ways of use that it runs in; in all when nothing is said.
    pub ways: Option<BTreeSet<String>>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// A step: a call, and what is to become of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The method: `domain.method`.
    pub call: String,
    /// Its arguments.
    #[serde(default)]
    pub with: Map<String, Value>,
    /// Who acts: a saved pair of tokens, or `anonymous`; the first administrator when nothing is said.
    #[serde(rename = "as")]
    pub who: Option<String>,
    /// The name under which the result is saved.
    pub save: Option<String>,
    /// What the result must hold; a result that must be null is written `expect: null`.
    #[serde(default, deserialize_with = "written")]
    pub expect: Option<Value>,
    /// The code of the error; without it the step has to succeed.
    pub error: Option<String>,
    /// It is repeated until it is as it is written.
    #[serde(default)]
    pub eventually: bool,
}

fn written<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Scenario {
    /// Whether it runs in a way of use.
    pub fn runs_in(&self, way: &str) -> bool {
        self.ways.as_ref().is_none_or(|ways| ways.contains(way))
    }

    /// The methods that it calls.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.call.as_str())
    }
}

/// All scenarios, by the names of their files.
///
/// # Errors
/// What is wrong with which file.
pub fn scenarios() -> Result<Vec<Scenario>, Unreadable> {
    let folder = Path::new(FOLDER).join("scenarios");
    let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        let mut scenario: Scenario = read(&path)?;
        scenario.name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.push(scenario);
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}
