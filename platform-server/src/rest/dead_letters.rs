//! Events that a handler could not process.

use platform_core::backbone::dead_letters::{READ, REDRIVE};
use platform_core::backbone::{DeadLetter, Redriven};
use platform_core::kernel::{DeadLetterId, Page, Result};

use super::{Access, Call, Endpoint, Json, Paging, Path, Query};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let read = || Access::Permission(READ);
    let redrive_it = Access::Permission(REDRIVE);
    vec![
        Endpoint::get("/v1/dead-letters", read(), "Lists events that wait because handling failed", list),
        Endpoint::get("/v1/dead-letters/{id}", read(), "Reads one of them, with its cause", get),
        Endpoint::post(
            "/v1/dead-letters/{id}/redrive",
            redrive_it,
            "Handles what waits for its key again, in order",
            redrive,
        ),
    ]
}

async fn list(call: Call, Query(paging): Query<Paging>) -> Result<Json<Page<DeadLetter>>> {
    Ok(Json::new(call.platform().dead_letters().list(&call.context, &paging.page()?).await?))
}

async fn get(call: Call, Path(id): Path<DeadLetterId>) -> Result<Json<DeadLetter>> {
    Ok(Json::new(call.platform().dead_letters().get(&call.context, id).await?))
}

async fn redrive(call: Call, Path(id): Path<DeadLetterId>) -> Result<Json<Redriven>> {
    Ok(Json::new(call.platform().dead_letters().redrive(&call.context, id).await?))
}
