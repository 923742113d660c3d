//! REST: every endpoint is declared once, as an [`Endpoint`] in a table; the router, the access policy
//! and the OpenAPI document all come from that declaration.
//!
//! # How to add a domain
//!
//! 1. Write `rest/<domain>.rs` with `pub(super) fn endpoints() -> Vec<Endpoint>`, one line per endpoint, and
//!    one small handler each: parse (done by the extractors), call one facade method, render.
//! 2. Add `mod <domain>;` here and `endpoints.extend(<domain>::endpoints());` in [`table`].
//! 3. What goes in and out derives `utoipa::ToSchema`: in platform-core as
//!    `#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]`, here plainly. Ids, times, cursors,
//!    permissions and secrets have their schema already (`typed_id!` gives it).
//!
//! ```text
//! pub(super) fn endpoints() -> Vec<Endpoint> {
//!     vec![
//!         Endpoint::post("/v1/auth/register", Access::Open, "Registers an account", register).idempotent(),
//!         Endpoint::get("/v1/users/{id}", Access::SignedIn, "Reads a profile", read),
//!         Endpoint::patch("/v1/users/{id}", Access::SignedIn, "Changes a profile (JSON merge patch)", change),
//!         Endpoint::get("/v1/users", Access::Permission(users::READ), "Searches profiles", search),
//!     ]
//! }
//!
//! async fn register(call: Call, Body(request): Body<Register>) -> Result<Created<Registered>> {
//!     Ok(Created::new(call.platform().auth().register(&call.context, request).await?))
//! }
//!
//! async fn change(call: Call, Path(id): Path<UserId>, IfMatch(version): IfMatch, Body(patch): Body<ProfilePatch>)
//!     -> Result<Json<Profile>> {
//!     let user = call.platform().users().change(&call.context, id, version, patch).await?;
//!     Ok(Json::new(user.profile).etag(user.version))
//! }
//! ```
//!
//! Extractors, in any order, at most five: [`Path<T>`](Path) and [`Path2<A, B>`](Path2) (anything that is
//! `FromStr`), [`Query<T>`](Query) (for lists with the fields `limit: Option<usize>` and
//! `cursor: Option<Cursor>`, see [`page`]), [`Body<T>`](Body) (no body counts as `{}`),
//! [`RawBody`], [`IfMatch`]. Request structs say `#[serde(deny_unknown_fields)]`.
//! Replies: [`Json`] 200, [`Created`] 201, [`Accepted`] 202, [`NoContent`] 204, [`Text`], [`Raw`] for formats of
//! others (OFREP errors). A reply to a GET that carries an ETag answers 304 by itself when
//! `If-None-Match` says so (`.conditional()` for a POST). `.idempotent()` reads `Idempotency-Key` into the
//! context; `X-Change-Reason` is always read. Access is checked here *and* in the facade.

mod answer;
pub(crate) mod audit;
mod auth;
mod call;
mod dead_letters;
mod endpoint;
mod extract;
mod flags;
mod gateway;
pub(crate) mod headers;
pub(crate) mod json;
mod notifications;
mod ofrep;
mod openapi;
mod problem;
mod reply;
mod system;
mod transactions;
mod users;

pub use platform_core::gateway::Access;

pub(crate) use answer::Answered;
pub use answer::Routes;
pub(crate) use answer::render_problem;
pub use call::Call;
pub use endpoint::Endpoint;
pub use extract::{Body, Extract, IfMatch, Paging, Path, Path2, Query, RawBody, Received, page};
pub use headers::RequestInfo;
pub(crate) use headers::{REQUEST_ID, TRACEPARENT, bearer};
pub use openapi::document;
pub use problem::{Problem, status_of};
pub use reply::{Accepted, Created, Json, NoContent, OpenMetrics, Raw, Reply, Text};

/// Every endpoint of the server: the one table.
pub fn table() -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    endpoints.extend(system::endpoints());
    endpoints.extend(audit::endpoints());
    endpoints.extend(flags::endpoints());
    endpoints.extend(ofrep::endpoints());
    endpoints.extend(gateway::endpoints());
    endpoints.extend(notifications::endpoints());
    endpoints.extend(auth::endpoints());
    endpoints.extend(users::endpoints());
    endpoints.extend(transactions::endpoints());
    endpoints.extend(dead_letters::endpoints());
    endpoints
}
