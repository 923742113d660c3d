//! What a handler gives back.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use platform_core::kernel::{Error, Result};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::Operation;

/// Something that renders as a response.
pub trait Reply: Send + 'static {
    /// Adds it to the OpenAPI document.
    fn describe(operation: &mut Operation);

    /// Renders it.
    ///
    /// # Errors
    /// `request.unrenderable`: a fault of ours.
    fn into_response(self) -> Result<Response<Bytes>>;
}

/// A JSON reply with a fixed status.
pub struct JsonReply<T, const STATUS: u16> {
    value: T,
    headers: Vec<(HeaderName, String)>,
}

/// 200 with JSON.
pub type Json<T> = JsonReply<T, 200>;
/// 201 with JSON.
pub type Created<T> = JsonReply<T, 201>;
/// 202 with JSON.
pub type Accepted<T> = JsonReply<T, 202>;

impl<T, const STATUS: u16> JsonReply<T, STATUS> {
    /// Replies with a value.
    pub fn new(value: T) -> Self {
        JsonReply { value, headers: Vec::new() }
    }

    /// Adds the version as ETag.
    #[must_use]
    pub fn etag(self, version: u64) -> Self {
        self.header(header::ETAG, format!("\"{version}\""))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl<T: Serialize + ToSchema + Send + 'static, const STATUS: u16> Reply for JsonReply<T, STATUS> {
    fn describe(operation: &mut Operation) {
        operation.reply::<T>(STATUS, "application/json");
    }

    fn into_response(self) -> Result<Response<Bytes>> {
        let body = serde_json::to_vec(&self.value).map_err(|error| unrenderable().because(error))?;
        let mut response = rendered(STATUS, "application/json", body.into());
        for (name, value) in self.headers {
            let value = HeaderValue::try_from(value).map_err(|error| unrenderable().because(error))?;
            response.headers_mut().insert(name, value);
        }
        Ok(response)
    }
}

/// 204.
pub struct NoContent;

impl Reply for NoContent {
    fn describe(operation: &mut Operation) {
        operation.empty_reply(204);
    }

    fn into_response(self) -> Result<Response<Bytes>> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }
}

/// 200 with plain text.
pub struct Text(pub String);

impl Reply for Text {
    fn describe(operation: &mut Operation) {
        operation.reply::<String>(200, "text/plain; charset=utf-8");
    }

    fn into_response(self) -> Result<Response<Bytes>> {
        Ok(rendered(200, "text/plain; charset=utf-8", self.0.into()))
    }
}

/// 200 with metrics in OpenMetrics' text format.
pub struct OpenMetrics(pub Bytes);

impl OpenMetrics {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

impl Reply for OpenMetrics {
    fn describe(operation: &mut Operation) {
        operation.reply::<String>(200, OpenMetrics::TYPE);
    }

    fn into_response(self) -> Result<Response<Bytes>> {
        Ok(rendered(200, OpenMetrics::TYPE, self.0))
    }
}

/// A response as it is, in a format that somebody else has fixed.
pub struct Raw(pub Response<Bytes>);

impl Reply for Raw {
    fn describe(operation: &mut Operation) {
        operation.reply::<serde_json::Value>(200, "application/json");
    }

    fn into_response(self) -> Result<Response<Bytes>> {
        Ok(self.0)
    }
}

/// A response with a status, a content type and a body.
pub(crate) fn rendered(status: u16, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn unrenderable() -> Error {
    Error::internal("request.unrenderable", "the reply could not be rendered")
}
