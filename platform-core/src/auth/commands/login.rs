//! Login, and the start of a session.

use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde::{Deserialize, Serialize};

use crate::kernel::{Context, Error, ErrorKind, Result, Secret, SessionId, Timestamp, UserId, limits};
use crate::ports::store::{Stored, Work, command};
use crate::users::{Email, Status};

use super::super::events::{LoginFailed, LoginFailure, LoginSucceeded};
use super::super::model::password::Verdict;
use super::super::model::refresh::RefreshToken;
use super::super::tables::{
    Account, AccountState, AttemptKey, LoginFailures, Session, StoredRefreshToken, hash,
};
use super::super::{Auth, error};

/// Who wants to sign in.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The address.
    pub email: Email,
    /// The password, exactly as it was chosen.
    pub password: Secret,
}

/// The answer to a login or a refresh (RFC 6749, 5.1).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenPair {
    /// For the header `Authorization: Bearer`.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds for which the access token is valid.
    pub expires_in: u64,
    /// Exchanged, once, for the next pair.
    pub refresh_token: String,
}

impl fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPair").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// A session with the refresh token that it begins or goes on with.
pub(super) struct Started {
    pub session: SessionId,
    pub user: UserId,
    pub ends_at: Timestamp,
    pub refresh_token: String,
}

impl Auth {
    /// Signs in. An unknown address and a wrong password cost and say the same. After
    /// [`limits::LOGIN_FAILURES`] failures from one network further attempts are refused for a time
    /// that grows. An idempotency key has no effect: tokens are not remembered.
    ///
    /// # Errors
    /// `auth.invalid_credentials`, `auth.too_many_attempts`, `auth.password_too_long`, `runtime.busy`.
    pub async fn login(&self, ctx: &Context, request: &LoginRequest) -> Result<TokenPair> {
        let ctx = &Context { idempotency_key: None, ..ctx.clone() };
        let attempt = AttemptKey::new(&request.email, &ctx.client);
        let (account, verdict) = self.attempt(&attempt, &request.email, &request.password).await?;
        let user = account.as_ref().map(|account| account.id);
        let failure = match (account, verdict) {
            (None, _) => LoginFailure::UnknownAccount,
            (Some(_), Verdict::Wrong) => LoginFailure::WrongPassword,
            (Some(account), verdict) => {
                if account.state == AccountState::Reserved {
                    self.complete(ctx, account.id).await?;
                }
                if let Some(profile_version) = self.active_profile(ctx, account.id).await? {
                    let rehashed = match verdict {
                        Verdict::RightButOutdated => Some(self.hash_password(&request.password).await?),
                        _ => None,
                    };
                    let started =
                        self.start_session(ctx, &attempt, &account, profile_version, rehashed).await?;
                    return self.pair(started).await;
                }
                LoginFailure::Deactivated
            }
        };
        self.record_failure(ctx, &attempt, user, failure).await?;
        Err(error::invalid_credentials())
    }

    /// The version of an active user's profile, as the store has it: what another node did a moment ago
    /// counts, too.
    async fn active_profile(&self, ctx: &Context, user: UserId) -> Result<Option<u64>> {
        match self.users.get(&self.own_context(ctx), user).await {
            Ok(profile) => Ok((profile.status == Status::Active).then_some(profile.version)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Compares a password, at the same cost whether there is an account or not.
    pub(super) async fn attempt(
        &self,
        attempt: &AttemptKey,
        email: &Email,
        password: &Secret,
    ) -> Result<(Option<Account>, Verdict)> {
        if password.expose().len() > limits::PASSWORD_MAX_BYTES {
            return Err(Error::invalid("auth.password_too_long", "a password has at most 1,024 bytes"));
        }
        let known = self.db.get::<LoginFailures>(attempt.id()).await?;
        refuse_while_locked(known.as_ref(), self.db.runtime.now())?;
        let account = self.account_of(email).await?;
        let stored = account.as_ref().map_or(&self.nobodys_hash, |account| &account.password_hash);
        let verdict = self.verify_password(password, stored).await?;
        Ok((account, verdict))
    }

    pub(super) async fn record_failure(
        &self,
        ctx: &Context,
        attempt: &AttemptKey,
        user: Option<UserId>,
        cause: LoginFailure,
    ) -> Result<()> {
        command(&self.db, ctx, "auth.login_failed", &(), |mut work| async move {
            let known = work.load::<LoginFailures>(attempt.id()).await?;
            let failures = known.map(|known| known.failures).unwrap_or_default().after_failure(work.now());
            work.put(&LoginFailures { attempt: attempt.clone(), failures })?;
            work.publish(&LoginFailed {
                user_id: user,
                cause,
                failures: failures.count,
                locked_until: failures.locked_until,
            })?;
            work.reply(())
        })
        .await
        .map(|_| ())
    }

    /// One commit: the failures are forgotten, the session and its first refresh token are there.
    /// A right guess among many at once does not count when the wrong ones before it locked.
    async fn start_session(
        &self,
        ctx: &Context,
        attempt: &AttemptKey,
        verified: &Account,
        profile_version: u64,
        rehashed: Option<String>,
    ) -> Result<Started> {
        let (idle, lifetime) = (self.config.session_idle(), self.config.session_lifetime());
        let rehashed = &rehashed;
        let done = command(&self.db, ctx, "auth.login", &(), |mut work| async move {
            let known = work.load::<LoginFailures>(attempt.id()).await?;
            refuse_while_locked(known.as_ref(), work.now())?;
            if known.is_some() {
                work.delete::<LoginFailures>(attempt.id());
            }
            let account = work.load::<Account>(*verified.id.as_bytes()).await?;
            let account = account.filter(|account| account.password_hash == verified.password_hash);
            let Some(mut account) = account else { return Err(error::invalid_credentials()) };
            let now = work.now();
            let mut session = Session {
                id: work.new_id(),
                user_id: account.id,
                password_version: account.password_version,
                profile_version,
                created_at: now,
                last_used_at: now,
                idle_ends_at: now,
                ends_at: now.plus(lifetime),
                address: None,
                user_agent: None,
            };
            session.used(&work.context().client.clone(), idle, now);
            if let Some(password_hash) = rehashed {
                account.password_hash.clone_from(password_hash);
                work.put(&account.value)?;
            }
            work.create(&session)?;
            let refresh_token = new_refresh_token(&mut work, &session)?;
            work.publish(&LoginSucceeded { user_id: account.id, session_id: session.id })?;
            work.reply((session.id, session.ends_at, refresh_token))
        })
        .await?;
        let (session, ends_at, refresh_token) = done.value;
        Ok(Started { session, user: verified.id, ends_at, refresh_token })
    }

    /// Signs the access token of a session.
    pub(super) async fn pair(&self, started: Started) -> Result<TokenPair> {
        let ring = self.signing_ring().await;
        let now = self.db.runtime.now();
        let ends_at = now.plus(self.config.access_token_lifetime()).min(started.ends_at);
        let id = self.db.runtime.new_id();
        let access_token = self.tokens.issue(&ring, started.user, started.session, id, now, ends_at)?;
        Ok(TokenPair {
            access_token: access_token.expose().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: ends_at.as_secs().saturating_sub(now.as_secs()),
            refresh_token: started.refresh_token,
        })
    }
}

/// A new refresh token of a session: 256 random bits, of which the store gets the hash.
pub(super) fn new_refresh_token(work: &mut Work, session: &Session) -> Result<String> {
    let bytes: [u8; 32] = work.database().runtime.random();
    let text = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let token = RefreshToken {
        session_id: session.id,
        user_id: session.user_id,
        issued_at: work.now(),
        expires_at: session.over_at(),
        spent: None,
    };
    work.create(&StoredRefreshToken { hash: hash(&text), token })?;
    Ok(text)
}

fn refuse_while_locked(known: Option<&Stored<LoginFailures>>, now: Timestamp) -> Result<()> {
    match known.and_then(|known| known.failures.locked(now)) {
        Some(until) => Err(error::too_many_attempts(until.since(now))),
        None => Ok(()),
    }
}
