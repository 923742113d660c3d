//! Bodies on their way through: counted, limited, watched, and never collected.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use platform_core::kernel::{Error, Result};
use tokio::time::{Instant, Sleep, sleep};

use super::pool::Returning;
use crate::http_server::{Allowance, BoxError, Watch, incomplete};

/// What is known of the body that a client sends, apart from the body itself.
pub(super) struct Upload {
    state: Arc<State>,
    allowance: Allowance,
}

struct State {
    watch: Arc<Watch>,
    is_used: AtomicBool,
    is_touched: AtomicBool,
    is_too_large: AtomicBool,
    is_broken: AtomicBool,
}

impl Upload {
    pub(super) fn new(allowance: Allowance, watch: Arc<Watch>) -> Upload {
        let off = || AtomicBool::new(false);
        let state = State { watch, is_used: off(), is_touched: off(), is_too_large: off(), is_broken: off() };
        Upload { state: Arc::new(state), allowance }
    }

    /// The body to send on.
    pub(super) fn body(&self, incoming: Incoming) -> RequestBody {
        self.state.is_used.store(true, Relaxed);
        RequestBody::Streaming(Streaming {
            incoming,
            allowance: self.allowance,
            state: Arc::clone(&self.state),
        })
    }

    /// Whether the client sends a body at all.
    pub(super) fn is_used(&self) -> bool {
        self.state.is_used.load(Relaxed)
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

/// The body of an upstream's response. At its end the connection goes back to the pool.
pub(crate) struct ProxiedBody {
    incoming: Incoming,
    returning: Returning,
    pause: Duration,
    /// Made at the first wait, and moved on by each frame.
    timer: Option<Pin<Box<Sleep>>>,
}

impl ProxiedBody {
    pub(super) fn new(incoming: Incoming, returning: Returning, pause: Duration) -> ProxiedBody {
        let mut body = ProxiedBody { incoming, returning, pause, timer: None };
        body.finish_if_ended();
        body
    }

    /// Gives the connection back when there is nothing more to read.
    pub(super) fn finish_if_ended(&mut self) {
        if self.incoming.is_end_stream() {
            self.returning.done();
        }
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let pause = self.pause;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(pause)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                Poll::Ready(Some(Err("the upstream stopped in the middle of its answer".into())))
            }
            Poll::Pending => Poll::Pending,
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
        let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => return self.poll_pause(cx),
        };
        let pause = self.pause;
        if let Some(timer) = &mut self.timer {
            timer.as_mut().reset(Instant::now() + pause);
        }
        match frame {
            Some(Ok(frame)) => {
                self.finish_if_ended();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            None => {
                self.returning.done();
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
