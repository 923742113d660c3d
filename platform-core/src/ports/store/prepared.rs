//! A batch, checked and encoded as far as that needs no look at stored data.
//!
//! This runs in the task of the caller, so that the one writer of a store does only what nobody else
//! can do.

use std::collections::HashSet;

use super::batch::at_most;
use super::idempotency::{self, Replay};
use super::{Batch, Body, BodyKind, Collection, CommitError, DocKey, Entry, Expect, Schema, Write};
use crate::kernel::{Error, Result, limits};

/// A batch that keeps all limits and names only what is declared; its events are encoded.
#[derive(Debug)]
pub struct Prepared {
    pub(super) expects: Vec<(DocKey, Expect)>,
    /// With the idempotency record as the last.
    pub(super) writes: Vec<Write>,
    pub(super) events: Vec<Vec<u8>>,
    pub(super) replay: Option<Replay>,
    bytes: usize,
}

impl Prepared {
    /// Checks and encodes a batch.
    ///
    /// # Errors
    /// [`CommitError::Invalid`] with `store.too_large`, `store.empty_key`, `store.undeclared`,
    /// `store.written_twice`, `store.wrong_kind`, `store.invalid_json`, `store.nul`,
    /// `store.entry_twice` or `event.too_large`.
    pub fn new(schema: &Schema, batch: Batch) -> Result<Prepared, CommitError> {
        Prepared::build(schema, batch).map_err(CommitError::Invalid)
    }

    /// The size that [`limits::BATCH_BYTES`] speaks of.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Every document that it looks at or writes; some twice.
    pub fn keys(&self) -> impl Iterator<Item = &DocKey> {
        self.expects.iter().map(|(key, _)| key).chain(self.writes.iter().map(Write::key))
    }

    /// What it writes; the record of its answer is the last.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The documents whose bodies a planner asks for: counters that it adds to, and the record of its answer.
    pub fn bodies(&self) -> impl Iterator<Item = &DocKey> {
        let counters = self.writes.iter().filter(|write| matches!(write, Write::Add { .. })).map(Write::key);
        counters.chain(self.replay.as_ref().map(|replay| &replay.key))
    }

    fn build(schema: &Schema, batch: Batch) -> Result<Prepared> {
        batch.check_limits()?;
        check_declared(schema, &batch)?;
        let events = batch.events.iter().map(|event| event.to_json()).collect::<Result<Vec<_>>>()?;
        let bytes = batch.bytes() + events.iter().map(Vec::len).sum::<usize>();
        at_most("batch", bytes, limits::BATCH_BYTES)?;
        let mut writes = batch.writes;
        let replay = match batch.idempotency {
            None => None,
            Some(record) => {
                let (replay, write) = idempotency::to_write(record)?;
                writes.push(write);
                Some(replay)
            }
        };
        Ok(Prepared { expects: batch.expects, writes, events, replay, bytes })
    }
}

fn undeclared(what: &str) -> Error {
    Error::invalid("store.undeclared", "not declared in the schema").with("what", what)
}

fn check_declared(schema: &Schema, batch: &Batch) -> Result<()> {
    for (key, _) in &batch.expects {
        if schema.collection(key.collection).is_none() {
            return Err(undeclared(key.collection));
        }
    }
    let mut seen = HashSet::new();
    for (at, write) in batch.writes.iter().enumerate() {
        // Most batches write little: to look is shorter than to hash.
        let is_repeated = if batch.writes.len() <= 8 {
            batch.writes.iter().take(at).any(|earlier| earlier.key() == write.key())
        } else {
            !seen.insert(write.key())
        };
        if is_repeated {
            return Err(Error::invalid("store.written_twice", "a batch writes a document at most once"));
        }
        check_write(schema, write)?;
    }
    Ok(())
}

fn check_write(schema: &Schema, write: &Write) -> Result<()> {
    let name = write.key().collection;
    let collection = schema.collection(name).ok_or_else(|| undeclared(name))?;
    match write {
        Write::Put { body, entries, .. } => {
            if body.kind() != collection.body {
                return Err(Error::invalid("store.wrong_kind", "the collection holds another kind of body")
                    .with("collection", name));
            }
            check_json(body)?;
            check_entries(collection, entries)?;
            Ok(())
        }
        Write::Add { .. } if collection.body != BodyKind::Json => {
            Err(Error::invalid("store.wrong_kind", "a counter stands in a collection of JSON")
                .with("collection", name))
        }
        Write::Add { .. } | Write::Delete { .. } => Ok(()),
    }
}

/// Entries of declared indexes, each once; of an index with one entry per document, one.
fn check_entries(collection: &Collection, entries: &[Entry]) -> Result<()> {
    // Many entries mostly come in order: then what repeats one stands beside it.
    let in_order = entries.is_sorted_by(|a, b| a < b);
    for (at, entry) in entries.iter().enumerate() {
        let index = collection.index(entry.index).ok_or_else(|| undeclared(entry.index))?;
        let repeats =
            |earlier: &Entry| earlier.index == entry.index && (!index.many || earlier.entry == entry.entry);
        let from = if in_order { at.saturating_sub(1) } else { 0 };
        if entries.get(from..at).unwrap_or_default().iter().any(repeats) {
            return Err(Error::invalid("store.entry_twice", "an index entry stands there twice")
                .with("index", entry.index));
        }
    }
    Ok(())
}

/// JSON must read, and `\u0000` is refused.
fn check_json(body: &Body) -> Result<()> {
    let Body::Json(text) = body else { return Ok(()) };
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map_err(|error| Error::invalid("store.invalid_json", "the body is not JSON").because(error))?;
    if !text.as_bytes().contains(&b'\\') {
        return Ok(());
    }
    let backslashes_before = |at: usize| {
        text.as_bytes().get(..at).unwrap_or_default().iter().rev().take_while(|byte| **byte == b'\\').count()
    };
    if text.match_indices("\\u0000").any(|(at, _)| backslashes_before(at) % 2 == 0) {
        return Err(Error::invalid("store.nul", "the character U+0000 cannot be stored in JSON"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_backslash_before_u0000_is_text() {
        assert!(check_json(&Body::Json(r#""\\u0000""#.into())).is_ok());
        assert_eq!(check_json(&Body::Json(r#""\u0000""#.into())).unwrap_err().code(), "store.nul");
        assert_eq!(check_json(&Body::Json(r#""\\\u0000""#.into())).unwrap_err().code(), "store.nul");
    }
}
