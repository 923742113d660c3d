//! What this domain stores.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::model::{NamedRoute, RouteName};
use crate::ports::store::{Collection, Document, Schema};

/// The store of this domain.
pub(super) fn schema() -> Schema {
    Schema::new("gateway", 1, &[NamedRoute::COLLECTION, Claim::COLLECTION, TableDocument::COLLECTION])
}

impl Document for NamedRoute {
    const COLLECTION: Collection = Collection::json("routes");

    fn id(&self) -> Vec<u8> {
        self.name.as_str().into()
    }
}

/// That a route answers a host, path and method: no other may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub(super) text: String,
    pub(super) route: RouteName,
}

impl Document for Claim {
    const COLLECTION: Collection = Collection::json("claims");

    fn id(&self) -> Vec<u8> {
        claim_id(&self.text)
    }
}

/// A claim may be longer than an id.
pub(super) fn claim_id(text: &str) -> Vec<u8> {
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}

/// The table as a whole, written with every change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TableDocument {
    /// Counts the changes.
    pub(super) revision: u64,
    pub(super) routes: usize,
}

impl TableDocument {
    /// Its only id.
    pub(super) const ID: &'static str = "table";
}

impl Document for TableDocument {
    const COLLECTION: Collection = Collection::json("tables");

    fn id(&self) -> Vec<u8> {
        TableDocument::ID.into()
    }
}
