//! Refreshing a session.

use serde::{Deserialize, Serialize};

use crate::kernel::{Context, Error, Result, Secret, SessionId, Timestamp, UserId};
use crate::ports::store::command;

use super::super::events::{SessionEnd, SessionRevoked};
use super::super::model::refresh::{Answer, Spent};
use super::super::tables::{Account, Session, StoredRefreshToken, hash};
use super::super::{Auth, TokenPair, error};
use super::login::{Started, new_refresh_token};

/// A refresh token.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// What the last login or refresh gave.
    pub refresh_token: Secret,
}

/// How a refresh was committed.
#[derive(Serialize, Deserialize)]
enum Outcome {
    Goes { session: SessionId, user: UserId, ends_at: Timestamp, refresh_token: String },
    Ended { session: SessionId, user: UserId },
}

impl Auth {
    /// Exchanges a refresh token for a new pair. A token is spent once; the same again within
    /// [`crate::kernel::limits::REFRESH_REPLAY_WINDOW`] gets the same successor (two tabs of a
    /// browser), later it ends the session: somebody has a copy (RFC 9700, 4.14.2).
    ///
    /// # Errors
    /// `auth.invalid_refresh_token`.
    pub async fn refresh(&self, ctx: &Context, request: &RefreshRequest) -> Result<TokenPair> {
        let ctx = &Context { idempotency_key: None, ..ctx.clone() };
        let token_hash = &hash(request.refresh_token.expose());
        let ending = &parking_lot::Mutex::new(None);
        let done = command(&self.db, ctx, "auth.refresh", &(), |mut work| async move {
            let Some(mut stored) = work.load::<StoredRefreshToken>(token_hash.as_str()).await? else {
                return Err(error::invalid_refresh_token());
            };
            let user = stored.token.user_id;
            let session = work.load::<Session>(*stored.token.session_id.as_bytes()).await?;
            let account = work.load::<Account>(*user.as_bytes()).await?;
            let now = work.now();
            let live = session.zip(account).filter(|(session, account)| session.lives(account, now));
            let answer = stored.token.answer(live.is_some(), now);
            let Some((mut session, _)) = live else {
                // Another node has ended it, and this one may not have heard of it yet.
                self.sessions.advance(&stored.token.session_id);
                return Err(error::invalid_refresh_token());
            };
            if self.users.access(&self.own_context(ctx), user).await?.is_none() {
                return Err(error::invalid_refresh_token());
            }
            let refresh_token = match answer {
                Answer::Refused => return Err(error::invalid_refresh_token()),
                Answer::Reused => {
                    let session = session.id;
                    *ending.lock() = Some(session);
                    work.delete::<Session>(*session.as_bytes());
                    let cause = SessionEnd::RefreshTokenReused;
                    work.publish(&SessionRevoked { user_id: user, session_id: session, cause })?;
                    return work.reply(Outcome::Ended { session, user });
                }
                Answer::Replay(successor) => {
                    let text = self.db.keys.open(&place(token_hash), &successor).await?;
                    String::from_utf8(text).map_err(|_| damaged())?
                }
                Answer::Rotate => {
                    session.used(&ctx.client, self.config.session_idle(), now);
                    let next = new_refresh_token(&mut work, &session.value)?;
                    let successor = self.db.keys.seal(&place(token_hash), next.as_bytes()).await?;
                    stored.token.spent = Some(Spent { at: now, successor });
                    work.put(&stored.value)?;
                    work.put(&session.value)?;
                    next
                }
            };
            work.reply(Outcome::Goes { session: session.id, user, ends_at: session.ends_at, refresh_token })
        })
        .await;
        if done.as_ref().is_err_and(|error| error.may_have_happened())
            && let Some(session) = ending.lock().take()
        {
            self.session_changed(session);
        }
        match done?.value {
            Outcome::Goes { session, user, ends_at, refresh_token } => {
                self.pair(Started { session, user, ends_at, refresh_token }).await
            }
            Outcome::Ended { session, user } => {
                tracing::warn!(%session, %user, "a refresh token was used a second time: its session has ended");
                self.session_changed(session);
                Err(error::invalid_refresh_token())
            }
        }
    }
}

/// What a sealed successor is bound to.
fn place(token_hash: &str) -> String {
    format!("auth.refresh_tokens/{token_hash}/successor")
}

fn damaged() -> Error {
    Error::data_loss("store.damaged", "a stored refresh token does not read")
}
