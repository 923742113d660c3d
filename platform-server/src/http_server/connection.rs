//! One connection.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::aside::Aside;
use super::watchdog::{Watch, Watched};
use super::{http1, http2};
use crate::app::{App, Peer};
use crate::http1::Input;

/// What a connection with HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves requests until the peer goes, a deadline passes, or the server stops.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    address: SocketAddr,
    is_tls: bool,
    app: Arc<App>,
    builder: &http2::Builder,
    watch: Arc<Watch>,
    mut stop: watch::Receiver<bool>,
) {
    let peer = Arc::new(Peer::new(address, is_tls, Arc::clone(&watch)));
    let is_stopping = AtomicBool::new(false);
    let stream = Watched { stream, watch: Arc::clone(&watch) };
    let mut connection = std::pin::pin!(speak(stream, builder, app, peer, &is_stopping));
    let expired = std::pin::pin!(watch.expired());
    let stopped = std::pin::pin!(stop.wait_for(|stop| *stop));
    let (mut expired, mut stopped) = (Aside::new(expired), Aside::new(stopped));
    poll_fn(|cx| {
        loop {
            if connection.as_mut().poll(cx).is_ready() || expired.poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if is_stopping.load(Relaxed) || stopped.poll(cx).is_pending() {
                return Poll::Pending;
            }
            is_stopping.store(true, Relaxed);
        }
    })
    .await;
}

/// In the version that the client's first bytes say.
async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    mut stream: S,
    builder: &http2::Builder,
    app: Arc<App>,
    peer: Arc<Peer>,
    is_stopping: &AtomicBool,
) {
    let mut input = Input::default();
    let is_http_2 = poll_fn(|cx| {
        loop {
            if let Some(is_http_2) = is_http_2(&input.buffer) {
                return Poll::Ready(Some(is_http_2));
            }
            if input.buffer.is_empty() && is_stopping.load(Relaxed) {
                return Poll::Ready(None);
            }
            match ready!(input.poll_read(Pin::new(&mut stream), cx)) {
                Ok(0) | Err(_) => return Poll::Ready(None),
                Ok(_) => {}
            }
        }
    });
    match is_http_2.await {
        None => {}
        Some(false) => http1::serve(stream, input, app, peer, is_stopping).await,
        Some(true) => Box::pin(http2::serve(stream, input.buffer, builder, app, peer, is_stopping)).await,
    }
}

/// Whether these first bytes are those of HTTP/2; `None` when they are too few.
fn is_http_2(begin: &[u8]) -> Option<bool> {
    if begin.starts_with(PREFACE) {
        return Some(true);
    }
    (!PREFACE.starts_with(begin)).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_say_the_version() {
        assert_eq!(is_http_2(b""), None);
        assert_eq!(is_http_2(b"PRI * HTTP/2"), None);
        assert_eq!(is_http_2(b"PRI /x HTTP/1.1"), Some(false));
        assert_eq!(is_http_2(b"GET"), Some(false));
        assert_eq!(is_http_2(&[PREFACE, b"more"].concat()), Some(true));
    }
}
