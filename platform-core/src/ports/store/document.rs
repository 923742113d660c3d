//! Documents.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{BodyKind, Collection};
use crate::kernel::{Error, Position, Result};

/// Where a document stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocKey {
    /// The declared collection.
    pub collection: &'static str,
    /// Any bytes, 1 to [`crate::kernel::limits::KEY_BYTES`].
    pub id: Vec<u8>,
}

impl DocKey {
    /// A key.
    pub fn new(collection: &'static str, id: impl Into<Vec<u8>>) -> DocKey {
        DocKey { collection, id: id.into() }
    }
}

/// What a document holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// JSON text.
    Json(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Body {
    /// Its kind.
    pub fn kind(&self) -> BodyKind {
        match self {
            Body::Json(_) => BodyKind::Json,
            Body::Binary(_) => BodyKind::Binary,
        }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Body::Json(text) => text.as_bytes(),
            Body::Binary(bytes) => bytes,
        }
    }

    /// A body of this kind from stored bytes.
    ///
    /// # Errors
    /// `store.damaged` when JSON is not text.
    pub fn from_bytes(kind: BodyKind, bytes: Vec<u8>) -> Result<Body> {
        match kind {
            BodyKind::Binary => Ok(Body::Binary(bytes)),
            BodyKind::Json => String::from_utf8(bytes)
                .map(Body::Json)
                .map_err(|_| Error::data_loss("store.damaged", "a stored body is not text")),
        }
    }
}

/// A document as a store returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doc {
    /// Its id.
    pub id: Vec<u8>,
    /// The position of its last write.
    pub version: Position,
    /// What it holds.
    pub body: Body,
}

/// An index entry of a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The declared index.
    pub index: &'static str,
    /// At most [`crate::kernel::limits::INDEX_ENTRY_BYTES`] bytes.
    pub entry: Vec<u8>,
}

impl Entry {
    /// An entry.
    pub fn new(index: &'static str, entry: impl Into<Vec<u8>>) -> Entry {
        Entry { index, entry: entry.into() }
    }
}

/// A type that is stored as a JSON document.
///
/// ```
/// use platform_core::ports::store::{Collection, Document, Entry, Index};
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Order { number: String, customer: String }
///
/// impl Document for Order {
///     const COLLECTION: Collection =
///         Collection::json("orders").indexed(&[Index::one("by_customer")], Order::reindex_body);
///     fn id(&self) -> Vec<u8> { self.number.clone().into_bytes() }
///     fn entries(&self) -> Vec<Entry> { vec![Entry::new("by_customer", self.customer.clone())] }
/// }
/// ```
pub trait Document: Serialize + DeserializeOwned + Send {
    /// Where it is stored.
    const COLLECTION: Collection;

    /// Its id within the collection.
    fn id(&self) -> Vec<u8>;

    /// Its index entries.
    fn entries(&self) -> Vec<Entry> {
        Vec::new()
    }

    /// The key of the document with this id.
    fn key(id: impl Into<Vec<u8>>) -> DocKey
    where
        Self: Sized,
    {
        DocKey::new(Self::COLLECTION.name, id)
    }

    /// Reads a stored body.
    ///
    /// # Errors
    /// `store.damaged` when the body is not such a document.
    fn from_body(body: &Body) -> Result<Self>
    where
        Self: Sized,
    {
        serde_json::from_slice(body.as_bytes()).map_err(|error| {
            Error::data_loss("store.damaged", "a stored document does not read")
                .with("collection", Self::COLLECTION.name)
                .because(error)
        })
    }

    /// Writes the body.
    ///
    /// # Errors
    /// `store.unwritable` when the value cannot be JSON.
    fn to_body(&self) -> Result<Body> {
        serde_json::to_string(self).map(Body::Json).map_err(|error| {
            Error::internal("store.unwritable", "a document cannot be written as JSON")
                .with("collection", Self::COLLECTION.name)
                .because(error)
        })
    }

    /// The entries of a stored body: for [`Collection::indexed`].
    ///
    /// # Errors
    /// As [`Document::from_body`].
    fn reindex_body(_id: &[u8], body: &Body) -> Result<Vec<Entry>>
    where
        Self: Sized,
    {
        Ok(Self::from_body(body)?.entries())
    }
}

/// A typed document with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    /// The position of its last write: its `ETag`.
    pub version: Position,
    /// The document.
    pub value: T,
}

impl<T: Document> Stored<T> {
    /// Reads what a store returned.
    ///
    /// # Errors
    /// `store.damaged`.
    pub fn from_doc(doc: &Doc) -> Result<Stored<T>> {
        Ok(Stored { version: doc.version, value: T::from_body(&doc.body)? })
    }
}

impl<T> std::ops::Deref for Stored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> std::ops::DerefMut for Stored<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
