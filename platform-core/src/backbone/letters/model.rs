//! What waits, and why.

use serde::{Deserialize, Serialize};

use crate::kernel::{DeadLetterId, Error, EventPosition, Timestamp};

/// A key whose events wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parked {
    pub(crate) store: String,
    pub(crate) partition: u16,
    pub(crate) key: String,
    /// Letters that wait.
    pub(crate) count: u64,
    /// Failures of the first letter.
    pub(crate) failures: u32,
    /// When the first is tried again; `None` when it was given up.
    pub(crate) due: Option<Timestamp>,
}

/// A waiting event, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) id: DeadLetterId,
    pub(crate) store: String,
    pub(crate) key: String,
    pub(crate) position: EventPosition,
    /// The CloudEvents form.
    pub(crate) event: serde_json::Value,
    pub(crate) parked_at: Timestamp,
    pub(crate) cause: Option<Cause>,
}

/// Why an event failed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cause {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) failed_at: Timestamp,
}

impl Cause {
    pub(crate) fn new(error: &Error, failed_at: Timestamp) -> Cause {
        Cause { code: error.code().to_owned(), message: error.message().to_owned(), failed_at }
    }
}

/// What becomes of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LetterState {
    /// It failed and is tried again by itself.
    Retrying,
    /// It failed too often: it waits for a redrive.
    Dead,
    /// An earlier event of its key has to be handled first.
    Queued,
}

/// An event that a handler could not process, or that queues behind such a one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetter {
    /// Its id.
    pub id: DeadLetterId,
    /// The handler.
    pub handler: String,
    /// The store that published the event.
    pub store: String,
    /// The key whose events wait.
    pub key: String,
    /// The event's place in its store.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub position: EventPosition,
    /// What becomes of it.
    pub state: LetterState,
    /// How often it failed; 0 while it is queued.
    pub attempts: u32,
    /// Code of the last failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The last failure in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// When it failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Timestamp>,
    /// When it is tried again by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// When it was put here.
    pub parked_at: Timestamp,
    /// The event in CloudEvents form.
    pub event: serde_json::Value,
}

impl DeadLetter {
    /// A letter as it is shown.
    pub(super) fn new(handler: &str, parked: &Parked, letter: Letter, is_first: bool) -> DeadLetter {
        let state = match (is_first, parked.due) {
            (false, _) => LetterState::Queued,
            (true, Some(_)) => LetterState::Retrying,
            (true, None) => LetterState::Dead,
        };
        let (error_code, error_message, failed_at) = match letter.cause {
            Some(cause) => (Some(cause.code), Some(cause.message), Some(cause.failed_at)),
            None => (None, None, None),
        };
        DeadLetter {
            id: letter.id,
            handler: handler.to_owned(),
            store: letter.store,
            key: letter.key,
            position: letter.position,
            state,
            attempts: if is_first { parked.failures } else { 0 },
            error_code,
            error_message,
            failed_at,
            retry_at: parked.due.filter(|_| is_first),
            parked_at: letter.parked_at,
            event: letter.event,
        }
    }
}
