//! What fuzz targets reach behind the facade of this domain.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::counts::Counters;
use super::definition::Definition;
use super::error::invalid_definition;
use super::snapshot::{FlagSource, SetSource, Snapshot, check};
use crate::kernel::Result;

/// Reads and checks a definition as a write of a flag does, and writes it again.
///
/// # Errors
/// `flags.invalid_definition`.
pub fn definition(json: &Json, evaluators: &BTreeMap<String, Json>) -> Result<Json> {
    let parsed = Definition::parse(json).map_err(invalid_definition)?;
    check(&parsed, evaluators).map_err(invalid_definition)?;
    Ok(parsed.to_json())
}

/// A set with one flag, compiled.
///
/// # Errors
/// `flags.invalid_definition`.
pub fn snapshot(key: &str, json: &Json, evaluators: &BTreeMap<String, Json>) -> Result<Snapshot> {
    let definition = Definition::parse(json).map_err(invalid_definition)?;
    let set = SetSource { revision: 1, evaluators: evaluators.clone(), ..SetSource::default() };
    let flags = [FlagSource { key, revision: 1, definition: &definition }];
    Ok(Snapshot::compile(set, &flags, &Snapshot::default(), &Counters::default()))
}
