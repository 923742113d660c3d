//! `load → decide → one commit`.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CommitError, DocKey, Idempotency, IdempotencyRecord, Work};
use crate::kernel::{Context, Error, Position, Result, Sealed, limits};
use crate::ports::Database;

/// What an attempt of a command ends with.
pub struct Reply<R> {
    pub(super) work: Work,
    pub(super) value: R,
}

/// The answer of a command that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done<R> {
    /// The answer.
    pub value: R,
    /// The commit; the context has collected it, too.
    pub position: Position,
    /// The new values of the counters, in the order of the `Add`s; empty when replayed.
    pub counters: Vec<i64>,
    /// Whether this is the remembered answer of an earlier request with the same key.
    pub replayed: bool,
}

/// Runs a command: `decide` loads and decides on a [`Work`], and what it decided is committed; the context
/// collects the position ([`Context::positions`]). After a conflict it is run again with a new `Work`, at
/// most [`limits::COMMAND_ATTEMPTS`] times, so it has no effect but on its `Work`.
///
/// If the context has an idempotency key, the answer is remembered for
/// [`limits::IDEMPOTENCY_LIFETIME`] under (actor, `operation`, key), sealed; a repetition with the
/// same `request` gets it again.
///
/// # Errors
/// What `decide` returns; `idempotency.key_reused`; what [`CommitError`] turns into.
pub async fn command<R, F, Fut>(
    db: &Database,
    context: &Context,
    operation: &'static str,
    request: &(impl Serialize + ?Sized),
    decide: F,
) -> Result<Done<R>>
where
    R: Serialize + DeserializeOwned,
    F: FnMut(Work) -> Fut,
    Fut: Future<Output = Result<Reply<R>>>,
{
    let done = run(db, context, operation, request, decide).await?;
    context.commits.include(db.store.name(), done.position);
    Ok(done)
}

async fn run<R, F, Fut>(
    db: &Database,
    context: &Context,
    operation: &'static str,
    request: &(impl Serialize + ?Sized),
    mut decide: F,
) -> Result<Done<R>>
where
    R: Serialize + DeserializeOwned,
    F: FnMut(Work) -> Fut,
    Fut: Future<Output = Result<Reply<R>>>,
{
    let remembered = Remembered::new(db, context, operation, request)?;
    if let Some(remembered) = &remembered
        && let Some(done) = remembered.look_up(db).await?
    {
        return Ok(done);
    }
    let context = Arc::new(context.clone());
    let mut attempt = 0;
    loop {
        attempt += 1;
        let reply = decide(Work::new(db, Arc::clone(&context))).await?;
        let mut batch = reply.work.into_batch();
        if let Some(remembered) = &remembered {
            batch.idempotency = Some(remembered.record(db, &reply.value).await?);
        }
        match db.store.commit(batch).await {
            Ok(commit) => {
                let replayed = match (&commit.replayed, &remembered) {
                    (Some(sealed), Some(remembered)) => Some(remembered.open(db, sealed.clone()).await?),
                    _ => None,
                };
                let (was_replayed, value) = replayed.map_or((false, reply.value), |value| (true, value));
                return Ok(Done {
                    value,
                    position: commit.position,
                    counters: commit.counters,
                    replayed: was_replayed,
                });
            }
            Err(CommitError::Conflict { .. }) if attempt < limits::COMMAND_ATTEMPTS => {
                tracing::debug!(operation, attempt, "conflict: decided again");
                db.runtime.sleep(back_off(db, attempt)).await;
            }
            #[cfg(feature = "planted-faults")]
            Err(CommitError::Unavailable { maybe_applied: true, .. })
                if crate::planted::is_active(crate::planted::Plant::DoubledRetry) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The first repetition is at once, the later ones after up to 2^attempt milliseconds.
fn back_off(db: &Database, attempt: u32) -> Duration {
    if attempt == 1 {
        return Duration::ZERO;
    }
    Duration::from_micros(db.random_u64() % (1000 << attempt.min(8)))
}

/// The idempotency record of one request.
struct Remembered {
    scope: String,
    key: String,
    fingerprint: [u8; 32],
}

impl Remembered {
    fn new(
        db: &Database,
        context: &Context,
        operation: &'static str,
        request: &(impl Serialize + ?Sized),
    ) -> Result<Option<Remembered>> {
        let Some(key) = &context.idempotency_key else { return Ok(None) };
        let request = serde_json::to_vec(request).map_err(|error| {
            Error::internal("idempotency.unwritable", "a request has no fingerprint").because(error)
        })?;
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, &request).as_ref());
        let scope = format!("{}|{}|{operation}", db.store.name(), context.principal.actor);
        Ok(Some(Remembered { scope, key: key.as_str().to_owned(), fingerprint }))
    }

    fn place(&self) -> DocKey {
        IdempotencyRecord::key(&self.scope, &self.key)
    }

    async fn look_up<R: DeserializeOwned>(&self, db: &Database) -> Result<Option<Done<R>>> {
        let Some(doc) = db.store.get(&[self.place()]).await?.pop().flatten() else { return Ok(None) };
        let record = IdempotencyRecord::read(&doc.body)?;
        if record.expires_at <= db.runtime.now() {
            return Ok(None);
        }
        if record.fingerprint != self.fingerprint {
            return Err(CommitError::KeyReused.into());
        }
        let value = self.open(db, record.response).await?;
        Ok(Some(Done { value, position: doc.version, counters: Vec::new(), replayed: true }))
    }

    async fn record(&self, db: &Database, value: &impl Serialize) -> Result<Idempotency> {
        let text = serde_json::to_vec(value).map_err(|error| {
            Error::internal("idempotency.unwritable", "an answer cannot be remembered").because(error)
        })?;
        let now = db.runtime.now();
        Ok(Idempotency {
            scope: self.scope.clone(),
            key: self.key.clone(),
            fingerprint: self.fingerprint,
            response: db.keys.seal(&self.scope, &text).await?.as_bytes().to_vec(),
            now,
            expires_at: now.plus(limits::IDEMPOTENCY_LIFETIME),
        })
    }

    async fn open<R: DeserializeOwned>(&self, db: &Database, sealed: Vec<u8>) -> Result<R> {
        let text = db.keys.open(&self.scope, &Sealed::from_bytes(sealed)).await?;
        serde_json::from_slice(&text).map_err(|error| {
            Error::data_loss("idempotency.unreadable", "a remembered answer does not read").because(error)
        })
    }
}
