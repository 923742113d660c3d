//! Who holds which role.

use crate::kernel::{Context, Result, UserId};
use crate::ports::store::{Stored, Work, command};

use super::super::events::RoleChanged;
use super::super::tables::{Counter, Role, profile_id};
use super::super::{Profile, ROLES_WRITE, RoleName, Status, Users, covers, error};
use super::profiles::{last_administrator, stored};

/// Roles that one user holds.
const ROLES_OF_ONE: usize = 100;

impl Users {
    /// Gives a role to a user (permission `roles:write`, and everything that the role permits).
    /// Effective at once. A role that is held already stays.
    ///
    /// # Errors
    /// `users.not_found`, `users.role_not_found`, `users.beyond_own_permissions`, `auth.forbidden`.
    pub async fn grant(&self, ctx: &Context, user: UserId, role: &RoleName) -> Result<Stored<Profile>> {
        ctx.require(&ROLES_WRITE)?;
        self.demand_cover(ctx, role).await?;
        let done = command(&self.db, ctx, "users.grant", &(user, role), |mut work| async move {
            if !role.is_admin() && work.load::<Role>(role.as_str()).await?.is_none() {
                return Err(error::role_not_found(role));
            }
            let profile =
                work.load::<Profile>(profile_id(user)).await?.ok_or_else(|| error::not_found(user))?;
            self.give(work, profile, role, i64::MAX)
        })
        .await;
        self.access.user_perhaps_changed(user, &done);
        let done = done?;
        Ok(stored(done.value, done.position))
    }

    /// Makes a user the first administrator, when there is none. Only the platform itself does so.
    ///
    /// # Errors
    /// `users.already_set_up`, `users.not_found` (also for one who is deactivated), `auth.forbidden`.
    pub async fn grant_first_administrator(&self, ctx: &Context, user: UserId) -> Result<Stored<Profile>> {
        ctx.require(&ROLES_WRITE)?;
        let admin = &RoleName::admin();
        self.demand_cover(ctx, admin).await?;
        let done =
            command(&self.db, ctx, "users.grant_first_administrator", &user, |mut work| async move {
                let profile =
                    work.load::<Profile>(profile_id(user)).await?.ok_or_else(|| error::not_found(user))?;
                if profile.roles.contains(admin) {
                    return Err(error::already_set_up());
                }
                if profile.status != Status::Active {
                    // Whoever may not act is counted nowhere: there would be a first one more than once.
                    return Err(error::not_found(user));
                }
                self.give(work, profile, admin, 1)
            })
            .await
            .map_err(|error| {
                if error.code() == "store.out_of_range" { error::already_set_up() } else { error }
            });
        self.access.user_perhaps_changed(user, &done);
        let done = done?;
        Ok(stored(done.value, done.position))
    }

    /// Takes a role from a user (permission `roles:write`, and everything that the role permits).
    /// Effective at once. A role that is not held stays away.
    ///
    /// # Errors
    /// `users.not_found`, `users.last_administrator`, `users.beyond_own_permissions`, `auth.forbidden`.
    pub async fn revoke(&self, ctx: &Context, user: UserId, role: &RoleName) -> Result<Stored<Profile>> {
        ctx.require(&ROLES_WRITE)?;
        self.demand_cover(ctx, role).await?;
        let done = command(&self.db, ctx, "users.revoke", &(user, role), |mut work| async move {
            let mut profile =
                work.load::<Profile>(profile_id(user)).await?.ok_or_else(|| error::not_found(user))?;
            if !profile.roles.remove(role) {
                let version = profile.version;
                return work.reply((profile.value, Some(version)));
            }
            profile.updated_at = work.now();
            match role.is_admin() {
                false => Counter::Holders(role).decrement(&mut work, 0),
                true if profile.status == Status::Active => Counter::Administrators.decrement(&mut work, 1),
                true => {}
            }
            work.put(&profile.value)?;
            work.publish(&RoleChanged { user_id: user, role: role.clone(), granted: false })?;
            work.reply((profile.value, None))
        })
        .await
        .map_err(last_administrator);
        self.access.user_perhaps_changed(user, &done);
        let done = done?;
        Ok(stored(done.value, done.position))
    }

    fn give(
        &self,
        mut work: Work,
        mut profile: Stored<Profile>,
        role: &RoleName,
        administrators_at_most: i64,
    ) -> Result<crate::ports::store::Reply<(Profile, Option<u64>)>> {
        if profile.roles.len() >= ROLES_OF_ONE {
            return Err(error::too_many_roles_of_one());
        }
        if !profile.roles.insert(role.clone()) {
            let version = profile.version;
            return work.reply((profile.value, Some(version)));
        }
        profile.updated_at = work.now();
        match role.is_admin() {
            false => Counter::Holders(role).increment(&mut work, i64::MAX),
            true if profile.status == Status::Active => {
                Counter::Administrators.increment(&mut work, administrators_at_most);
            }
            true => {}
        }
        work.put(&profile.value)?;
        work.publish(&RoleChanged { user_id: profile.id, role: role.clone(), granted: true })?;
        work.reply((profile.value, None))
    }

    /// Nobody deals in a role that permits more than they hold. One that does not exist permits nothing.
    async fn demand_cover(&self, ctx: &Context, role: &RoleName) -> Result<()> {
        let roles = self.access.roles(&self.db).await?;
        let covered = roles.role(role).is_none_or(|permits| covers(&ctx.principal.permissions, permits));
        if covered { Ok(()) } else { Err(error::beyond_own_permissions()) }
    }
}
