//! What runs beside the requests: half-done registrations are completed, what ended is deleted, the
//! signing key is rotated, sessions of users who are gone end, other nodes are heard.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::broadcast::error::RecvError;

use crate::backbone::{Handler, Parts, Shutdown, Task, Topics, Wake};
use crate::kernel::{BoxFuture, Context, Event, Position, Result, SessionId, UserId, limits};
use crate::ports::Database;
use crate::ports::signals::Signal;
use crate::ports::store::{Document, Expect, IndexRange, Work, command};
use crate::users::Status;
use crate::users::events::{ProfileErased, StatusChanged};

use super::events::{SessionEnd, SessionRevoked};
use super::tables::{Account, BY_END, BY_USER, LoginFailures, RESERVED, Session, StoredRefreshToken};
use super::{ACCOUNT_CHANGED, Auth, KEYS_CHANGED, SESSION_CHANGED};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(60);
/// Between two readings of the signing keys, when nobody tells that they have changed. Less than the clock
/// skew for which a key is kept: what was signed meanwhile with a retired one is verified to its end.
const KEYS_ROUND: Duration = Duration::from_secs(20);
/// A registration that is younger is still being worked on by its own request.
const ABANDONED_AFTER: Duration = Duration::from_secs(10);
/// Documents that one commit deletes.
const SWEEP: usize = 500;

impl Auth {
    /// What runs beside the requests.
    pub fn parts(&self) -> Parts {
        let (listening, working, resuming) = (self.clone(), self.clone(), self.clone());
        let listener = Task::new("auth.signals", move |shutdown| {
            let auth = listening.clone();
            Box::pin(async move { auth.listen(&shutdown).await })
        });
        // What a crash left half done is older than this start, however young it is.
        let resumption = Task::new("auth.resumption", move |_| {
            let auth = resuming.clone();
            Box::pin(async move { auth.resume_registrations(Duration::ZERO).map(warn).await })
        });
        let (runtime, reading) = (Arc::clone(&self.db.runtime), self.clone());
        let keys = Task::repeating("auth.keys", Arc::clone(&runtime), self.keys_told.clone(), move || {
            let auth = reading.clone();
            Box::pin(async move { auth.reload_keys().await.map(|()| KEYS_ROUND) })
        });
        let rounds = Task::repeating("auth.rounds", runtime, Wake::default(), move || {
            let auth = working.clone();
            Box::pin(async move { auth.round().await.map(|()| ROUND) })
        });
        Parts::none().handler(Forgetter(self.clone())).task(listener).task(resumption).task(keys).task(rounds)
    }

    async fn round(&self) -> Result<()> {
        self.resume_registrations(ABANDONED_AFTER).await?;
        self.sweep::<Session>().await?;
        self.sweep::<StoredRefreshToken>().await?;
        self.sweep::<LoginFailures>().await?;
        self.rotate_when_due().await
    }

    async fn resume_registrations(&self, abandoned_after: Duration) -> Result<()> {
        let before = self.db.runtime.now().minus(abandoned_after).as_micros().to_be_bytes().to_vec();
        let range = IndexRange::index(Account::COLLECTION.name, RESERVED)
            .between(Bound::Unbounded, Bound::Included(before));
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
                .between(Bound::Unbounded, Bound::Included(now))
                .limit(SWEEP);
            let ended = self.db.scan::<T>(&range).await?;
            if ended.items.is_empty() {
                return Ok(());
            }
            let ended = &ended.items;
            command(&self.db, &self.system_context(), "auth.sweep", &(), |mut work| async move {
                for document in ended {
                    let key = T::key(document.id());
                    work.expect(key, Expect::Version(document.version));
                    work.delete::<T>(document.id());
                }
                work.reply(())
            })
            .await?;
        }
    }

    /// After a commit that ended a session, before it is answered.
    pub(super) fn session_changed(&self, session: SessionId) {
        let is_told = true;
        #[cfg(feature = "planted-faults")]
        let is_told = is_told && !crate::planted::is_active(crate::planted::Plant::ForgottenCell);
        if is_told {
            self.sessions.advance(&session);
        }
        self.signals.send(Signal::new(SESSION_CHANGED, &session.to_string()));
    }

    /// After a commit that changed a password or removed an account, before it is answered.
    pub(super) fn account_changed(&self, user: UserId) {
        self.accounts.advance(&user);
        self.signals.send(Signal::new(ACCOUNT_CHANGED, &user.to_string()));
    }

    /// Nothing is waited for: the next signal may take something away, too.
    fn heard(&self, signal: &Signal) {
        match &*signal.topic {
            SESSION_CHANGED => {
                signal.subject.parse().iter().for_each(|session| self.sessions.advance(session))
            }
            ACCOUNT_CHANGED => signal.subject.parse().iter().for_each(|user| self.accounts.advance(user)),
            KEYS_CHANGED => self.keys_told.wake(),
            _ => {}
        }
    }

    fn missed_signals(&self) {
        self.sessions.advance_all();
        self.accounts.advance_all();
        self.keys_told.wake();
    }

    async fn listen(&self, shutdown: &Shutdown) {
        let mut receiver = self.signals.receiver();
        // What was said before nobody heard.
        let mut heard = Err(RecvError::Lagged(0));
        loop {
            match heard {
                Ok(signal) => self.heard(&signal),
                Err(RecvError::Lagged(_)) => self.missed_signals(),
                Err(RecvError::Closed) => return,
            }
            let Some(next) = shutdown.unless_asked(receiver.recv()).await else { return };
            heard = next;
        }
    }

    /// The platform itself, for what no request asked for.
    pub(super) fn system_context(&self) -> Context {
        Context::system()
    }
}

/// What cannot be done now is done in the next round.
fn warn(done: Result<()>) {
    if let Err(error) = done {
        tracing::warn!(%error, "a worker of auth failed");
    }
}

/// Ends the sessions of users who were deactivated or erased, and deletes the accounts of the latter.
/// The users domain refuses them from the first moment: this is the tidying.
pub(super) struct Forgetter(pub(super) Auth);

impl Handler for Forgetter {
    fn name(&self) -> &'static str {
        "auth.forget"
    }

    fn topics(&self) -> Topics {
        Topics::Of(&["users"])
    }

    fn database(&self) -> &Database {
        &self.0.db
    }

    fn handle<'a>(&'a self, events: &'a [Event], work: &'a mut Work) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for event in events {
                if let Some(ProfileErased { user_id }) = event.decode()? {
                    work.load::<Account>(*user_id.as_bytes()).await?;
                    work.delete::<Account>(*user_id.as_bytes());
                    self.end_sessions(work, user_id, event.position.commit, SessionEnd::Erased).await?;
                }
                if let Some(StatusChanged { user_id, status: Status::Deactivated }) = event.decode()? {
                    self.end_sessions(work, user_id, event.position.commit, SessionEnd::Deactivated).await?;
                }
            }
            Ok(())
        })
    }

    /// A user who was back before this was handled may have used an old session meanwhile: then its
    /// token is remembered with the epochs of one who is active.
    fn committed(&self, events: &[Event]) {
        for event in events {
            let erased = event.decode().ok().flatten().map(|ProfileErased { user_id }| user_id);
            let changed: Option<StatusChanged> = event.decode().ok().flatten();
            let gone = changed.filter(|changed| changed.status == Status::Deactivated);
            if let Some(user) = erased.or(gone.map(|changed| changed.user_id)) {
                self.0.account_changed(user);
            }
        }
    }
}

impl Forgetter {
    /// Ends the sessions that began before a commit of the users domain: a later one belongs to a user who
    /// is back.
    async fn end_sessions(
        &self,
        work: &mut Work,
        user: UserId,
        before: Position,
        cause: SessionEnd,
    ) -> Result<()> {
        let range = IndexRange::index(Session::COLLECTION.name, BY_USER).exactly(user.as_bytes());
        let sessions = self.0.db.scan::<Session>(&range.limit(limits::SCAN_DOCUMENTS / 2)).await?;
        for session in sessions.items.iter().filter(|session| session.profile_version < before) {
            if work.load::<Session>(*session.id.as_bytes()).await?.is_some() {
                work.delete::<Session>(*session.id.as_bytes());
                work.publish(&SessionRevoked { user_id: user, session_id: session.id, cause })?;
            }
        }
        Ok(())
    }
}
