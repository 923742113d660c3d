//! A request on its way to the upstream: the head, and the body as it comes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::Method;
use hyper::body::{Body, Frame};
use tokio::io::AsyncWrite;

use super::body::RequestBody;
use super::http1::{Length, chunk_begin};

/// Pieces of a body up to this size are copied behind what is written before them.
const COPIED_BYTES: usize = 4 * 1024;
/// What is kept of the memory for heads.
const KEPT_BYTES: usize = 8 * 1024;

/// What is to be written, in this order: `text`, `data`, `tail`.
#[derive(Default)]
pub(super) struct Sending {
    text: Vec<u8>,
    /// Bytes of `text` that are written.
    written: usize,
    data: Bytes,
    tail: &'static [u8],
    body: Option<RequestBody>,
    /// Bytes of the body that are still to come, if that is known.
    left: Option<u64>,
    has_begun: bool,
    /// Whether anything of the body was asked for.
    is_touched: bool,
    /// Grows with every byte.
    progress: u64,
}

/// Why a request cannot be sent to its end.
#[derive(Debug)]
pub(super) enum Unsendable {
    /// The upstream takes no more.
    Upstream,
    /// The client does not send the rest.
    Client,
}

impl Sending {
    /// Begins a request whose head `head` writes, up to the length.
    pub(super) fn begin(
        &mut self,
        method: &Method,
        body: Option<RequestBody>,
        head: impl FnOnce(&mut Vec<u8>),
    ) {
        self.text.clear();
        self.text.shrink_to(KEPT_BYTES);
        (self.written, self.data, self.tail) = (0, Bytes::new(), b"");
        (self.has_begun, self.is_touched) = (false, false);
        let body = body.filter(|body| !body.is_end_stream());
        let length = match &body {
            None => Length::Nothing,
            Some(body) => body.size_hint().exact().map_or(Length::Chunked, Length::Exactly),
        };
        head(&mut self.text);
        length.write(&mut self.text, method);
        self.body = body;
        self.left = match length {
            Length::Exactly(length) => Some(length),
            Length::Nothing | Length::Chunked => None,
        };
    }

    /// Whether all of it is written.
    pub(super) fn is_done(&self) -> bool {
        self.body.is_none() && !self.has_more_to_write()
    }

    /// Whether it can be sent elsewhere: the upstream has seen nothing of it, and the body is still whole.
    pub(super) fn is_untouched(&self) -> bool {
        !self.has_begun && !self.is_touched
    }

    /// Bytes that were written so far.
    pub(super) fn progress(&self) -> u64 {
        self.progress
    }

    /// Gives the body back, when it is untouched.
    pub(super) fn take_body(&mut self) -> Option<RequestBody> {
        self.body.take()
    }

    /// Whether something waits for the upstream to take it.
    pub(super) fn has_more_to_write(&self) -> bool {
        self.written < self.text.len() || !self.data.is_empty() || !self.tail.is_empty()
    }

    /// Writes what there is, until all of it is written.
    pub(super) fn poll<S: AsyncWrite>(
        &mut self,
        mut stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Unsendable>> {
        loop {
            let has_body_to_come = self.body.is_some() && self.data.is_empty() && self.tail.is_empty();
            // The head waits for the beginning of its body if that is there: both go out together.
            let is_client_late = has_body_to_come && self.poll_body(cx)?.is_pending();
            if !self.has_more_to_write() {
                return if is_client_late { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
            let wrote = ready!(self.poll_write(stream.as_mut(), cx)).map_err(|_| Unsendable::Upstream)?;
            self.wrote(wrote);
        }
    }

    /// Takes the next piece of the body.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unsendable>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
        self.is_touched = true;
        match ready!(Pin::new(body).poll_frame(cx)) {
            Some(Ok(frame)) => self.take(frame)?,
            Some(Err(_)) => return Poll::Ready(Err(Unsendable::Client)),
            None if self.left.is_some_and(|left| left > 0) => return Poll::Ready(Err(Unsendable::Client)),
            None => {
                self.body = None;
                if self.left.is_none() {
                    self.text.extend_from_slice(b"0\r\n\r\n");
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<(), Unsendable> {
        // Trailers end here: the client has not said which there would be.
        let Ok(data) = frame.into_data() else { return Ok(()) };
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.left {
            // More than was said would be taken for the next request.
            Some(left) => *left = left.checked_sub(data.len() as u64).ok_or(Unsendable::Client)?,
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
