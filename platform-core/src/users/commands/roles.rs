//! What a role permits.

use std::collections::BTreeMap;

use crate::kernel::{Context, Position, Result};
use crate::ports::store::{Document, IndexRange, Stored, Work, command};

use super::super::access::ROLES_MAX;
use super::super::events::{RoleDefined, RoleDeleted};
use super::super::tables::{Counter, Role, RoleGuard};
use super::super::{ROLES_WRITE, RoleDefinition, RoleName, RoleSnapshot, RoleView, Users, covers, error};

impl Users {
    /// Defines a role, or defines it anew (permission `roles:write`, and everything that the role
    /// permits before and after). Effective at once for everybody who holds it.
    ///
    /// # Errors
    /// `users.role_built_in`, `users.role_cycle`, `users.role_too_deep`, `users.role_not_found` for an
    /// included role, `users.beyond_own_permissions`, `users.role_version_mismatch`, `auth.forbidden`.
    pub async fn put_role(
        &self,
        ctx: &Context,
        name: &RoleName,
        version: Option<Position>,
        definition: &RoleDefinition,
    ) -> Result<Stored<RoleView>> {
        ctx.require(&ROLES_WRITE)?;
        if name.is_admin() {
            return Err(error::role_built_in());
        }
        let request = (name, version, definition);
        let done = command(&self.db, ctx, "users.put_role", &request, |mut work| async move {
            let mut roles = guarded_roles(&mut work).await?;
            let known = work.load::<Role>(name.as_str()).await?;
            if version.is_some_and(|version| known.as_ref().is_none_or(|known| known.version != version)) {
                return Err(error::role_stale());
            }
            demand_cover(ctx, &RoleSnapshot::compile(&roles)?, name)?;
            roles.insert(name.clone(), definition.clone());
            if roles.len() > ROLES_MAX {
                return Err(error::too_many_roles());
            }
            demand_cover(ctx, &RoleSnapshot::compile(&roles)?, name)?;
            work.put(&Role { name: name.clone(), definition: definition.clone() })?;
            work.publish(&RoleDefined {
                role: name.clone(),
                permissions: definition.permissions.clone(),
                includes: definition.includes.clone(),
            })?;
            work.reply(())
        })
        .await;
        self.access.roles_perhaps_changed(&done);
        let done = done?;
        Ok(Stored { version: done.position, value: RoleView::of(name.clone(), definition.clone()) })
    }

    /// Deletes a role that no user holds and no role contains (permission `roles:write`, and
    /// everything that the role permits).
    ///
    /// # Errors
    /// `users.role_not_found`, `users.role_in_use`, `users.role_built_in`,
    /// `users.beyond_own_permissions`, `auth.forbidden`.
    pub async fn delete_role(&self, ctx: &Context, name: &RoleName) -> Result<()> {
        ctx.require(&ROLES_WRITE)?;
        if name.is_admin() {
            return Err(error::role_built_in());
        }
        let done = command(&self.db, ctx, "users.delete_role", name, |mut work| async move {
            let roles = guarded_roles(&mut work).await?;
            if work.load::<Role>(name.as_str()).await?.is_none() {
                return Err(error::role_not_found(name));
            }
            demand_cover(ctx, &RoleSnapshot::compile(&roles)?, name)?;
            let contained = roles.values().any(|role| role.includes.contains(name));
            if contained || Counter::Holders(name).expected_value(&mut work).await? > 0 {
                return Err(error::role_in_use(name));
            }
            work.delete::<Role>(name.as_str());
            work.publish(&RoleDeleted { role: name.clone() })?;
            work.reply(())
        })
        .await;
        self.access.roles_perhaps_changed(&done);
        done.map(|_| ())
    }
}

/// Every role, under the guard: no other change of roles comes between this and the commit.
async fn guarded_roles(work: &mut Work) -> Result<BTreeMap<RoleName, RoleDefinition>> {
    let guard = work.load::<RoleGuard>(RoleGuard::ID).await?;
    let changes = guard.map_or(0, |guard| guard.changes);
    work.put(&RoleGuard { changes: changes + 1 })?;
    let range = IndexRange::ids(Role::COLLECTION.name).limit(ROLES_MAX);
    let page = work.database().scan::<Role>(&range).await?;
    Ok(page.items.into_iter().map(|role| (role.value.name, role.value.definition)).collect())
}

fn demand_cover(ctx: &Context, roles: &RoleSnapshot, name: &RoleName) -> Result<()> {
    let covered = roles.role(name).is_none_or(|permits| covers(&ctx.principal.permissions, permits));
    if covered { Ok(()) } else { Err(error::beyond_own_permissions()) }
}
