//! What a store is declared to hold.

use super::batch::at_most;
use crate::kernel::{Error, Result, limits};

/// Whether a body is readable text or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// JSON, compared as values; `\u0000` is refused (PostgreSQL's `jsonb` has none).
    Json,
    /// Bytes.
    Binary,
}

/// An index over documents of a collection, by entries of at most
/// [`crate::kernel::limits::INDEX_ENTRY_BYTES`], compared as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Index {
    /// Lower case, digits and `_`; unique within the collection.
    pub name: &'static str,
    /// No two documents may have the same entry.
    pub unique: bool,
    /// A document may have more than one entry.
    pub many: bool,
    /// Raised when the meaning of the entries changes: the index is then rebuilt at opening.
    pub version: u32,
}

impl Index {
    /// One entry per document at most, shared by any number of documents.
    pub const fn one(name: &'static str) -> Index {
        Index { name, unique: false, many: false, version: 1 }
    }

    /// One entry per document at most, and no two documents with the same.
    pub const fn unique(name: &'static str) -> Index {
        Index { name, unique: true, many: false, version: 1 }
    }

    /// Any number of entries per document: search tokens, members.
    pub const fn many(name: &'static str) -> Index {
        Index { name, unique: false, many: true, version: 1 }
    }

    /// The same index with a raised version.
    #[must_use]
    pub const fn version(mut self, version: u32) -> Index {
        self.version = version;
        self
    }
}

/// Computes the index entries of a stored body anew: used when an index is added or changed.
pub type Reindex = fn(id: &[u8], body: &super::Body) -> crate::kernel::Result<Vec<super::Entry>>;

/// A declared collection of documents.
#[derive(Debug, Clone, Copy)]
pub struct Collection {
    /// Lower case, digits and `_`; unique within the store. `_`-names are the store's own.
    pub name: &'static str,
    /// Text or bytes.
    pub body: BodyKind,
    /// Its indexes.
    pub indexes: &'static [Index],
    /// How to compute entries from a stored body; `None` for a collection without indexes.
    pub reindex: Option<Reindex>,
    /// Documents are hardly ever replaced or removed.
    pub is_kept: bool,
}

impl Collection {
    /// A collection of JSON documents. Give its indexes with [`Collection::indexed`].
    pub const fn json(name: &'static str) -> Collection {
        Collection { name, body: BodyKind::Json, indexes: &[], reindex: None, is_kept: false }
    }

    /// A collection of binary documents.
    pub const fn binary(name: &'static str) -> Collection {
        Collection { name, body: BodyKind::Binary, indexes: &[], reindex: None, is_kept: false }
    }

    /// The same collection with indexes. For a [`super::Document`] pass its `reindex_body`.
    #[must_use]
    pub const fn indexed(mut self, indexes: &'static [Index], reindex: Reindex) -> Collection {
        self.indexes = indexes;
        self.reindex = Some(reindex);
        self
    }

    /// The same collection, whose documents are written once and kept: an engine may leave out what makes
    /// replacing and removing them quick.
    #[must_use]
    pub const fn kept(mut self) -> Collection {
        self.is_kept = true;
        self
    }

    /// The index entries of a stored body. A counter (a JSON integer that does not read as a document
    /// of the collection) has none.
    ///
    /// # Errors
    /// `store.damaged`; `store.too_large` or `store.undeclared` when the entries are not allowed.
    pub fn entries_of(&self, id: &[u8], body: &super::Body) -> Result<Vec<super::Entry>> {
        let Some(reindex) = self.reindex else { return Ok(Vec::new()) };
        let is_counter = || std::str::from_utf8(body.as_bytes()).is_ok_and(|t| t.parse::<i64>().is_ok());
        let entries = match reindex(id, body) {
            Err(_) if is_counter() => return Ok(Vec::new()),
            entries => entries?,
        };
        for entry in &entries {
            at_most("entry", entry.entry.len(), limits::INDEX_ENTRY_BYTES)?;
            if self.index(entry.index).is_none() {
                return Err(Error::invalid("store.undeclared", "not declared in the schema")
                    .with("what", entry.index));
            }
        }
        Ok(entries)
    }

    /// The declared index of this name.
    pub fn index(&self, name: &str) -> Option<&'static Index> {
        self.indexes.iter().find(|index| index.name == name)
    }
}

/// What a store holds.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The store's name: the domain's. Lower case, digits and `_`.
    pub store: &'static str,
    /// Raised with every change that older code cannot read; a newer one is refused at opening.
    pub version: u32,
    /// Its collections; the platform adds those that every store has.
    pub collections: Vec<Collection>,
    /// What is written to it follows from what was committed elsewhere, and may wait a little.
    pub is_following: bool,
}

/// Where a store remembers answers.
pub(crate) const IDEMPOTENCY: Collection =
    Collection::json("_idempotency").indexed(&[Index::one("by_expiry")], super::IdempotencyRecord::reindex);

/// Where a store remembers how far its handlers are.
pub(crate) const INBOX: Collection = Collection::json("_inbox");

/// Columns that an engine has beside those of the indexes; the later ones are PostgreSQL's own.
const RESERVED: [&str; 9] = ["id", "version", "body", "ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"];

/// Lower case, digits and `_`, at most [`limits::STORE_NAME_BYTES`].
fn is_name(name: &str) -> bool {
    (1..=limits::STORE_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

impl Schema {
    /// A schema; the collections that every store has are added.
    pub fn new(store: &'static str, version: u32, collections: &[Collection]) -> Schema {
        let mut all = collections.to_vec();
        all.push(IDEMPOTENCY);
        all.push(INBOX);
        Schema { store, version, collections: all, is_following: false }
    }

    /// The same schema for a store that is written after others: an engine may let what is written to those go
    /// first where both want the processor.
    #[must_use]
    pub fn following(mut self) -> Schema {
        self.is_following = true;
        self
    }

    /// Checks its names: every engine does so when it opens a store.
    ///
    /// # Errors
    /// `store.invalid_schema`.
    pub fn check(&self) -> Result<()> {
        let invalid = |what: &str| {
            Err(Error::internal("store.invalid_schema", "a name in the schema is not allowed or not unique")
                .with("store", self.store)
                .with("name", what))
        };
        if !is_name(self.store) {
            return invalid(self.store);
        }
        for (at, collection) in self.collections.iter().enumerate() {
            let own = collection.name == IDEMPOTENCY.name || collection.name == INBOX.name;
            let repeated = self.collections.iter().take(at).any(|earlier| earlier.name == collection.name);
            if !(own || is_name(collection.name) && !collection.name.starts_with('_')) || repeated {
                return invalid(collection.name);
            }
            for (at, index) in collection.indexes.iter().enumerate() {
                let reserved = RESERVED.contains(&index.name);
                let repeated = collection.indexes.iter().take(at).any(|earlier| earlier.name == index.name);
                if !is_name(index.name) || reserved || repeated {
                    return invalid(index.name);
                }
            }
        }
        Ok(())
    }

    /// The declared collection of this name.
    pub fn collection(&self, name: &str) -> Option<&Collection> {
        self.collections.iter().find(|collection| collection.name == name)
    }
}
