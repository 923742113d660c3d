//! The end of a session.

use serde::Deserialize;

use crate::kernel::{Context, Error, Result, Secret, SessionId};
use crate::ports::store::command;
use crate::users::covers;

use super::super::events::{SessionEnd, SessionRevoked};
use super::super::tables::{Session, StoredRefreshToken, hash};
use super::super::{Auth, SESSIONS_WRITE, error};

/// What to sign out of.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LogoutRequest {
    /// The session's refresh token, for a client whose access token has expired.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
}

impl Auth {
    /// Ends the session of the request, or that of the refresh token. One that has ended already
    /// stays so.
    ///
    /// # Errors
    /// `auth.not_signed_in` with neither, `auth.invalid_refresh_token`.
    pub async fn logout(&self, ctx: &Context, request: &LogoutRequest) -> Result<()> {
        let session = match &request.refresh_token {
            Some(token) => {
                let stored = self.db.get::<StoredRefreshToken>(hash(token.expose())).await?;
                stored.ok_or_else(error::invalid_refresh_token)?.token.session_id
            }
            None => ctx
                .principal
                .session
                .ok_or_else(|| Error::unauthenticated("auth.not_signed_in", "sign in first"))?,
        };
        self.end_session(ctx, session, SessionEnd::Logout).await
    }

    /// Ends a session: one's own, or with the permission `sessions:write` that of somebody who holds
    /// no more than oneself. Its access token is refused from the next request on.
    ///
    /// # Errors
    /// `auth.session_not_found`, also for a session that one may not end.
    pub async fn revoke_session(&self, ctx: &Context, session: SessionId) -> Result<()> {
        let missing = || error::session_not_found(session);
        let stored = self.db.get::<Session>(*session.as_bytes()).await?.ok_or_else(missing)?;
        if ctx.require_self_or(stored.user_id, &SESSIONS_WRITE).is_err() {
            return Err(missing());
        }
        if ctx.user().ok() != Some(stored.user_id) {
            let access = self.users.access(&self.own_context(ctx), stored.user_id).await?;
            if access.is_some_and(|access| !covers(&ctx.principal.permissions, &access.permissions)) {
                return Err(missing());
            }
        }
        self.end_session(ctx, session, SessionEnd::Revoked).await
    }

    async fn end_session(&self, ctx: &Context, session: SessionId, cause: SessionEnd) -> Result<()> {
        let once = Context { idempotency_key: None, ..ctx.clone() };
        let done = command(&self.db, &once, "auth.end_session", &session, |mut work| async move {
            if let Some(stored) = work.load::<Session>(*session.as_bytes()).await? {
                work.delete::<Session>(*session.as_bytes());
                work.publish(&SessionRevoked { user_id: stored.user_id, session_id: session, cause })?;
            }
            work.reply(())
        })
        .await;
        // One that failed may have happened.
        if done.as_ref().map_or_else(|error| error.may_have_happened(), |_| true) {
            self.session_changed(session);
        }
        done.map(|_| ())
    }
}
