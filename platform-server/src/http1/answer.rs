//! The head of an answer.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use httparse::Status;

use super::fields::{Connection, Places};
use super::framing::{Framing, Framings};
use super::{FIELDS, Nonsense, Reason, has_end, is_hop_by_hop};

/// Bytes of the head of an answer, at most.
pub(super) const HEAD_BYTES: usize = 64 * 1024;
/// So many fields are usually added to an answer.
const ADDED: usize = 4;
/// Interim answers (1xx) before the final one.
const INTERIM: u32 = 16;

/// The head of a final answer of an upstream.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status and fields, without those that end at each hop.
    pub(crate) parts: Parts,
    /// Where its body ends.
    pub(crate) framing: Framing,
    /// Whether the upstream keeps the connection after it.
    pub(crate) is_kept: bool,
}

/// Reads the head of one answer.
#[derive(Debug, Default)]
pub(crate) struct AnswerReader {
    /// Bytes in which it does not end.
    seen: usize,
    interim: u32,
}

/// What was understood, in the terms of the buffer.
struct Lines {
    length: usize,
    status: StatusCode,
    /// If it is not the usual one.
    reason: Option<Reason>,
    is_http_11: bool,
    fields: Places,
}

impl AnswerReader {
    /// Takes the head off the buffer, with the interim answers before it; `None` when it is not whole yet.
    ///
    /// # Errors
    /// What is wrong with it: then the connection is of no use any more.
    pub(crate) fn read(
        &mut self,
        buffer: &mut BytesMut,
        is_answer_to_head: bool,
    ) -> Result<Option<Answer>, Nonsense> {
        loop {
            // A head that comes in pieces is not parsed for each of them.
            if buffer.is_empty() || (self.seen > 0 && !has_end(buffer, self.seen)) {
                return self.wait(buffer);
            }
            let Some(lines) = parse(buffer)? else { return self.wait(buffer) };
            if lines.length > HEAD_BYTES {
                return Err(Nonsense("its head is too large"));
            }
            let text = buffer.split_to(lines.length).freeze();
            self.seen = 0;
            if !lines.status.is_informational() {
                return build(&text, lines, is_answer_to_head).map(Some);
            }
            // Nobody asked for another protocol.
            if lines.status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(Nonsense("it changes the protocol"));
            }
            self.interim += 1;
            if self.interim > INTERIM {
                return Err(Nonsense("it has too many interim answers"));
            }
        }
    }

    fn wait(&mut self, buffer: &[u8]) -> Result<Option<Answer>, Nonsense> {
        self.seen = buffer.len();
        if self.seen > HEAD_BYTES { Err(Nonsense("its head is too large")) } else { Ok(None) }
    }
}

fn parse(buffer: &[u8]) -> Result<Option<Lines>, Nonsense> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut response = httparse::Response::new(&mut []);
    // Its rules: no folded lines, no space before the colon, no CR that stands alone, no NUL.
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        buffer,
        &mut fields,
    );
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Nonsense("it has too many fields")),
        Err(_) => return Err(Nonsense("it is no HTTP/1")),
    };
    let status = StatusCode::from_u16(response.code.unwrap_or_default());
    let status = status.map_err(|_| Nonsense("it has no status"))?;
    let reason =
        response.reason.filter(|reason| !reason.is_empty() && Some(*reason) != status.canonical_reason());
    Ok(Some(Lines {
        length,
        status,
        reason: reason.and_then(|reason| HeaderValue::from_str(reason).ok()).map(Reason),
        is_http_11: response.version == Some(1),
        fields: Places::of(response.headers, buffer),
    }))
}

fn build(text: &Bytes, lines: Lines, is_answer_to_head: bool) -> Result<Answer, Nonsense> {
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = lines.status;
    if let Some(reason) = lines.reason {
        parts.extensions.insert(reason);
    }
    let mut headers = HeaderMap::with_capacity(lines.fields.len() + ADDED);
    let mut framings = Framings::default();
    let mut connection = Connection::of(lines.is_http_11);
    for field in lines.fields.fields(text) {
        let (name, value) = field?;
        if name == header::CONTENT_LENGTH {
            // Said twice in the same way, it is said once.
            if framings.length(value.as_bytes())? {
                headers.append(name, value);
            }
        } else if name == header::TRANSFER_ENCODING {
            framings.coding(value.as_bytes());
        } else if name == header::CONNECTION {
            connection.says(&value);
        } else if !is_hop_by_hop(name.as_str()) {
            headers.append(name, value);
        }
    }
    for name in &connection.names {
        headers.remove(name);
    }
    parts.headers = headers;
    let has_no_body = is_answer_to_head
        || lines.status == StatusCode::NO_CONTENT
        || lines.status == StatusCode::NOT_MODIFIED;
    let framing = framings.framing(lines.is_http_11)?;
    let framing = if has_no_body { Framing::Length(0) } else { framing };
    let is_kept = connection.is_kept && !matches!(framing, Framing::UntilClose);
    Ok(Answer { parts, framing, is_kept })
}
