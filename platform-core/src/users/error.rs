//! The errors of this domain.

use crate::kernel::{Error, UserId};

use super::RoleName;

pub(super) fn not_found(user: UserId) -> Error {
    Error::not_found("users.not_found", "there is no such user").with("user_id", user)
}

pub(super) fn email_taken() -> Error {
    Error::already_exists("users.email_taken", "another profile has this e-mail address")
}

pub(super) fn stale() -> Error {
    Error::precondition("users.version_mismatch", "the profile has changed since it was read")
}

pub(super) fn role_not_found(role: &RoleName) -> Error {
    Error::not_found("users.role_not_found", "there is no such role").with("role", role)
}

pub(super) fn role_cycle(role: &RoleName) -> Error {
    Error::conflict("users.role_cycle", "a role would contain itself").with("role", role)
}

pub(super) fn role_too_deep(role: &RoleName) -> Error {
    Error::conflict("users.role_too_deep", "roles are nested at most 16 deep").with("role", role)
}

pub(super) fn role_in_use(role: &RoleName) -> Error {
    Error::conflict("users.role_in_use", "the role is held by users or contained in other roles")
        .with("role", role)
}

pub(super) fn role_built_in() -> Error {
    Error::conflict("users.role_built_in", "the role admin is built in and cannot be changed")
}

pub(super) fn too_many_roles() -> Error {
    Error::conflict("users.too_many_roles", "there are as many roles as there may be")
}

pub(super) fn last_administrator() -> Error {
    Error::conflict("users.last_administrator", "the last administrator stays one: name another first")
}

pub(super) fn beyond_own_permissions() -> Error {
    Error::forbidden("users.beyond_own_permissions", "nobody gives, takes or governs more than they hold")
}

pub(super) fn damaged_counter() -> Error {
    Error::data_loss("store.damaged", "a stored counter does not read")
}

pub(super) fn too_many_roles_of_one() -> Error {
    Error::conflict("users.too_many_roles", "a user holds at most 100 roles")
}

pub(super) fn already_set_up() -> Error {
    Error::conflict("users.already_set_up", "there is an administrator already")
}

pub(super) fn role_stale() -> Error {
    Error::precondition("users.role_version_mismatch", "the role has changed since it was read")
}
