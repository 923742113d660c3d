//! Rotation of the signing key.

use std::sync::Arc;

use crate::kernel::{Context, Error, Result, Timestamp};
use crate::ports::Database;
use crate::ports::signals::Signal;
use crate::ports::store::{Document, IndexRange, command};

use super::super::events::SigningKeyRotated;
use super::super::model::keyring::{KeyRing, SigningKey};
use super::super::model::token;
use super::super::tables::{CurrentKey, StoredSigningKey};
use super::super::{Auth, AuthConfig, KEYS_CHANGED, ROTATE_KEYS};

impl Auth {
    /// Signs with a new key from now on (permission `auth:rotate_keys`). The old one verifies until
    /// the last of its tokens has ended.
    ///
    /// # Errors
    /// `auth.forbidden`, `store.unavailable`.
    pub async fn rotate_keys(&self, ctx: &Context) -> Result<()> {
        ctx.require(&ROTATE_KEYS)?;
        let done = rotate(&self.db, &self.config, ctx, true).await;
        if done.as_ref().map_or_else(|error| error.may_have_happened(), |_| true) {
            self.keys_changed();
        }
        done?;
        self.reload_keys().await
    }

    /// Rotates when the current key is old enough, and forgets keys whose tokens have all ended.
    pub(in crate::auth) async fn rotate_when_due(&self) -> Result<()> {
        if rotate(&self.db, &self.config, &Context::system(), false).await? {
            self.keys_changed();
        }
        Ok(())
    }

    /// The ring to sign with: its current key is the store's. One that was retired verifies for some time of the wall clock
    /// only, and no node can be sure that it has heard of a rotation, or that this clock did not jump meanwhile.
    pub(super) async fn signing_ring(&self) -> Arc<KeyRing> {
        let ring = self.ring.load_full();
        let current = self.db.get::<CurrentKey>(CurrentKey::ID).await;
        let known = match &current {
            Ok(Some(current)) if current.key_id == ring.current().id() => return ring,
            Ok(_) => self.reload_keys().await,
            Err(error) => Err(error.clone()),
        };
        if let Err(error) = known {
            tracing::warn!(%error, "the signing keys could not be read anew");
            self.keys_told.wake();
        }
        self.ring.load_full()
    }

    /// After a commit that changed the keys, and after one that may have.
    fn keys_changed(&self) {
        self.keys_told.wake();
        self.signals.send(Signal::new(KEYS_CHANGED, ""));
    }

    pub(in crate::auth) async fn reload_keys(&self) -> Result<()> {
        self.ring.store(Arc::new(load_ring(&self.db, &self.config).await?));
        Ok(())
    }
}

/// The ring, with a first key when there is none.
pub(in crate::auth) async fn open_ring(db: &Database, config: &AuthConfig) -> Result<KeyRing> {
    rotate(db, config, &Context::system(), false).await?;
    load_ring(db, config).await
}

/// Makes a new key when it is wanted or due; tells whether anything changed.
async fn rotate(db: &Database, config: &AuthConfig, ctx: &Context, wanted: bool) -> Result<bool> {
    let once = Context { idempotency_key: None, ..ctx.clone() };
    if !wanted && !is_due(db, config).await? {
        return Ok(false);
    }
    let done = command(db, &once, "auth.rotate_keys", &(), |mut work| async move {
        let now = work.now();
        let mut keys = 0;
        for listed in stored_keys(db).await? {
            let Some(mut key) = work.load::<StoredSigningKey>(listed.id.as_str()).await? else { continue };
            if has_ended(&key.value, config, now) {
                work.delete::<StoredSigningKey>(key.id.as_str());
                continue;
            }
            keys += 1;
            let due = key.created_at.plus(config.signing_key_lifetime()) <= now;
            if key.retired_at.is_none() && (wanted || due) {
                key.retired_at = Some(now);
                work.put(&key.value)?;
            } else if key.retired_at.is_none() {
                // Another node was faster.
                return work.reply(true);
            }
        }
        tracing::info!(older = keys, "a new signing key");
        // Two nodes that rotate at once both write this: one of them decides again.
        work.load::<CurrentKey>(CurrentKey::ID).await?;
        let seed: [u8; 32] = db.runtime.random();
        let id = SigningKey::from_seed(&seed)?.id().to_owned();
        let sealed = db.keys.seal(&StoredSigningKey::place(&id), &seed).await?;
        work.create(&StoredSigningKey { id: id.clone(), seed: sealed, created_at: now, retired_at: None })?;
        work.put(&CurrentKey { key_id: id.clone() })?;
        work.publish(&SigningKeyRotated { key_id: id })?;
        work.reply(true)
    })
    .await?;
    Ok(done.value)
}

async fn is_due(db: &Database, config: &AuthConfig) -> Result<bool> {
    let now = db.runtime.now();
    let keys = stored_keys(db).await?;
    let current = keys.iter().find(|key| key.retired_at.is_none());
    let fresh = current.is_some_and(|key| key.created_at.plus(config.signing_key_lifetime()) > now);
    Ok(!fresh)
}

/// Whether no token that this key signed can be valid.
fn has_ended(key: &StoredSigningKey, config: &AuthConfig, now: Timestamp) -> bool {
    let last =
        |retired_at: Timestamp| retired_at.plus(config.access_token_lifetime()).plus(token::CLOCK_SKEW);
    key.retired_at.is_some_and(|retired_at| last(retired_at) <= now)
}

async fn stored_keys(db: &Database) -> Result<Vec<StoredSigningKey>> {
    let range =
        IndexRange::ids(StoredSigningKey::COLLECTION.name).limit(crate::kernel::limits::SCAN_DOCUMENTS);
    Ok(db.scan::<StoredSigningKey>(&range).await?.items.into_iter().map(|key| key.value).collect())
}

async fn load_ring(db: &Database, config: &AuthConfig) -> Result<KeyRing> {
    let now = db.runtime.now();
    let (mut current, mut older) = (None, Vec::new());
    for stored in stored_keys(db).await? {
        if has_ended(&stored, config, now) {
            continue;
        }
        let seed = db.keys.open(&StoredSigningKey::place(&stored.id), &stored.seed).await?;
        let damaged = || Error::data_loss("auth.signing_key_invalid", "a signing key cannot be read");
        let key = SigningKey::from_seed(&seed.try_into().map_err(|_| damaged())?)?;
        match stored.retired_at {
            None => current = Some(key),
            Some(_) => older.push(key),
        }
    }
    let current =
        current.ok_or_else(|| Error::data_loss("auth.no_signing_key", "there is no signing key"))?;
    Ok(KeyRing::new(current, older))
}
