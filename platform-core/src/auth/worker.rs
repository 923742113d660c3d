//! What happens without a request: half-done registrations are completed, what ended is deleted, the
//! signing key is rotated, other nodes are heard.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::broadcast;

use crate::kernel::{Context, Result, SessionId, UserId};
use crate::ports::signals::Signal;
use crate::ports::store::{Document, IndexRange, command};

use super::tables::{Account, BY_END, LoginFailures, RESERVED, Session, StoredRefreshToken};
use super::{ACCOUNT_CHANGED, Auth, Inner, KEYS_CHANGED, SESSION_CHANGED};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(60);
/// A registration that is younger is still being worked on by its own request.
const ABANDONED_AFTER: Duration = Duration::from_secs(10);
/// Documents that one commit deletes.
const SWEEP: usize = 500;

impl Auth {
    /// Starts the rounds and the listening; both end when the domain is dropped.
    pub(super) fn start(&self) {
        let runtime = Arc::clone(&self.db.runtime);
        let (weak, receiver) = (Arc::downgrade(&self.0), self.signals.receiver());
        runtime.spawn("auth.signals", Box::pin(listen(weak, receiver)));
        let (weak, sleeper) = (Arc::downgrade(&self.0), Arc::clone(&self.db.runtime));
        let rounds = async move {
            // What a crash left half done is older than this start, however young it is.
            let mut abandoned_after = Duration::ZERO;
            while let Some(inner) = Weak::upgrade(&weak) {
                if let Err(error) = Auth(inner).round(abandoned_after).await {
                    tracing::warn!(%error, "a round of auth failed; the next one goes on");
                }
                abandoned_after = ABANDONED_AFTER;
                sleeper.sleep(ROUND).await;
            }
        };
        runtime.spawn("auth.rounds", Box::pin(rounds));
    }

    async fn round(&self, abandoned_after: Duration) -> Result<()> {
        self.resume_registrations(abandoned_after).await?;
        self.sweep::<Session>().await?;
        self.sweep::<StoredRefreshToken>().await?;
        self.sweep::<LoginFailures>().await?;
        self.rotate_when_due().await
    }

    async fn resume_registrations(&self, abandoned_after: Duration) -> Result<()> {
        let before = self.db.runtime.now().minus(abandoned_after).as_micros().to_be_bytes().to_vec();
        let range = IndexRange::index(Account::COLLECTION.name, RESERVED)
            .between(std::ops::Bound::Unbounded, std::ops::Bound::Included(before));
        for account in self.db.scan::<Account>(&range).await?.items {
            let user = account.id;
            match self.complete(&self.system_context(), user).await {
                Ok(()) => tracing::info!(%user, "completed a registration that was interrupted"),
                Err(error) if error.code() == "auth.email_taken" => {
                    tracing::info!(%user, "gave back a reservation: the address has a profile already");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Deletes what has ended, a page at a time.
    async fn sweep<T: Document>(&self) -> Result<()> {
        loop {
            let now = self.db.runtime.now().as_micros().to_be_bytes().to_vec();
            let range = IndexRange::index(T::COLLECTION.name, BY_END)
                .between(std::ops::Bound::Unbounded, std::ops::Bound::Included(now))
                .limit(SWEEP);
            let ended = self.db.scan::<T>(&range).await?;
            if ended.items.is_empty() {
                return Ok(());
            }
            let ended = &ended.items;
            command(&self.db, &self.system_context(), "auth.sweep", &(), |mut work| async move {
                for document in ended {
                    let key = T::key(document.id());
                    work.expect(key, crate::ports::store::Expect::Version(document.version));
                    work.delete::<T>(document.id());
                }
                work.reply(())
            })
            .await?;
        }
    }

    /// After a commit that ended a session, before it is answered.
    pub(super) fn session_changed(&self, session: SessionId) {
        self.sessions.advance(&session);
        self.signals.send(Signal { topic: SESSION_CHANGED, subject: session.to_string().into() });
    }

    /// After a commit that changed a password or removed an account, before it is answered.
    pub(super) fn account_changed(&self, user: UserId) {
        self.accounts.advance(&user);
        self.signals.send(Signal { topic: ACCOUNT_CHANGED, subject: user.to_string().into() });
    }

    async fn heard(&self, signal: &Signal) -> Result<()> {
        match signal.topic {
            SESSION_CHANGED => {
                signal.subject.parse().iter().for_each(|session| self.sessions.advance(session))
            }
            ACCOUNT_CHANGED => signal.subject.parse().iter().for_each(|user| self.accounts.advance(user)),
            KEYS_CHANGED => self.reload_keys().await?,
            _ => {}
        }
        Ok(())
    }

    async fn missed_signals(&self) -> Result<()> {
        self.sessions.advance_all();
        self.accounts.advance_all();
        self.reload_keys().await
    }

    /// The platform itself, for what no request asked for.
    pub(super) fn system_context(&self) -> Context {
        Context::system()
    }
}

async fn listen(weak: Weak<Inner>, mut receiver: broadcast::Receiver<Signal>) {
    use broadcast::error::RecvError;
    loop {
        let heard = receiver.recv().await;
        let Some(auth) = Weak::upgrade(&weak).map(Auth) else { return };
        let done = match heard {
            Ok(signal) => auth.heard(&signal).await,
            Err(RecvError::Lagged(_)) => auth.missed_signals().await,
            Err(RecvError::Closed) => return,
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the signing keys could not be read anew");
        }
    }
}
