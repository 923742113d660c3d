//! Profiles: create, update, erase.

use serde::{Deserialize, Serialize};

use crate::kernel::{Context, Position, Result, UserId};
use crate::ports::store::{Stored, Work, command};

use super::super::events::{ProfileCreated, ProfileErased, ProfileUpdated, StatusChanged};
use super::super::tables::{Counter, profile_id};
use super::super::{Email, Profile, ProfilePatch, RoleName, Status, USERS_WRITE, Users, covers, error};

/// A profile to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewProfile {
    /// The id, when the caller chose it: the same id and address again is answered like the first time.
    #[serde(default)]
    pub id: Option<UserId>,
    /// The address: unique without regard to case.
    pub email: Email,
    /// What the person is called.
    #[serde(default)]
    pub name: Option<String>,
}

impl Users {
    /// Makes a profile (permission `users:write`).
    ///
    /// # Errors
    /// `users.email_taken`, `users.invalid_name`, `auth.forbidden`.
    pub async fn create(&self, ctx: &Context, new: &NewProfile) -> Result<Stored<Profile>> {
        ctx.require(&USERS_WRITE)?;
        let done = command(&self.db, ctx, "users.create", new, |mut work| async move {
            let id = new.id.unwrap_or_else(|| work.new_id());
            if let Some(known) = work.load::<Profile>(profile_id(id)).await? {
                let same = known.value.email == new.email;
                return if same {
                    work.reply((known.value, Some(known.version)))
                } else {
                    Err(error::email_taken())
                };
            }
            let profile = Profile::new(id, new.email.clone(), new.name.clone(), work.now())?;
            work.create(&profile)?;
            let event = ProfileCreated {
                user_id: id,
                email: work.seal_for(&id.to_string(), ProfileCreated::EMAIL_PLACE, &profile.email).await?,
                name: match &profile.name {
                    Some(name) => {
                        Some(work.seal_for(&id.to_string(), ProfileCreated::NAME_PLACE, name).await?)
                    }
                    None => None,
                },
            };
            work.publish(&event)?;
            work.reply((profile, None))
        })
        .await
        .map_err(|error| if error.code() == "store.not_unique" { error::email_taken() } else { error })?;
        Ok(stored(done.value, done.position))
    }

    /// Changes a profile: one's own, or with the permission `users:write`. `version` is what the
    /// caller has read (`If-Match`). The status is changed with `users:write` only.
    ///
    /// # Errors
    /// `users.not_found`, `users.version_mismatch`, `users.last_administrator`,
    /// `users.beyond_own_permissions`, what [`Profile::apply`] refuses, `auth.forbidden`.
    pub async fn update(
        &self,
        ctx: &Context,
        user: UserId,
        version: Option<Position>,
        patch: &ProfilePatch,
    ) -> Result<Stored<Profile>> {
        ctx.require_self_or(user, &USERS_WRITE)?;
        if patch.status.is_some() {
            ctx.require(&USERS_WRITE)?;
        }
        let request = (user, version, patch);
        let done = command(&self.db, ctx, "users.update", &request, |mut work| async move {
            let mut profile = self.governed(ctx, user, &mut work).await?;
            if version.is_some_and(|version| version != profile.version) {
                return Err(error::stale());
            }
            let before = profile.status;
            let changed = profile.apply(patch, work.now())?;
            if changed.is_empty() {
                let version = profile.version;
                return work.reply((profile.value, Some(version)));
            }
            work.put(&profile.value)?;
            if profile.status != before {
                count_administrator(&mut work, &profile.value);
                work.publish(&StatusChanged { user_id: user, status: profile.status })?;
            }
            work.publish(&ProfileUpdated { user_id: user, changed })?;
            work.reply((profile.value, None))
        })
        .await
        .map_err(last_administrator);
        self.access.user_perhaps_changed(user, &done);
        let done = done?;
        Ok(stored(done.value, done.position))
    }

    /// Erases a person: one's own profile, or with the permission `users:write`. The profile is
    /// deleted and the person's key destroyed, so that what was sealed under it reads nowhere again.
    ///
    /// # Errors
    /// `users.not_found`, `users.version_mismatch`, `users.last_administrator`,
    /// `users.beyond_own_permissions`, `auth.forbidden`.
    pub async fn erase(&self, ctx: &Context, user: UserId, version: Option<Position>) -> Result<()> {
        ctx.require_self_or(user, &USERS_WRITE)?;
        let done = command(&self.db, ctx, "users.erase", &(user, version), |mut work| async move {
            let profile = self.governed(ctx, user, &mut work).await?;
            if version.is_some_and(|version| version != profile.version) {
                return Err(error::stale());
            }
            for role in &profile.roles {
                match role.is_admin() {
                    false => Counter::Holders(role).decrement(&mut work, 0),
                    true if profile.status == Status::Active => {
                        Counter::Administrators.decrement(&mut work, 1);
                    }
                    true => {}
                }
            }
            work.delete::<Profile>(profile_id(user));
            work.publish(&ProfileErased { user_id: user })?;
            work.reply(())
        })
        .await
        .map_err(last_administrator);
        self.access.user_perhaps_changed(user, &done);
        done?;
        // The handler of the event does it as well, for a crash between the commit and this line.
        self.db.keys.erase(&user.to_string()).await
    }

    /// Loads a profile that the asker may govern: their own, or one that permits nothing beyond what
    /// they hold.
    pub(super) async fn governed(
        &self,
        ctx: &Context,
        user: UserId,
        work: &mut Work,
    ) -> Result<Stored<Profile>> {
        let profile = work.load::<Profile>(profile_id(user)).await?.ok_or_else(|| error::not_found(user))?;
        let own = ctx.user().is_ok_and(|asker| asker == user);
        if own {
            return Ok(profile);
        }
        let roles = self.access.roles(&self.db).await?;
        match covers(&ctx.principal.permissions, &roles.permissions(&profile.roles)) {
            true => Ok(profile),
            false => Err(error::beyond_own_permissions()),
        }
    }
}

/// Keeps the number of active administrators after a change of status.
fn count_administrator(work: &mut Work, profile: &Profile) {
    if profile.roles.contains(&RoleName::admin()) {
        match profile.status {
            Status::Active => Counter::Administrators.increment(work, i64::MAX),
            Status::Deactivated => Counter::Administrators.decrement(work, 1),
        }
    }
}

/// The only counter that can run out of its bounds here is that of the administrators.
pub(super) fn last_administrator(error: crate::kernel::Error) -> crate::kernel::Error {
    if error.code() == "store.out_of_range" { error::last_administrator() } else { error }
}

/// A profile that was written has the commit as its version; one that was not keeps its own.
pub(super) fn stored((value, version): (Profile, Option<Position>), commit: Position) -> Stored<Profile> {
    Stored { version: version.unwrap_or(commit), value }
}
