//! HTTP/1.1, as it is spoken with clients and with upstreams. What others say is read strictly: where one reader
//! could see one message and another reader two, the message is refused (RFC 9112, 6.3 and 11.2).
//!
//! Nothing here knows a socket.

mod answer;
mod chunked;
mod fields;
mod framing;
mod input;
mod request;
mod sending;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod whole;
mod writing;

use std::fmt;

use http::HeaderValue;

pub(crate) use answer::{Answer, AnswerReader};
pub(crate) use framing::{Framing, Part};
pub(crate) use input::Input;
pub(crate) use request::{ClientRequest, RequestReader};
pub(crate) use sending::{Length, Sending, Unsendable};
pub(crate) use writing::{Target, write_field, write_request_line, write_status_line};

/// Fields of a head or of trailers, at most.
const FIELDS: usize = 100;

/// What a peer says that is not HTTP/1.1, or could be understood in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonsense(pub(crate) &'static str);

impl fmt::Display for Nonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Nonsense {}

/// The words behind a status, where they are not the usual ones: an extension of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Reason(HeaderValue);

/// Ends at each hop (RFC 9110, 7.6.1), and what `Connection` names besides.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "proxy-authorization"
    )
}

/// Whether a block of lines ends in a buffer of which `seen` bytes were looked at before: at an empty line.
fn has_end(buffer: &[u8], seen: usize) -> bool {
    // The empty line may have begun in what was seen.
    let new = buffer.get(seen.saturating_sub(3)..).unwrap_or_default();
    new.windows(2).any(|two| two == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n")
}
