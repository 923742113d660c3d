//! HTTP/1.1 as it is spoken with upstreams. What an upstream says is read strictly: where one reader could see one
//! answer and another reader two, the answer is refused (RFC 9112, 6.3 and 11.2).
//!
//! Nothing here reads or writes a socket.

mod chunked;
mod framing;
mod head;
mod request;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod whole;

use std::fmt;

pub(crate) use framing::{Framing, Part};
pub(crate) use head::{Head, HeadReader};
pub(super) use request::{Length, Target, chunk_begin, write_field, write_request_line};

/// Bytes of the head of an answer, at most.
pub(super) const HEAD_BYTES: usize = 64 * 1024;
/// Fields of a head or of trailers, at most.
const FIELDS: usize = 100;

/// What an upstream says that is not HTTP/1.1, or could be understood in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonsense(pub(super) &'static str);

impl fmt::Display for Nonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Nonsense {}

/// Whether a block of lines ends in a buffer of which `seen` bytes were looked at before: at an empty line.
fn has_end(buffer: &[u8], seen: usize) -> bool {
    // The empty line may have begun in what was seen.
    let new = buffer.get(seen.saturating_sub(3)..).unwrap_or_default();
    new.windows(2).any(|two| two == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n")
}
