//! One connection to an upstream. It runs within the request that uses it: no task of its own means that nothing
//! has to pass between tasks for each request.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use platform_core::gateway::UpstreamUrl;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::body::RequestBody;
use super::http1::{Head, HeadReader};
use super::sending::{Sending, Unsendable};

/// Bytes that are read at once: most answers of a service are smaller.
const READ_BYTES: usize = 8 * 1024;
/// The same when one read after the other is full.
const MOST_READ_BYTES: usize = 128 * 1024;
/// Less room than this is not worth a read.
const LEAST_READ_BYTES: usize = 4 * 1024;

/// A connection that takes one request after the other.
pub(super) struct Connection {
    stream: Stream,
    /// What was read and is not understood yet.
    input: BytesMut,
    /// How much is read at once.
    read_bytes: usize,
    sending: Sending,
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
            input: BytesMut::new(),
            read_bytes: READ_BYTES,
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
    ) -> Result<Head, NoAnswer> {
        self.sending.begin(method, body, head);
        self.wait_until(deadline);
        let is_answer_to_head = *method == Method::HEAD;
        let mut reader = HeadReader::default();
        let mut can_send = true;
        poll_fn(|cx| {
            if can_send && !self.sending.is_done() {
                can_send = self.poll_send(cx)?;
            }
            loop {
                if let Some(head) = reader.read(&mut self.input, is_answer_to_head).map_err(broken)? {
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
            Poll::Ready(Err(Unsendable::Upstream)) if self.sending.is_untouched() => Err(NoAnswer::Unsent),
            // Who refuses a request may close before all of it has come: the answer is there to be read.
            Poll::Ready(Err(Unsendable::Upstream)) => Ok(false),
            Poll::Ready(Err(Unsendable::Client)) => Err(NoAnswer::Broken(ended())),
        }
    }

    /// The body of the request, when nothing of it was sent.
    pub(super) fn take_body(&mut self) -> Option<RequestBody> {
        self.sending.take_body()
    }

    /// What was read and is not understood yet.
    pub(super) fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Reads more; 0 at the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = self.input.capacity() - self.input.len();
        if room < LEAST_READ_BYTES {
            self.input.reserve(self.read_bytes);
        }
        let room = self.input.capacity() - self.input.len();
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        if read == room {
            self.read_bytes = MOST_READ_BYTES.min(self.read_bytes * 2);
        }
        Poll::Ready(Ok(read))
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
        self.input.is_empty()
            && self.sending.is_done()
            && nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Nobody uses it for now.
    pub(super) fn rest(&mut self) {
        if self.read_bytes > READ_BYTES {
            self.read_bytes = READ_BYTES;
            self.input = BytesMut::new();
        }
    }
}

async fn send_rest(mut sending: Sending, mut writing: OwnedWriteHalf, pause: Duration) {
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
