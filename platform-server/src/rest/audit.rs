//! The audit trail: entries, proofs, checkpoints.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use platform_core::audit::{AuditEntry, ConsistencyProof, EntryProof, EventsQuery, READ};
use platform_core::kernel::{Cursor, Page, Result, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Access, Call, Endpoint, Json, Path, Query, Raw, Text, page};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let access = || Access::Permission(READ);
    vec![
        Endpoint::get("/v1/audit/events", access(), "Searches the audit log, newest first", events),
        Endpoint::get("/v1/audit/events/{index}", access(), "Reads an entry", event),
        Endpoint::get(
            "/v1/audit/events/{index}/proof",
            access(),
            "Proves that an entry is in the log",
            proof,
        ),
        Endpoint::get("/v1/audit/consistency", access(), "Proves that nothing was changed", consistency),
        Endpoint::get("/v1/audit/checkpoint", access(), "The signed checkpoint over all entries", checkpoint),
        Endpoint::get("/v1/audit/log/{*path}", access(), "The log as files of C2SP tlog-tiles", file),
        Endpoint::get("/v1/audit/key", access(), "The key that checks the checkpoints", key),
    ]
}

/// Which entries, and which page of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// Who did it: `user_…`, `user:user_…`, `service:NAME`, `anonymous`, `system`.
    actor: Option<String>,
    /// What it was done to.
    subject: Option<String>,
    /// What was done.
    action: Option<String>,
    /// Not before.
    from: Option<Timestamp>,
    /// Before.
    to: Option<Timestamp>,
    limit: Option<usize>,
    cursor: Option<Cursor>,
}

/// Between which sizes of the log.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Sizes {
    /// The smaller size, 1 or more.
    from: u64,
    /// The larger size; the signed size when absent.
    to: Option<u64>,
}

async fn events(call: Call, Query(search): Query<Search>) -> Result<Json<Page<AuditEntry>>> {
    let Search { actor, subject, action, from, to, limit, cursor } = search;
    let query = EventsQuery { actor, subject, action, from, to };
    Ok(Json::new(call.platform().audit().events(&call.context, &query, &page(limit, cursor)?).await?))
}

async fn event(call: Call, Path(index): Path<u64>) -> Result<Json<AuditEntry>> {
    Ok(Json::new(call.platform().audit().event(&call.context, index).await?))
}

async fn proof(call: Call, Path(index): Path<u64>) -> Result<Json<EntryProof>> {
    Ok(Json::new(call.platform().audit().proof(&call.context, index).await?))
}

async fn consistency(call: Call, Query(sizes): Query<Sizes>) -> Result<Json<ConsistencyProof>> {
    let audit = call.platform().audit();
    Ok(Json::new(audit.consistency(&call.context, sizes.from, sizes.to).await?))
}

async fn checkpoint(call: Call) -> Result<Text> {
    Ok(Text(call.platform().audit().checkpoint(&call.context).await?))
}

async fn key(call: Call) -> Result<Text> {
    Ok(Text(format!("{}\n", call.platform().audit().verifier_key(&call.context).await?)))
}

/// `checkpoint`, `tile/…`, `tile/entries/…`: what a tool of others asks for, given the URL up to `log/`.
async fn file(call: Call, Path(path): Path<String>) -> Result<Raw> {
    let bytes = call.platform().audit().resource(&call.context, &path).await?;
    let is_text = path == "checkpoint";
    let content_type = if is_text { "text/plain; charset=utf-8" } else { "application/octet-stream" };
    let mut response = Response::new(Bytes::from(bytes));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(Raw(response))
}
