//! What this domain stores.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::kernel::{ClientInfo, Sealed, SessionId, Timestamp, UserId};
use crate::ports::store::{Collection, Document, Entry, Index, Schema};
use crate::users::Email;

use super::model::lockout::{self, Failures};
use super::model::refresh::RefreshToken;

/// Accounts by their addresses, without regard to case; unique.
pub(super) const BY_EMAIL: &str = "by_email";
/// Accounts whose registration is not complete, by the time it began.
pub(super) const RESERVED: &str = "reserved";
/// Sessions by their users.
pub(super) const BY_USER: &str = "by_user";
/// What may be deleted, by the moment from which it may.
pub(super) const BY_END: &str = "by_end";

/// The store of this domain.
pub(super) fn schema() -> Schema {
    Schema::new(
        "auth",
        1,
        &[
            Account::COLLECTION,
            Session::COLLECTION,
            StoredRefreshToken::COLLECTION,
            LoginFailures::COLLECTION,
            StoredSigningKey::COLLECTION,
            CurrentKey::COLLECTION,
        ],
    )
}

/// How far a registration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AccountState {
    /// The address is reserved; the profile may not exist yet.
    Reserved,
    /// Complete.
    Active,
}

/// How somebody signs in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Account {
    pub id: UserId,
    pub email: Email,
    /// For the profile, until that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A PHC string.
    pub password_hash: String,
    /// Moves with every change of the password: a session of an older one is over.
    pub password_version: u64,
    pub state: AccountState,
    pub created_at: Timestamp,
}

impl Document for Account {
    const COLLECTION: Collection = Collection::json("accounts")
        .indexed(&[Index::unique(BY_EMAIL), Index::one(RESERVED)], Account::reindex_body);

    fn id(&self) -> Vec<u8> {
        self.id.as_bytes().to_vec()
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = vec![Entry::new(BY_EMAIL, self.email.normalised())];
        if self.state == AccountState::Reserved {
            entries.push(Entry::new(RESERVED, self.created_at.as_micros().to_be_bytes()));
        }
        entries
    }
}

/// Somebody is signed in. A session that ended is not there any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Session {
    pub id: SessionId,
    pub user_id: UserId,
    pub password_version: u64,
    /// Of the user's profile, when the session began: a deactivation of a later version ends it. No clock
    /// tells which of the two came first.
    #[serde(default)]
    pub profile_version: u64,
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
    /// When it ends unless it is refreshed before.
    pub idle_ends_at: Timestamp,
    /// When it ends for good.
    pub ends_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

impl Session {
    /// When it is over, as things are.
    pub(super) fn over_at(&self) -> Timestamp {
        self.idle_ends_at.min(self.ends_at)
    }

    /// Whether it is valid for this account.
    pub(super) fn lives(&self, account: &Account, now: Timestamp) -> bool {
        self.user_id == account.id
            && self.password_version == account.password_version
            && self.over_at() > now
    }

    /// Notes a use.
    pub(super) fn used(&mut self, client: &ClientInfo, idle: Duration, now: Timestamp) {
        self.last_used_at = now;
        self.idle_ends_at = now.plus(idle);
        self.address = client.address.map(|address| address.to_string());
        self.user_agent.clone_from(&client.user_agent);
    }
}

impl Document for Session {
    const COLLECTION: Collection = Collection::json("sessions")
        .indexed(&[Index::one(BY_USER), Index::one(BY_END)], Session::reindex_body);

    fn id(&self) -> Vec<u8> {
        self.id.as_bytes().to_vec()
    }

    fn entries(&self) -> Vec<Entry> {
        vec![
            Entry::new(BY_USER, *self.user_id.as_bytes()),
            Entry::new(BY_END, self.over_at().as_micros().to_be_bytes()),
        ]
    }
}

/// A refresh token under its hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredRefreshToken {
    /// SHA-256 of the token, in base 64.
    pub hash: String,
    #[serde(flatten)]
    pub token: RefreshToken,
}

impl Document for StoredRefreshToken {
    const COLLECTION: Collection =
        Collection::json("refresh_tokens").indexed(&[Index::one(BY_END)], StoredRefreshToken::reindex_body);

    fn id(&self) -> Vec<u8> {
        self.hash.clone().into_bytes()
    }

    fn entries(&self) -> Vec<Entry> {
        vec![Entry::new(BY_END, self.token.expires_at.as_micros().to_be_bytes())]
    }
}

/// Failed logins of one address from one network; its id tells neither.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct LoginFailures {
    pub attempt: AttemptKey,
    #[serde(flatten)]
    pub failures: Failures,
}

/// What failures are counted by: a hash of address and network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct AttemptKey(String);

impl AttemptKey {
    /// The key of an attempt.
    pub(super) fn new(email: &Email, client: &ClientInfo) -> AttemptKey {
        AttemptKey(hash(&format!("{}\n{}", email.normalised(), lockout::network(client.address))))
    }

    /// The id of the document.
    pub(super) fn id(&self) -> Vec<u8> {
        self.0.clone().into_bytes()
    }
}

impl Document for LoginFailures {
    const COLLECTION: Collection =
        Collection::json("login_failures").indexed(&[Index::one(BY_END)], LoginFailures::reindex_body);

    fn id(&self) -> Vec<u8> {
        self.attempt.id()
    }

    fn entries(&self) -> Vec<Entry> {
        let forgotten = self.failures.last.plus(lockout::MEMORY);
        vec![Entry::new(BY_END, forgotten.as_micros().to_be_bytes())]
    }
}

/// A signing key, sealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredSigningKey {
    pub id: String,
    pub seed: Sealed,
    pub created_at: Timestamp,
    /// From when on it signs no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
}

impl StoredSigningKey {
    /// What its seed is bound to.
    pub(super) fn place(id: &str) -> String {
        format!("auth.signing_keys/{id}")
    }
}

impl Document for StoredSigningKey {
    const COLLECTION: Collection = Collection::json("signing_keys");

    fn id(&self) -> Vec<u8> {
        self.id.clone().into_bytes()
    }
}

/// Which key signs: two nodes that rotate at once conflict here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CurrentKey {
    pub key_id: String,
}

impl CurrentKey {
    /// Its only id.
    pub(super) const ID: &'static str = "current";
}

impl Document for CurrentKey {
    const COLLECTION: Collection = Collection::json("current_key");

    fn id(&self) -> Vec<u8> {
        CurrentKey::ID.into()
    }
}

/// SHA-256 in base 64: for what is random enough to need no salt (ASVS 6.5.2), or is no secret.
pub(super) fn hash(text: &str) -> String {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}
