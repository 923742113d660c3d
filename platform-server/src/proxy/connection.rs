//! One connection to an upstream. It runs within the request that uses it: no task of its own means that nothing
//! has to pass between tasks for each request.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use hyper::body::Body;
use platform_core::gateway::UpstreamUrl;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::body::RequestBody;
use crate::http1::{Answer, AnswerReader, Input, Length, Sending, Unsendable};

/// A connection that takes one request after the other.
pub(super) struct Connection {
    stream: Stream,
    input: Input,
    sending: Sending<RequestBody>,
    /// Kept from request to request: to move it on costs nothing, to set it anew does.
    deadline: Pin<Box<Sleep>>,
}

enum Stream {
    Whole(TcpStream),
    /// The rest of a request is written by somebody else.
    Reading(OwnedReadHalf),
    Gone,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The deadline has passed.
    Late,
    /// The upstream has seen nothing of the request, which is still whole.
    Unsent,
    /// The connection broke, or what came is no answer.
    Broken(io::Error),
}

impl Connection {
    /// Opens a connection. Boxed, since it is large and passed on often.
    pub(super) async fn open(url: &UpstreamUrl) -> io::Result<Box<Connection>> {
        let host = url.host().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, url.port())).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(Connection {
            stream: Stream::Whole(stream),
            input: Input::default(),
            sending: Sending::default(),
            deadline: Box::pin(sleep_until(Instant::now())),
        }))
    }

    /// Sends a request, whose head is written by `head`, and awaits the head of its answer. Without an answer the
    /// connection is of no use any more.
    pub(super) async fn send(
        &mut self,
        method: &Method,
        body: Option<RequestBody>,
        head: impl FnOnce(&mut Vec<u8>),
        deadline: Instant,
    ) -> Result<Answer, NoAnswer> {
        let body = body.filter(|body| !body.is_end_stream());
        let length = length(method, body.as_ref());
        self.sending.begin(body, length, head);
        self.wait_until(deadline);
        let is_answer_to_head = *method == Method::HEAD;
        let mut reader = AnswerReader::default();
        let mut can_send = true;
        poll_fn(|cx| {
            if can_send && !self.sending.is_done() {
                can_send = self.poll_send(cx)?;
            }
            loop {
                if let Some(head) = reader.read(&mut self.input.buffer, is_answer_to_head).map_err(broken)? {
                    return Poll::Ready(Ok(head));
                }
                match self.poll_read(cx) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(NoAnswer::Broken(ended()))),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(NoAnswer::Broken(error))),
                    Poll::Pending => return self.poll_deadline(cx).map(|()| Err(NoAnswer::Late)),
                }
            }
        })
        .await
    }

    /// Sends what can be sent now; whether more can be.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<bool, NoAnswer> {
        let Stream::Whole(stream) = &mut self.stream else { return Ok(false) };
        match self.sending.poll(Pin::new(stream), cx) {
            Poll::Ready(Ok(())) | Poll::Pending => Ok(true),
            Poll::Ready(Err(Unsendable::Peer)) if self.sending.is_untouched() => Err(NoAnswer::Unsent),
            // Who refuses a request may close before all of it has come: the answer is there to be read.
            Poll::Ready(Err(Unsendable::Peer)) => Ok(false),
            Poll::Ready(Err(Unsendable::Body)) => Err(NoAnswer::Broken(ended())),
        }
    }

    /// The body of the request, when nothing of it was sent.
    pub(super) fn take_body(&mut self) -> Option<RequestBody> {
        self.sending.take_body()
    }

    /// What was read and is not understood yet.
    pub(super) fn input(&mut self) -> &mut BytesMut {
        &mut self.input.buffer
    }

    /// Reads more; 0 at the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.poll_read(Pin::new(&mut self.stream), cx)
    }

    /// From now on the connection may be silent until then.
    pub(super) fn wait_until(&mut self, deadline: Instant) {
        self.deadline.as_mut().reset(deadline);
    }

    /// Waits for the time until which the connection may be silent.
    pub(super) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.deadline.as_mut().poll(cx)
    }

    /// Whether the request was sent as a whole.
    pub(super) fn is_sent(&self) -> bool {
        self.sending.is_done()
    }

    /// Lets a task send the rest of a request while nobody takes the answer. It ends when the upstream takes nothing
    /// for `pause`; the connection serves no other request.
    pub(super) fn send_apart(&mut self, pause: Duration) {
        match std::mem::replace(&mut self.stream, Stream::Gone) {
            Stream::Whole(stream) => {
                let (reading, writing) = stream.into_split();
                self.stream = Stream::Reading(reading);
                tokio::spawn(send_rest(std::mem::take(&mut self.sending), writing, pause));
            }
            other => self.stream = other,
        }
    }

    /// Whether it can take a request: it is open, and the upstream says nothing that nobody asked for. No system
    /// call where nothing has come.
    pub(super) fn is_ready(&self) -> bool {
        let Stream::Whole(stream) = &self.stream else { return false };
        let nothing = stream.try_read(&mut [0]);
        self.input.buffer.is_empty()
            && self.sending.is_done()
            && nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Nobody uses it for now.
    pub(super) fn rest(&mut self) {
        self.input.rest();
    }
}

/// How the length of a request's body is told.
fn length(method: &Method, body: Option<&RequestBody>) -> Length {
    match body {
        Some(body) => body.size_hint().exact().map_or(Length::Chunked, Length::Exactly),
        // Where a body is expected, its absence is said (RFC 9110, 8.6).
        None if matches!(*method, Method::POST | Method::PUT | Method::PATCH) => Length::Zero,
        None => Length::Nothing,
    }
}

async fn send_rest(mut sending: Sending<RequestBody>, mut writing: OwnedWriteHalf, pause: Duration) {
    loop {
        let before = sending.progress();
        let rest = timeout(pause, poll_fn(|cx| sending.poll(Pin::new(&mut writing), cx))).await;
        // For a client that is silent its own connection has a deadline.
        if rest.is_ok() || (sending.has_more_to_write() && sending.progress() == before) {
            return;
        }
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> NoAnswer {
    NoAnswer::Broken(io::Error::other(error))
}

/// The error of what ended early.
pub(super) fn ended() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Whole(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Reading(half) => Pin::new(half).poll_read(cx, buffer),
            Stream::Gone => Poll::Ready(Ok(())),
        }
    }
}
