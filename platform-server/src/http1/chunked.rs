//! Bodies in chunks (RFC 9112, 7.1).

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use httparse::Status;

use super::framing::{Part, take_at_most};
use super::{FIELDS, Nonsense, has_end, is_hop_by_hop};

/// Bytes of a line with the size of a chunk.
const LINE_BYTES: usize = 1_024;
/// Bytes of all extensions of one body: they mean nothing to us.
const EXTENSION_BYTES: usize = 16 * 1_024;
/// Bytes of the trailers.
const TRAILER_BYTES: usize = 16 * 1_024;

/// Where the next byte of a chunked body stands.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    state: State,
    /// Bytes of extensions so far.
    extensions: usize,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Size,
    /// So many bytes of a chunk are left.
    Data(u64),
    /// At the line end after a chunk.
    AfterData,
    /// In the trailers, of which so many bytes were seen.
    Trailers(usize),
    Over,
}

impl Chunks {
    /// Whether all of it has been taken.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes the next part off the buffer.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Result<Part, Nonsense> {
        loop {
            match &mut self.state {
                State::Size => {
                    let Some(size) = self.size(buffer)? else { return Ok(Part::Missing) };
                    self.state = if size == 0 { State::Trailers(0) } else { State::Data(size) };
                }
                State::Data(_) if buffer.is_empty() => return Ok(Part::Missing),
                State::Data(left) => {
                    let data = take_at_most(buffer, left);
                    if *left == 0 {
                        self.state = State::AfterData;
                    }
                    return Ok(Part::Data(data));
                }
                State::AfterData => match buffer.first_chunk::<2>() {
                    Some(b"\r\n") => {
                        buffer.advance(2);
                        self.state = State::Size;
                    }
                    Some(_) => return Err(Nonsense("a chunk is longer than it says")),
                    None => return Ok(Part::Missing),
                },
                State::Trailers(seen) => {
                    let Some(trailers) = trailers(buffer, seen)? else { return Ok(Part::Missing) };
                    self.state = State::Over;
                    if !trailers.is_empty() {
                        return Ok(Part::Trailers(trailers));
                    }
                }
                State::Over => return Ok(Part::End),
            }
        }
    }

    /// The size that the next line says.
    fn size(&mut self, buffer: &mut BytesMut) -> Result<Option<u64>, Nonsense> {
        let searched = buffer.get(..LINE_BYTES).unwrap_or(buffer);
        let Some(end) = searched.iter().position(|byte| *byte == b'\n') else {
            let is_too_long = buffer.len() >= LINE_BYTES;
            return if is_too_long { Err(Nonsense("the size of a chunk is too long")) } else { Ok(None) };
        };
        let line = searched.get(..end).and_then(|line| line.strip_suffix(b"\r"));
        let line = line.ok_or(Nonsense("a line ends without CR"))?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, extension) = line.split_at_checked(digits).unwrap_or_default();
        // Sixteen digits fit.
        if digits.is_empty() || digits.len() > 16 {
            return Err(Nonsense("the size of a chunk is no number"));
        }
        let rest = extension.trim_ascii_start();
        let is_clean = extension.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
        if !is_clean || !(rest.is_empty() || rest.starts_with(b";")) {
            return Err(Nonsense("the size of a chunk is no number"));
        }
        self.extensions += extension.len();
        if self.extensions > EXTENSION_BYTES {
            return Err(Nonsense("its chunks have too many extensions"));
        }
        let value = |byte: &u8| u64::from(char::from(*byte).to_digit(16).unwrap_or_default());
        let size = digits.iter().fold(0_u64, |size, digit| size << 4 | value(digit));
        buffer.advance(end + 1);
        Ok(Some(size))
    }
}

/// The trailers, without those that would say something about the message or the hop.
fn trailers(buffer: &mut BytesMut, seen: &mut usize) -> Result<Option<HeaderMap>, Nonsense> {
    if buffer.starts_with(b"\r\n") {
        buffer.advance(2);
        return Ok(Some(HeaderMap::new()));
    }
    if !has_end(buffer, *seen) {
        *seen = buffer.len();
        let is_too_long = buffer.len() > TRAILER_BYTES;
        return if is_too_long { Err(Nonsense("its trailers are too long")) } else { Ok(None) };
    }
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let (length, fields) = match httparse::parse_headers(buffer, &mut fields) {
        Ok(Status::Complete((length, fields))) if length <= TRAILER_BYTES => (length, fields),
        Ok(Status::Partial) => {
            *seen = buffer.len();
            return Ok(None);
        }
        _ => return Err(Nonsense("its trailers are no fields")),
    };
    let mut trailers = HeaderMap::new();
    for field in fields.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(field.value)) else {
            return Err(Nonsense("its trailers are no fields"));
        };
        if !is_hop_by_hop(name.as_str()) && !is_of_the_message(&name) {
            trailers.append(name, value);
        }
    }
    buffer.advance(length);
    Ok(Some(trailers))
}

/// What must not come after the body (RFC 9110, 6.5.1).
fn is_of_the_message(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 9] = [
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
        header::HOST,
        header::SET_COOKIE,
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::LOCATION,
    ];
    NAMES.contains(name)
}
