//! Routes of the gateway.

use platform_core::gateway::{GATEWAY_READ, GATEWAY_WRITE, NamedRoute, Route, RouteName};
use platform_core::kernel::{Cursor, Page, Result};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Access, Body, Call, Endpoint, IfMatch, Json, NoContent, Path, Query, page};

/// The endpoints of routes.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let (read, write) = (|| Access::Permission(GATEWAY_READ), || Access::Permission(GATEWAY_WRITE));
    vec![
        Endpoint::get("/v1/gateway/routes", read(), "Lists routes in the order of their names", list),
        Endpoint::get("/v1/gateway/routes/{name}", read(), "Reads a route", get),
        Endpoint::put("/v1/gateway/routes/{name}", write(), "Sets a route; effective at once", put),
        Endpoint::delete("/v1/gateway/routes/{name}", write(), "Deletes a route; effective at once", delete),
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

async fn list(call: Call, Query(query): Query<ListQuery>) -> Result<Json<Page<NamedRoute>>> {
    let page = page(query.limit, query.cursor)?;
    Ok(Json::new(call.platform().gateway().list(&call.context, &page).await?))
}

async fn get(call: Call, Path(name): Path<RouteName>) -> Result<Json<NamedRoute>> {
    shown(call.platform().gateway().get(&call.context, &name).await?)
}

async fn put(
    call: Call,
    Path(name): Path<RouteName>,
    IfMatch(revision): IfMatch,
    Body(route): Body<Route>,
) -> Result<Json<NamedRoute>> {
    shown(call.platform().gateway().put(&call.context, &name, revision, &route).await?)
}

async fn delete(call: Call, Path(name): Path<RouteName>, IfMatch(revision): IfMatch) -> Result<NoContent> {
    call.platform().gateway().delete(&call.context, &name, revision).await?;
    Ok(NoContent)
}

fn shown(route: NamedRoute) -> Result<Json<NamedRoute>> {
    let revision = route.revision;
    Ok(Json::new(route).etag(revision))
}
