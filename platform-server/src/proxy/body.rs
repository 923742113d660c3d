//! Bodies on their way through: counted, limited, watched, and never collected.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use platform_core::kernel::{Error, Result};
use tokio::time::Instant;

use super::connection::{Connection, ended};
use super::pool::Upstream;
use crate::http_server::{Allowance, BoxError, ClientBody, Watch, incomplete};
use crate::http1::{Framing, Nonsense, Part};

/// What is known of the body that a client sends, apart from the body itself.
pub(super) struct Upload {
    state: Arc<State>,
    allowance: Allowance,
}

struct State {
    watch: Arc<Watch>,
    is_touched: AtomicBool,
    is_too_large: AtomicBool,
    is_broken: AtomicBool,
}

impl Upload {
    pub(super) fn new(allowance: Allowance, watch: Arc<Watch>) -> Upload {
        let off = || AtomicBool::new(false);
        let state = State { watch, is_touched: off(), is_too_large: off(), is_broken: off() };
        Upload { state: Arc::new(state), allowance }
    }

    /// The body to send on.
    pub(super) fn body(&self, incoming: ClientBody) -> RequestBody {
        RequestBody { incoming, allowance: self.allowance, state: Arc::clone(&self.state) }
    }

    /// Whether anything of it has been asked for.
    pub(super) fn is_touched(&self) -> bool {
        self.state.is_touched.load(Relaxed)
    }

    /// Why the client is to blame for a failure, if it is.
    pub(super) fn refusal(&self) -> Option<Error> {
        if self.state.is_too_large.load(Relaxed) {
            Some(self.allowance.exceeded())
        } else if self.state.is_broken.load(Relaxed) {
            Some(incomplete())
        } else {
            None
        }
    }
}

/// The body of a request to an upstream: the client's.
pub(super) struct RequestBody {
    incoming: ClientBody,
    allowance: Allowance,
    state: Arc<State>,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let body = &mut *self;
        body.state.is_touched.store(true, Relaxed);
        let polled = Pin::new(&mut body.incoming).poll_frame(cx);
        body.state.watch.waits_for_body(polled.is_pending());
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Err(error) = body.allowance.take(&frame) {
                    body.state.is_too_large.store(true, Relaxed);
                    return Poll::Ready(Some(Err(error.into())));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                body.state.is_broken.store(true, Relaxed);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// The body of an upstream's response, and the connection that brings it. At its end the connection goes back
/// to the pool; dropped before that, it is closed.
pub(crate) struct ProxiedBody {
    /// What has come already.
    data: Bytes,
    source: Option<Source>,
}

struct Source {
    connection: Box<Connection>,
    upstream: Arc<Upstream>,
    framing: Framing,
    is_kept: bool,
    pause: Duration,
    is_waiting: bool,
}

impl ProxiedBody {
    /// The body behind a head that `connection` has brought.
    ///
    /// # Errors
    /// What is wrong with what has come of it.
    pub(super) fn new(
        (mut framing, is_kept): (Framing, bool),
        mut connection: Box<Connection>,
        upstream: &Arc<Upstream>,
        pause: Duration,
    ) -> Result<ProxiedBody, Nonsense> {
        let data = match &framing {
            // Most bodies have come whole, together with their head: then the connection is free.
            Framing::Length(length) if *length <= connection.input().len() as u64 => {
                match framing.take(connection.input())? {
                    Part::Data(data) => data,
                    Part::Trailers(_) | Part::Missing | Part::End => Bytes::new(),
                }
            }
            _ => Bytes::new(),
        };
        let upstream = Arc::clone(upstream);
        let mut source = Source { connection, upstream, framing, is_kept, pause, is_waiting: false };
        if !source.framing.is_over() {
            return Ok(ProxiedBody { data, source: Some(source) });
        }
        source.is_kept &= source.connection.is_sent();
        source.finish();
        Ok(ProxiedBody { data, source: None })
    }
}

impl Source {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, BoxError>> {
        loop {
            match self.framing.take(self.connection.input())? {
                Part::Missing => {}
                part => {
                    self.is_waiting = false;
                    return Poll::Ready(Ok(part));
                }
            }
            match self.connection.poll_read(cx)? {
                Poll::Ready(0) if self.framing.may_end_here() => return Poll::Ready(Ok(Part::End)),
                Poll::Ready(0) => return Poll::Ready(Err(ended().into())),
                Poll::Ready(_) => self.is_waiting = false,
                Poll::Pending => {
                    if !self.is_waiting {
                        self.connection.wait_until(Instant::now() + self.pause);
                        self.is_waiting = true;
                    }
                    let late = |()| Err("the upstream stopped in the middle of its answer".into());
                    return self.connection.poll_deadline(cx).map(late);
                }
            }
        }
    }

    /// Gives the connection back.
    fn finish(self) {
        if self.is_kept {
            self.upstream.keep(self.connection);
        }
    }
}

impl Body for ProxiedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.data)))));
        }
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        let part = match ready!(source.poll(cx)) {
            Ok(part) => part,
            Err(error) => {
                // It is of no use any more.
                self.source = None;
                return Poll::Ready(Some(Err(error)));
            }
        };
        if (source.framing.is_over() || matches!(part, Part::End))
            && let Some(source) = self.source.take()
        {
            source.finish();
        }
        Poll::Ready(match part {
            Part::Data(data) => Some(Ok(Frame::data(data))),
            Part::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Part::Missing | Part::End => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.source.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.data.len() as u64;
        match &self.source {
            None => SizeHint::with_exact(data),
            Some(source) => match source.framing.left() {
                Some(left) => SizeHint::with_exact(data + left),
                None => SizeHint::default(),
            },
        }
    }
}
