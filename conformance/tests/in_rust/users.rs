//! The methods of users.

use platform_core::kernel::{Permission, UserId};
use platform_core::users::{NewProfile, ProfilePatch, ProfileSearch, RoleDefinition, RoleName};
use serde_json::json;

use crate::shapes::{plain, versioned};
use crate::table::methods;

methods! { users:
    call create(; new: NewProfile) |platform, context| platform.users().create(&context, &new).await => versioned;
    call get(user: UserId) |platform, context| platform.users().get(&context, user).await => versioned;
    list search(; search: ProfileSearch) |platform, context, page|
        platform.users().search(&context, &search, &page).await => versioned;
    call update(user: UserId, version: Option<u64>; patch: ProfilePatch) |platform, context|
        platform.users().update(&context, user, version, &patch).await => versioned;
    call erase(user: UserId, version: Option<u64>) |platform, context|
        platform.users().erase(&context, user, version).await => plain;
    call permissions(user: UserId) |platform, context| platform.users().permissions(&context, user).await => plain;
    call check(user: UserId, permission: Permission) |platform, context|
        platform.users().check(&context, user, &permission).await => plain;
    call access(user: UserId) |platform, context|
        platform.users().access(&context, user).await => |access| access.map_or(json!(null), |_| json!({"user_id": user}));
    call has_administrator() |platform, _context| platform.users().has_administrator().await => plain;
    call grant(user: UserId, role: RoleName) |platform, context|
        platform.users().grant(&context, user, &role).await => versioned;
    call grant_first_administrator(user: UserId) |platform, context|
        platform.users().grant_first_administrator(&context, user).await => versioned;
    call revoke(user: UserId, role: RoleName) |platform, context|
        platform.users().revoke(&context, user, &role).await => versioned;
    call put_role(name: RoleName, version: Option<u64>; definition: RoleDefinition) |platform, context|
        platform.users().put_role(&context, &name, version, &definition).await => versioned;
    call delete_role(name: RoleName) |platform, context|
        platform.users().delete_role(&context, &name).await => plain;
    call role(name: RoleName) |platform, context| platform.users().role(&context, &name).await => versioned;
    list roles() |platform, context, page| platform.users().roles(&context, &page).await => plain;
}
