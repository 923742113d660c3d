//! Who sends a request.

use crate::kernel::{Actor, Principal, Result, Timestamp};
use crate::ports::store::{Document, Stored};
use crate::users::Seen;

use super::tables::{Account, Session};
use super::{Auth, error};

impl Auth {
    /// The principal of an access token, with what they may do at this moment.
    ///
    /// A token that was verified before is found in memory, and holds until it ends or until the
    /// session, the password, the user's status or roles, or any role changes: a change that was
    /// answered is effective for the very next request.
    ///
    /// # Errors
    /// `auth.invalid_token`, `auth.token_expired`, `auth.session_ended`; `store.unavailable` when it
    /// cannot be decided: then nobody is let in.
    pub async fn authenticate(&self, bearer_token: &str) -> Result<Principal> {
        let now = self.db.runtime.now();
        if self.signals.connected()
            && let Some(principal) = self.remembered.get(bearer_token, now)
        {
            return Ok(principal);
        }
        self.verify(bearer_token, now).await
    }

    async fn verify(&self, bearer_token: &str, now: Timestamp) -> Result<Principal> {
        let claims = self.tokens.verify(&self.ring.load(), bearer_token, now)?;
        // The epochs come first: what changes after this is noticed.
        let (session_seen, account_seen) = (self.sessions.seen(&claims.sid), self.accounts.seen(&claims.sub));
        let keys = [Session::key(*claims.sid.as_bytes()), Account::key(*claims.sub.as_bytes())];
        let mut docs = self.db.store.get(&keys).await?.into_iter();
        let (session, account) = (docs.next().flatten(), docs.next().flatten());
        let session = session.as_ref().map(Stored::<Session>::from_doc).transpose()?;
        let account = account.as_ref().map(Stored::<Account>::from_doc).transpose()?;
        let (session, _) = session
            .zip(account)
            .filter(|(session, account)| session.lives(account, now))
            .ok_or_else(error::session_ended)?;
        let access =
            self.users.access(&self.system_context(), claims.sub).await?.ok_or_else(error::session_ended)?;
        let principal = Principal {
            actor: Actor::User(claims.sub),
            session: Some(claims.sid),
            permissions: access.permissions,
        };
        let [user_seen, roles_seen] = access.seen;
        let seen: [Seen; 4] = [session_seen, account_seen, user_seen, roles_seen];
        let ends_at = Timestamp::from_secs(claims.exp).min(session.over_at());
        self.remembered.put(bearer_token, principal.clone(), ends_at, seen, now);
        Ok(principal)
    }
}
