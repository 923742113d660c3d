//! The request, as it is written.

use std::borrow::Cow;
use std::io::Write;

use http::Method;

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

/// How the length of a request's body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is none.
    Nothing,
    /// So many bytes.
    Exactly(u64),
    /// In chunks.
    Chunked,
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

impl Length {
    /// Writes the field that tells it, and the end of the head.
    pub(crate) fn write(self, out: &mut Vec<u8>, method: &Method) {
        // Writing to a Vec does not fail.
        let _ = match self {
            Length::Exactly(length) => write!(out, "content-length: {length}\r\n\r\n"),
            Length::Chunked => out.write_all(b"transfer-encoding: chunked\r\n\r\n"),
            // Where a body is expected, its absence is said (RFC 9110, 8.6).
            Length::Nothing if matches!(*method, Method::POST | Method::PUT | Method::PATCH) => {
                out.write_all(b"content-length: 0\r\n\r\n")
            }
            Length::Nothing => out.write_all(b"\r\n"),
        };
    }
}

/// Writes the line before a chunk of so many bytes.
pub(crate) fn chunk_begin(out: &mut Vec<u8>, length: usize) {
    let _ = write!(out, "{length:x}\r\n");
}
