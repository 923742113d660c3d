//! What stores on an engine of one ordered keyspace of bytes share: the layout of the keys, reading,
//! writing and the filling of indexes. Engines: [`crate::fjall`] and, behind the feature `sled`, sled.

mod keyspace;
pub(crate) mod layout;
mod migrate;
pub(crate) mod names;
mod reader;
mod writer;

use std::path::Path;
use std::sync::Arc;

use platform_core::kernel::{EventPosition, Result};
use platform_core::ports::store::{Schema, StoreTimings};
use tokio::sync::watch;

pub(crate) use self::keyspace::{KeyRange, Keyspace, View, Writes};
pub(crate) use self::reader::OrderedReader;
use self::writer::OrderedWriter;
use crate::acknowledged;
use crate::folder::{Folder, StoreLock};
use crate::group::GroupWriter;
use crate::store::{Access, EmbeddedStore, Trim};
use crate::timed::Timed;

/// Where a store is, and what it is to be.
pub(crate) struct Opening<'a> {
    pub(crate) folder: &'a Folder,
    /// The folder of this store.
    pub(crate) path: &'a Path,
    pub(crate) schema: &'a Schema,
    /// The engine's name in the metrics.
    pub(crate) engine: &'static str,
    pub(crate) lock: StoreLock,
}

/// Brings an open keyspace to its schema and makes it a store.
pub(crate) fn store_on<K: Keyspace>(
    keyspace: Arc<K>,
    opening: Opening<'_>,
) -> Result<EmbeddedStore<OrderedReader<K>>> {
    let Opening { folder, path, schema, engine, lock } = opening;
    let schema = Arc::new(schema.clone());
    let (position, coded) = migrate::migrate(&*keyspace, &schema)?;
    let coded = Arc::new(coded);
    let acknowledged = acknowledged::check(path, position)?;
    let trimmed = match keyspace.latest().get(layout::TRIMMED)? {
        Some(key) => layout::event_position(key.as_ref())?,
        None => EventPosition::START,
    };
    let trim = Trim::from(trimmed);
    let reader = OrderedReader { keyspace: Arc::clone(&keyspace), coded: Arc::clone(&coded) };
    let timings = Arc::new(StoreTimings::new(engine));
    let access = if folder.is_read_only() {
        Access::Read(watch::Sender::new(position))
    } else {
        let writer = OrderedWriter {
            keyspace,
            coded,
            position,
            trim: trim.clone(),
            trimmed,
            timings: Arc::clone(&timings),
        };
        let engine = Timed { engine: writer, timings: Arc::clone(&timings) };
        Access::Write(GroupWriter::start(Arc::clone(&schema), engine, acknowledged)?)
    };
    Ok(EmbeddedStore { name: schema.store, reader, access, trim, timings, _lock: lock })
}
