//! Connections to upstreams, kept and used again: the last one first, so that few stay warm and the rest
//! grow old.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use platform_core::gateway::UpstreamUrl;
use tokio::net::TcpStream;

use super::body::RequestBody;

/// A connection that takes requests.
pub(super) type Sender = http1::SendRequest<RequestBody>;

/// Connections that wait, per endpoint.
const KEPT: usize = 128;
/// How long a connection may wait: below the 60 s after which many servers close.
const KEPT_FOR: Duration = Duration::from_secs(50);
/// The longest wait for a connection to become ready again after its last response.
const READY_TIMEOUT: Duration = Duration::from_millis(100);
/// Bytes of the head of a response.
const HEAD_BYTES: usize = 64 * 1024;

type Key = (String, u16);
type Idle = Arc<Mutex<Vec<(Sender, Instant)>>>;

/// Connections that wait for a request.
#[derive(Default, Clone)]
pub(super) struct Connections(Arc<Mutex<HashMap<Key, Idle>>>);

impl Connections {
    fn idle(&self, url: &UpstreamUrl) -> Idle {
        let mut endpoints = self.0.lock();
        let key = (url.host().to_owned(), url.port());
        Arc::clone(endpoints.entry(key).or_default())
    }

    /// A kept connection that is ready.
    pub(super) async fn kept(&self, url: &UpstreamUrl) -> Option<Sender> {
        let idle = self.idle(url);
        loop {
            let (mut sender, since) = idle.lock().pop()?;
            if sender.is_closed() || since.elapsed() > KEPT_FOR {
                continue;
            }
            if sender.is_ready() {
                return Some(sender);
            }
            if let Ok(Ok(())) = tokio::time::timeout(READY_TIMEOUT, sender.ready()).await {
                return Some(sender);
            }
        }
    }

    /// Where a connection goes when its response is over.
    pub(super) fn returning(&self, url: &UpstreamUrl, sender: Sender) -> Returning {
        Returning(Some((self.idle(url), sender)))
    }
}

/// A connection whose response is still coming. Dropped before that, it is closed.
pub(super) struct Returning(Option<(Idle, Sender)>);

impl Returning {
    /// The response is over: the connection may take another request.
    pub(super) fn done(&mut self) {
        let Some((idle, sender)) = self.0.take() else { return };
        if sender.is_closed() {
            return;
        }
        let mut idle = idle.lock();
        // The oldest are at the front.
        let old = idle
            .iter()
            .take_while(|(sender, since)| sender.is_closed() || since.elapsed() > KEPT_FOR)
            .count();
        idle.drain(..old);
        if idle.len() < KEPT {
            idle.push((sender, Instant::now()));
        }
    }
}

/// Opens a connection.
pub(super) async fn connect(url: &UpstreamUrl) -> std::io::Result<Sender> {
    let host = url.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, url.port())).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(std::io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to an upstream ended");
        }
    });
    Ok(sender)
}
