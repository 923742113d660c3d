//! Feature flags: their definitions, revisions and counts.

use platform_core::flags::{FLAGS_READ, FLAGS_WRITE, Flag, FlagKey, FlagSet, Revision, VariantCount};
use platform_core::kernel::{Cursor, Page, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Access, Body, Call, Endpoint, IfMatch, Json, NoContent, Path, Path2, Query, page};

/// The endpoints of flags.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let (read, write) = (|| Access::Permission(FLAGS_READ), || Access::Permission(FLAGS_WRITE));
    vec![
        Endpoint::get("/v1/flags", read(), "Lists flags in the order of their keys", list),
        Endpoint::get("/v1/flags/{key}", read(), "Reads a flag", get),
        Endpoint::put("/v1/flags/{key}", write(), "Sets a flag's definition, in flagd's format", put),
        Endpoint::delete("/v1/flags/{key}", write(), "Deletes a flag; its revisions stay", delete),
        Endpoint::post("/v1/flags/{key}/kill", write(), "Disables a flag at once", kill),
        Endpoint::get("/v1/flags/{key}/revisions", read(), "The changes of a flag, newest first", revisions),
        Endpoint::post(
            "/v1/flags/{key}/revisions/{revision}/restore",
            write(),
            "Takes the definition of an earlier revision again",
            restore,
        )
        .idempotent(),
        Endpoint::get("/v1/flags/{key}/evaluations", read(), "How often each variant was given", evaluations),
        Endpoint::get("/v1/flag-set", read(), "What holds for all flags", set),
        Endpoint::put(
            "/v1/flag-set",
            write(),
            "Sets evaluators, metadata, and while there are no flags bucketing",
            put_set,
        ),
    ]
}

/// A page of a list.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Items at most: 1 to 500, 50 when absent.
    limit: Option<usize>,
    /// Where the page before ended.
    cursor: Option<Cursor>,
}

async fn list(call: Call, Query(query): Query<ListQuery>) -> Result<Json<Page<Flag>>> {
    let page = page(query.limit, query.cursor)?;
    Ok(Json::new(call.platform().flags().list(&call.context, &page).await?))
}

async fn get(call: Call, Path(key): Path<FlagKey>) -> Result<Json<Flag>> {
    shown(call.platform().flags().get(&call.context, &key).await?)
}

async fn put(
    call: Call,
    Path(key): Path<FlagKey>,
    IfMatch(revision): IfMatch,
    Body(definition): Body<Value>,
) -> Result<Json<Flag>> {
    shown(call.platform().flags().put(&call.context, &key, revision, &definition).await?)
}

async fn delete(call: Call, Path(key): Path<FlagKey>, IfMatch(revision): IfMatch) -> Result<NoContent> {
    call.platform().flags().delete(&call.context, &key, revision).await?;
    Ok(NoContent)
}

async fn kill(call: Call, Path(key): Path<FlagKey>, IfMatch(revision): IfMatch) -> Result<Json<Flag>> {
    shown(call.platform().flags().kill(&call.context, &key, revision).await?)
}

async fn revisions(
    call: Call,
    Path(key): Path<FlagKey>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Revision>>> {
    let page = page(query.limit, query.cursor)?;
    Ok(Json::new(call.platform().flags().revisions(&call.context, &key, &page).await?))
}

async fn restore(call: Call, Path2(key, revision): Path2<FlagKey, u64>) -> Result<Json<Flag>> {
    shown(call.platform().flags().restore(&call.context, &key, revision).await?)
}

/// The counts of a flag, all at once: a flag has at most 256 variants.
#[derive(Debug, Serialize, ToSchema)]
struct Evaluations {
    /// A count for each variant that was given.
    items: Vec<VariantCount>,
}

async fn evaluations(call: Call, Path(key): Path<FlagKey>) -> Result<Json<Evaluations>> {
    let items = call.platform().flags().evaluations(&call.context, &key).await?;
    Ok(Json::new(Evaluations { items }))
}

async fn set(call: Call) -> Result<Json<FlagSet>> {
    Ok(Json::new(call.platform().flags().set(&call.context).await?))
}

async fn put_set(call: Call, Body(set): Body<FlagSet>) -> Result<Json<FlagSet>> {
    Ok(Json::new(call.platform().flags().put_set(&call.context, &set).await?))
}

fn shown(flag: Flag) -> Result<Json<Flag>> {
    let revision = flag.revision;
    Ok(Json::new(flag).etag(revision))
}
