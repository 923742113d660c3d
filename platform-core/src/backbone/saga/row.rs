//! A running saga, as its owner's store remembers it.

use serde::{Deserialize, Serialize};

use crate::kernel::{CorrelationId, Timestamp};
use crate::ports::store::{Collection, Document, Entry, Index, KeyWriter};

/// Where a saga stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its steps are done one after the other.
    Forward,
    /// A step failed: those before it are undone one after the other.
    Backward,
    /// All steps are done.
    Done,
    /// What had been done is undone.
    Compensated,
}

/// A saga's progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Its kind.
    pub saga: String,
    /// Its id within its kind.
    pub id: String,
    /// What its steps know.
    pub state: serde_json::Value,
    /// Where it stands.
    pub phase: Phase,
    /// Steps that are done; going backward: steps that are still to be undone.
    pub steps: usize,
    /// Failures of the present step.
    pub failures: u32,
    /// Code of the error that turned it around.
    pub error_code: Option<String>,
    /// When its next step is due; `None` when it has ended.
    pub due: Option<Timestamp>,
    /// When it was started.
    pub started_at: Timestamp,
    /// The request that started it.
    pub correlation_id: CorrelationId,
}

pub(super) const BY_DUE: &str = "by_due";

impl Document for Progress {
    const COLLECTION: Collection =
        Collection::json("sagas").indexed(&[Index::one(BY_DUE)], Progress::reindex_body);

    fn id(&self) -> Vec<u8> {
        Progress::id_of(&self.saga, &self.id)
    }

    fn entries(&self) -> Vec<Entry> {
        let entry = |due| Entry::new(BY_DUE, KeyWriter::new().text(&self.saga).time(due).finish());
        self.due.map(entry).into_iter().collect()
    }
}

impl Progress {
    pub(super) fn new(
        saga: &str,
        id: &str,
        state: serde_json::Value,
        now: Timestamp,
        correlation_id: CorrelationId,
    ) -> Progress {
        Progress {
            saga: saga.to_owned(),
            id: id.to_owned(),
            state,
            phase: Phase::Forward,
            steps: 0,
            failures: 0,
            error_code: None,
            due: Some(now),
            started_at: now,
            correlation_id,
        }
    }

    pub(super) fn id_of(saga: &str, id: &str) -> Vec<u8> {
        KeyWriter::new().text(saga).text(id).finish()
    }
}
