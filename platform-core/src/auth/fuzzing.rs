//! What fuzz targets reach behind the facade of this domain.

use super::model::keyring::{KeyRing, SigningKey};
use super::model::token::Tokens;
use crate::kernel::{RawId, Result, Secret, SessionId, Timestamp, UserId};

/// Issues and verifies access tokens under one key.
pub struct TokenCheck {
    tokens: Tokens,
    ring: KeyRing,
}

impl TokenCheck {
    /// Under the key of this seed.
    ///
    /// # Errors
    /// `auth.signing_key_invalid`.
    pub fn new(seed: &[u8; 32]) -> Result<TokenCheck> {
        let ring = KeyRing::new(SigningKey::from_seed(seed)?, []);
        Ok(TokenCheck { tokens: Tokens::new("issuer", "audience"), ring })
    }

    /// A token.
    ///
    /// # Errors
    /// `auth.signing_failed`.
    pub fn issue(
        &self,
        user: UserId,
        session: SessionId,
        now: Timestamp,
        ends_at: Timestamp,
    ) -> Result<Secret> {
        self.tokens.issue(&self.ring, user, session, RawId([7; 16]), now, ends_at)
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// `auth.invalid_token`, `auth.token_expired`.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<(UserId, SessionId)> {
        self.tokens.verify(&self.ring, token, now).map(|claims| (claims.sub, claims.sid))
    }
}
