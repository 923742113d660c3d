//! One connection to an upstream. It runs within the request that uses it: no task of its own means that nothing
//! has to pass between tasks for each request (measured 2026-11: a tenth of what a proxied request costs).

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use platform_core::gateway::UpstreamUrl;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::body::RequestBody;
use super::wakeups::Wakeups;

/// Bytes of the head of a response.
const HEAD_BYTES: usize = 64 * 1024;

/// Rounds of one look at a connection, before others of the thread have their turn.
const ROUNDS: usize = 8;

type Exchange = http1::Connection<TokioIo<TcpStream>, RequestBody>;

/// A connection that takes one request after the other.
pub(super) struct Connection {
    sender: http1::SendRequest<RequestBody>,
    /// `None` when it is over, or runs in a task of its own.
    exchange: Option<Exchange>,
    is_apart: bool,
    wakeups: Arc<Wakeups>,
    /// Of `wakeups`.
    waker: Waker,
    /// Kept from request to request: to move it on costs nothing, to set it anew does.
    deadline: Pin<Box<Sleep>>,
}

/// The deadline has passed.
#[derive(Debug)]
pub(super) struct Elapsed;

impl Connection {
    /// Opens a connection. Boxed, since it is large and passed on often.
    pub(super) async fn open(url: &UpstreamUrl) -> std::io::Result<Box<Connection>> {
        let host = url.host().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, url.port())).await?;
        stream.set_nodelay(true)?;
        let (sender, exchange) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        let wakeups = Arc::new(Wakeups::default());
        let waker = Waker::from(Arc::clone(&wakeups));
        let deadline = Box::pin(sleep_until(Instant::now()));
        let exchange = Some(exchange);
        Ok(Box::new(Connection { sender, exchange, is_apart: false, wakeups, waker, deadline }))
    }

    /// Sends a request and awaits the head of its response.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
        deadline: Instant,
    ) -> Result<Result<Response<Incoming>, TrySendError<Request<RequestBody>>>, Elapsed> {
        self.wakeups.look();
        self.wait_until(deadline);
        let mut response = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| match self.poll(cx, |cx| response.as_mut().poll(cx)) {
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            Poll::Pending => self.poll_deadline(cx).map(Err),
        })
        .await
    }

    /// From now on the connection may be silent until then.
    pub(super) fn wait_until(&mut self, deadline: Instant) {
        self.deadline.as_mut().reset(deadline);
    }

    /// Runs the connection, and what awaits something of it.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut awaited: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if self.is_apart {
            return awaited(cx);
        }
        if !self.wakeups.is_worth_a_look(cx.waker()) {
            return Poll::Pending;
        }
        for _ in 0..ROUNDS {
            self.wakeups.look();
            self.run();
            if let Poll::Ready(ready) = awaited(&mut Context::from_waker(&self.waker)) {
                return Poll::Ready(ready);
            }
            if self.wakeups.leave() {
                return Poll::Pending;
            }
        }
        // It goes on and on, or it was told to let others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits for the time until which the connection may be silent.
    pub(super) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Elapsed> {
        self.deadline.as_mut().poll(cx).map(|()| Elapsed)
    }

    fn run(&mut self) {
        let Some(exchange) = &mut self.exchange else { return };
        if let Poll::Ready(ended) = Pin::new(exchange).poll(&mut Context::from_waker(&self.waker)) {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection to an upstream ended");
            }
            self.exchange = None;
        }
    }

    /// Lets it run in a task of its own from now on: somebody has to send the rest of a request while nobody
    /// takes the response.
    pub(super) fn run_apart(&mut self) {
        let Some(exchange) = self.exchange.take() else { return };
        self.is_apart = true;
        tokio::spawn(async move {
            if let Err(error) = exchange.await {
                tracing::debug!(%error, "connection to an upstream ended");
            }
        });
    }

    /// Nobody uses it for now.
    pub(super) fn rest(&mut self) {
        self.wakeups.forget_task();
    }

    /// Whether it can take a request.
    pub(super) fn is_ready(&mut self) -> bool {
        if !self.is_apart && (self.wakeups.is_woken() || !self.sender.is_ready()) {
            self.wakeups.look();
            self.run();
        }
        self.sender.is_ready() && !self.is_closed()
    }

    /// Whether it has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether it has ended, or something says so that has not been looked at.
    pub(super) fn is_over(&mut self) -> bool {
        if !self.is_apart && self.wakeups.is_woken() {
            self.is_ready();
        }
        self.is_closed()
    }
}
