//! Generations of a projection: it is rebuilt beside the living one, and takes its place.

use serde::{Deserialize, Serialize};

use super::Handler;
use super::mark::{from_json, row, to_json};
use crate::kernel::{Error, Position, Result, limits};
use crate::ports::Database;
use crate::ports::store::{Batch, CommitError, DocKey, Expect, INBOX, IndexRange, KeyWriter, Write};

/// Rows of an old generation that are removed with one commit.
const SWEEP: usize = 256;

/// The generations of a projection, as its store remembers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Generations {
    /// Which one is read.
    pub(super) live: u64,
    /// Which one is being built.
    pub(super) building: Option<u64>,
    /// Which one is being removed.
    pub(super) retired: Option<u64>,
    /// The log was replaced: it does not hold every event any more, and nothing is rebuilt from it.
    #[serde(default)]
    pub(super) history_gone: bool,
}

/// The generation of a projection that is read now: the first 8 bytes (big endian) of the ids of its
/// documents.
///
/// # Errors
/// `store.unavailable`, `store.damaged`.
pub async fn live_generation(database: &Database, handler: &str) -> Result<u64> {
    Ok(read(database, handler).await?.1.live)
}

fn key(handler: &str) -> DocKey {
    DocKey::new(INBOX.name, KeyWriter::new().text("generations").text(handler).finish())
}

pub(super) async fn read(database: &Database, handler: &str) -> Result<(Option<Position>, Generations)> {
    match database.store.get(&[key(handler)]).await?.pop().flatten() {
        None => Ok((None, Generations::default())),
        Some(doc) => Ok((Some(doc.version), from_json(&doc.body)?)),
    }
}

/// Changes the generations in one commit; returns what they are now.
///
/// # Errors
/// `backbone.rebuilding` when somebody else changed them meanwhile; what a commit returns.
pub(super) async fn change(
    database: &Database,
    handler: &str,
    change: impl Fn(Generations) -> Generations,
) -> Result<Generations> {
    let (version, before) = read(database, handler).await?;
    let after = change(before);
    let key = key(handler);
    let batch = Batch {
        expects: vec![(key.clone(), version.map_or(Expect::Absent, Expect::Version))],
        writes: vec![Write::Put { key, body: to_json(&after)?, entries: Vec::new() }],
        ..Batch::default()
    };
    match database.store.commit(batch).await {
        Ok(_) => Ok(after),
        Err(CommitError::Conflict { .. }) => {
            Err(Error::conflict("backbone.rebuilding", "somebody else rebuilds this projection"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Remembers that the log was replaced.
///
/// # Errors
/// As [`change`].
pub(super) async fn history_is_gone(database: &Database, handler: &str) -> Result<()> {
    if !read(database, handler).await?.1.history_gone {
        change(database, handler, |now| Generations { history_gone: true, ..now }).await?;
    }
    Ok(())
}

/// Removes a generation: its documents, its marks, its letters.
///
/// # Errors
/// What a commit returns.
pub(super) async fn remove(handler: &dyn Handler, generation: u64) -> Result<()> {
    let database = handler.database();
    for collection in handler.generations() {
        remove_all(database, collection, &generation.to_be_bytes()).await?;
    }
    for kind in ["mark", "parked", "letter"] {
        remove_all(database, INBOX.name, &row(kind, handler.name(), generation).finish()).await?;
    }
    Ok(())
}

async fn remove_all(database: &Database, collection: &'static str, prefix: &[u8]) -> Result<()> {
    let range = IndexRange::ids(collection).prefix(prefix).limit(SWEEP.min(limits::SCAN_DOCUMENTS));
    loop {
        let docs = database.store.scan(&range).await?.docs;
        if docs.is_empty() {
            return Ok(());
        }
        let writes = docs.into_iter().map(|doc| Write::Delete { key: DocKey::new(collection, doc.id) });
        database.store.commit(Batch { writes: writes.collect(), ..Batch::default() }).await?;
    }
}
