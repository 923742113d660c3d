//! Errors as RFC 9457 problem details: the one place where an error gets an HTTP status.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use platform_core::kernel::{CorrelationId, Error, ErrorKind, Retry};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::reply::rendered;

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the code says which problem it is.
    #[serde(rename = "type")]
    pub problem_type: &'static str,
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// A sentence for people.
    pub detail: String,
    /// The stable code, `domain.what`.
    pub code: String,
    /// The request id.
    pub request_id: String,
    /// Fields that say more.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub context: Map<String, Value>,
}

/// The status of an error: of its kind, except where HTTP has a status of its own for the code.
pub fn status_of(error: &Error) -> StatusCode {
    let status = match error.code() {
        "request.method_not_allowed" => 405,
        "request.timeout" => 408,
        "request.body_too_large" => 413,
        "request.unsupported_media_type" | "request.unsupported_encoding" => 415,
        "request.expectation_failed" => 417,
        "request.misdirected" => 421,
        "request.head_too_large" => 431,
        "request.no_tunnels" => 501,
        "request.unsupported_version" => 505,
        "gateway.bad_upstream" => 502,
        "gateway.upstream_timeout" => 504,
        code if error.kind() == ErrorKind::LimitExceeded && code.ends_with(".too_large") => 413,
        _ => error.kind().http_status(),
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Renders an error. What is a fault of ours is described in the logs only.
pub(crate) fn render(error: &Error, request_id: &CorrelationId) -> Response<Bytes> {
    let status = status_of(error);
    let fault = error.kind().is_fault();
    let problem = Problem {
        problem_type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        status: status.as_u16(),
        detail: if fault {
            "a fault of ours; the request id finds it in the logs".to_owned()
        } else {
            error.message().to_owned()
        },
        code: error.code().to_owned(),
        request_id: request_id.to_string(),
        context: error
            .context()
            .filter(|_| !fault)
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect(),
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = rendered(status.as_u16(), "application/problem+json", body.into());
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Retry::After(time) = error.retry_advice() {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    } else if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(1));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn json(response: &Response<Bytes>) -> Value {
        serde_json::from_slice(response.body()).unwrap()
    }

    #[test]
    fn every_kind_has_its_status() {
        for kind in ErrorKind::ALL {
            assert_eq!(status_of(&Error::new(kind, "x.y", "z")).as_u16(), kind.http_status());
        }
    }

    #[test]
    fn a_problem_carries_code_request_id_and_context() {
        let error = Error::limit("auth.locked", "too many attempts")
            .with("account", "a")
            .retry(Retry::After(Duration::from_millis(1500)));
        let response = render(&error, &"req_1".parse().unwrap());
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            json(&response),
            serde_json::json!({
                "type": "about:blank", "title": "Too Many Requests", "status": 429, "detail": "too many attempts",
                "code": "auth.locked", "request_id": "req_1", "context": {"account": "a"}
            })
        );
    }

    #[test]
    fn a_fault_says_nothing_of_its_cause() {
        let error = Error::internal("store.broken", "disk /dev/sda is on fire").with("path", "/secret");
        let response = render(&error, &"req_1".parse().unwrap());
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        assert!(!text.contains("sda") && !text.contains("secret"), "{text}");
        assert!(text.contains("store.broken"));
    }
}
