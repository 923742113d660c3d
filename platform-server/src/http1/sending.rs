//! A message on its way: the head, and the body as it comes.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame};
use tokio::io::AsyncWrite;

use super::writing::chunk_begin;

/// Pieces of a body up to this size are copied behind what is written before them.
const COPIED_BYTES: usize = 4 * 1024;
/// What is kept of the memory for heads.
const KEPT_BYTES: usize = 8 * 1024;

/// How the length of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is none, and nothing is said of it.
    Nothing,
    /// There is none, which is said (RFC 9110, 8.6).
    Zero,
    /// So many bytes.
    Exactly(u64),
    /// In chunks.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

impl Length {
    /// Writes the field that tells it, and the end of the head.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        // Writing to a Vec does not fail.
        let _ = match self {
            Length::Exactly(length) => write!(out, "content-length: {length}\r\n\r\n"),
            Length::Chunked => out.write_all(b"transfer-encoding: chunked\r\n\r\n"),
            Length::Zero => out.write_all(b"content-length: 0\r\n\r\n"),
            Length::Nothing | Length::UntilClose => out.write_all(b"\r\n"),
        };
    }
}

/// What is to be written, in this order: `text`, `data`, `tail`.
pub(crate) struct Sending<B> {
    text: Vec<u8>,
    /// Bytes of `text` that are written.
    written: usize,
    data: Bytes,
    tail: &'static [u8],
    body: Option<B>,
    length: Length,
    /// Bytes of the body that are still to come, if that is known.
    left: Option<u64>,
    has_begun: bool,
    /// Whether anything of the body was asked for.
    is_touched: bool,
    /// Grows with every byte.
    progress: u64,
}

/// Why a message cannot be sent to its end.
#[derive(Debug)]
pub(crate) enum Unsendable {
    /// The peer takes no more.
    Peer,
    /// The rest of the body does not come.
    Body,
}

impl<B> Default for Sending<B> {
    fn default() -> Sending<B> {
        Sending {
            text: Vec::new(),
            written: 0,
            data: Bytes::new(),
            tail: b"",
            body: None,
            length: Length::Nothing,
            left: None,
            has_begun: false,
            is_touched: false,
            progress: 0,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Sending<B> {
    /// Begins a message whose head `head` writes, up to the length. Without a length there is no body.
    pub(crate) fn begin(&mut self, body: Option<B>, length: Length, head: impl FnOnce(&mut Vec<u8>)) {
        self.text.clear();
        self.text.shrink_to(KEPT_BYTES);
        (self.written, self.data, self.tail) = (0, Bytes::new(), b"");
        (self.has_begun, self.is_touched) = (false, false);
        head(&mut self.text);
        length.write(&mut self.text);
        self.body = body.filter(|_| !matches!(length, Length::Nothing | Length::Zero));
        self.length = length;
        self.left = match length {
            Length::Exactly(length) => Some(length),
            Length::Nothing | Length::Zero | Length::Chunked | Length::UntilClose => None,
        };
    }

    /// Whether all of it is written.
    pub(crate) fn is_done(&self) -> bool {
        self.body.is_none() && !self.has_more_to_write()
    }

    /// Whether it can be sent elsewhere: the peer has seen nothing of it, and the body is still whole.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.has_begun && !self.is_touched
    }

    /// Bytes that were written so far.
    pub(crate) fn progress(&self) -> u64 {
        self.progress
    }

    /// Gives the body back, when it is untouched.
    pub(crate) fn take_body(&mut self) -> Option<B> {
        self.body.take()
    }

    /// Whether something waits for the peer to take it.
    pub(crate) fn has_more_to_write(&self) -> bool {
        self.written < self.text.len() || !self.data.is_empty() || !self.tail.is_empty()
    }

    /// Writes what there is, until all of it is written.
    pub(crate) fn poll<S: AsyncWrite>(
        &mut self,
        mut stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Unsendable>> {
        loop {
            let has_body_to_come = self.body.is_some() && self.data.is_empty() && self.tail.is_empty();
            // The head waits for the beginning of its body if that is there: both go out together.
            let is_body_late = has_body_to_come && self.poll_body(cx)?.is_pending();
            if !self.has_more_to_write() {
                match &self.body {
                    _ if is_body_late => return Poll::Pending,
                    None => return Poll::Ready(Ok(())),
                    // That was a part of it without a byte.
                    Some(_) => continue,
                }
            }
            let wrote = ready!(self.poll_write(stream.as_mut(), cx)).map_err(|_| Unsendable::Peer)?;
            self.wrote(wrote);
        }
    }

    /// Takes the next piece of the body.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unsendable>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
        self.is_touched = true;
        match ready!(Pin::new(body).poll_frame(cx)) {
            Some(Ok(frame)) => self.take(frame)?,
            Some(Err(_)) => return Poll::Ready(Err(Unsendable::Body)),
            None if self.left.is_some_and(|left| left > 0) => return Poll::Ready(Err(Unsendable::Body)),
            None => {
                self.body = None;
                if self.length == Length::Chunked {
                    self.text.extend_from_slice(b"0\r\n\r\n");
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<(), Unsendable> {
        // Trailers end here: nobody has said which there would be.
        let Ok(data) = frame.into_data() else { return Ok(()) };
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.left {
            // More than was said would be taken for the next message.
            Some(left) => *left = left.checked_sub(data.len() as u64).ok_or(Unsendable::Body)?,
            None if self.length == Length::UntilClose => {}
            None => {
                chunk_begin(&mut self.text, data.len());
                self.tail = b"\r\n";
            }
        }
        if data.len() > COPIED_BYTES {
            self.data = data;
            return Ok(());
        }
        self.text.extend_from_slice(&data);
        self.text.extend_from_slice(std::mem::take(&mut self.tail));
        Ok(())
    }

    fn poll_write<S: AsyncWrite>(
        &self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let text = self.text.get(self.written..).unwrap_or_default();
        let wrote = if self.data.is_empty() && self.tail.is_empty() {
            stream.poll_write(cx, text)
        } else {
            let slices = [IoSlice::new(text), IoSlice::new(&self.data), IoSlice::new(self.tail)];
            stream.poll_write_vectored(cx, &slices)
        };
        match ready!(wrote)? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            wrote => Poll::Ready(Ok(wrote)),
        }
    }

    fn wrote(&mut self, mut count: usize) {
        self.has_begun = true;
        self.progress += count as u64;
        let of_text = count.min(self.text.len() - self.written);
        self.written += of_text;
        count -= of_text;
        let of_data = count.min(self.data.len());
        self.data.advance(of_data);
        count -= of_data;
        self.tail = self.tail.get(count..).unwrap_or_default();
        if self.written == self.text.len() {
            self.text.clear();
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::task::Waker;

    use http::HeaderMap;
    use http_body_util::StreamBody;

    #[test]
    fn parts_without_a_byte_and_trailers_do_not_end_it() {
        let frames = [
            Frame::data(Bytes::new()),
            Frame::data(Bytes::from_static(b"abc")),
            Frame::trailers(HeaderMap::new()),
        ];
        let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, Infallible>)));
        let (mut sending, mut out) = (Sending::default(), Vec::new());
        sending.begin(Some(body), Length::Chunked, |text| text.extend_from_slice(b"head\r\n"));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(sending.poll(Pin::new(&mut out), &mut cx).is_ready());
        assert!(sending.is_done());
        assert_eq!(out, b"head\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    }

    #[test]
    fn a_body_of_another_length_than_was_said_is_an_error() {
        for (length, text) in [(4, "abc"), (2, "abc")] {
            let body = http_body_util::Full::new(Bytes::from(text));
            let (mut sending, mut out) = (Sending::default(), Vec::new());
            sending.begin(Some(body), Length::Exactly(length), |_| {});
            let mut cx = Context::from_waker(Waker::noop());
            let polled = sending.poll(Pin::new(&mut out), &mut cx);
            assert!(matches!(polled, Poll::Ready(Err(Unsendable::Body))), "{length}");
        }
    }
}
