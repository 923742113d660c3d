//! How far a handler is: one row per (handler, generation, store, partition) in the handler's store.

use serde::{Deserialize, Serialize};

use crate::kernel::{Error, EventPosition, Position, Result};
use crate::ports::Database;
use crate::ports::store::{Body, DocKey, Expect, INBOX, KeyWriter, Work, Write};

/// The last event whose effect is committed, and where in the log the next one stands.
///
/// The position decides; the offset only saves reading from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) position: EventPosition,
    pub(super) offset: u64,
}

/// A mark with its version; `None` before the first event.
pub(super) type StoredMark = Option<(Position, Mark)>;

/// The rows of one handler in one generation begin with this, after the kind of row.
pub(super) fn row(kind: &str, handler: &str, generation: u64) -> KeyWriter {
    KeyWriter::new().text(kind).text(handler).u64(generation)
}

/// Where the mark stands.
pub(super) fn mark_key(handler: &str, generation: u64, store: &str, partition: u16) -> DocKey {
    let id = row("mark", handler, generation).text(store).u64(u64::from(partition)).finish();
    DocKey::new(INBOX.name, id)
}

/// Reads marks, all from one snapshot.
///
/// # Errors
/// `store.unavailable`, `store.damaged`.
pub(super) async fn read_marks(database: &Database, keys: &[DocKey]) -> Result<Vec<StoredMark>> {
    let docs = database.store.get(keys).await?;
    docs.into_iter().map(|doc| doc.map(|doc| Ok((doc.version, from_json(&doc.body)?))).transpose()).collect()
}

/// Advances a mark with the commit of `work`: whoever advanced it meanwhile fences this one.
///
/// # Errors
/// `store.unwritable`.
pub(super) fn advance(work: &mut Work, key: DocKey, from: StoredMark, to: Mark) -> Result<()> {
    let is_fenced = true;
    #[cfg(feature = "planted-faults")]
    let is_fenced = is_fenced && !crate::planted::is_active(crate::planted::Plant::UnfencedMark);
    if is_fenced {
        work.expect(key.clone(), from.map_or(Expect::Absent, |(version, _)| Expect::Version(version)));
    }
    work.write(Write::Put { key, body: to_json(&to)?, entries: Vec::new() });
    Ok(())
}

/// A row of the inbox as a body.
///
/// # Errors
/// `store.unwritable`.
pub(super) fn to_json(row: &impl Serialize) -> Result<Body> {
    serde_json::to_string(row)
        .map(Body::Json)
        .map_err(|error| Error::internal("store.unwritable", "a row of the inbox").because(error))
}

/// A row of the inbox from its body.
///
/// # Errors
/// `store.damaged`.
pub(super) fn from_json<'a, T: Deserialize<'a>>(body: &'a Body) -> Result<T> {
    serde_json::from_slice(body.as_bytes())
        .map_err(|error| Error::data_loss("store.damaged", "a row of the inbox does not read").because(error))
}
