//! Feature flags.

mod bucketing;
mod context;
mod error;
mod rule;

pub use bucketing::Bucketing;
pub use context::{EvaluationContext, Subject};
