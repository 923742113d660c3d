//! What is read of users and roles.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::kernel::{Context, Error, Page, PageRequest, Permission, Permissions, Result, UserId, limits};
use crate::ports::store::{Document, IndexRange, Stored};

use super::tables::{BY_EMAIL, BY_NAME, BY_ROLE, Counter, Role, profile_id};
use super::{Access, Profile, ROLES_READ, RoleDefinition, RoleName, USERS_READ, Users, error};

/// Scans that one search may cost: a filter that hardly anything passes ends with a short page.
const SCANS_OF_ONE_SEARCH: usize = 4;

/// Which profiles are looked for. Everything that is given has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileSearch {
    /// How the address begins, without regard to case.
    pub email_prefix: Option<String>,
    /// How the name begins, without regard to case.
    pub name_prefix: Option<String>,
    /// A role that is held directly.
    pub role: Option<RoleName>,
}

/// A role as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoleView {
    /// Its name.
    pub id: RoleName,
    /// Permissions of its own.
    pub permissions: BTreeSet<Permission>,
    /// Roles that it contains.
    pub includes: BTreeSet<RoleName>,
    /// Whether it is the built-in role that holds every permission.
    pub built_in: bool,
}

impl RoleView {
    pub(super) fn of(id: RoleName, definition: RoleDefinition) -> RoleView {
        let RoleDefinition { permissions, includes } = definition;
        RoleView { built_in: id.is_admin(), id, permissions, includes }
    }
}

/// What a user may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PermissionsView {
    /// Whether every permission is held.
    pub everything: bool,
    /// The permissions that are held, by whatever role; empty when every one is.
    pub permissions: BTreeSet<Permission>,
}

impl Users {
    /// A profile: one's own, or with the permission `users:read`.
    ///
    /// # Errors
    /// `users.not_found`, `auth.forbidden`.
    pub async fn get(&self, ctx: &Context, user: UserId) -> Result<Stored<Profile>> {
        ctx.require_self_or(user, &USERS_READ)?;
        let profile =
            self.db.get::<Profile>(profile_id(user)).await?.ok_or_else(|| error::not_found(user))?;
        self.disclosures.of(ctx, "users.profile_read", user);
        Ok(profile)
    }

    /// Profiles (permission `users:read`): by address when its prefix is given, else by name when its
    /// prefix is given, else by role, else in the order in which they were made. A page may be short
    /// although more follow: `next_cursor` tells.
    ///
    /// # Errors
    /// `request.invalid_limit`, `request.invalid_cursor`, `auth.forbidden`.
    pub async fn search(
        &self,
        ctx: &Context,
        search: &ProfileSearch,
        page: &PageRequest,
    ) -> Result<Page<Stored<Profile>>> {
        ctx.require(&USERS_READ)?;
        let limit = page.limit()?;
        let lower = |prefix: &Option<String>| prefix.as_deref().map(str::to_lowercase);
        let (email, name) = (lower(&search.email_prefix), lower(&search.name_prefix));
        for prefix in [&email, &name].into_iter().flatten() {
            if prefix.len() > limits::EMAIL_BYTES {
                return Err(Error::invalid("request.invalid_prefix", "a prefix has at most 254 bytes"));
            }
        }
        let profiles = Profile::COLLECTION.name;
        let range = match (&email, &name, &search.role) {
            (Some(prefix), _, _) => IndexRange::index(profiles, BY_EMAIL).prefix(prefix.as_bytes()),
            (None, Some(prefix), _) => IndexRange::index(profiles, BY_NAME).prefix(prefix.as_bytes()),
            (None, None, Some(role)) => {
                IndexRange::index(profiles, BY_ROLE).exactly(role.as_str().as_bytes())
            }
            (None, None, None) => IndexRange::ids(profiles),
        };
        let fits = |profile: &Profile| {
            name.as_deref()
                .is_none_or(|prefix| profile.searched_name().is_some_and(|name| name.starts_with(prefix)))
                && search.role.as_ref().is_none_or(|role| profile.roles.contains(role))
        };
        let mut found = Page { items: Vec::new(), next_cursor: page.cursor.clone() };
        for _ in 0..SCANS_OF_ONE_SEARCH {
            let range = range.clone().limit(limit - found.items.len()).after(found.next_cursor.take());
            let part = self.db.scan::<Profile>(&range).await?;
            found.items.extend(part.items.into_iter().filter(|profile| fits(profile)));
            found.next_cursor = part.next_cursor;
            if found.next_cursor.is_none() || found.items.len() >= limit {
                break;
            }
        }
        let people = found.items.iter().map(|profile| profile.id);
        let shown = found.items.len() as u64;
        self.disclosures.among(ctx, "users.profiles_searched", "users".to_owned(), shown, people);
        Ok(found)
    }

    /// What a user may do: oneself, or with the permission `users:read`.
    ///
    /// # Errors
    /// `users.not_found` for nobody and for one who is deactivated, `auth.forbidden`.
    pub async fn permissions(&self, ctx: &Context, user: UserId) -> Result<PermissionsView> {
        ctx.require_self_or(user, &USERS_READ)?;
        let access = self.access.of(&self.db, user).await?.ok_or_else(|| error::not_found(user))?;
        Ok(match access.permissions {
            Permissions::All => PermissionsView { everything: true, permissions: BTreeSet::new() },
            Permissions::Only(permissions) => {
                PermissionsView { everything: false, permissions: (*permissions).clone() }
            }
        })
    }

    /// Whether a user holds a permission (oneself, or with the permission `users:read`), from memory.
    /// Nobody, and one who is deactivated, holds none.
    ///
    /// # Errors
    /// `auth.forbidden`, `store.unavailable`.
    pub async fn check(&self, ctx: &Context, user: UserId, permission: &Permission) -> Result<bool> {
        ctx.require_self_or(user, &USERS_READ)?;
        let access = self.access.of(&self.db, user).await?;
        Ok(access.is_some_and(|access| access.permissions.contains(permission)))
    }

    /// What an active user may do, with the epochs that this depends on; `None` for nobody and for one
    /// who is deactivated. For whoever remembers decisions (permission `users:read`).
    ///
    /// # Errors
    /// `auth.forbidden`, `store.unavailable`.
    pub async fn access(&self, ctx: &Context, user: UserId) -> Result<Option<Access>> {
        ctx.require(&USERS_READ)?;
        self.access.of(&self.db, user).await
    }

    /// Whether there is an administrator.
    ///
    /// # Errors
    /// `store.unavailable`.
    pub async fn has_administrator(&self) -> Result<bool> {
        Counter::Administrators.value(&self.db).await.map(|administrators| administrators > 0)
    }

    /// A role (permission `roles:read`). `admin` is built in; its version is 0.
    ///
    /// # Errors
    /// `users.role_not_found`, `auth.forbidden`.
    pub async fn role(&self, ctx: &Context, name: &RoleName) -> Result<Stored<RoleView>> {
        ctx.require(&ROLES_READ)?;
        if name.is_admin() {
            return Ok(Stored { version: 0, value: RoleView::of(name.clone(), RoleDefinition::default()) });
        }
        let role = self.db.get::<Role>(name.as_str()).await?.ok_or_else(|| error::role_not_found(name))?;
        Ok(Stored { version: role.version, value: RoleView::of(role.value.name, role.value.definition) })
    }

    /// The roles in order of their names, without the built-in one (permission `roles:read`).
    ///
    /// # Errors
    /// `request.invalid_limit`, `request.invalid_cursor`, `auth.forbidden`.
    pub async fn roles(&self, ctx: &Context, page: &PageRequest) -> Result<Page<RoleView>> {
        ctx.require(&ROLES_READ)?;
        let range = IndexRange::ids(Role::COLLECTION.name).limit(page.limit()?).after(page.cursor.clone());
        let roles = self.db.scan::<Role>(&range).await?;
        Ok(roles.map(|role| RoleView::of(role.value.name, role.value.definition)))
    }
}
