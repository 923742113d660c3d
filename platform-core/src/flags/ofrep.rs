//! Evaluations as OFREP 0.3.0 has them, without HTTP: a shell only prints them.

use aws_lc_rs::digest::{Context as Digest, SHA256};
use serde::Serialize;
use serde_json::Value as Json;

use super::bucketing::write_canonical;
use super::context::EvaluationContext;
use super::snapshot::{ErrorCode, Evaluation, Metadata, Reason, Snapshot};

/// What an evaluation gave, or why it gave nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum FlagEvaluation {
    /// It gave something.
    Success(FlagSuccess),
    /// It gave nothing.
    Failure(FlagFailure),
}

/// A successful evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FlagSuccess {
    /// The flag.
    pub key: String,
    /// The value; absent when the caller's own default applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// Why.
    pub reason: Reason,
    /// The variant; empty without a value, never absent: clients index it.
    pub variant: String,
    /// What is said besides.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: Metadata,
}

/// A failed evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct FlagFailure {
    /// The flag.
    pub key: String,
    /// Why.
    pub error_code: ErrorCode,
    /// Why, as a sentence; never absent: clients index it.
    pub error_details: String,
}

/// All flags for one context.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkEvaluation {
    /// The tag of set and context, quoted: equal tags mean equal evaluations.
    pub etag: String,
    /// The evaluations; `None` when the caller has the ones of this tag.
    pub body: Option<BulkBody>,
}

/// The body of a bulk evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkBody {
    /// Every flag, in the order of keys.
    pub flags: Vec<FlagEvaluation>,
    /// The metadata of the set.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: Metadata,
}

impl FlagEvaluation {
    fn of(key: &str, result: Result<Evaluation<'_>, ErrorCode>) -> FlagEvaluation {
        match result {
            Ok(evaluation) => FlagEvaluation::Success(FlagSuccess {
                key: key.to_owned(),
                value: evaluation.value.cloned(),
                reason: evaluation.reason,
                variant: evaluation.variant.unwrap_or_default().to_owned(),
                metadata: evaluation.metadata.clone(),
            }),
            Err(code) => FlagEvaluation::failure(key, code),
        }
    }

    /// A failure with its usual sentence.
    pub fn failure(key: &str, error_code: ErrorCode) -> FlagEvaluation {
        let details = match error_code {
            ErrorCode::FlagNotFound => "there is no such flag",
            ErrorCode::ParseError => "the rule of the flag is broken or names no variant",
            ErrorCode::InvalidContext => "the context cannot be used",
            ErrorCode::General => "the rule takes too long for this context",
        };
        FlagEvaluation::Failure(FlagFailure {
            key: key.to_owned(),
            error_code,
            error_details: details.to_owned(),
        })
    }
}

impl Snapshot {
    /// Evaluates one flag.
    pub fn evaluate_one(&self, key: &str, context: &EvaluationContext, now_s: u64) -> FlagEvaluation {
        let subject = context.subject();
        FlagEvaluation::of(key, self.evaluate(key, &subject, now_s))
    }

    /// Evaluates all flags, unless the caller has the evaluations of the same tag (`known`, as in
    /// `If-None-Match`).
    pub fn evaluate_all(
        &self,
        context: &EvaluationContext,
        known: Option<&str>,
        now_s: u64,
    ) -> BulkEvaluation {
        let etag = self.etag(context, now_s);
        if known.is_some_and(|known| matches(known, &etag)) {
            return BulkEvaluation { etag, body: None };
        }
        let flags = self.keys().map(|key| self.evaluate_one(key, context, now_s)).collect();
        BulkEvaluation { etag, body: Some(BulkBody { flags, metadata: self.metadata().clone() }) }
    }

    /// The hash of revision and canonical context; where rules ask for the time, also of what they give now.
    fn etag(&self, context: &EvaluationContext, now_s: u64) -> String {
        let mut digest = Digest::new(&SHA256);
        digest.update(&self.revision().to_be_bytes());
        write_canonical(context.as_json(), &mut |bytes| digest.update(bytes));
        let subject = context.subject();
        for (_, variant) in self.choices_by_time(&subject, now_s) {
            digest.update(&variant.map_or(u64::MAX, |index| index as u64).to_be_bytes());
        }
        let hash = digest.finish();
        let half = hash.as_ref().first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes));
        format!("\"{half:032x}\"")
    }
}

/// Whether an `If-None-Match` has a tag (weak comparison, RFC 9110, 13.1.2).
fn matches(known: &str, etag: &str) -> bool {
    known.trim() == "*" || known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)
}
