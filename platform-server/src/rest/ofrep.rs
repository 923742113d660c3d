//! OpenFeature Remote Evaluation Protocol, 0.3.0. Its answers have its own form, errors included, so that
//! every OpenFeature client reads them.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use platform_core::flags::{ErrorCode, EvaluationContext, FlagEvaluation, FlagFailure, FlagSuccess};
use platform_core::kernel::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::extract::{Extract, Received};
use super::openapi::Operation;
use super::reply::{Reply, rendered};
use super::{Access, Call, Endpoint, Path, headers, json};

/// The endpoints of OFREP.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/ofrep/v1/evaluate/flags/{key}", Access::SignedIn, "Evaluates a flag", evaluate),
        Endpoint::post("/ofrep/v1/evaluate/flags", Access::SignedIn, "Evaluates all flags", evaluate_all),
    ]
}

/// The body of a request. What else stands in it is for other servers.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct EvaluationRequest {
    /// `targetingKey` and attributes.
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Option<Value>,
}

/// The context that a request has, or what is wrong with it: to be told in the protocol's own form.
struct Asked {
    context: std::result::Result<EvaluationContext, ErrorCode>,
    known: Option<String>,
}

impl Extract for Asked {
    fn describe(operation: &mut Operation) {
        operation.body::<EvaluationRequest>();
        operation.header_parameter("If-None-Match", "the ETag of the evaluations that the client has");
    }

    fn extract(received: &Received) -> Result<Self> {
        let known = received.headers.get(header::IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
        Ok(Asked { context: context(&received.headers, &received.body), known: known.map(str::to_owned) })
    }
}

fn context(received: &HeaderMap, body: &Bytes) -> std::result::Result<EvaluationContext, ErrorCode> {
    let request = match body.as_ref() {
        [] => EvaluationRequest::default(),
        body => {
            headers::require_json(received).map_err(|_| ErrorCode::ParseError)?;
            json::parse(body).map_err(|_| ErrorCode::ParseError)?
        }
    };
    match request.context {
        None => Ok(EvaluationContext::default()),
        Some(context) => EvaluationContext::from_json(context).map_err(|_| ErrorCode::InvalidContext),
    }
}

/// An answer in the protocol's form.
struct Ofrep {
    status: StatusCode,
    etag: Option<String>,
    body: Bytes,
}

impl Ofrep {
    fn new(status: StatusCode, body: &impl Serialize) -> Result<Ofrep> {
        let body = serde_json::to_vec(body).map_err(|error| {
            Error::internal("request.unrenderable", "the reply could not be rendered").because(error)
        })?;
        Ok(Ofrep { status, etag: None, body: body.into() })
    }
}

impl Reply for Ofrep {
    fn describe(operation: &mut Operation) {
        operation.reply::<Value>(200, "application/json");
    }

    fn into_response(self) -> Result<Response<Bytes>> {
        let mut response = rendered(self.status.as_u16(), "application/json", self.body);
        if self.status == StatusCode::NOT_MODIFIED {
            response.headers_mut().remove(header::CONTENT_TYPE);
        }
        if let Some(tag) = self.etag.and_then(|tag| HeaderValue::try_from(tag).ok()) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        Ok(response)
    }
}

async fn evaluate(call: Call, Path(key): Path<String>, asked: Asked) -> Result<Ofrep> {
    let evaluation = match asked.context {
        Ok(context) => call.platform().flags().evaluate(&call.context, &key, &context)?,
        Err(code) => FlagEvaluation::failure(&key, code),
    };
    let status = match &evaluation {
        FlagEvaluation::Success(FlagSuccess { .. }) => StatusCode::OK,
        FlagEvaluation::Failure(FlagFailure { error_code: ErrorCode::FlagNotFound, .. }) => {
            StatusCode::NOT_FOUND
        }
        FlagEvaluation::Failure(_) => StatusCode::BAD_REQUEST,
    };
    Ofrep::new(status, &evaluation)
}

/// Why there are no evaluations at all.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BulkFailure {
    error_code: ErrorCode,
    error_details: &'static str,
}

async fn evaluate_all(call: Call, asked: Asked) -> Result<Ofrep> {
    let context = match asked.context {
        Ok(context) => context,
        Err(error_code) => {
            let failure = BulkFailure { error_code, error_details: "the context cannot be used" };
            return Ofrep::new(StatusCode::BAD_REQUEST, &failure);
        }
    };
    let bulk = call.platform().flags().evaluate_all(&call.context, &context, asked.known.as_deref())?;
    let etag = Some(bulk.etag);
    match bulk.body {
        Some(body) => Ok(Ofrep { etag, ..Ofrep::new(StatusCode::OK, &body)? }),
        None => Ok(Ofrep { status: StatusCode::NOT_MODIFIED, etag, body: Bytes::new() }),
    }
}
