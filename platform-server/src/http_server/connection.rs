//! One connection.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use platform_core::kernel::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::aside::Aside;
use super::watchdog::{Watch, Watched};
use crate::app::{App, Peer};

pub(super) type Builder = auto::Builder<TokioExecutor>;

/// How connections are served. A request has at most 100 header fields, which is hyper's own limit: to set it,
/// even to the same number, makes hyper fill two tables for every head. Deadlines are the watchdog's: hyper's own
/// header timer costs a timer per request and cannot tell a slow head from an idle connection.
pub(super) fn builder() -> Builder {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(limits::HEAD_BYTES)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::STREAMS)
        .max_header_list_size(limits::HEADER_LIST_BYTES)
        .max_pending_accept_reset_streams(limits::PENDING_RESETS)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Serves requests until the peer goes, a deadline passes, or the server stops.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    address: SocketAddr,
    is_tls: bool,
    app: Arc<App>,
    builder: &Builder,
    watch: Arc<Watch>,
    mut stop: watch::Receiver<bool>,
) {
    let peer = Arc::new(Peer::new(address, is_tls, Arc::clone(&watch)));
    let service = service_fn(move |request| Arc::clone(&app).answer(request, Arc::clone(&peer)));
    let io = TokioIo::new(Watched { stream, watch: Arc::clone(&watch) });
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    let expired = std::pin::pin!(watch.expired());
    let stopped = std::pin::pin!(stop.wait_for(|stop| *stop));
    let (mut expired, mut stopped) = (Aside::new(expired), Aside::new(stopped));
    let mut is_stopping = false;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                if let Err(error) = result {
                    tracing::debug!(%error, "connection ended");
                }
                return Poll::Ready(());
            }
            if expired.poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if is_stopping || stopped.poll(cx).is_pending() {
                return Poll::Pending;
            }
            is_stopping = true;
            connection.as_mut().graceful_shutdown();
        }
    })
    .await;
}
