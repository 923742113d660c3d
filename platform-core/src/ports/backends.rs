//! One of each port, and a domain's share of them.

use std::sync::Arc;

use crate::kernel::{Error, Page, Position, RawId, Result};
use crate::ports::cache::Cache;
use crate::ports::channel::Channel;
use crate::ports::disclosure::Disclosures;
use crate::ports::keys::Keys;
use crate::ports::limiter::Limiter;
use crate::ports::log::EventLog;
use crate::ports::runtime::Runtime;
use crate::ports::signals::Signals;
use crate::ports::store::{DocKey, Document, IndexRange, Schema, Store, Stored, Stores};

/// One of each port: what an adapter crate hands to `Platform::builder`.
#[derive(Clone)]
pub struct Backends {
    /// Opens the domains' stores.
    pub stores: Arc<dyn Stores>,
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// Values that may vanish.
    pub cache: Arc<dyn Cache>,
    /// Rate limits.
    pub limiter: Arc<dyn Limiter>,
    /// Broadcast to all nodes.
    pub signals: Arc<dyn Signals>,
    /// Sealing.
    pub keys: Arc<dyn Keys>,
    /// Outgoing messages, one channel per kind.
    pub channels: Vec<Arc<dyn Channel>>,
    /// Who was shown whose personal data.
    pub disclosures: Disclosures,
    /// Clock, randomness, tasks.
    pub runtime: Arc<dyn Runtime>,
}

/// A domain's database: its store, and what a command needs besides.
#[derive(Clone)]
pub struct Database {
    /// The documents.
    pub store: Arc<dyn Store>,
    /// Clock, randomness, tasks.
    pub runtime: Arc<dyn Runtime>,
    /// Sealing.
    pub keys: Arc<dyn Keys>,
}

impl Database {
    /// Opens the store of a schema.
    ///
    /// # Errors
    /// As [`Stores::open`].
    pub async fn open(backends: &Backends, schema: &Schema) -> Result<Database> {
        Ok(Database {
            store: backends.stores.open(schema).await?,
            runtime: Arc::clone(&backends.runtime),
            keys: Arc::clone(&backends.keys),
        })
    }

    /// A fresh id, ordered by time.
    pub fn new_id<I: From<RawId>>(&self) -> I {
        self.runtime.new_id().into()
    }

    /// 64 random bits.
    pub fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.runtime.fill_random(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Reads a document, outside of any command.
    ///
    /// # Errors
    /// `store.unavailable`, `store.damaged`.
    pub async fn get<T: Document>(&self, id: impl Into<Vec<u8>> + Send) -> Result<Option<Stored<T>>> {
        let key = T::key(id);
        let doc = self.store.get(std::slice::from_ref(&key)).await?.pop().flatten();
        doc.as_ref().map(Stored::from_doc).transpose()
    }

    /// Reads documents of one snapshot, in the order of `ids`.
    ///
    /// # Errors
    /// As [`Database::get`].
    pub async fn get_all<T: Document>(
        &self,
        ids: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Vec<Option<Stored<T>>>> {
        let keys: Vec<DocKey> = ids.into_iter().map(T::key).collect();
        let docs = self.store.get(&keys).await?;
        docs.iter().map(|doc| doc.as_ref().map(Stored::from_doc).transpose()).collect()
    }

    /// Reads a page of documents in the order of a range of `T::COLLECTION`.
    ///
    /// # Errors
    /// As [`Database::get`].
    pub async fn scan<T: Document>(&self, range: &IndexRange) -> Result<Page<Stored<T>>> {
        let page = self.store.scan(range).await?;
        let items = page.docs.iter().map(Stored::from_doc).collect::<Result<_>>()?;
        Ok(Page { items, next_cursor: page.next })
    }

    /// Waits until a commit is visible to reads.
    ///
    /// # Errors
    /// `store.unavailable` when the store closes meanwhile.
    pub async fn wait_for(&self, position: Position) -> Result<()> {
        let mut committed = self.store.committed();
        committed
            .wait_for(|at| *at >= position)
            .await
            .map(|_| ())
            .map_err(|_| Error::unavailable("store.unavailable", "the store was closed"))
    }
}
