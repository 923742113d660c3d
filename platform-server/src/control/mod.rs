//! What the command line asks of the server that has the data folder open: a Unix socket in the folder.
//!
//! A request is a line of JSON, and so is its answer. Only who runs the server may connect (mode 0600):
//! whoever can could read and write the folder itself.

mod client;
mod socket;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use embedded_store::{EmbeddedStores, Manifest};
use platform_core::Platform;
use platform_core::kernel::{Error, Result};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

pub(crate) use client::ask;
pub(crate) use socket::Socket;

/// The longest request: two paths at their longest.
const REQUEST_BYTES: u64 = 16 * 1024;
/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// A backup into a new folder.
    Backup { into: PathBuf },
    /// A copy of one store into a new folder.
    CopyStore { store: String, into: PathBuf },
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The backup is complete.
    BackedUp(Manifest),
    /// The copy is complete.
    Copied,
    /// It could not be done: why.
    Failed(String),
}

/// Answers until nobody holds the future. One request after the other: they are rare, and each is heavy.
pub(crate) async fn serve(socket: Socket, platform: Platform) {
    let one_at_a_time = Arc::new(tokio::sync::Mutex::new(()));
    loop {
        match socket.accept().await {
            Ok(connection) => {
                let (platform, turn) = (platform.clone(), Arc::clone(&one_at_a_time));
                tokio::spawn(async move {
                    if let Err(error) = answer(connection, &platform, &turn).await {
                        tracing::warn!(%error, "a request from the command line was not answered");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection from the command line was not accepted");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn answer(
    mut connection: UnixStream,
    platform: &Platform,
    turn: &tokio::sync::Mutex<()>,
) -> std::io::Result<()> {
    let (from, mut to) = connection.split();
    let mut line = String::new();
    let mut from = BufReader::new(from.take(REQUEST_BYTES));
    tokio::time::timeout(PATIENCE, from.read_line(&mut line)).await??;
    let _turn = turn.lock().await;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => carry_out(request, platform).await,
        Err(error) => Err(Error::invalid("control.invalid_request", error.to_string())),
    };
    let reply = reply.unwrap_or_else(|error| Reply::Failed(format!("{error:?}")));
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    to.write_all(&text).await
}

async fn carry_out(request: Request, platform: &Platform) -> Result<Reply> {
    let platform = platform.clone();
    let work = move || {
        let stores = EmbeddedStores::of(&platform)
            .ok_or_else(|| Error::precondition("control.not_embedded", "there is no data folder"))?;
        match request {
            Request::Backup { into } => {
                stores.backup(&into, platform.backends().runtime.now()).map(Reply::BackedUp)
            }
            Request::CopyStore { store, into } => stores.copy_store(&store, &into).map(|()| Reply::Copied),
        }
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("control.failed", "it ended early").because(error))?
}
