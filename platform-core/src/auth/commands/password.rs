//! Changing a password.

use serde::Deserialize;

use crate::kernel::{Context, Result, Secret, limits};
use crate::ports::store::{Document, IndexRange, command};

use super::super::events::{LoginFailure, PasswordChanged, SessionEnd, SessionRevoked};
use super::super::model::password::{self, Verdict};
use super::super::tables::{Account, AttemptKey, BY_USER, Session};
use super::super::{Auth, error};

/// A new password.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangePasswordRequest {
    /// The present password.
    pub current_password: Secret,
    /// 15 to 1,024 bytes, not the address.
    pub new_password: Secret,
}

impl Auth {
    /// Changes one's own password, and ends every other session of the user. Wrong guesses of the
    /// present password count like failed logins.
    ///
    /// # Errors
    /// `auth.invalid_credentials`, `auth.too_many_attempts`, `auth.password_too_weak`,
    /// `auth.password_too_long`, `auth.not_signed_in`, `runtime.busy`.
    pub async fn change_password(&self, ctx: &Context, request: &ChangePasswordRequest) -> Result<()> {
        let user = ctx.user()?;
        let ctx = &Context { idempotency_key: None, ..ctx.clone() };
        let account =
            self.db.get::<Account>(*user.as_bytes()).await?.ok_or_else(error::invalid_credentials)?.value;
        password::check_policy(&request.new_password, &account.email)?;
        let attempt = AttemptKey::new(&account.email, &ctx.client);
        let (verified, verdict) = self.attempt(&attempt, &account.email, &request.current_password).await?;
        let verified = match verified {
            Some(verified) if verified.id == user && verdict != Verdict::Wrong => verified,
            _ => {
                self.record_failure(ctx, &attempt, Some(user), LoginFailure::WrongPassword).await?;
                return Err(error::invalid_credentials());
            }
        };
        let password_hash = &self.hash_password(&request.new_password).await?;
        let verified = &verified;
        let done = command(&self.db, ctx, "auth.change_password", &(), |mut work| async move {
            let account = work.load::<Account>(*user.as_bytes()).await?;
            let account = account.filter(|account| account.password_hash == verified.password_hash);
            let Some(mut account) = account else { return Err(error::invalid_credentials()) };
            account.password_hash.clone_from(password_hash);
            // A session that is not among the listed ones, because it begins just now, has the old version.
            account.password_version += 1;
            work.put(&account.value)?;
            work.publish(&PasswordChanged { user_id: user })?;
            let range = IndexRange::index(Session::COLLECTION.name, BY_USER).exactly(user.as_bytes());
            let sessions = self.db.scan::<Session>(&range.limit(limits::SCAN_DOCUMENTS / 2)).await?;
            let mut ended = Vec::new();
            for listed in sessions.items {
                let session = listed.id;
                let Some(mut known) = work.load::<Session>(*session.as_bytes()).await? else { continue };
                if Some(session) == ctx.principal.session {
                    known.password_version = account.password_version;
                    work.put(&known.value)?;
                } else {
                    work.delete::<Session>(*session.as_bytes());
                    let cause = SessionEnd::PasswordChanged;
                    work.publish(&SessionRevoked { user_id: user, session_id: session, cause })?;
                    ended.push(session);
                }
            }
            work.reply(ended)
        })
        .await;
        // One that failed may have happened.
        if done.as_ref().map_or_else(|error| error.may_have_happened(), |_| true) {
            self.account_changed(user);
        }
        for session in done?.value {
            self.session_changed(session);
        }
        Ok(())
    }
}
