//! What an entry says, as the bytes that are hashed: the canonical JSON (RFC 8785) of its fields.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;
use serde_json::Value;

use super::canonical;
use super::error;
use super::model::{Occurrence, Outcome};
use super::tlog::ENTRY_BYTES;
use crate::kernel::merkle::{MerkleHash, leaf_hash};
use crate::kernel::{Actor, CorrelationId, Event, EventId, EventPosition, JsonText, Result, Timestamp};

/// What happened, borrowed from where it is told: the fields of [`Occurrence`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    id: EventId,
    pub(super) time: Timestamp,
    pub(super) action: &'a str,
    pub(super) actor: &'a Actor,
    pub(super) subject: &'a str,
    outcome: Outcome,
    correlation_id: &'a CorrelationId,
    causation_id: Option<EventId>,
    source: Option<(&'a str, EventPosition)>,
    count: Option<u64>,
    data: Data<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Data<'a> {
    Value(&'a Value),
    Text(&'a JsonText),
}

/// An entry with the bytes that are hashed.
#[derive(Debug, Clone)]
pub(super) struct Leaf<'a> {
    pub(super) index: u64,
    pub(super) told: Told<'a>,
    pub(super) bytes: Vec<u8>,
    pub(super) hash: MerkleHash,
}

impl<'a> Told<'a> {
    /// What an event tells.
    pub(super) fn by_event(event: &'a Event) -> Told<'a> {
        Told {
            id: event.id,
            time: event.time,
            action: &event.event_type,
            actor: &event.actor,
            subject: &event.subject,
            outcome: Outcome::of_type(&event.event_type),
            correlation_id: &event.correlation_id,
            causation_id: event.causation_id,
            source: Some((&event.store, event.position)),
            count: None,
            data: Data::Text(&event.data),
        }
    }

    /// What an occurrence tells.
    pub(super) fn by_occurrence(what: &'a Occurrence) -> Told<'a> {
        Told {
            id: what.id,
            time: what.time,
            action: &what.action,
            actor: &what.actor,
            subject: &what.subject,
            outcome: what.outcome,
            correlation_id: &what.correlation_id,
            causation_id: what.causation_id,
            source: what.source.as_ref().map(|source| (source.store.as_str(), source.position)),
            count: what.count,
            data: Data::Value(&what.data),
        }
    }

    /// The bytes of the entry with this number.
    ///
    /// # Errors
    /// `audit.entry_too_large` above 65,535 bytes.
    pub(super) fn to_bytes(self, index: u64) -> Result<Vec<u8>> {
        // Fields are in the order of their names, as the canonical form wants them.
        let mut out = Vec::with_capacity(640);
        field(&mut out, "{\"action\":", self.action)?;
        field(&mut out, ",\"actor\":", self.actor)?;
        if let Some(cause) = self.causation_id {
            plain_field(&mut out, ",\"causation_id\":", cause)?;
        }
        field(&mut out, ",\"correlation_id\":", self.correlation_id)?;
        if let Some(count) = self.count {
            field(&mut out, ",\"count\":", &count)?;
        }
        let before = out.len();
        out.extend_from_slice(b",\"data\":");
        match self.data {
            Data::Value(value) => canonical::write(value, &mut out),
            Data::Text(text) => canonical::write_text(text, &mut out)?,
        }
        if out.get(before..) == Some(b",\"data\":null") {
            out.truncate(before);
        }
        plain_field(&mut out, ",\"id\":", self.id)?;
        field(&mut out, ",\"index\":", &index)?;
        field(&mut out, ",\"outcome\":", &self.outcome)?;
        if let Some((store, position)) = self.source {
            plain_field(&mut out, ",\"source\":{\"position\":", position)?;
            field(&mut out, ",\"store\":", store)?;
            out.push(b'}');
        }
        field(&mut out, ",\"subject\":", self.subject)?;
        plain_field(&mut out, ",\"time\":", self.time)?;
        out.push(b'}');
        if out.len() > ENTRY_BYTES { Err(error::entry_too_large(out.len())) } else { Ok(out) }
    }
}

/// Texts and whole numbers only: `serde_json` writes them as RFC 8785 does.
fn field(out: &mut Vec<u8>, name: &str, value: &(impl Serialize + ?Sized)) -> Result<()> {
    out.extend_from_slice(name.as_bytes());
    serde_json::to_writer(out, value).map_err(|cause| error::unwritable().because(cause))
}

/// What has no character that JSON would escape: ids, times and positions.
fn plain_field(out: &mut Vec<u8>, name: &str, value: impl Display) -> Result<()> {
    out.extend_from_slice(name.as_bytes());
    write!(out, "\"{value}\"").map_err(|cause| error::unwritable().because(cause))
}

/// Numbers and encodes what is told.
pub(super) fn leaves<'a>(first: u64, told: impl IntoIterator<Item = Told<'a>>) -> Result<Vec<Leaf<'a>>> {
    (first..)
        .zip(told)
        .map(|(index, told)| {
            let bytes = told.to_bytes(index)?;
            let hash = leaf_hash(&bytes);
            Ok(Leaf { index, told, bytes, hash })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::{AuditEntry, Source};
    use crate::kernel::RawId;

    proptest! {
        #[test]
        fn a_leaf_is_the_canonical_text_of_all_fields_of_its_entry(
            texts in ["\\PC{0,12}", "\\PC{0,12}", "\\PC{0,12}", ".{0,12}"],
            numbers in any::<[u64; 3]>(),
            optional in any::<[bool; 4]>(),
        ) {
            let [action, subject, store, text] = texts;
            let [index, time, count] = numbers;
            let id = |number: u64| EventId(RawId(u128::from(number).to_be_bytes()));
            let position = EventPosition { commit: count, index: 7 };
            let what = Occurrence {
                id: id(index),
                time: Timestamp::from_micros(time % Timestamp::MAX.as_micros()),
                actor: Actor::Service(action.clone()),
                action,
                subject,
                outcome: Outcome::Denied,
                correlation_id: CorrelationId::from_raw(RawId([7; 16])),
                causation_id: optional[0].then(|| id(time)),
                source: optional[1].then_some(Source { store, position }),
                count: optional[2].then_some(count),
                data: if optional[3] { serde_json::json!({"z": text, "\u{fb33}": time, "\u{1f600}": 0.5}) } else { Value::Null },
            };
            let entry = AuditEntry { index, what };
            let all = serde_json::to_value(&entry).unwrap();
            prop_assert_eq!(String::from_utf8(entry.to_leaf().unwrap()).unwrap(), canonical::canonical(&all));
        }
    }
}
