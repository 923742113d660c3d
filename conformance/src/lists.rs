//! The lists beside the scenarios.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use crate::{FOLDER, Unreadable, read};

/// What a way of use does not have, with the reasons: `exceptions.yaml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Exceptions {
    /// Methods of facades that put the parts together.
    pub assembly: BTreeSet<String>,
    /// Requests that are no method's of their own, with what they are.
    pub requests: BTreeMap<String, String>,
    /// The reason of each way that does not have it, by method.
    #[serde(flatten)]
    pub methods: BTreeMap<String, BTreeMap<String, String>>,
}

impl Exceptions {
    /// Whether a way of use does not have a method, with a reason.
    pub fn lacks(&self, way: &str, method: &str) -> bool {
        self.methods.get(method).is_some_and(|ways| ways.contains_key(way))
    }
}

/// Reads `exceptions.yaml`.
///
/// # Errors
/// What is wrong with it.
pub fn exceptions() -> Result<Exceptions, Unreadable> {
    read(&Path::new(FOLDER).join("exceptions.yaml"))
}
