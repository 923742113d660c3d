//! A whole answer in pieces of any length, for tests.

use bytes::BytesMut;
use http::HeaderMap;

use super::{Answer, AnswerReader, Nonsense, Part};

/// What was understood of an answer.
#[derive(Debug)]
pub(crate) struct Whole {
    /// Status and fields.
    pub(crate) head: Answer,
    /// All data.
    pub(crate) body: Vec<u8>,
    /// What came after it.
    pub(crate) trailers: HeaderMap,
    /// Whether the body is over, be it that the upstream closes now.
    pub(crate) is_over: bool,
    /// What does not belong to the answer.
    pub(crate) rest: Vec<u8>,
}

/// Reads what an upstream sent in `pieces`; `None` when the head is not whole.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    is_answer_to_head: bool,
) -> Result<Option<Whole>, Nonsense> {
    let (mut buffer, mut reader) = (BytesMut::new(), AnswerReader::default());
    let mut whole: Option<Whole> = None;
    for piece in pieces {
        buffer.extend_from_slice(piece);
        if whole.is_none() {
            let head = reader.read(&mut buffer, is_answer_to_head)?;
            let fresh = |head| Whole {
                head,
                body: Vec::new(),
                trailers: HeaderMap::new(),
                is_over: false,
                rest: Vec::new(),
            };
            whole = head.map(fresh);
        }
        let Some(whole) = &mut whole else { continue };
        loop {
            match whole.head.framing.take(&mut buffer)? {
                Part::Data(data) => whole.body.extend_from_slice(&data),
                Part::Trailers(trailers) => whole.trailers = trailers,
                Part::Missing | Part::End => break,
            }
        }
    }
    if let Some(whole) = &mut whole {
        whole.is_over = whole.head.framing.is_over() || whole.head.framing.may_end_here();
        whole.rest = buffer.to_vec();
    }
    Ok(whole)
}
