//! `serve`.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, descriptors, print};
use crate::assemble::{open, tls};
use crate::config::{Config, Loaded};
use crate::control::{self, Socket};
use crate::http_server::HttpServer;
use crate::server::Server;
use crate::serving::Serving;
use crate::telemetry;

pub(super) fn serve(loaded: &Loaded) -> Result<ExitCode, Failure> {
    let config = &loaded.config;
    telemetry::install(&config.log).map_err(Failure::new)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if config.server.threads > 0 {
        builder.worker_threads(config.server.threads);
    }
    let runtime = builder.thread_name("platform").enable_all().build()?;
    runtime.block_on(run(config))?;
    Ok(ExitCode::SUCCESS)
}

async fn run(config: &Config) -> Result<(), Failure> {
    let tls = tls(config.server.tls_certificates.as_deref(), config.server.tls_key.as_deref())?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let listen = config.server.listen;
    let mut limits = config.server.limits();
    let files = descriptors::raise();
    if let Some(fewer) = descriptors::connections_within(limits.at_once.connections, files) {
        tracing::warn!(files, connections = fewer, "fewer open files are allowed than connections need");
        limits.at_once.connections = fewer;
    }
    let http = HttpServer::bind(listen, limits, tls)
        .map_err(|error| Failure::new(format!("cannot listen on {listen}: {error}")))?;
    let platform = open(config).await?;
    platform.start().await?;
    // Without it the server serves, and only what is asked of it by the command line fails.
    let control = Socket::listen(&config.storage.data)
        .inspect_err(|error| tracing::warn!(%error, "the command line cannot reach this server"))
        .ok()
        .map(|socket| tokio::spawn(control::serve(socket, platform.clone())));
    let server = Server::new(platform.clone(), config.server.trusted_proxies.clone());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let serving = Serving::begin(http, server.with_bodies(config.server.bodies()))?;
    if let Some(token) = platform.auth().setup_token().await? {
        print([format!("setup token: {}", token.expose())])?;
    }
    print([format!("listening on {scheme}://{}", serving.address())])?;
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: no new connections, running requests finish");
    let served = serving.stop().await.map_err(Failure::new);
    if let Some(control) = control {
        control.abort();
        // It ends by being aborted: the socket is removed by then.
        let _ = control.await;
    }
    platform.stop().await;
    served
}
