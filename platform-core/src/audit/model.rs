//! What an entry of the audit log says.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error;
use super::leaf::Told;
use crate::kernel::{Actor, CorrelationId, Event, EventId, EventPosition, Result, Timestamp};

/// How what was attempted ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was tried and did not succeed.
    Failure,
    /// It was not allowed.
    Denied,
}

/// An entry as it stands in the log. Its leaf is the canonical JSON (RFC 8785) of these fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Its number in the log, from 0, gapless.
    pub index: u64,
    /// What it says.
    #[serde(flatten)]
    pub what: Occurrence,
}

/// What happened: an entry before it has its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Occurrence {
    /// The id of the event, or one of its own.
    pub id: EventId,
    /// When it happened.
    pub time: Timestamp,
    /// What was done: the type of the event, or what was attempted.
    pub action: String,
    /// Who did it.
    pub actor: Actor,
    /// What it was done to.
    pub subject: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The request it belongs to.
    pub correlation_id: CorrelationId,
    /// The event that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<EventId>,
    /// Where the event was published: store and position. Absent when there was no event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// How many equal occurrences this one stands for; absent for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The data of the event: personal data only sealed under the person's key.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub data: Value,
}

/// The place of an event in the store that published it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Source {
    /// The store.
    pub store: String,
    /// The commit and the index in it.
    pub position: EventPosition,
}

impl AuditEntry {
    /// The bytes that are hashed.
    ///
    /// # Errors
    /// `audit.entry_too_large` above 65,535 bytes.
    pub fn to_leaf(&self) -> Result<Vec<u8>> {
        Told::by_occurrence(&self.what).to_bytes(self.index)
    }

    /// Reads the bytes that were hashed.
    ///
    /// # Errors
    /// `audit.invalid_entry`.
    pub fn from_leaf(leaf: &[u8]) -> Result<AuditEntry> {
        serde_json::from_slice(leaf).map_err(|cause| error::invalid_entry().because(cause))
    }
}

/// Ends of event types that tell of a failure.
const FAILURES: [&str; 4] = ["_failed", "_refused", "_rejected", "_dead_lettered"];

impl Outcome {
    /// What the type of an event says.
    pub(super) fn of_type(event_type: &str) -> Outcome {
        match () {
            () if event_type.ends_with("_denied") => Outcome::Denied,
            () if FAILURES.iter().any(|end| event_type.ends_with(end)) => Outcome::Failure,
            () => Outcome::Success,
        }
    }
}

impl Occurrence {
    /// What an event tells.
    pub fn of_event(event: &Event) -> Occurrence {
        Occurrence {
            id: event.id,
            time: event.time,
            action: event.event_type.clone(),
            actor: event.actor.clone(),
            subject: event.subject.clone(),
            outcome: Outcome::of_type(&event.event_type),
            correlation_id: event.correlation_id.clone(),
            causation_id: event.causation_id,
            source: Some(Source { store: event.store.to_string(), position: event.position }),
            count: None,
            data: event.data.to_value(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::audit::tlog::ENTRY_BYTES;
    use crate::kernel::{NewEvent, RawId};

    fn entry() -> AuditEntry {
        let event = Event {
            store: "users".into(),
            position: EventPosition { commit: 42, index: 3 },
            new: Arc::new(NewEvent {
                id: EventId(RawId([1; 16])),
                event_type: "users.profile_created".into(),
                subject: "user_1".into(),
                key: "user_1".into(),
                time: Timestamp::from_secs(1_700_000_000),
                actor: Actor::System,
                correlation_id: "req_1".parse().unwrap(),
                causation_id: None,
                data: serde_json::json!({"name": "c2VhbGVk", "b": 1.50, "a": [null]}).into(),
            }),
        };
        AuditEntry { index: 7, what: Occurrence::of_event(&event) }
    }

    #[test]
    fn the_leaf_is_what_it_was() {
        assert_eq!(
            String::from_utf8(entry().to_leaf().unwrap()).unwrap(),
            r#"{"action":"users.profile_created","actor":"system","correlation_id":"req_1","data":{"a":[null],"b":1.5,"name":"c2VhbGVk"},"id":"event_01040g2081040g2081040g2081","index":7,"outcome":"success","source":{"position":"00000000000000000042.00003","store":"users"},"subject":"user_1","time":"2023-11-14T22:13:20Z"}"#
        );
    }

    #[test]
    fn a_leaf_reads_back_as_its_entry() {
        let mut entry = entry();
        assert_eq!(AuditEntry::from_leaf(&entry.to_leaf().unwrap()).unwrap(), entry);
        entry.what.source = None;
        entry.what.count = Some(9);
        entry.what.outcome = Outcome::Denied;
        entry.what.data = Value::Null;
        assert_eq!(AuditEntry::from_leaf(&entry.to_leaf().unwrap()).unwrap(), entry);
        assert_eq!(AuditEntry::from_leaf(b"{}").unwrap_err().code(), "audit.invalid_entry");
    }

    #[test]
    fn an_entry_that_does_not_fit_a_bundle_is_refused() {
        let mut entry = entry();
        entry.what.data = Value::String("x".repeat(ENTRY_BYTES));
        assert_eq!(entry.to_leaf().unwrap_err().code(), "audit.entry_too_large");
    }

    #[test]
    fn the_outcome_follows_from_the_type_of_the_event() {
        assert_eq!(Outcome::of_type("auth.login_failed"), Outcome::Failure);
        assert_eq!(Outcome::of_type("gateway.request_denied"), Outcome::Denied);
        assert_eq!(Outcome::of_type("auth.logged_in"), Outcome::Success);
    }
}
