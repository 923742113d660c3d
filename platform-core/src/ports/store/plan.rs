//! Group commit, the part that every engine shares: which batches of a group hold, and what they
//! change together.
//!
//! An engine's writer drains its queue, makes one [`Planner`] over the committed state, offers it the
//! batches in order, applies [`Planner::merged`] in one transaction with one fsync, and only then
//! answers. A refused batch leaves no trace in the planner.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::schema::IDEMPOTENCY;
use super::{Batch, Body, BodyKind, Commit, CommitError, DocKey, Entry, Expect, Idempotency, Schema, Write};
use crate::kernel::{Error, EventPosition, Position, Result, Timestamp};

/// What is known of a committed document before the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previous {
    /// Its version.
    pub version: Position,
    /// Its entries: at least those of the unique indexes; all of them if the engine needs them to
    /// remove old ones.
    pub entries: Vec<Entry>,
}

/// The committed state, as a planner needs it.
pub trait StateReader {
    /// Version and entries of a document.
    ///
    /// # Errors
    /// `store.unavailable` or `store.damaged`: the whole group fails.
    fn previous(&mut self, key: &DocKey) -> Result<Option<Previous>>;

    /// A whole document.
    ///
    /// # Errors
    /// As [`StateReader::previous`].
    fn body(&mut self, key: &DocKey) -> Result<Option<Body>>;

    /// The id of the document that has this unique entry.
    ///
    /// # Errors
    /// As [`StateReader::previous`].
    fn unique_owner(
        &mut self,
        collection: &'static str,
        index: &'static str,
        entry: &[u8],
    ) -> Result<Option<Vec<u8>>>;
}

/// A document after a write, with the version it then has; `None` when it is removed.
pub type After = Option<(Position, Body, Vec<Entry>)>;

/// `(collection, index, entry)` of unique entries: the id that has it, `None` when it became free.
type Uniques = HashMap<(&'static str, &'static str, Vec<u8>), Option<Vec<u8>>>;

/// What a group does to one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub key: DocKey,
    /// As it was committed before the group.
    pub before: Option<Previous>,
    /// As it is after it: version, body, entries.
    pub after: After,
}

/// What a group does: applied as one.
///
/// Unique entries may move between documents within one group: an engine removes all old entries
/// before it adds the new ones.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    /// One per document, in the order of the first write.
    pub changes: Vec<Change>,
    /// The outbox events, in order.
    pub events: Vec<(EventPosition, Vec<u8>)>,
    /// The position of the last accepted batch.
    pub position: Position,
}

/// Decides which batches of a group hold.
pub struct Planner<'a> {
    schema: &'a Schema,
    merged: Merged,
    /// Where in `merged.changes` a document stands.
    changed: HashMap<DocKey, usize>,
    /// Unique entries that the group gave to a document, or took from one (`None`).
    uniques: Uniques,
}

impl<'a> Planner<'a> {
    /// A planner for the next group, after the commit at `position`.
    pub fn new(schema: &'a Schema, position: Position) -> Planner<'a> {
        Planner {
            schema,
            merged: Merged { position, ..Merged::default() },
            changed: HashMap::new(),
            uniques: HashMap::new(),
        }
    }

    /// What the accepted batches change together.
    pub fn merged(self) -> Merged {
        self.merged
    }

    /// Whether nothing was accepted: there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.merged.changes.is_empty() && self.merged.events.is_empty()
    }

    /// Offers the next batch of the queue: what it will return once the group is durable, or why it is
    /// refused.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn offer(&mut self, state: &mut dyn StateReader, batch: Batch) -> Result<Commit, CommitError> {
        batch.check_limits().map_err(CommitError::Invalid)?;
        self.check_declared(&batch).map_err(CommitError::Invalid)?;
        if let Some(commit) = self.replay(state, batch.idempotency.as_ref())? {
            return Ok(commit);
        }
        for (key, expect) in &batch.expects {
            let version = self.version(state, key).map_err(unavailable)?;
            let holds = match expect {
                Expect::Absent => version.is_none(),
                Expect::Version(expected) => version == Some(*expected),
            };
            if !holds {
                return Err(CommitError::Conflict { key: key.clone() });
            }
        }
        let position = self.merged.position + 1;
        let events = encode_events(&batch, position).map_err(CommitError::Invalid)?;
        let (after, counters) = self.resolve(state, batch, position)?;
        let uniques = self.check_uniques(state, &after)?;
        self.accept(state, after, uniques)?;
        self.merged.events.extend(events);
        self.merged.position = position;
        Ok(Commit { position, counters, replayed: None })
    }

    fn check_declared(&self, batch: &Batch) -> Result<()> {
        let undeclared = |what: &str| {
            Err(Error::invalid("store.undeclared", "not declared in the schema").with("what", what))
        };
        for (key, _) in &batch.expects {
            if self.schema.collection(key.collection).is_none() {
                return undeclared(key.collection);
            }
        }
        let mut seen = std::collections::HashSet::new();
        for write in &batch.writes {
            let key = write.key();
            let Some(collection) = self.schema.collection(key.collection) else {
                return undeclared(key.collection);
            };
            if !seen.insert(key) {
                return Err(Error::invalid("store.written_twice", "a batch writes a document at most once"));
            }
            match write {
                Write::Put { body, entries, .. } => {
                    if body.kind() != collection.body {
                        return Err(Error::invalid(
                            "store.wrong_kind",
                            "the collection holds another kind of body",
                        ));
                    }
                    check_json(body)?;
                    for (at, entry) in entries.iter().enumerate() {
                        let Some(index) = collection.index(entry.index) else {
                            return undeclared(entry.index);
                        };
                        let earlier = entries.iter().take(at);
                        if earlier
                            .into_iter()
                            .any(|e| e.index == entry.index && (!index.many || e.entry == entry.entry))
                        {
                            return Err(Error::invalid(
                                "store.entry_twice",
                                "an index entry stands there twice",
                            ));
                        }
                    }
                }
                Write::Add { .. } if collection.body != BodyKind::Json => {
                    return Err(Error::invalid(
                        "store.wrong_kind",
                        "a counter stands in a collection of JSON",
                    ));
                }
                Write::Add { .. } | Write::Delete { .. } => {}
            }
        }
        Ok(())
    }

    fn replay(
        &self,
        state: &mut dyn StateReader,
        wanted: Option<&Idempotency>,
    ) -> Result<Option<Commit>, CommitError> {
        let Some(wanted) = wanted else { return Ok(None) };
        let key = IdempotencyRecord::key(&wanted.scope, &wanted.key);
        let Some(body) = self.body(state, &key).map_err(unavailable)? else { return Ok(None) };
        let record = IdempotencyRecord::read(&body).map_err(unavailable)?;
        if record.expires_at <= wanted.now {
            return Ok(None);
        }
        if record.fingerprint != wanted.fingerprint {
            return Err(CommitError::KeyReused);
        }
        Ok(Some(Commit { position: record.position, counters: Vec::new(), replayed: Some(record.response) }))
    }

    fn change(&self, key: &DocKey) -> Option<&Change> {
        self.changed.get(key).and_then(|at| self.merged.changes.get(*at))
    }

    fn version(&self, state: &mut dyn StateReader, key: &DocKey) -> Result<Option<Position>> {
        match self.change(key) {
            Some(change) => Ok(change.after.as_ref().map(|(version, ..)| *version)),
            None => Ok(state.previous(key)?.map(|previous| previous.version)),
        }
    }

    fn body(&self, state: &mut dyn StateReader, key: &DocKey) -> Result<Option<Body>> {
        match self.change(key) {
            Some(change) => Ok(change.after.as_ref().map(|(_, body, _)| body.clone())),
            None => state.body(key),
        }
    }

    /// The entries that a document has now, within the group.
    fn entries(&self, state: &mut dyn StateReader, key: &DocKey) -> Result<Vec<Entry>> {
        match self.change(key) {
            Some(change) => {
                Ok(change.after.as_ref().map(|(_, _, entries)| entries.clone()).unwrap_or_default())
            }
            None => Ok(state.previous(key)?.map(|previous| previous.entries).unwrap_or_default()),
        }
    }

    /// The documents as the batch leaves them, with counters computed.
    fn resolve(
        &self,
        state: &mut dyn StateReader,
        batch: Batch,
        position: Position,
    ) -> Result<(Vec<(DocKey, After)>, Vec<i64>), CommitError> {
        let mut after = Vec::with_capacity(batch.writes.len() + 1);
        let mut counters = Vec::new();
        for write in batch.writes {
            match write {
                Write::Put { key, body, entries } => after.push((key, Some((position, body, entries)))),
                Write::Delete { key } => after.push((key, None)),
                Write::Add { key, delta, min, max } => {
                    let value = counter(self.body(state, &key).map_err(unavailable)?.as_ref())?;
                    let sum = value.checked_add(delta).filter(|sum| (min..=max).contains(sum));
                    let Some(sum) = sum else { return Err(CommitError::OutOfRange { key, value }) };
                    counters.push(sum);
                    after.push((key, Some((position, Body::Json(sum.to_string()), Vec::new()))));
                }
            }
        }
        if let Some(record) = batch.idempotency {
            after.push(IdempotencyRecord::document(record, position).map_err(CommitError::Invalid)?);
        }
        Ok((after, counters))
    }

    /// The unique entries that the batch takes and gives, if no other document has what it gives.
    fn check_uniques(
        &self,
        state: &mut dyn StateReader,
        after: &[(DocKey, After)],
    ) -> Result<Uniques, CommitError> {
        let mut uniques = HashMap::new();
        let is_unique = |key: &DocKey, entry: &Entry| {
            self.schema
                .collection(key.collection)
                .and_then(|c| c.index(entry.index))
                .is_some_and(|index| index.unique)
        };
        let has_unique = |key: &DocKey| {
            self.schema.collection(key.collection).is_some_and(|c| c.indexes.iter().any(|index| index.unique))
        };
        for (key, _) in after.iter().filter(|(key, _)| has_unique(key)) {
            for entry in self.entries(state, key).map_err(unavailable)? {
                if is_unique(key, &entry) {
                    uniques.insert((key.collection, entry.index, entry.entry), None);
                }
            }
        }
        for (key, document) in after {
            let Some((_, _, entries)) = document else { continue };
            for entry in entries.iter().filter(|entry| is_unique(key, entry)) {
                let place = (key.collection, entry.index, entry.entry.clone());
                let owner = match uniques.get(&place).or_else(|| self.uniques.get(&place)) {
                    Some(owner) => owner.clone(),
                    None => state.unique_owner(place.0, place.1, &place.2).map_err(unavailable)?,
                };
                if owner.is_some_and(|owner| owner != key.id) {
                    return Err(CommitError::Unique { collection: place.0, index: place.1 });
                }
                uniques.insert(place, Some(key.id.clone()));
            }
        }
        Ok(uniques)
    }

    fn accept(
        &mut self,
        state: &mut dyn StateReader,
        after: Vec<(DocKey, After)>,
        uniques: Uniques,
    ) -> Result<(), CommitError> {
        let mut fresh = Vec::new();
        for (key, _) in after.iter().filter(|(key, _)| !self.changed.contains_key(key)) {
            fresh.push(state.previous(key).map_err(unavailable)?);
        }
        let mut fresh = fresh.into_iter();
        for (key, document) in after {
            match self.changed.get(&key).and_then(|at| self.merged.changes.get_mut(*at)) {
                Some(change) => change.after = document,
                None => {
                    self.changed.insert(key.clone(), self.merged.changes.len());
                    self.merged.changes.push(Change { key, before: fresh.next().flatten(), after: document });
                }
            }
        }
        self.uniques.extend(uniques);
        Ok(())
    }
}

fn unavailable(cause: Error) -> CommitError {
    CommitError::Unavailable { maybe_applied: false, cause }
}

fn encode_events(batch: &Batch, position: Position) -> Result<Vec<(EventPosition, Vec<u8>)>> {
    let place = |index: usize| EventPosition { commit: position, index: index as u16 };
    batch.events.iter().enumerate().map(|(index, event)| Ok((place(index), event.to_json()?))).collect()
}

/// JSON must read, and `\u0000` is refused.
fn check_json(body: &Body) -> Result<()> {
    let Body::Json(text) = body else { return Ok(()) };
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map_err(|error| Error::invalid("store.invalid_json", "the body is not JSON").because(error))?;
    let escaped_nul = text.match_indices("\\u0000").any(|(at, _)| {
        text.as_bytes().get(..at).unwrap_or_default().iter().rev().take_while(|byte| **byte == b'\\').count()
            % 2
            == 0
    });
    if escaped_nul {
        return Err(Error::invalid("store.nul", "the character U+0000 cannot be stored in JSON"));
    }
    Ok(())
}

/// The value of a counter document.
fn counter(body: Option<&Body>) -> Result<i64, CommitError> {
    let Some(body) = body else { return Ok(0) };
    std::str::from_utf8(body.as_bytes()).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
        CommitError::Invalid(Error::invalid("store.not_a_counter", "the document is not one integer"))
    })
}

/// A remembered answer, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// SHA-256 of the request.
    pub fingerprint: [u8; 32],
    /// The sealed answer.
    pub response: Vec<u8>,
    /// The position of the commit.
    pub position: Position,
    /// When it stops answering.
    pub expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct WireRecord {
    scope: String,
    fingerprint: crate::kernel::Sealed,
    response: crate::kernel::Sealed,
    position: Position,
    expires_at: Timestamp,
}

impl IdempotencyRecord {
    /// Where the record of a scope and a key stands: under their SHA-256.
    pub fn key(scope: &str, key: &str) -> DocKey {
        let name = super::KeyWriter::new().text(scope).text(key).finish();
        DocKey::new(IDEMPOTENCY.name, digest(&SHA256, &name).as_ref())
    }

    /// Reads a stored record.
    ///
    /// # Errors
    /// `store.damaged`.
    pub fn read(body: &Body) -> Result<IdempotencyRecord> {
        let damaged = || Error::data_loss("store.damaged", "an idempotency record does not read");
        let wire: WireRecord =
            serde_json::from_slice(body.as_bytes()).map_err(|error| damaged().because(error))?;
        Ok(IdempotencyRecord {
            fingerprint: wire.fingerprint.as_bytes().try_into().map_err(|_| damaged())?,
            response: wire.response.as_bytes().to_vec(),
            position: wire.position,
            expires_at: wire.expires_at,
        })
    }

    fn document(record: Idempotency, position: Position) -> Result<(DocKey, After)> {
        let key = IdempotencyRecord::key(&record.scope, &record.key);
        let wire = WireRecord {
            scope: record.scope,
            fingerprint: crate::kernel::Sealed::from_bytes(record.fingerprint.to_vec()),
            response: crate::kernel::Sealed::from_bytes(record.response),
            position,
            expires_at: record.expires_at,
        };
        let text = serde_json::to_string(&wire).map_err(|error| {
            Error::internal("store.unwritable", "an answer cannot be stored").because(error)
        })?;
        Ok((key, Some((position, Body::Json(text), vec![by_expiry(record.expires_at)]))))
    }

    pub(crate) fn reindex(_id: &[u8], body: &Body) -> Result<Vec<Entry>> {
        Ok(vec![by_expiry(IdempotencyRecord::read(body)?.expires_at)])
    }
}

fn by_expiry(at: Timestamp) -> Entry {
    Entry::new("by_expiry", super::KeyWriter::new().time(at).finish())
}
