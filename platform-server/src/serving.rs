//! A server that runs beside whatever else its process does: the binary has one, and so may whoever has a platform
//! in their own process.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use crate::app::App;
use crate::http_server::HttpServer;
use crate::rest;
use crate::server::Server;

/// A server that answers requests until it is told to stop.
///
/// ```
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
/// use platform_server::http_server::{HttpServer, Limits};
/// use platform_server::server::Server;
/// use platform_server::serving::Serving;
/// let platform = embedded_store::open_in_memory(Vec::new()).await?;
/// let listener = HttpServer::bind(([127, 0, 0, 1], 0).into(), Limits::default(), None)?;
/// let serving = Serving::begin(listener, Server::new(platform.clone(), Vec::new()))?;
/// assert_ne!(serving.address().port(), 0);
/// serving.stop().await?;
/// platform.stop().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Serving {
    address: SocketAddr,
    server: Arc<Server>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Serving {
    /// Begins to answer, with every endpoint of the [table](rest::table), on the runtime that is current. The platform
    /// has to be started by whoever opened it, and is stopped by them, after this.
    ///
    /// # Errors
    /// The listener does not know its address.
    pub fn begin(listener: HttpServer, server: Server) -> std::io::Result<Serving> {
        let address = listener.address()?;
        let server = Arc::new(server);
        let app = Arc::new(App::new(Arc::clone(&server), &rest::table()));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(listener.run(app, stopped));
        Ok(Serving { address, server, stop, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections and waits until the running requests have finished, or their time is over.
    ///
    /// # Errors
    /// It ended by a fault before.
    pub async fn stop(self) -> Result<(), JoinError> {
        self.server.drain();
        // It is gone when the server ended by itself.
        let _ = self.stop.send(true);
        self.task.await
    }
}
