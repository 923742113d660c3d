//! Where the body of a message ends (RFC 9112, 6.3).

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::Nonsense;
use super::chunked::Chunks;

/// How the end of a body is told.
#[derive(Debug)]
pub(crate) enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// In chunks.
    Chunked(Chunks),
    /// The peer closes the connection.
    UntilClose,
}

/// What comes next of a body.
#[derive(Debug)]
pub(crate) enum Part {
    /// Bytes of it.
    Data(Bytes),
    /// What follows it.
    Trailers(HeaderMap),
    /// More has to be read.
    Missing,
    /// It is over.
    End,
}

impl Framing {
    /// Takes the next part off the buffer.
    ///
    /// # Errors
    /// What is wrong with the body.
    pub(crate) fn take(&mut self, buffer: &mut BytesMut) -> Result<Part, Nonsense> {
        match self {
            Framing::Length(0) => Ok(Part::End),
            Framing::Length(_) | Framing::UntilClose if buffer.is_empty() => Ok(Part::Missing),
            Framing::Length(left) => Ok(Part::Data(take_at_most(buffer, left))),
            Framing::UntilClose => Ok(Part::Data(buffer.split().freeze())),
            Framing::Chunked(chunks) => chunks.take(buffer),
        }
    }

    /// Whether the body is over when the peer closes the connection now.
    pub(crate) fn may_end_here(&self) -> bool {
        matches!(self, Framing::UntilClose | Framing::Length(0))
    }

    /// Whether all of it has been taken.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Framing::Length(left) => *left == 0,
            Framing::Chunked(chunks) => chunks.is_over(),
            Framing::UntilClose => false,
        }
    }

    /// Bytes that are left, if that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            Framing::Length(left) => Some(*left),
            Framing::Chunked(chunks) => chunks.is_over().then_some(0),
            Framing::UntilClose => None,
        }
    }
}

/// Takes what there is of `left` bytes.
pub(super) fn take_at_most(buffer: &mut BytesMut, left: &mut u64) -> Bytes {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    *left -= length as u64;
    buffer.split_to(length).freeze()
}

/// What the fields of a head say about the end of its body.
#[derive(Debug, Default)]
pub(super) struct Framings {
    length: Option<u64>,
    is_coded: bool,
    is_chunked: bool,
}

impl Framings {
    /// A field `Content-Length`; whether it is the first.
    ///
    /// # Errors
    /// It is no number, or another one than before.
    pub(super) fn length(&mut self, value: &[u8]) -> Result<bool, Nonsense> {
        let length = number(value).ok_or(Nonsense("its length is no number"))?;
        match self.length.replace(length) {
            None => Ok(true),
            Some(before) if before == length => Ok(false),
            Some(_) => Err(Nonsense("it has two lengths")),
        }
    }

    /// A field `Transfer-Encoding`.
    pub(super) fn coding(&mut self, value: &[u8]) {
        self.is_chunked = !self.is_coded && value.trim_ascii().eq_ignore_ascii_case(b"chunked");
        self.is_coded = true;
    }

    /// The framing that they say; without any the body ends with the connection.
    ///
    /// # Errors
    /// They can be understood in two ways, or name a coding other than `chunked`.
    pub(super) fn framing(&self, is_http_11: bool) -> Result<Framing, Nonsense> {
        match (self.is_coded, self.length) {
            (true, Some(_)) => Err(Nonsense("it has a length and a coding")),
            (true, None) if self.is_chunked && is_http_11 => Ok(Framing::Chunked(Chunks::default())),
            (true, None) => Err(Nonsense("its coding is not understood")),
            (false, Some(length)) => Ok(Framing::Length(length)),
            (false, None) => Ok(Framing::UntilClose),
        }
    }
}

/// A number of digits only: no sign, no list.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
