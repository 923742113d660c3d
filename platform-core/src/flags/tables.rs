//! What this domain stores.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::model::{FlagKey, FlagSet, Revision};
use crate::ports::store::{Collection, DocKey, Document, KeyWriter, Schema};

/// How often each variant was given, counters by (flag, variant).
pub(super) const EVALUATIONS: Collection = Collection::json("evaluations");

/// The store of this domain.
pub(super) fn schema() -> Schema {
    let collections = [FlagHead::COLLECTION, Revision::COLLECTION, SetDocument::COLLECTION, EVALUATIONS];
    Schema::new("flags", 1, &collections)
}

/// A flag as it is now. It stays when the flag is deleted, so that revisions go on counting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FlagHead {
    pub(super) key: FlagKey,
    pub(super) revision: u64,
    /// Absent when the flag is deleted.
    pub(super) definition: Option<Json>,
}

impl Document for FlagHead {
    const COLLECTION: Collection = Collection::json("flags");

    fn id(&self) -> Vec<u8> {
        self.key.as_str().into()
    }
}

impl Document for Revision {
    const COLLECTION: Collection = Collection::json("revisions");

    fn id(&self) -> Vec<u8> {
        revision_id(&self.key, self.revision)
    }
}

/// Key of a revision: those of one flag stand together, in their order.
pub(super) fn revision_id(key: &FlagKey, revision: u64) -> Vec<u8> {
    KeyWriter::new().text(key.as_str()).u64(revision).finish()
}

/// What the keys of a flag's revisions and counts begin with.
pub(super) fn prefix(key: &FlagKey) -> Vec<u8> {
    KeyWriter::new().text(key.as_str()).finish()
}

/// The set of flags. Written with every change, so that its revision counts them all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SetDocument {
    pub(super) revision: u64,
    /// The revision in which the settings changed last.
    pub(super) settings_revision: u64,
    /// Flags that are not deleted.
    pub(super) flags: u64,
    pub(super) settings: FlagSet,
}

impl SetDocument {
    /// Its only id.
    pub(super) const ID: &'static str = "default";
}

impl Document for SetDocument {
    const COLLECTION: Collection = Collection::json("sets");

    fn id(&self) -> Vec<u8> {
        SetDocument::ID.into()
    }
}

/// Where a count stands; no variant is the empty text.
pub(super) fn count_key(key: &str, variant: &str) -> DocKey {
    DocKey::new(EVALUATIONS.name, KeyWriter::new().text(key).text(variant).finish())
}
