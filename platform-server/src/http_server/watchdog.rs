//! Deadlines of a connection: one lazy timer per connection instead of one per request.
//!
//! What happens on the connection is noted in atomics; the timer looks at them when the earliest
//! deadline could have passed.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use platform_core::kernel::limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::caps::Permit;

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

/// When there is little room left, who says nothing has this part of the time.
const CROWDED: u32 = 10;
/// The longest time until a deadline that has become shorter is noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

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
    /// Since when pieces of answers over HTTP/2 have waited for the peer to let them in. Its window may be
    /// shut while the connection itself takes bytes.
    pieces: Mutex<BTreeMap<u64, u64>>,
    requests: AtomicU64,
    resets: AtomicU64,
    is_abused: AtomicBool,
    look: Notify,
    permit: Option<Arc<Permit>>,
}

impl Watch {
    /// For a connection that was just accepted: its first head is due.
    pub fn new(deadlines: Deadlines, permit: Option<Arc<Permit>>) -> Arc<Watch> {
        Arc::new(Watch {
            begin: Instant::now(),
            deadlines,
            in_flight: AtomicU32::new(0),
            head: AtomicU64::new(1),
            idle: AtomicU64::new(1),
            body: AtomicU64::new(0),
            write: AtomicU64::new(0),
            is_h2: AtomicBool::new(false),
            pieces: Mutex::default(),
            requests: AtomicU64::new(0),
            resets: AtomicU64::new(0),
            is_abused: AtomicBool::new(false),
            look: Notify::new(),
            permit,
        })
    }

    fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    fn at(&self, time: Instant) -> u64 {
        time.saturating_duration_since(self.begin).as_millis() as u64 + 1
    }

    /// The connection's place under the caps.
    pub fn permit(&self) -> Option<&Arc<Permit>> {
        self.permit.as_ref()
    }

    /// A request's head has arrived; which one it is on this connection.
    pub fn request_begins(&self, is_h2: bool) -> u64 {
        let before = self.requests.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        self.head.store(0, Relaxed);
        if is_h2 {
            self.is_h2.store(true, Relaxed);
        }
        before
    }

    /// A response has been sent, or given up because the peer took its request back.
    pub fn request_ends(&self, now: Instant, complete: bool) {
        self.body.store(0, Relaxed);
        self.idle.store(self.at(now), Relaxed);
        self.in_flight.fetch_sub(1, Relaxed);
        if !complete && self.is_h2.load(Relaxed) {
            self.request_was_reset();
        }
    }

    /// Who takes back most of what he asks for only wants us to work (rapid reset, CVE-2023-44487).
    fn request_was_reset(&self) {
        let resets = self.resets.fetch_add(1, Relaxed) + 1;
        if resets > limits::STREAM_RESETS && resets * 2 > self.requests.load(Relaxed) {
            self.is_abused.store(true, Relaxed);
            self.look.notify_one();
        }
    }

    /// Whether answers go out in pieces, each of which waits for the peer to let it in.
    pub(super) fn counts_pieces(&self) -> bool {
        self.is_h2.load(Relaxed)
    }

    /// A piece of an answer was handed over: the next one is asked for when it has found room.
    pub(super) fn piece_waits(&self, answer: u64) {
        self.pieces.lock().insert(answer, self.now());
    }

    /// It has.
    pub(super) fn piece_went(&self, answer: u64) {
        self.pieces.lock().remove(&answer);
    }

    /// We wait for the body of a request, or not any more.
    pub fn waits_for_body(&self, waits: bool) {
        set(&self.body, waits, || self.now());
    }

    /// A head has begun to come, and is not whole.
    pub fn head_begins(&self) {
        set(&self.head, true, || self.now());
    }

    /// How long until the next look, or `None` when a deadline has passed.
    fn next_look(&self) -> Option<Duration> {
        let now = self.now();
        let left = |since: u64, limit: Duration| match since {
            0 => Some(limit),
            since => limit
                .checked_sub(Duration::from_millis(now.saturating_sub(since)))
                .filter(|left| !left.is_zero()),
        };
        if self.is_abused.load(Relaxed) {
            return None;
        }
        let stall = self.deadlines.stall;
        let oldest = self.pieces.lock().values().min().copied().unwrap_or_default();
        let stalled = left(self.write.load(Relaxed), stall)?.min(left(self.body.load(Relaxed), stall)?);
        let stalled = stalled.min(left(oldest, stall)?);
        if self.in_flight.load(Relaxed) > 0 {
            return Some(stalled);
        }
        let part = if self.permit.as_ref().is_some_and(|permit| permit.is_crowded()) { CROWDED } else { 1 };
        let head = left(self.head.load(Relaxed), self.deadlines.header / part)?;
        Some(stalled.min(head).min(left(self.idle.load(Relaxed), self.deadlines.idle / part)?))
    }

    /// Returns when a deadline has passed.
    pub async fn expired(&self) {
        while let Some(wait) = self.next_look() {
            // A little more, so that the next look finds it passed.
            let wait = wait.min(LONGEST_WAIT) + Duration::from_millis(2);
            let _ = tokio::time::timeout(wait, self.look.notified()).await;
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
            self.watch.waits_for_body(false);
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
