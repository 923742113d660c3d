//! What a command hands to its store.

use super::{Body, DocKey, Entry};
use crate::kernel::{Error, NewEvent, Position, Result, Timestamp, limits};

/// What must be still true of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// It does not exist.
    Absent,
    /// It has this version.
    Version(Position),
}

/// A change of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Creates or replaces it, with all its index entries.
    Put {
        /// Which.
        key: DocKey,
        /// The new body.
        body: Body,
        /// All its index entries.
        entries: Vec<Entry>,
    },
    /// Removes it; nothing happens if it is not there.
    Delete {
        /// Which.
        key: DocKey,
    },
    /// Adds to a counter: a JSON document that is one integer. Absent counts as 0.
    Add {
        /// Which.
        key: DocKey,
        /// How much.
        delta: i64,
        /// The result must not be below.
        min: i64,
        /// The result must not be above.
        max: i64,
    },
}

impl Write {
    /// The document that it changes.
    pub fn key(&self) -> &DocKey {
        match self {
            Write::Put { key, .. } | Write::Delete { key } | Write::Add { key, .. } => key,
        }
    }
}

/// The answer of a command, remembered so that a repeated request gets it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Caller and operation.
    pub scope: String,
    /// The caller's key.
    pub key: String,
    /// SHA-256 of the request: the same key with another request is refused.
    pub fingerprint: [u8; 32],
    /// The sealed answer.
    pub response: Vec<u8>,
    /// The present moment, by the caller's clock: records that expired before it are invisible.
    pub now: Timestamp,
    /// When the record stops answering.
    pub expires_at: Timestamp,
}

/// What a command decided: checked and applied as one.
///
/// At most one write per document; an expect may stand for a document that is not written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// What must be still true.
    pub expects: Vec<(DocKey, Expect)>,
    /// What to write.
    pub writes: Vec<Write>,
    /// What to publish, in this order.
    pub events: Vec<NewEvent>,
    /// Under which key to remember the answer.
    pub idempotency: Option<Idempotency>,
}

impl Batch {
    /// The size that [`limits::BATCH_BYTES`] speaks of: ids, bodies, entries, the answer.
    pub fn bytes(&self) -> usize {
        let writes: usize = self
            .writes
            .iter()
            .map(|write| match write {
                Write::Put { key, body, entries } => {
                    key.id.len()
                        + body.as_bytes().len()
                        + entries.iter().map(|e| e.entry.len()).sum::<usize>()
                }
                Write::Delete { key } | Write::Add { key, .. } => key.id.len() + 8,
            })
            .sum();
        writes + self.idempotency.as_ref().map_or(0, |record| record.response.len())
    }

    /// Checks the limits that need no look at a schema or at stored data.
    ///
    /// # Errors
    /// `store.too_large` with `what` and `is`.
    pub fn check_limits(&self) -> Result<()> {
        at_most("expects", self.expects.len(), limits::BATCH_OPERATIONS)?;
        at_most("writes", self.writes.len(), limits::BATCH_OPERATIONS)?;
        at_most("events", self.events.len(), limits::BATCH_EVENTS)?;
        for write in &self.writes {
            if let Write::Put { body, entries, .. } = write {
                at_most("body", body.as_bytes().len(), limits::DOCUMENT_BYTES)?;
                at_most("entries", entries.len(), limits::INDEX_ENTRIES)?;
                for entry in entries {
                    at_most("entry", entry.entry.len(), limits::INDEX_ENTRY_BYTES)?;
                }
            }
        }
        for key in self.expects.iter().map(|(key, _)| key).chain(self.writes.iter().map(Write::key)) {
            at_most("key", key.id.len(), limits::KEY_BYTES)?;
            if key.id.is_empty() {
                return Err(Error::invalid("store.empty_key", "an id has at least one byte"));
            }
        }
        at_most("batch", self.bytes(), limits::BATCH_BYTES)
    }
}

/// Refuses what is above a limit.
pub(super) fn at_most(what: &'static str, is: usize, limit: usize) -> Result<()> {
    if is <= limit {
        return Ok(());
    }
    Err(Error::limit("store.too_large", "a limit of the store is exceeded")
        .with("what", what)
        .with("is", is)
        .with("limit", limit))
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its position; of a replayed one, the position of the first time.
    pub position: Position,
    /// The new values of the counters, in the order of the `Add`s.
    pub counters: Vec<i64>,
    /// The remembered sealed answer, when the idempotency key was known: nothing was applied now.
    pub replayed: Option<Vec<u8>>,
}
