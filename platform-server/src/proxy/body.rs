//! Bodies on their way through: counted, limited, watched, and never collected.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use platform_core::kernel::{Error, Result};
use tokio::time::Instant;

use super::connection::Connection;
use super::pool::Upstream;
use crate::http_server::{Allowance, BoxError, Watch, incomplete};

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
    is_over: AtomicBool,
}

impl Upload {
    pub(super) fn new(allowance: Allowance, watch: Arc<Watch>) -> Upload {
        let off = || AtomicBool::new(false);
        let state = State { watch, is_touched: off(), is_too_large: off(), is_broken: off(), is_over: off() };
        Upload { state: Arc::new(state), allowance }
    }

    /// The body to send on.
    pub(super) fn body(&self, incoming: Incoming) -> RequestBody {
        RequestBody::Streaming(Streaming {
            incoming,
            allowance: self.allowance,
            state: Arc::clone(&self.state),
        })
    }

    /// Whether some of it may still be on its way to the upstream.
    pub(super) fn is_under_way(&self) -> bool {
        !self.state.is_over.load(Relaxed)
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

/// The body of a request to an upstream.
pub(super) enum RequestBody {
    /// None.
    Empty,
    /// The client's.
    Streaming(Streaming),
}

pub(super) struct Streaming {
    incoming: Incoming,
    allowance: Allowance,
    state: Arc<State>,
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.state.is_over.store(true, Relaxed);
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let RequestBody::Streaming(body) = &mut *self else { return Poll::Ready(None) };
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
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Streaming(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Streaming(body) => body.incoming.size_hint(),
        }
    }
}

/// The body of an upstream's response, and the connection that brings it. At its end the connection goes back
/// to the pool; dropped before that, it is closed.
pub(crate) struct ProxiedBody {
    incoming: Incoming,
    connection: Option<(Box<Connection>, Arc<Upstream>)>,
    pause: Duration,
    is_waiting: bool,
}

impl ProxiedBody {
    pub(super) fn new(
        incoming: Incoming,
        connection: Box<Connection>,
        upstream: Arc<Upstream>,
        pause: Duration,
    ) -> ProxiedBody {
        let connection = Some((connection, upstream));
        let mut body = ProxiedBody { incoming, connection, pause, is_waiting: false };
        body.finish_if_ended();
        body
    }

    /// Gives the connection back when there is nothing more to read.
    pub(super) fn finish_if_ended(&mut self) {
        if self.incoming.is_end_stream() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some((connection, upstream)) = self.connection.take() {
            upstream.keep(connection);
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
        let body = &mut *self;
        let incoming = &mut body.incoming;
        let polled = match &mut body.connection {
            None => Pin::new(incoming).poll_frame(cx),
            Some((connection, _)) => {
                let polled = connection.poll(cx, |cx| Pin::new(&mut *incoming).poll_frame(cx));
                if polled.is_pending() {
                    if !body.is_waiting {
                        connection.wait_until(Instant::now() + body.pause);
                        body.is_waiting = true;
                    }
                    if connection.poll_deadline(cx).is_ready() {
                        let error = "the upstream stopped in the middle of its answer";
                        return Poll::Ready(Some(Err(error.into())));
                    }
                }
                polled
            }
        };
        let Poll::Ready(frame) = polled else { return Poll::Pending };
        body.is_waiting = false;
        match frame {
            Some(Ok(frame)) => {
                body.finish_if_ended();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            None => {
                body.finish();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
