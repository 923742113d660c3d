//! How much of a body may come: the same for what is read here and for what is sent on.

use bytes::Bytes;
use http::{HeaderMap, header};
use hyper::body::Frame;
use platform_core::kernel::{Error, Result};

/// What may still come of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    limit: u64,
    left: u64,
}

impl Allowance {
    /// For the body of a request with these headers.
    ///
    /// # Errors
    /// `request.body_too_large` when it says by itself that it is above the limit.
    pub(crate) fn of(headers: &HeaderMap, limit: u64) -> Result<Allowance> {
        let allowance = Allowance { limit, left: limit };
        match declared_length(headers) {
            Some(declared) if declared > limit => Err(allowance.exceeded()),
            _ => Ok(allowance),
        }
    }

    /// Takes off what a frame brings.
    ///
    /// # Errors
    /// `request.body_too_large`.
    pub(crate) fn take(&mut self, frame: &Frame<Bytes>) -> Result<()> {
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        self.left = self.left.checked_sub(length).ok_or_else(|| self.exceeded())?;
        Ok(())
    }

    /// The error of a body above the limit.
    pub(crate) fn exceeded(&self) -> Error {
        Error::invalid("request.body_too_large", "the body is too large").with("limit", self.limit)
    }
}

/// The length that a body says it has.
fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The error of a body that did not come whole.
pub(crate) fn incomplete() -> Error {
    Error::invalid("request.incomplete_body", "the body ended early")
}
