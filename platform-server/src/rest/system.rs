//! Health and the description of the interface.

use platform_core::kernel::Result;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Access, Call, Endpoint, Json, Text, document, table};

/// The endpoints of the server itself.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/livez", Access::Open, "Says that the process runs", livez),
        Endpoint::get("/metrics", Access::Open, "What is counted, for Prometheus", metrics),
        Endpoint::get("/openapi.json", Access::Open, "This document", openapi),
    ]
}

/// The state of the server.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
}

async fn livez(_: Call) -> Result<Json<Health>> {
    Ok(Json::new(Health { status: "ok" }))
}

async fn metrics(call: Call) -> Result<Text> {
    Ok(Text(call.server.metrics.render()))
}

async fn openapi(_: Call) -> Result<Json<Value>> {
    Ok(Json::new(document(&table())))
}
