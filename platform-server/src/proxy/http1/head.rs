//! The head of an answer.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use httparse::Status;
use hyper::ext::ReasonPhrase;

use super::framing::{Framing, Framings};
use super::{FIELDS, HEAD_BYTES, Nonsense, has_end};
use crate::proxy::headers::{ADDED_TO_ANSWERS, is_hop_by_hop};

/// Interim answers (1xx) before the final one.
const INTERIM: u32 = 16;

/// The head of a final answer.
#[derive(Debug)]
pub(crate) struct Head {
    /// Status and fields, without those that end at each hop.
    pub(crate) parts: Parts,
    /// Where its body ends.
    pub(crate) framing: Framing,
    /// Whether the upstream keeps the connection after it.
    pub(crate) is_kept: bool,
}

/// Reads the head of one answer.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    /// Bytes in which it does not end.
    seen: usize,
    interim: u32,
}

/// Where a field stands in the buffer.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    name: (u32, u32),
    value: (u32, u32),
}

/// What was understood, in the terms of the buffer.
struct Lines {
    length: usize,
    status: StatusCode,
    /// If it is not the usual one.
    reason: Option<ReasonPhrase>,
    is_http_11: bool,
    fields: usize,
}

impl HeadReader {
    /// Takes the head off the buffer, with the interim answers before it; `None` when it is not whole yet.
    ///
    /// # Errors
    /// What is wrong with it: then the connection is of no use any more.
    pub(crate) fn read(
        &mut self,
        buffer: &mut BytesMut,
        is_answer_to_head: bool,
    ) -> Result<Option<Head>, Nonsense> {
        loop {
            // A head that comes in pieces is not parsed for each of them.
            if buffer.is_empty() || (self.seen > 0 && !has_end(buffer, self.seen)) {
                return self.wait(buffer);
            }
            let mut places = [Place::default(); FIELDS];
            let Some(lines) = parse(buffer, &mut places)? else { return self.wait(buffer) };
            if lines.length > HEAD_BYTES {
                return Err(Nonsense("its head is too large"));
            }
            let text = buffer.split_to(lines.length).freeze();
            self.seen = 0;
            if !lines.status.is_informational() {
                let places = places.get(..lines.fields).unwrap_or_default();
                return build(&text, lines, places, is_answer_to_head).map(Some);
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

    fn wait(&mut self, buffer: &[u8]) -> Result<Option<Head>, Nonsense> {
        self.seen = buffer.len();
        if self.seen > HEAD_BYTES { Err(Nonsense("its head is too large")) } else { Ok(None) }
    }
}

fn parse(buffer: &[u8], places: &mut [Place; FIELDS]) -> Result<Option<Lines>, Nonsense> {
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
    let at = |part: &[u8]| {
        let begin = (part.as_ptr() as usize).saturating_sub(buffer.as_ptr() as usize);
        (begin as u32, (begin + part.len()) as u32)
    };
    for (place, field) in places.iter_mut().zip(response.headers.iter()) {
        *place = Place { name: at(field.name.as_bytes()), value: at(field.value) };
    }
    Ok(Some(Lines {
        length,
        status,
        reason: reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes()).ok()),
        is_http_11: response.version == Some(1),
        fields: response.headers.len(),
    }))
}

fn build(text: &Bytes, lines: Lines, places: &[Place], is_answer_to_head: bool) -> Result<Head, Nonsense> {
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = lines.status;
    if let Some(reason) = lines.reason {
        parts.extensions.insert(reason);
    }
    let mut headers = HeaderMap::with_capacity(places.len() + ADDED_TO_ANSWERS);
    let mut framings = Framings::default();
    let mut connection = Connection { is_kept: lines.is_http_11, ..Connection::default() };
    for place in places {
        let range = |(begin, end): (u32, u32)| begin as usize..end as usize;
        let name = name(text.get(range(place.name)).unwrap_or_default())?;
        let value = HeaderValue::from_maybe_shared(text.slice(range(place.value)));
        let value = value.map_err(|_| Nonsense("it has a field that is not text"))?;
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
    Ok(Head { parts, framing, is_kept })
}

/// The name of a field. Most answers have the same few, written in one of two ways.
fn name(text: &[u8]) -> Result<HeaderName, Nonsense> {
    Ok(match text {
        b"Content-Length" | b"content-length" => header::CONTENT_LENGTH,
        b"Content-Type" | b"content-type" => header::CONTENT_TYPE,
        b"Date" | b"date" => header::DATE,
        b"Server" | b"server" => header::SERVER,
        b"Connection" | b"connection" => header::CONNECTION,
        b"Cache-Control" | b"cache-control" => header::CACHE_CONTROL,
        b"Transfer-Encoding" | b"transfer-encoding" => header::TRANSFER_ENCODING,
        _ => HeaderName::from_bytes(text).map_err(|_| Nonsense("it has a field without a name"))?,
    })
}

/// What the fields `Connection` say.
#[derive(Default)]
struct Connection {
    is_kept: bool,
    is_closed: bool,
    names: Vec<HeaderName>,
}

impl Connection {
    fn says(&mut self, value: &HeaderValue) {
        for word in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if word.eq_ignore_ascii_case(b"close") {
                self.is_closed = true;
            } else if word.eq_ignore_ascii_case(b"keep-alive") {
                self.is_kept = true;
            } else if let Ok(name) = HeaderName::from_bytes(word) {
                self.names.push(name);
            }
        }
        // Once it is to be closed, nothing keeps it.
        self.is_kept &= !self.is_closed;
    }
}
