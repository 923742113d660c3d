//! Profiles, roles, and who holds which.

use platform_core::kernel::{Cursor, Page, Result, UserId};
use platform_core::ports::store::Stored;
use platform_core::users::{
    PermissionsView, Profile, ProfilePatch, ProfileSearch, ROLES_READ, ROLES_WRITE, RoleDefinition, RoleName,
    RoleView, USERS_READ,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Access, Body, Call, Endpoint, IfMatch, Json, NoContent, Paging, Path, Path2, Query, page};

/// The endpoints of the users domain.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/users/me", Access::SignedIn, "Reads one's own profile", me),
        Endpoint::patch(
            "/v1/users/me",
            Access::SignedIn,
            "Changes one's own profile (JSON merge patch)",
            change_me,
        ),
        Endpoint::delete("/v1/users/me", Access::SignedIn, "Erases oneself", erase_me),
        Endpoint::get("/v1/users/me/permissions", Access::SignedIn, "Says what one may do", my_permissions),
        Endpoint::get("/v1/users", Access::Permission(USERS_READ), "Searches profiles", search),
        Endpoint::get("/v1/users/{id}", Access::SignedIn, "Reads a profile", read),
        Endpoint::patch("/v1/users/{id}", Access::SignedIn, "Changes a profile (JSON merge patch)", change),
        Endpoint::delete("/v1/users/{id}", Access::SignedIn, "Erases a person", erase),
        Endpoint::get("/v1/users/{id}/permissions", Access::SignedIn, "Says what a user may do", permissions),
        Endpoint::put("/v1/users/{id}/roles/{role}", Access::Permission(ROLES_WRITE), "Gives a role", grant),
        Endpoint::delete(
            "/v1/users/{id}/roles/{role}",
            Access::Permission(ROLES_WRITE),
            "Takes a role",
            revoke,
        ),
        Endpoint::get("/v1/roles", Access::Permission(ROLES_READ), "Lists roles", roles),
        Endpoint::get("/v1/roles/{role}", Access::Permission(ROLES_READ), "Reads a role", role),
        Endpoint::put("/v1/roles/{role}", Access::Permission(ROLES_WRITE), "Defines a role", put_role),
        Endpoint::delete("/v1/roles/{role}", Access::Permission(ROLES_WRITE), "Deletes a role", delete_role),
    ]
}

/// Which profiles, and which page of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    /// How the address begins, without regard to case.
    email_prefix: Option<String>,
    /// How the name begins, without regard to case.
    name_prefix: Option<String>,
    /// A role that is held directly.
    role: Option<RoleName>,
    /// Items at most, 1 to 500.
    limit: Option<usize>,
    /// Where the page before ended.
    cursor: Option<Cursor>,
}

fn shown<T>(stored: Stored<T>) -> Json<T> {
    Json::new(stored.value).etag(stored.version)
}

async fn me(call: Call) -> Result<Json<Profile>> {
    let user = call.context.user()?;
    Ok(shown(call.platform().users().get(&call.context, user).await?))
}

async fn change_me(
    call: Call,
    IfMatch(version): IfMatch,
    Body(patch): Body<ProfilePatch>,
) -> Result<Json<Profile>> {
    let user = call.context.user()?;
    Ok(shown(call.platform().users().update(&call.context, user, version, &patch).await?))
}

async fn erase_me(call: Call, IfMatch(version): IfMatch) -> Result<NoContent> {
    let user = call.context.user()?;
    call.platform().users().erase(&call.context, user, version).await?;
    Ok(NoContent)
}

async fn my_permissions(call: Call) -> Result<Json<PermissionsView>> {
    let user = call.context.user()?;
    Ok(Json::new(call.platform().users().permissions(&call.context, user).await?))
}

async fn search(call: Call, Query(query): Query<Search>) -> Result<Json<Page<Profile>>> {
    let Search { email_prefix, name_prefix, role, limit, cursor } = query;
    let search = ProfileSearch { email_prefix, name_prefix, role };
    let found = call.platform().users().search(&call.context, &search, &page(limit, cursor)?).await?;
    Ok(Json::new(found.map(|profile| profile.value)))
}

async fn read(call: Call, Path(user): Path<UserId>) -> Result<Json<Profile>> {
    Ok(shown(call.platform().users().get(&call.context, user).await?))
}

async fn change(
    call: Call,
    Path(user): Path<UserId>,
    IfMatch(version): IfMatch,
    Body(patch): Body<ProfilePatch>,
) -> Result<Json<Profile>> {
    Ok(shown(call.platform().users().update(&call.context, user, version, &patch).await?))
}

async fn erase(call: Call, Path(user): Path<UserId>, IfMatch(version): IfMatch) -> Result<NoContent> {
    call.platform().users().erase(&call.context, user, version).await?;
    Ok(NoContent)
}

async fn permissions(call: Call, Path(user): Path<UserId>) -> Result<Json<PermissionsView>> {
    Ok(Json::new(call.platform().users().permissions(&call.context, user).await?))
}

async fn grant(call: Call, Path2(user, role): Path2<UserId, RoleName>) -> Result<Json<Profile>> {
    Ok(shown(call.platform().users().grant(&call.context, user, &role).await?))
}

async fn revoke(call: Call, Path2(user, role): Path2<UserId, RoleName>) -> Result<Json<Profile>> {
    Ok(shown(call.platform().users().revoke(&call.context, user, &role).await?))
}

async fn roles(call: Call, Query(paging): Query<Paging>) -> Result<Json<Page<RoleView>>> {
    let page = paging.page()?;
    Ok(Json::new(call.platform().users().roles(&call.context, &page).await?))
}

async fn role(call: Call, Path(role): Path<RoleName>) -> Result<Json<RoleView>> {
    Ok(shown(call.platform().users().role(&call.context, &role).await?))
}

async fn put_role(
    call: Call,
    Path(role): Path<RoleName>,
    IfMatch(version): IfMatch,
    Body(definition): Body<RoleDefinition>,
) -> Result<Json<RoleView>> {
    Ok(shown(call.platform().users().put_role(&call.context, &role, version, &definition).await?))
}

async fn delete_role(call: Call, Path(role): Path<RoleName>) -> Result<NoContent> {
    call.platform().users().delete_role(&call.context, &role).await?;
    Ok(NoContent)
}
