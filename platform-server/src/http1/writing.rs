//! Heads, as they are written.

use std::borrow::Cow;
use std::io::Write;

use http::response::Parts;
use http::{Method, Version};

use super::Reason;

/// What the request line asks for.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    /// What the upstream's address says stands before the path.
    pub(crate) base: &'a str,
    /// The path, in its canonical form.
    pub(crate) path: Cow<'a, str>,
    /// What stands after `?`.
    pub(crate) query: Option<&'a str>,
}

impl Target<'_> {
    /// Whether it can stand in a request line: nothing in it ends the line or a part of it.
    pub(crate) fn is_one_word(&self) -> bool {
        let is_plain = |text: &str| text.bytes().all(|byte| byte > b' ' && byte != 0x7f);
        is_plain(&self.path) && self.query.is_none_or(is_plain)
    }
}

/// Writes the request line.
pub(crate) fn write_request_line(out: &mut Vec<u8>, method: &Method, target: &Target<'_>) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.base.as_bytes());
    out.extend_from_slice(target.path.as_bytes());
    if let Some(query) = target.query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Writes a field. A `HeaderName` and a `HeaderValue` hold nothing that ends a line.
pub(crate) fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes the status line.
pub(crate) fn write_status_line(out: &mut Vec<u8>, version: Version, parts: &Parts) {
    let reason = match parts.extensions.get::<Reason>() {
        Some(Reason(reason)) => reason.as_bytes(),
        None => parts.status.canonical_reason().unwrap_or_default().as_bytes(),
    };
    out.extend_from_slice(if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(parts.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// Writes the line before a chunk of so many bytes.
pub(super) fn chunk_begin(out: &mut Vec<u8>, length: usize) {
    // Writing to a Vec does not fail.
    let _ = write!(out, "{length:x}\r\n");
}
