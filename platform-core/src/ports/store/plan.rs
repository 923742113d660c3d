//! Group commit, the part that every engine shares: which batches of a group hold, and what they
//! change together.
//!
//! An engine's writer drains its queue, makes one [`Planner`] over the committed state, offers it the
//! batches in order, applies [`Planner::merged`] in one transaction with one fsync, and only then
//! answers. A refused batch leaves no trace in the planner. Nothing is copied: the plan borrows from
//! the batches, which the engine keeps until it has answered.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Body, Commit, CommitError, DocKey, Entry, Expect, IdempotencyRecord, Prepared, Schema, Write};
use crate::kernel::{Error, EventPosition, Position, Result};

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
    /// Version and entries of a document. Asked once per document and group.
    ///
    /// # Errors
    /// `store.unavailable` or `store.damaged`: the batch fails.
    fn previous(&mut self, key: &DocKey) -> Result<Option<Previous>>;

    /// The body of a document.
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

/// A document after the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<'a> {
    /// Its version: the position of the batch that wrote it last.
    pub version: Position,
    /// Its body.
    pub body: Cow<'a, Body>,
    /// All its entries.
    pub entries: &'a [Entry],
}

/// What a group does to one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'a> {
    /// Which.
    pub key: &'a DocKey,
    /// As it was committed before the group.
    pub before: Option<Previous>,
    /// As it is after it; `None` when it is removed.
    pub after: Option<Written<'a>>,
}

/// What a group does: applied as one.
///
/// Unique entries may move between documents within one group: an engine removes all old entries
/// before it adds the new ones.
#[derive(Debug, Clone, Default)]
pub struct Merged<'a> {
    /// One per document.
    pub changes: Vec<Change<'a>>,
    /// The outbox events, in order.
    pub events: Vec<(EventPosition, &'a [u8])>,
    /// The position of the last accepted batch.
    pub position: Position,
}

/// What the group knows of a document.
struct Slot<'a> {
    key: &'a DocKey,
    before: Option<Previous>,
    /// `None`: only read so far.
    after: Option<Option<Written<'a>>>,
}

impl<'a> Slot<'a> {
    fn version(&self) -> Option<Position> {
        match &self.after {
            Some(after) => after.as_ref().map(|written| written.version),
            None => self.before.as_ref().map(|before| before.version),
        }
    }

    /// The entries that the document has now, within the group.
    fn entries(&self) -> Vec<Place<'a>> {
        let place = |entry: Cow<'a, [u8]>, index| (self.key.collection, index, entry);
        match (&self.after, &self.before) {
            (Some(Some(written)), _) => {
                written.entries.iter().map(|e| place(Cow::Borrowed(&e.entry), e.index)).collect()
            }
            (None, Some(before)) => {
                before.entries.iter().map(|e| place(Cow::Owned(e.entry.clone()), e.index)).collect()
            }
            (Some(None), _) | (None, None) => Vec::new(),
        }
    }
}

/// Collection, index, entry.
type Place<'a> = (&'static str, &'static str, Cow<'a, [u8]>);

/// Unique entries: the id that has it, `None` when it became free.
type Uniques<'a> = HashMap<Place<'a>, Option<&'a [u8]>, RandomState>;

/// The documents that a batch writes: their slots, and how it leaves them.
type Afters<'a> = Vec<(usize, Option<Written<'a>>)>;

/// Decides which batches of a group hold.
pub struct Planner<'a> {
    schema: &'a Schema,
    position: Position,
    slots: Vec<Slot<'a>>,
    slot_of: HashMap<&'a DocKey, usize, RandomState>,
    uniques: Uniques<'a>,
    events: Vec<(EventPosition, &'a [u8])>,
}

impl<'a> Planner<'a> {
    /// A planner for the next group, after the commit at `position`.
    pub fn new(schema: &'a Schema, position: Position) -> Planner<'a> {
        Planner {
            schema,
            position,
            slots: Vec::new(),
            slot_of: HashMap::default(),
            uniques: HashMap::default(),
            events: Vec::new(),
        }
    }

    /// What the accepted batches change together. When its position is still that of the start,
    /// nothing was accepted.
    pub fn merged(self) -> Merged<'a> {
        let changed =
            |slot: Slot<'a>| slot.after.map(|after| Change { key: slot.key, before: slot.before, after });
        Merged {
            changes: self.slots.into_iter().filter_map(changed).collect(),
            events: self.events,
            position: self.position,
        }
    }

    /// Offers the next batch of the queue: what it will return once the group is durable, or why it is
    /// refused.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn offer(&mut self, state: &mut dyn StateReader, batch: &'a Prepared) -> Result<Commit, CommitError> {
        if let Some(commit) = self.replay(state, batch)? {
            return Ok(commit);
        }
        for (key, expect) in &batch.expects {
            let version = self.slot(state, key)?.version();
            let holds = match expect {
                Expect::Absent => version.is_none(),
                Expect::Version(expected) => version == Some(*expected),
            };
            if !holds {
                return Err(CommitError::Conflict { key: key.clone() });
            }
        }
        let position = self.position + 1;
        let (afters, counters) = self.resolve(state, batch, position)?;
        let uniques = self.check_uniques(state, &afters)?;
        // From here on nothing fails.
        for (at, after) in afters {
            if let Some(slot) = self.slots.get_mut(at) {
                slot.after = Some(after);
            }
        }
        self.uniques.extend(uniques);
        let place = |index: usize| EventPosition { commit: position, index: index as u16 };
        self.events.extend(batch.events.iter().enumerate().map(|(at, json)| (place(at), json.as_slice())));
        self.position = position;
        Ok(Commit { position, counters, replayed: None })
    }

    fn slot_index(&mut self, state: &mut dyn StateReader, key: &'a DocKey) -> Result<usize, CommitError> {
        if let Some(at) = self.slot_of.get(key) {
            return Ok(*at);
        }
        let before = state.previous(key).map_err(unavailable)?;
        self.slots.push(Slot { key, before, after: None });
        self.slot_of.insert(key, self.slots.len() - 1);
        Ok(self.slots.len() - 1)
    }

    fn slot(&mut self, state: &mut dyn StateReader, key: &'a DocKey) -> Result<&Slot<'a>, CommitError> {
        let at = self.slot_index(state, key)?;
        self.slots.get(at).ok_or_else(|| unavailable(Error::internal("store.plan", "a slot is missing")))
    }

    fn body(&mut self, state: &mut dyn StateReader, key: &'a DocKey) -> Result<Option<Body>, CommitError> {
        let slot = self.slot(state, key)?;
        match &slot.after {
            Some(after) => Ok(after.as_ref().map(|written| written.body.as_ref().clone())),
            None if slot.before.is_none() => Ok(None),
            None => state.body(key).map_err(unavailable),
        }
    }

    fn replay(
        &mut self,
        state: &mut dyn StateReader,
        batch: &'a Prepared,
    ) -> Result<Option<Commit>, CommitError> {
        let Some(wanted) = &batch.replay else { return Ok(None) };
        let Some(body) = self.body(state, &wanted.key)? else { return Ok(None) };
        let record = IdempotencyRecord::read(&body).map_err(unavailable)?;
        if record.expires_at <= wanted.now {
            return Ok(None);
        }
        if record.fingerprint != wanted.fingerprint {
            return Err(CommitError::KeyReused);
        }
        let position = self.slot(state, &wanted.key)?.version().unwrap_or_default();
        Ok(Some(Commit { position, counters: Vec::new(), replayed: Some(record.response) }))
    }

    /// The documents as the batch leaves them, with counters computed.
    fn resolve(
        &mut self,
        state: &mut dyn StateReader,
        batch: &'a Prepared,
        position: Position,
    ) -> Result<(Afters<'a>, Vec<i64>), CommitError> {
        let mut afters = Vec::with_capacity(batch.writes.len());
        let mut counters = Vec::new();
        for write in &batch.writes {
            let at = self.slot_index(state, write.key())?;
            let after = match write {
                Write::Put { body, entries, .. } => {
                    Some(Written { version: position, body: Cow::Borrowed(body), entries })
                }
                Write::Delete { .. } => None,
                Write::Add { key, delta, min, max } => {
                    let value = counter(self.body(state, key)?.as_ref())?;
                    let sum = value.checked_add(*delta).filter(|sum| (min..=max).contains(&sum));
                    let Some(sum) = sum else {
                        return Err(CommitError::OutOfRange { key: key.clone(), value });
                    };
                    counters.push(sum);
                    let body = Cow::Owned(Body::Json(sum.to_string()));
                    Some(Written { version: position, body, entries: &[] })
                }
            };
            afters.push((at, after));
        }
        Ok((afters, counters))
    }

    /// The unique entries that the batch takes and gives, if no other document has what it gives.
    fn check_uniques(
        &self,
        state: &mut dyn StateReader,
        afters: &Afters<'a>,
    ) -> Result<Uniques<'a>, CommitError> {
        let mut uniques = HashMap::default();
        for slot in afters.iter().filter_map(|(at, _)| self.slots.get(*at)) {
            if self.has_unique(slot.key) {
                let freed = slot.entries().into_iter().filter(|place| self.is_unique(place.0, place.1));
                uniques.extend(freed.map(|place| (place, None)));
            }
        }
        for (at, after) in afters {
            let (Some(slot), Some(written)) = (self.slots.get(*at), after) else { continue };
            let key = slot.key;
            for entry in written.entries.iter().filter(|entry| self.is_unique(key.collection, entry.index)) {
                let place: Place<'a> = (key.collection, entry.index, Cow::Borrowed(&entry.entry));
                let free = match uniques.get(&place).or_else(|| self.uniques.get(&place)) {
                    Some(owner) => owner.is_none_or(|owner| owner == key.id),
                    None => state
                        .unique_owner(place.0, place.1, &entry.entry)
                        .map_err(unavailable)?
                        .is_none_or(|owner| owner == key.id),
                };
                if !free {
                    return Err(CommitError::Unique { collection: place.0, index: place.1 });
                }
                uniques.insert(place, Some(key.id.as_slice()));
            }
        }
        Ok(uniques)
    }

    fn has_unique(&self, key: &DocKey) -> bool {
        self.schema.collection(key.collection).is_some_and(|c| c.indexes.iter().any(|index| index.unique))
    }

    fn is_unique(&self, collection: &str, index: &str) -> bool {
        self.schema.collection(collection).and_then(|c| c.index(index)).is_some_and(|index| index.unique)
    }
}

fn unavailable(cause: Error) -> CommitError {
    CommitError::Unavailable { maybe_applied: false, cause }
}

/// The value of a counter document.
fn counter(body: Option<&Body>) -> Result<i64, CommitError> {
    let Some(body) = body else { return Ok(0) };
    std::str::from_utf8(body.as_bytes()).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
        CommitError::Invalid(Error::invalid("store.not_a_counter", "the document is not one integer"))
    })
}
