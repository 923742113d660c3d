//! Feature flags.

mod bucketing;
mod context;
mod counts;
mod definition;
mod error;
mod ofrep;
mod rule;
mod snapshot;

pub use bucketing::Bucketing;
pub use context::{EvaluationContext, Subject};
pub use definition::{Definition, FlagState};
pub use ofrep::{BulkBody, BulkEvaluation, FlagEvaluation, FlagFailure, FlagSuccess};
pub use snapshot::{ErrorCode, Evaluation, Metadata, Reason, Snapshot};
