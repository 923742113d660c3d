//! Auth: accounts, passwords, sessions, tokens.
//!
//! - An account is made in three steps, each a commit of its own: the address is reserved here, the
//!   profile is made by the users domain, the account is activated here. Whatever a crash leaves is
//!   completed at the next start or login.
//! - An access token is a JWT for 15 minutes; a session goes on by refresh tokens, each spent once.
//!   A session that ended is refused by the very next request.
//! - Passwords are hashed with Argon2id on a bounded pool; failures lock an account for a network.
//! - There are no default accounts: the first administrator is made with a token that is printed.

mod authenticate;
mod commands;
mod config;
mod error;
pub mod events;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod model;
mod queries;
mod remembered;
mod tables;
mod worker;

pub use commands::{
    ChangePasswordRequest, LoginRequest, LogoutRequest, RefreshRequest, RegisterRequest, Registered,
    SetupRequest, TokenPair,
};
pub use config::{Argon2Config, AuthConfig};
pub use model::keyring::{Jwk, Jwks};
pub use queries::SessionView;

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};

use crate::backbone::Wake;
use crate::kernel::{Context, Permission, Result, Secret, SessionId, UserId};
use crate::ports::signals::Signals;
use crate::ports::store::{Document, IndexRange, Schema};
use crate::ports::{Backends, Database};
use crate::users::{Email, Epochs, Users};

use model::hash_memory::HashMemory;
use model::keyring::KeyRing;
use model::password::{self, Verdict};
use model::token::Tokens;
use remembered::RememberedTokens;
use tables::{Account, BY_EMAIL};

/// Lists sessions of others.
pub const SESSIONS_READ: Permission = Permission::literal("sessions:read");
/// Ends sessions of others.
pub const SESSIONS_WRITE: Permission = Permission::literal("sessions:write");
/// Replaces the key that signs access tokens.
pub const ROTATE_KEYS: Permission = Permission::literal("auth:rotate_keys");

/// Signals that a session ended; the subject is its id.
const SESSION_CHANGED: &str = "auth.session";
/// Signals that a password changed or an account went; the subject is the user's id.
const ACCOUNT_CHANGED: &str = "auth.account";
/// Signals that the signing keys changed.
const KEYS_CHANGED: &str = "auth.keys";

/// The auth domain. Cloning is cheap.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

/// What all clones share.
pub struct Inner {
    db: Database,
    users: Users,
    config: AuthConfig,
    signals: Arc<dyn Signals>,
    tokens: Tokens,
    ring: ArcSwap<KeyRing>,
    /// Wakes the worker that reads the ring anew.
    keys_told: Wake,
    remembered: RememberedTokens,
    sessions: Epochs<SessionId>,
    accounts: Epochs<UserId>,
    hash_memory: Arc<HashMemory>,
    /// What a password is compared with when there is no account.
    nobodys_hash: String,
    setup_token: Secret,
}

impl Deref for Auth {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Auth {
    /// What the store `auth` holds.
    pub fn schema() -> Schema {
        tables::schema()
    }

    /// Opens the store `auth`, and makes a first signing key when there is none.
    ///
    /// # Errors
    /// `auth.invalid_config`; as [`crate::ports::store::Stores::open`].
    pub async fn open(backends: &Backends, users: &Users, config: AuthConfig) -> Result<Auth> {
        let db = Database::open(backends, &Auth::schema()).await?;
        Auth::over(db, Arc::clone(&backends.signals), users.clone(), config).await
    }

    async fn over(db: Database, signals: Arc<dyn Signals>, users: Users, config: AuthConfig) -> Result<Auth> {
        config.check()?;
        let ring = commands::open_ring(&db, &config).await?;
        Ok(Auth(Arc::new(Inner {
            users,
            signals,
            tokens: Tokens::new(&config.issuer, &config.audience),
            ring: ArcSwap::from_pointee(ring),
            keys_told: Wake::default(),
            remembered: RememberedTokens::new(config.remembered_tokens),
            sessions: Epochs::default(),
            accounts: Epochs::default(),
            hash_memory: Arc::default(),
            nobodys_hash: password::nobodys_hash(config.argon2, db.runtime.random(), db.runtime.random()),
            setup_token: Secret::new(BASE64_URL_SAFE_NO_PAD.encode(db.runtime.random::<32>())),
            config,
            db,
        })))
    }

    /// The store.
    pub fn database(&self) -> &Database {
        &self.db
    }

    /// The account of an address.
    async fn account_of(&self, email: &Email) -> Result<Option<Account>> {
        let range = IndexRange::index(Account::COLLECTION.name, BY_EMAIL)
            .exactly(email.normalised().as_bytes())
            .limit(1);
        Ok(self.db.scan::<Account>(&range).await?.items.pop().map(|account| account.value))
    }

    async fn hash_password(&self, password: &Secret) -> Result<String> {
        let (argon2, password, salt) = (self.config.argon2, password.clone(), self.db.runtime.random());
        let memory = Arc::clone(&self.hash_memory);
        self.db.runtime.computed(move || password::hash(&memory, argon2, &password, &salt)).await?
    }

    async fn verify_password(&self, password: &Secret, stored: &str) -> Result<Verdict> {
        let (argon2, password, stored) = (self.config.argon2, password.clone(), stored.to_owned());
        let memory = Arc::clone(&self.hash_memory);
        self.db.runtime.computed(move || password::verify(&memory, argon2, &password, &stored)).await?
    }

    /// The platform itself, on behalf of a request.
    fn own_context(&self, ctx: &Context) -> Context {
        let mut own = Context::system();
        own.correlation_id = ctx.correlation_id.clone();
        own.causation_id = ctx.causation_id;
        own.trace = ctx.trace;
        own.commits = ctx.commits.clone();
        own
    }
}

#[cfg(test)]
mod tests;
