//! Health and the description of the interface.

use std::sync::LazyLock;

use bytes::Bytes;
use platform_core::kernel::{Error, Result};
use serde::Serialize;
use utoipa::ToSchema;

use super::reply::rendered;
use super::{Access, Call, Endpoint, Json, OpenMetrics, Raw, document, table};

/// The endpoints of the server itself.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/livez", Access::Open, "Says that the process runs", livez),
        Endpoint::get("/readyz", Access::Open, "Says whether requests are wanted", readyz),
        Endpoint::get("/health", Access::Open, "Says what runs, since when, and how it is", health),
        Endpoint::get("/metrics", Access::Open, "What is counted, for Prometheus", metrics),
        Endpoint::get("/openapi.json", Access::Open, "This document", openapi),
    ]
}

/// The state of the process.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
}

/// The state of the server.
#[derive(Debug, Serialize, ToSchema)]
struct ServerHealth {
    /// `ok` or `draining`.
    status: &'static str,
    /// The version of the program.
    version: &'static str,
    /// Seconds since the start.
    uptime_s: u64,
}

async fn livez(_: Call) -> Result<Json<Health>> {
    Ok(Json::new(Health { status: "ok" }))
}

async fn readyz(call: Call) -> Result<Json<Health>> {
    if call.server.is_draining() {
        return Err(Error::unavailable("server.draining", "the server is stopping"));
    }
    Ok(Json::new(Health { status: "ok" }))
}

async fn health(call: Call) -> Result<Json<ServerHealth>> {
    Ok(Json::new(ServerHealth {
        status: if call.server.is_draining() { "draining" } else { "ok" },
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: call.server.monotonic().as_secs(),
    }))
}

async fn metrics(call: Call) -> Result<OpenMetrics> {
    Ok(OpenMetrics(call.server.metrics.scraped(call.platform()).await))
}

async fn openapi(_: Call) -> Result<Raw> {
    // Made once: anybody may ask for it, and as often as they like.
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document(&table()).to_string().into());
    Ok(Raw(rendered(200, "application/json", DOCUMENT.clone())))
}
