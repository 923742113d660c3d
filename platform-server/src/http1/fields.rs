//! The fields of a head (RFC 9112, 5).

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};

use super::Nonsense;

/// Where the fields of a head stand in the buffer.
pub(super) struct Places(Vec<Place>);

struct Place {
    name: (u32, u32),
    value: (u32, u32),
}

/// Where a part of a buffer stands in it.
pub(super) fn place_of(part: &[u8], buffer: &[u8]) -> (u32, u32) {
    let begin = (part.as_ptr() as usize).saturating_sub(buffer.as_ptr() as usize);
    (begin as u32, (begin + part.len()) as u32)
}

/// The part of a head that stands there.
pub(super) fn part_of(head: &Bytes, (begin, end): (u32, u32)) -> Bytes {
    head.slice(begin as usize..end as usize)
}

impl Places {
    /// Those of the fields that were found in `buffer`.
    pub(super) fn of(fields: &[httparse::Header<'_>], buffer: &[u8]) -> Places {
        let place = |field: &httparse::Header<'_>| Place {
            name: place_of(field.name.as_bytes(), buffer),
            value: place_of(field.value, buffer),
        };
        Places(fields.iter().map(place).collect())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The fields, which share the memory of the head.
    pub(super) fn fields<'a>(
        &'a self,
        head: &'a Bytes,
    ) -> impl Iterator<Item = Result<(HeaderName, HeaderValue), Nonsense>> + 'a {
        self.0.iter().map(|place| {
            let (begin, end) = place.name;
            let name = name(head.get(begin as usize..end as usize).unwrap_or_default())?;
            let value = HeaderValue::from_maybe_shared(part_of(head, place.value));
            Ok((name, value.map_err(|_| Nonsense("it has a field that is not text"))?))
        })
    }
}

/// The name of a field. Most heads have the same few, written in one of two ways.
fn name(text: &[u8]) -> Result<HeaderName, Nonsense> {
    Ok(match text {
        b"Host" | b"host" => header::HOST,
        b"Accept" | b"accept" => header::ACCEPT,
        b"User-Agent" | b"user-agent" => header::USER_AGENT,
        b"Authorization" | b"authorization" => header::AUTHORIZATION,
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
pub(super) struct Connection {
    /// Whether another message may follow.
    pub(super) is_kept: bool,
    is_closed: bool,
    /// What else ends at this hop.
    pub(super) names: Vec<HeaderName>,
}

impl Connection {
    /// Before any field: from HTTP/1.1 on a connection is kept.
    pub(super) fn of(is_http_11: bool) -> Connection {
        Connection { is_kept: is_http_11, ..Connection::default() }
    }

    /// One field.
    pub(super) fn says(&mut self, value: &HeaderValue) {
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
