//! The accept loop, and the connections: HTTP/1.1 in our own words, HTTP/2 by hyper, both with deadlines and caps.

mod allowance;
mod aside;
mod body;
mod caps;
mod connection;
mod date;
mod http1;
mod http2;
mod incoming;
mod memory;
mod tls;
mod watchdog;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use allowance::{Allowance, incomplete};
pub(crate) use body::read_body;
pub use body::{BoxError, OnEnd, ServerBody};
pub use caps::{Above, AtOnce, Caps, Permit, RequestPermit};
pub use incoming::ClientBody;
pub use memory::BodyLimits;
pub use tls::{Tls, TlsError};
pub use watchdog::{Deadlines, Watch};

use platform_core::kernel::limits;

use crate::app::App;

/// Connections that the kernel completes and we have not accepted yet.
const BACKLOG: u32 = 1024;
/// How long to wait when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What bounds the connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Deadlines of one connection.
    pub deadlines: Deadlines,
    /// How many connections and requests there may be at once.
    pub at_once: AtOnce,
    /// How long requests may take to finish after the server was told to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            deadlines: Deadlines::default(),
            at_once: AtOnce {
                connections: limits::CONNECTIONS,
                connections_per_address: limits::CONNECTIONS_PER_ADDRESS,
                requests: limits::REQUESTS,
                requests_per_address: limits::REQUESTS_PER_ADDRESS,
            },
            drain: Duration::from_secs(30),
        }
    }
}

/// A bound listener.
pub struct HttpServer {
    listener: TcpListener,
    limits: Limits,
    tls: Option<Tls>,
}

impl HttpServer {
    /// Binds.
    ///
    /// # Errors
    /// The address is in use or not ours.
    pub fn bind(address: SocketAddr, limits: Limits, tls: Option<Tls>) -> std::io::Result<HttpServer> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(HttpServer { listener: socket.listen(BACKLOG)?, limits, tls })
    }

    /// The address, with the port that the kernel chose when it was 0.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` turns true, then lets running requests finish.
    pub async fn run(self, app: Arc<App>, mut stop: watch::Receiver<bool>) {
        let caps = Caps::new(self.limits.at_once);
        let builder = Arc::new(http2::builder());
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Above a cap the connection is closed at once: nothing is read from it.
            let Some(permit) = caps.admit(peer.ip(), app.trusts(peer.ip())) else {
                app.metrics().connections_refused.inc();
                continue;
            };
            let (app, builder, stop) = (Arc::clone(&app), Arc::clone(&builder), stop.clone());
            let (deadlines, tls) = (self.limits.deadlines, self.tls.clone());
            connections.spawn(async move {
                let permit = Arc::new(permit);
                serve(stream, peer, app, &builder, tls, (deadlines, permit), stop).await;
            });
        }
        drop(self.listener);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.limits.drain, drained).await.is_err() {
            tracing::warn!("requests were cut off after the drain time");
        }
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    app: Arc<App>,
    builder: &http2::Builder,
    tls: Option<Tls>,
    (deadlines, permit): (Deadlines, Arc<Permit>),
    stop: watch::Receiver<bool>,
) {
    // Without it small replies wait for the peer's delayed ACK.
    let _ = stream.set_nodelay(true);
    let watch = Watch::new(deadlines, Some(permit));
    match tls {
        None => connection::serve(stream, peer, false, app, builder, watch, stop).await,
        Some(tls) => match tokio::time::timeout(deadlines.header, tls.accept(stream)).await {
            Ok(Ok(stream)) => connection::serve(stream, peer, true, app, builder, watch, stop).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake timed out"),
        },
    }
}
