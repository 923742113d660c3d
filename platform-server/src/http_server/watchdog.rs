//! Deadlines of a connection: one lazy timer per connection instead of one per request.
//!
//! What happens on the connection is noted in atomics; the timer looks at them when the earliest
//! deadline could have passed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From the first byte of a head (or from the accept) to its last.
    pub header: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Without a byte of a body that we wait for, and without taking a byte of what we send.
    pub stall: Duration,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(30),
        }
    }
}

/// What is going on on one connection. Times are milliseconds since its beginning plus one; 0 is "not".
pub struct Watch {
    begin: Instant,
    deadlines: Deadlines,
    in_flight: AtomicU32,
    /// Since when a head is being read.
    head: AtomicU64,
    /// Since when nothing is going on.
    idle: AtomicU64,
    /// Since when we wait for a part of a request's body.
    body: AtomicU64,
    /// Since when the peer does not take what we send.
    write: AtomicU64,
    /// HTTP/2 has frames between requests; its header deadline ends with the first request.
    is_h2: AtomicBool,
}

impl Watch {
    /// For a connection that was just accepted: its first head is due.
    pub fn new(deadlines: Deadlines) -> Arc<Watch> {
        Arc::new(Watch {
            begin: Instant::now(),
            deadlines,
            in_flight: AtomicU32::new(0),
            head: AtomicU64::new(1),
            idle: AtomicU64::new(1),
            body: AtomicU64::new(0),
            write: AtomicU64::new(0),
            is_h2: AtomicBool::new(false),
        })
    }

    fn now(&self) -> u64 {
        self.begin.elapsed().as_millis() as u64 + 1
    }

    /// A request's head has arrived.
    pub fn request_begins(&self, is_h2: bool) {
        self.in_flight.fetch_add(1, Relaxed);
        self.head.store(0, Relaxed);
        if is_h2 {
            self.is_h2.store(true, Relaxed);
        }
    }

    /// A response has been sent, or given up.
    pub fn request_ends(&self) {
        self.body.store(0, Relaxed);
        self.idle.store(self.now(), Relaxed);
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// We wait for the body of a request, or not any more.
    pub fn waits_for_body(&self, waits: bool) {
        set(&self.body, waits, || self.now());
    }

    fn bytes_arrived(&self) {
        self.body.store(0, Relaxed);
        if self.in_flight.load(Relaxed) == 0 && self.head.load(Relaxed) == 0 && !self.is_h2.load(Relaxed) {
            self.head.store(self.now(), Relaxed);
        }
    }

    /// How long until the next look, or `None` when a deadline has passed.
    fn next_look(&self) -> Option<Duration> {
        let now = self.now();
        let left = |since: &AtomicU64, limit: Duration| match since.load(Relaxed) {
            0 => Some(limit),
            since => limit
                .checked_sub(Duration::from_millis(now.saturating_sub(since)))
                .filter(|left| !left.is_zero()),
        };
        let stalled = left(&self.write, self.deadlines.stall)?.min(left(&self.body, self.deadlines.stall)?);
        if self.in_flight.load(Relaxed) > 0 {
            return Some(stalled);
        }
        let head = left(&self.head, self.deadlines.header)?;
        Some(stalled.min(head).min(left(&self.idle, self.deadlines.idle)?))
    }

    /// Returns when a deadline has passed.
    pub async fn expired(&self) {
        while let Some(wait) = self.next_look() {
            // A little more, so that the next look finds it passed.
            tokio::time::sleep(wait + Duration::from_millis(2)).await;
        }
    }
}

fn set(cell: &AtomicU64, on: bool, now: impl Fn() -> u64) {
    if !on {
        cell.store(0, Relaxed);
    } else if cell.load(Relaxed) == 0 {
        cell.store(now(), Relaxed);
    }
}

/// A stream that notes what passes.
pub(crate) struct Watched<S> {
    pub(crate) stream: S,
    pub(crate) watch: Arc<Watch>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.watch.bytes_arrived();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn note<T>(&self, polled: Poll<T>) -> Poll<T> {
        set(&self.watch.write, polled.is_pending(), || self.watch.now());
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
