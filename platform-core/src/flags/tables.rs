//! What this domain stores.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

use super::error;
use super::model::{FlagKey, FlagSet, Revision};
use crate::kernel::Result;
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

/// The version of what definitions mean. Raised when the same definition and context could be evaluated
/// to something else; the set keeps the one that it was written for.
pub(super) const SEMANTICS: u32 = 1;

/// The set of flags. Written with every change, so that its revision counts them all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct SetDocument {
    /// What the definitions of the set mean: see [`SEMANTICS`].
    pub(super) semantics: u32,
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

    /// The set, unless it means what only a newer version knows.
    ///
    /// # Errors
    /// `flags.newer_semantics`.
    pub(super) fn understood(self) -> Result<SetDocument> {
        if self.semantics <= SEMANTICS { Ok(self) } else { Err(error::newer_semantics(self.semantics)) }
    }
}

impl Default for SetDocument {
    fn default() -> SetDocument {
        let settings = FlagSet::default();
        SetDocument { semantics: SEMANTICS, revision: 0, settings_revision: 0, flags: 0, settings }
    }
}

impl<'de> Deserialize<'de> for SetDocument {
    /// The settings of a set with newer semantics are not read: [`SetDocument::understood`] refuses it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SetDocument, D::Error> {
        #[derive(Deserialize)]
        struct Stored {
            /// Sets were without it before it was stored: they mean the first.
            #[serde(default = "first")]
            semantics: u32,
            revision: u64,
            settings_revision: u64,
            flags: u64,
            settings: Json,
        }
        let Stored { semantics, revision, settings_revision, flags, settings } =
            Stored::deserialize(deserializer)?;
        let settings = match semantics {
            0..=SEMANTICS => serde_json::from_value(settings).map_err(serde::de::Error::custom)?,
            _ => FlagSet::default(),
        };
        Ok(SetDocument { semantics, revision, settings_revision, flags, settings })
    }
}

fn first() -> u32 {
    1
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
